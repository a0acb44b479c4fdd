/** The websocket of subscriptions. It comes back by itself, and sends again what was subscribed to. */

import { type Client, createClient } from "graphql-ws";
import WebSocket from "ws";

/** Long enough for a server that is started again. */
export const RETRIES = 12;
const LONGEST_WAIT_MS = 10_000;
const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const ACK_WITHIN_MS = 10_000;
/** Closed by ourselves. */
const NORMAL = 1000;
const FORBIDDEN = 4403;
/** What servers say when no pong came in time: `graphql-ws` takes it for the end. */
const BROKEN = 1011;
/** Errors of the server that may be gone the next time. */
const PASSING = new Set(["SERVICE_UNAVAILABLE", "TIMEOUT", "INTERNAL_SERVER_ERROR"]);

export function openSocket(url: string, token: string): Client {
  const socket = createClient({
    url,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: RETRIES,
    retryWait: (retries) => new Promise((resolve) => setTimeout(resolve, pause(retries))),
    // Of the codes with which coming again is in vain, graphql-ws takes this one for a matter of luck.
    shouldRetry: (closed) => codeOf(closed) !== FORBIDDEN,
    connectionAckWaitTimeout: ACK_WITHIN_MS,
    keepAlive: PING_EVERY_MS,
  });
  watchOver(socket);
  return socket;
}

/** Gives a socket up that answers no ping: a network that is gone says nothing by itself. */
function watchOver(socket: Client): void {
  let timer: NodeJS.Timeout | undefined;
  socket.on("ping", (isReceived) => {
    if (!isReceived) timer = setTimeout(() => socket.terminate(), PONG_WITHIN_MS);
  });
  socket.on("pong", (isReceived) => {
    if (isReceived) clearTimeout(timer);
  });
  socket.on("closed", (event) => {
    clearTimeout(timer);
    if (codeOf(event) !== NORMAL) console.error(`The websocket was closed (${codeOf(event)}).`);
  });
}

/** How long to wait before an attempt, in ms: longer each time, and not all clients alike. */
export const pause = (retries: number) => Math.min(LONGEST_WAIT_MS, 100 * 2 ** retries) * (0.5 + Math.random() / 2);

interface GraphQLFault {
  readonly message: string;
  readonly extensions?: { readonly code?: string };
}

/** Whether trying again may help against what `graphql-ws` does not try again itself. */
export function mayPass(error: unknown): boolean {
  if (codeOf(error) === BROKEN) return true;
  return Array.isArray(error) && error.every((one: GraphQLFault) => PASSING.has(one.extensions?.code ?? ""));
}

/** What graphql-ws hands over: GraphQL errors as a list, a closed socket as an event. */
export function toError(error: unknown): Error {
  if (Array.isArray(error)) return new Error(error.map((one: GraphQLFault) => one.message).join(" "));
  if (codeOf(error) === FORBIDDEN) return new Error("The server does not accept ANABRANCH_TOKEN any more.");
  const reason = codeOf(error) ?? (error as { message?: string } | null)?.message;
  return new Error(`The websocket broke and did not come back (${reason}).`);
}

const codeOf = (event: unknown) => (event as { code?: number } | null)?.code;
