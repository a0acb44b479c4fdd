import { Client, fetchExchange, gql } from "@urql/core";
import { finish, say } from "./say.mjs";

// What urql stops by an AbortController it lets reject, and nobody could catch it.
process.on("unhandledRejection", (error) => {
  if (error.name !== "AbortError") throw error;
});

const [url, token] = process.argv.slice(2);
const client = new Client({
  url,
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
  fetchOptions: { headers: { authorization: `Bearer ${token}` } },
});

/** All that a subscription told, in order; stops by itself after `most`. */
const all = (text, { most = Infinity, first = () => {} } = {}) =>
  new Promise((resolve) => {
    const told = [];
    const { unsubscribe } = client.subscription(gql(text), {}).subscribe(({ data, error, hasNext }) => {
      // The last result is told once more when the stream is over.
      if (hasNext) told.push(error ? (error.graphQLErrors[0]?.extensions.code ?? error.message) : Object.values(data)[0]);
      if (told.length === 1) first();
      if (!hasNext || told.length >= most) {
        unsubscribe?.();
        resolve(told);
      }
    });
  });

const told = {
  query: (await client.query(gql("{ whoami }"), {})).data,
  mutation: (await client.mutation(gql('mutation { probe(input: { text: "x" }) { text } }'), {})).data,
  count: await all("subscription { count(to: 3) }"),
  left: await all("subscription { endless }", { most: 1 }),
  invalid: await all("subscription { nope }"),
  ended: await all("subscription { mine }", { first: () => say("end the session") }),
};
finish(told);
