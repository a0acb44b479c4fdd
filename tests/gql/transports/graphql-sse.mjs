import { createClient } from "graphql-sse";
import { finish, say } from "./say.mjs";

const [url, token, proxied] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const client = createClient({ url, headers, retryAttempts: 0 });

/** All results of an operation, or the error that ended it. */
const all = async (query, by = client) => {
  const results = [];
  try {
    for await (const result of by.iterate({ query })) results.push(result);
  } catch (error) {
    return { results, status: error.response?.status ?? String(error) };
  }
  return results;
};

const told = {
  count: (await all("subscription { count(to: 3) }")).map(({ data }) => data.count),
  mine: null,
  query: (await all("{ whoami }"))[0].data,
  invalid: (await all("subscription { nope }"))[0].errors[0].extensions.code,
  broken: (await all('subscription { failing(how: "expired") }')).map((one) => one.errors?.[0].extensions.code ?? one.data.failing),
  forged: await all("subscription { count(to: 1) }", createClient({ url, headers: { Authorization: "Bearer x" }, retryAttempts: 0 })),
};

// A client that leaves.
for await (const { data } of client.iterate({ query: "subscription { mine }" })) {
  told.mine = data.mine;
  break;
}

// A connection that is cut: the client comes again by itself.
const again = createClient({ url: proxied, headers, retry: async () => {} });
let seen = 0;
for await (const { data } of again.iterate({ query: "subscription { endless }" })) {
  seen += data.endless;
  say("event", seen);
  if (seen === 3) break;
}
told.seen = seen;

// A session that ends.
const last = [];
for await (const result of client.iterate({ query: "subscription { mine }" })) {
  last.push(result.errors?.[0].extensions.code ?? result.data.mine);
  if (last.length === 1) say("end the session");
}
finish({ ...told, last });
