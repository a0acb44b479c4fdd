/** The websocket of subscriptions; the browser's cookie says who is there. */

import { type Client, createClient } from 'graphql-ws';
import type { CookieSession } from './session';

const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const LONGEST_WAIT_MS = 10_000;
const FORBIDDEN = 4403;
/** Closed by ourselves, for want of subscriptions. */
const NORMAL = 1000;

export function socketUrl(origin: string): string {
  return `${origin.replace(/^http/, 'ws')}/graphql`;
}

export interface SocketOptions {
  /** Whether broken subscriptions are sent again as they were: right for lists, wrong for a log with a cursor. */
  readonly isRepeating: boolean;
  readonly onConnected?: () => void;
  readonly onLost?: () => void;
  /** The server does not know (any more) who is there. */
  readonly onForbidden: () => void;
}

export function openSocket(session: CookieSession, { isRepeating, onConnected, onLost, onForbidden }: SocketOptions): Client {
  return createClient({
    url: async () => {
      // The handshake carries the cookie, so it must be good before.
      await session.makeReady();
      return socketUrl(window.location.origin);
    },
    retryAttempts: isRepeating ? Number.POSITIVE_INFINITY : 0,
    shouldRetry: () => isRepeating,
    retryWait: async (retries) => wait(delayOf(retries)),
    on: {
      connected: () => onConnected?.(),
      closed: (event) => {
        if (!(event instanceof CloseEvent) || event.code === NORMAL) return;
        onLost?.();
        if (event.code === FORBIDDEN) onForbidden();
      },
      ...watchOver(),
    },
    keepAlive: PING_EVERY_MS,
  });
}

/** Close a socket that answers no ping: a network that is gone says nothing by itself. */
function watchOver() {
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    opened: (opened: unknown) => {
      socket = opened as WebSocket;
    },
    ping: (isReceived: boolean) => {
      if (isReceived) return;
      const watched = socket;
      timer = setTimeout(() => watched?.close(4408, 'No answer to a ping'), PONG_WITHIN_MS);
    },
    pong: (isReceived: boolean) => {
      if (isReceived) clearTimeout(timer);
    },
  };
}

/** The wait before another attempt, varied so that many pages do not come back at one moment. */
export function delayOf(retries: number, random: () => number = Math.random): number {
  const longest = Math.min(LONGEST_WAIT_MS, 250 * 2 ** retries);
  return longest / 2 + (longest / 2) * random();
}

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
