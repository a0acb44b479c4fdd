/** The websocket of subscriptions. What breaks is told and not repeated: a log is followed from a cursor, see run-events.ts. */

import { type Client, createClient } from "graphql-ws";

const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
/** What the server closes with when coming again is in vain; 4403 is a token that is not valid, or no longer. */
const FINAL = new Set([4400, 4401, 4403, 4406, 4409, 4429]);

/** The connection ended before what it carried did. */
export class SocketClosed extends Error {
  readonly code: number;

  constructor(code: number, reason: string) {
    super(`the websocket was closed with ${code} ${reason}`.trim());
    this.code = code;
  }

  get isFinal(): boolean {
    return FINAL.has(this.code);
  }
}

export function openSocket(url: string, token: string): Client {
  const socket = createClient({
    url: `${url.replace(/^http/, "ws")}/graphql`,
    connectionParams: { authorization: `Bearer ${token}` },
    // Who follows a log knows its cursor, and whether another try makes sense.
    retryAttempts: 0,
    connectionAckWaitTimeout: 10_000,
    keepAlive: PING_EVERY_MS,
  });
  watchOver(socket);
  return {
    ...socket,
    subscribe: (given, sink) => {
      // Closed with 1000, graphql-ws opens another socket and writes the payload out anew, whatever `retryAttempts` is.
      const payload = { ...given, variables: { ...given.variables } };
      return socket.subscribe(payload, {
        next: (value) => {
          if (/\$after\b/.test(given.query)) goOnBehind(value.data, payload.variables);
          sink.next(value as never);
        },
        error: (error) => sink.error(asError(error)),
        complete: () => sink.complete(),
      });
    },
  };
}

/** Let `variables` begin behind an event that has come. */
function goOnBehind(data: unknown, variables: Record<string, unknown>): void {
  for (const event of Object.values((data ?? {}) as Record<string, { cursor?: unknown } | null>)) {
    if (typeof event?.cursor === "string") variables["after"] = event.cursor;
  }
}

/** Give a socket up that answers no ping: a network that is gone says nothing by itself. */
function watchOver(socket: Client): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  socket.on("ping", (isReceived) => {
    if (!isReceived) timer = setTimeout(() => socket.terminate(), PONG_WITHIN_MS);
  });
  socket.on("pong", (isReceived) => {
    if (isReceived) clearTimeout(timer);
  });
  socket.on("closed", () => clearTimeout(timer));
}

/** What ends a subscription is the server's list of errors, or an event of the socket: a break is told as `error` first. */
function asError(what: unknown): unknown {
  // A socket that was given up for its silence comes as an Error, which has the code and the reason of a close, too.
  if (Array.isArray(what) || (what instanceof Error && !("reason" in what))) return what;
  const { code = 1006, reason = "" } = what as Partial<CloseEvent>;
  return new SocketClosed(code, reason);
}
