/** How GraphiQL reaches the API: queries and mutations by HTTP, subscriptions by graphql-transport-ws. */

import type { Fetcher, FetcherParams, SyncExecutionResult } from '@graphiql/toolkit';
import { type Client, createClient } from 'graphql-ws';
import { ENDPOINT, isRefusal, post } from './api';
import type { CookieSession } from './app/api/session';
import { fill, remember } from './examples';
import { operationOf } from './operation';
import type { Session } from './session';

const EXPIRED = 4403;

type Result = ReturnType<Client['iterate']> extends AsyncIterable<infer One> ? One : never;

/** The token to send; without one the pages' session counts, which is renewed first where it is about to run out. */
async function tokenOf(session: Session, shared: CookieSession): Promise<string | null> {
  const accessToken = await session.accessToken();
  if (accessToken === null) await shared.makeReady();
  return accessToken;
}

export function createSocket(session: Session, shared: CookieSession, origin: string): Client {
  return createClient({
    url: async () => {
      await tokenOf(session, shared);
      return `${origin.replace(/^http/, 'ws')}${ENDPOINT}`;
    },
    connectionParams: async (): Promise<Record<string, string>> => {
      const accessToken = await session.accessToken();
      return accessToken ? { authorization: `Bearer ${accessToken}` } : {};
    },
    // A repeated `runEvents` would begin anew without its cursor: see `follow`.
    retryAttempts: 0,
  });
}

/** `onRefused` is called when the server takes the user for nobody. */
export function createFetcher(session: Session, shared: CookieSession, socket: Client, onRefused: () => void): Fetcher {
  return async (params, opts) => {
    const { name, isSubscription } = operationOf(params.query, params.operationName ?? null);
    const filled = { ...params, operationName: name, variables: fill(params.variables) };
    if (isSubscription) return follow(socket, filled, onRefused) as SyncExecutionResult;
    const answer = await post(filled, await tokenOf(session, shared), opts?.headers);
    if (isRefusal(answer)) onRefused();
    remember(answer);
    return answer as Awaited<ReturnType<Fetcher>>;
  };
}

/**
 * Follow a subscription. The server closes a socket whose session has run out: it is opened anew, which renews the session,
 * and goes on behind the last cursor. What has no cursor shows the break.
 */
async function* follow(socket: Client, params: FetcherParams, onRefused: () => void): AsyncGenerator<Result> {
  const { query, operationName } = params;
  let variables = params.variables as Record<string, unknown> | null;
  for (;;) {
    let cursor: string | null = null;
    try {
      for await (const result of socket.iterate({ query, variables, operationName: operationName ?? null })) {
        cursor = cursorOf(result) ?? cursor;
        yield result;
      }
      return;
    } catch (error) {
      const hasExpired = error instanceof CloseEvent && error.code === EXPIRED;
      // One that is closed before anything came was not refused for its age.
      if (hasExpired && cursor === null) onRefused();
      if (!hasExpired || cursor === null || !/\$after\b/.test(query)) throw explained(error);
      variables = { ...variables, after: cursor };
    }
  }
}

function cursorOf({ data }: Result): string | null {
  const [root] = Object.values(data ?? {}) as ({ cursor?: unknown } | null)[];
  return typeof root?.cursor === 'string' ? root.cursor : null;
}

/** A socket that was closed says so by a CloseEvent, which would be shown as `{"isTrusted": true}`. */
function explained(error: unknown): unknown {
  if (!(error instanceof CloseEvent)) return error;
  return new Error(`The server closed the socket: ${error.code} ${error.reason || '(no reason given)'}`);
}
