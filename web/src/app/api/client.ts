/** How the pages reach the API: HTTP for queries and mutations, a websocket for subscriptions, cookies for both. */

import { Client, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import type { Client as Socket } from 'graphql-ws';
import { isUnauthenticated } from './refusals';
import { CookieSession } from './session';
import { openSocket } from './socket';
import { tradeBy } from './trade';

const ENDPOINT = '/graphql';

export const session = new CookieSession(
  window.localStorage,
  tradeBy(() => new Client({ url: ENDPOINT, preferGetMethod: false, exchanges: [fetchExchange] })),
);

export interface Api {
  readonly client: Client;
  /** Repeats subscriptions after a break; `client` sends its own through it. */
  readonly socket: Socket;
  /** Is told whenever the socket is lost or came back. */
  readonly onConnection: (listener: (isLost: boolean) => void) => () => void;
  readonly isLost: () => boolean;
  /** Open a socket of one's own, which is not repeated. */
  readonly openStream: (onConnected: () => void) => Socket;
  /** Renew the session, or tell that nobody is signed in any more. */
  readonly renew: () => Promise<void>;
  readonly close: () => void;
}

/** Open the API anew: with an empty cache and a socket that says who is there now. */
export function openApi(onSignedOut: () => void): Api {
  const listeners = new Set<(isLost: boolean) => void>();
  let isLost = false;
  const tell = (isNowLost: boolean) => {
    if (isLost === isNowLost) return;
    isLost = isNowLost;
    for (const listener of listeners) listener(isLost);
  };
  const renew = async () => {
    // Where the server cannot be reached, the operation itself fails and says so.
    if (!(await session.renew().catch(() => true))) onSignedOut();
  };
  const socket = openSocket(session, {
    isRepeating: true,
    onForbidden: renew,
    onConnected: () => tell(false),
    onLost: () => tell(true),
  });
  const client = new Client({
    url: ENDPOINT,
    preferGetMethod: false,
    fetchOptions: { credentials: 'same-origin' },
    exchanges: [
      cacheExchange,
      authExchange(async () => ({
        addAuthToOperation: (operation) => operation,
        willAuthError: (operation) => operation.kind !== 'subscription' && session.isDue(),
        didAuthError: isUnauthenticated,
        refreshAuth: renew,
      })),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query: query ?? '', variables }, sink as never) }),
        }),
      }),
    ],
  });
  return {
    client,
    socket,
    onConnection: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    isLost: () => isLost,
    openStream: (onConnected) => openSocket(session, { isRepeating: false, onForbidden: renew, onConnected }),
    renew,
    close: () => void socket.dispose(),
  };
}
