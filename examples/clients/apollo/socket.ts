/** The websocket of subscriptions. It repeats nothing by itself: a log is followed from a cursor, see run-events.ts. */

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
    // Otherwise a broken subscription is sent again as it was, with the cursor that it began with.
    retryAttempts: 0,
    connectionAckWaitTimeout: 10_000,
    keepAlive: PING_EVERY_MS,
  });
  watchOver(socket);
  return {
    ...socket,
    subscribe: (payload, sink) =>
      socket.subscribe(payload, {
        next: (value) => sink.next(value as never),
        error: (error) => sink.error(asError(error)),
        complete: () => sink.complete(),
      }),
  };
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
  if (Array.isArray(what) || what instanceof Error) return what;
  const { code = 1006, reason = "" } = what as Partial<CloseEvent>;
  return new SocketClosed(code, reason);
}
