/** urql for Anabranch: HTTP for queries and mutations, a websocket for subscriptions. */

import { cacheExchange, Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { openSocket } from "./socket.ts";

const ANSWER_WITHIN_MS = 30_000;

export function makeClient(url: string, token: string): Client {
  const socket = openSocket(url, token);
  return new Client({
    url: `${url}/graphql`,
    // A URL with a query is for caches, which may keep nothing of this; and logs keep URLs.
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    fetch: fetchInTime,
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query: query ?? "", variables }, sink as never) }),
        }),
      }),
    ],
  });
}

const fetchInTime: typeof fetch = (input, init) => {
  const late = AbortSignal.timeout(ANSWER_WITHIN_MS);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, late]) : late });
};
