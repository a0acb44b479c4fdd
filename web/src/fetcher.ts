/** How GraphiQL reaches the API: queries and mutations by HTTP, subscriptions by graphql-transport-ws. */

import type { Fetcher, FetcherParams, SyncExecutionResult } from '@graphiql/toolkit';
import { type Client, createClient } from 'graphql-ws';
import { ENDPOINT, isRefusal, post } from './api';
import type { CookieSession } from './app/api/session';
import { fill, remember } from './examples';
import { operationOf } from './operation';
import type { Session } from './session';

const EXPIRED = 4403;
/** Who is nobody is told so at once. */
const REFUSED_WITHIN_MS = 5_000;

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
    // `follow` tells which breaks are worth another try.
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
 * and goes on behind the last cursor. What has no cursor shows the break. Closed with 1000, graphql-ws opens another socket itself,
 * and writes `variables` out anew.
 */
async function* follow(socket: Client, params: FetcherParams, onRefused: () => void): AsyncGenerator<Result> {
  const { query, operationName } = params;
  const variables: Record<string, unknown> = { ...(params.variables as Record<string, unknown> | null) };
  const isResumable = /\$after\b/.test(query);
  let cursor: string | null = null;
  for (;;) {
    const beganAt = Date.now();
    let isEmpty = true;
    try {
      for await (const result of socket.iterate({ query, variables, operationName: operationName ?? null })) {
        isEmpty = false;
        cursor = cursorOf(result) ?? cursor;
        if (isResumable && cursor !== null) variables['after'] = cursor;
        yield result;
      }
      return;
    } catch (error) {
      const hasExpired = error instanceof CloseEvent && error.code === EXPIRED;
      // One that was open for a while was closed for its age, whether anything happened meanwhile or not.
      const isRefused = hasExpired && isEmpty && Date.now() - beganAt < REFUSED_WITHIN_MS;
      if (isRefused) onRefused();
      const canGoOn = isResumable && (cursor !== null || isEmpty);
      if (!hasExpired || isRefused || !canGoOn) throw explained(error);
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
