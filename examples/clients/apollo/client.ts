/** Apollo Client for Anabranch: HTTP for queries and mutations, a websocket for subscriptions. */

import { ApolloClient, ApolloLink, HttpLink } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { makeCache } from "./cache.ts";
import { openSocket } from "./socket.ts";

const ANSWER_WITHIN_MS = 30_000;

export function makeClient(url: string, token: string): ApolloClient {
  const http = new HttpLink({
    uri: `${url}/graphql`,
    headers: { authorization: `Bearer ${token}` },
    fetch: fetchInTime,
  });
  const socket = new GraphQLWsLink(openSocket(url, token));
  return new ApolloClient({
    cache: makeCache(),
    link: ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, socket, http),
  });
}

const fetchInTime: typeof fetch = (input, init) => {
  const late = AbortSignal.timeout(ANSWER_WITHIN_MS);
  return fetch(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, late]) : late });
};
