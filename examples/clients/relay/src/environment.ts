/** Relay's environment: queries and mutations over HTTP, subscriptions over one websocket that resumes by cursor. */

import { type Client, createClient } from "graphql-ws";
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
import WebSocket from "ws";

const REQUEST_TIMEOUT_MS = 30_000;
const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const RETRIES = 8;
const LONGEST_WAIT_MS = 10_000;
const FORBIDDEN = 4403;
/** Closed by ourselves. */
const NORMAL = 1000;

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
  const type = answer.headers.get("Content-Type") ?? "";
  // Anything else comes from a proxy, or from another server.
  if (!type.includes("json")) throw new Error(`${url} answered with status ${answer.status}.`);
  return (await answer.json()) as GraphQLResponse;
}

/** Sends a subscription; whenever the socket breaks, graphql-ws sends it again, from the last cursor that came. */
function follow(socket: Client, request: RequestParameters, variables: Variables): Observable<GraphQLResponse> {
  const payload = { query: request.text ?? "", operationName: request.name, variables: { ...variables } };
  return Observable.create((sink) =>
    socket.subscribe<Record<string, { cursor?: string } | null>>(payload, {
      next: (result) => {
        for (const event of Object.values(result.data ?? {})) {
          // `payload` is written out anew for each attempt, so the next one begins here.
          if (event?.cursor !== undefined) payload.variables.after = event.cursor;
        }
        sink.next(result as GraphQLResponse);
      },
      error: (error) => sink.error(toError(error)),
      complete: () => sink.complete(),
    }),
  );
}

function openSocket(url: string, token: string): Client {
  return createClient({
    url,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: RETRIES,
    retryWait: (retries) => wait(Math.min(LONGEST_WAIT_MS, 100 * 2 ** retries) * (0.5 + Math.random() / 2)),
    // graphql-ws would try again with the same token.
    shouldRetry: (closed) => codeOf(closed) !== FORBIDDEN,
    keepAlive: PING_EVERY_MS,
    on: { ...watchOver(), closed: tell },
  });
}

function tell(closed: unknown): void {
  if (codeOf(closed) !== NORMAL) console.error(`The websocket was closed (${codeOf(closed)}).`);
}

/** Closes a socket that answers no ping: a network that is gone says nothing by itself. */
function watchOver() {
  let socket: WebSocket | undefined;
  let timer: NodeJS.Timeout | undefined;
  return {
    opened: (opened: unknown) => {
      socket = opened as WebSocket;
    },
    ping: (isReceived: boolean) => {
      if (!isReceived) timer = setTimeout(() => socket?.terminate(), PONG_WITHIN_MS);
    },
    pong: (isReceived: boolean) => {
      if (isReceived) clearTimeout(timer);
    },
  };
}

/** What graphql-ws hands over: GraphQL errors as a list, a closed socket as an event. */
function toError(error: unknown): Error {
  if (error instanceof Error) return error;
  if (Array.isArray(error)) return new Error(error.map((one: { message: string }) => one.message).join(" "));
  if (codeOf(error) === FORBIDDEN) return new Error("The server does not accept ANABRANCH_TOKEN any more.");
  return new Error(`The websocket broke and did not come back (${codeOf(error)}).`);
}

const codeOf = (event: unknown) => (event as { code?: number } | null)?.code;
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
