/** How GraphiQL reaches the API: queries and mutations by HTTP, subscriptions by graphql-transport-ws. */

import type { Fetcher, FetcherParams, SyncExecutionResult } from '@graphiql/toolkit';
import { type Client, createClient } from 'graphql-ws';
import { ENDPOINT, post } from './api';
import { fill, remember } from './examples';
import { operationOf } from './operation';
import type { CookieSession } from './app/api/session';
import type { Session } from './session';

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
    // A repeated `runEvents` would begin anew without its cursor: the break is shown instead.
    retryAttempts: 0,
  });
}

export function createFetcher(session: Session, shared: CookieSession, socket: Client): Fetcher {
  return async (params, opts) => {
    const { name, isSubscription } = operationOf(params.query, params.operationName ?? null);
    const filled = { ...params, operationName: name, variables: fill(params.variables) };
    if (isSubscription) return subscribe(socket, filled);
    const answer = await post(filled, await tokenOf(session, shared), opts?.headers);
    remember(answer);
    return answer as Awaited<ReturnType<Fetcher>>;
  };
}

function subscribe(socket: Client, params: FetcherParams): SyncExecutionResult {
  const { query, variables, operationName } = params;
  return explained(socket.iterate({ query, variables, operationName: operationName ?? null })) as SyncExecutionResult;
}

/** A socket that was closed says so by a CloseEvent, which would be shown as `{"isTrusted": true}`. */
async function* explained<Result>(results: AsyncIterable<Result>): AsyncGenerator<Result> {
  try {
    yield* results;
  } catch (error) {
    if (error instanceof CloseEvent) {
      throw new Error(`The server closed the socket: ${error.code} ${error.reason || '(no reason given)'}`);
    }
    throw error;
  }
}
