/** Relay's environment: queries and mutations over HTTP, subscriptions over one websocket, from the last cursor on. */

import type { Client } from "graphql-ws";
import {
  Environment,
  type GraphQLResponse,
  Network,
  Observable,
  RecordSource,
  type RequestParameters,
  Store,
  type Variables,
} from "relay-runtime";
import { mayPass, openSocket, pause, RETRIES, toError } from "./socket";

const REQUEST_TIMEOUT_MS = 30_000;

export interface Connected {
  readonly environment: Environment;
  readonly close: () => void;
}

export function connect(origin: string, token: string): Connected {
  const socket = openSocket(`${origin.replace(/^http/, "ws")}/graphql`, token);
  const network = Network.create(
    (request, variables) => post(`${origin}/graphql`, token, request, variables),
    (request, variables) => follow(socket, request, variables),
  );
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  return { environment, close: () => void socket.dispose() };
}

async function post(url: string, token: string, request: RequestParameters, variables: Variables) {
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json",
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ query: request.text, operationName: request.name, variables }),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  }).catch((error: Error) => {
    throw new Error(`${url} cannot be reached: ${(error.cause as Error | undefined)?.message || error.message}`);
  });
  // Anything else is a proxy's word, or another server's.
  if (!answer.headers.get("Content-Type")?.includes("json")) throw new Error(`${url} answered with status ${answer.status}.`);
  return (await answer.json()) as GraphQLResponse;
}

/** Sends a subscription; whenever the socket breaks, graphql-ws sends it again, from the last cursor that came. */
function follow(socket: Client, request: RequestParameters, variables: Variables): Observable<GraphQLResponse> {
  const payload = { query: request.text ?? "", operationName: request.name, variables: { ...variables } };
  return Observable.create((sink) => {
    let end = () => {};
    let failures = 0;
    const begin = () => {
      end = socket.subscribe<Record<string, { cursor?: string } | null>>(payload, {
        next: (result) => {
          failures = 0;
          for (const event of Object.values(result.data ?? {})) {
            // `payload` is written out anew for each attempt, so the next one begins here.
            if (event?.cursor !== undefined) payload.variables.after = event.cursor;
          }
          sink.next(result as GraphQLResponse);
        },
        error: (error) => {
          if (!mayPass(error) || failures >= RETRIES) return sink.error(toError(error));
          const timer = setTimeout(begin, pause((failures += 1)));
          end = () => clearTimeout(timer);
        },
        complete: () => sink.complete(),
      });
    };
    begin();
    return () => end();
  });
}
