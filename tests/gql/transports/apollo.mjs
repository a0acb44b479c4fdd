import { createHash } from "node:crypto";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client/core/index.js";
import { CombinedGraphQLErrors, CombinedProtocolErrors } from "@apollo/client/errors/index.js";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries/index.js";
import { finish, say } from "./say.mjs";

const [url, token] = process.argv.slice(2);
const bodies = [];
const watching = (address, options) => {
  if (options.body) bodies.push(JSON.parse(options.body));
  return fetch(address, options);
};
const http = (headers) => new HttpLink({ uri: url, fetch: watching, headers });
const client = (link) => new ApolloClient({ link, cache: new InMemoryCache(), clientAwareness: { name: "test", version: "1" } });
const apollo = client(http({ authorization: `Bearer ${token}` }));

const kind = (error) => {
  if (CombinedProtocolErrors.is(error)) return ["protocol", error.errors[0].extensions.code];
  if (CombinedGraphQLErrors.is(error)) return ["graphql", error.errors[0].extensions.code];
  return [error.name, error.statusCode ?? error.message];
};

/** All that a subscription told, in order; stops by itself after `most`. */
const all = (text, { by = apollo, most = Infinity, first = () => {} } = {}) =>
  new Promise((resolve) => {
    const told = [];
    const subscription = by.subscribe({ query: gql(text) }).subscribe({
      next: ({ data, error }) => {
        told.push(error ? kind(error) : Object.values(data)[0]);
        if (told.length === 1) first();
        if (told.length >= most) {
          subscription.unsubscribe();
          resolve(told);
        }
      },
      error: (error) => resolve([...told, kind(error)]),
      complete: () => resolve([...told, "complete"]),
    });
  });

const asking = (documents) =>
  client(ApolloLink.from([new PersistedQueryLink({ sha256: (text) => createHash("sha256").update(text).digest("hex") }), http({})]));
const query = async (text) => {
  bodies.length = 0;
  const { data } = await asking().query({ query: gql(text), fetchPolicy: "network-only" });
  return { data, sent: bodies.map((body) => ("query" in body ? "text" : "hash")) };
};

const told = {
  count: await all("subscription { count(to: 3) }"),
  left: await all("subscription { endless }", { most: 1 }),
  invalid: await all("subscription { nope }"),
  broken: await all('subscription { failing(how: "expired") }'),
  nobody: await all("subscription { mine }", { by: client(http({})) }),
  forged: await all("subscription { count(to: 1) }", { by: client(http({ authorization: "Bearer x" })) }),
  query: (await apollo.query({ query: gql("{ whoami }") })).data,
  listed: await query("{\n  server {\n    __typename\n    isSignUpOpen\n  }\n}"),
  unlisted: await query("{ server { isSetupNeeded } }"),
  ended: await all("subscription { mine }", { first: () => say("end the session") }),
};
finish(told);
