import type { Fetcher } from '@graphiql/toolkit';
import type { Client } from 'graphql-ws';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { CookieSession } from '../src/app/api/session';
import { createFetcher } from '../src/fetcher';
import type { Session } from '../src/session';

const RUN = 'subscription W($runId: ID!, $after: String) { runEvents(runId: $runId, after: $after) { cursor } }';
const NAMELESS = 'subscription { serverTime }';

/**
 * A socket that gives these events each time it is asked, after so many seconds of silence, then closes with this code, or ends.
 * As graphql-ws does, it asks anew by itself, with what it was given, when it is closed with 1000.
 */
function socketWith(...rounds: { cursors: string[]; code?: number; lastsS?: number }[]) {
  const asked: unknown[] = [];
  async function* iterate({ variables }: { variables: object }): AsyncGenerator<unknown> {
    asked.push({ ...variables });
    const round = rounds.shift();
    vi.setSystemTime(Date.now() + 1000 * (round?.lastsS ?? 0));
    for (const cursor of round?.cursors ?? []) yield { data: { runEvents: { cursor } } };
    if (round?.code === 1000) yield* iterate({ variables });
    else if (round?.code) throw new CloseEvent('close', { code: round.code, reason: 'why' });
  }
  return { client: { iterate } as unknown as Client, asked };
}

async function followed(client: Client, query: string): Promise<{ cursors: unknown[]; said: unknown; refusals: number }> {
  let refusals = 0;
  const session = { accessToken: () => Promise.resolve('token') } as unknown as Session;
  const fetcher: Fetcher = createFetcher(session, {} as CookieSession, client, () => refusals++);
  const results = (await fetcher({ query, variables: { runId: 'run_1', after: null } })) as AsyncIterable<{ data: { runEvents: { cursor: string } } }>;
  const cursors: unknown[] = [];
  try {
    for await (const { data } of results) cursors.push(data.runEvents.cursor);
  } catch (said) {
    return { cursors, said, refusals };
  }
  return { cursors, said: null, refusals };
}

afterEach(() => void vi.useRealTimers());

test('a socket that is closed with 1000 again and again brings each event once', async () => {
  const { client, asked } = socketWith({ cursors: ['1', '2'], code: 1000 }, { cursors: ['3'], code: 1000 }, { cursors: ['4'] });
  expect(await followed(client, RUN)).toEqual({ cursors: ['1', '2', '3', '4'], said: null, refusals: 0 });
  expect(asked).toEqual([null, '2', '3'].map((after) => ({ runId: 'run_1', after })));
});

describe('a subscription whose session runs out', () => {
  test('goes on behind the last cursor, over a socket that is opened anew', async () => {
    const { client, asked } = socketWith({ cursors: ['1', '2'], code: 4403 }, { cursors: ['3'] });
    expect(await followed(client, RUN)).toEqual({ cursors: ['1', '2', '3'], said: null, refusals: 0 });
    expect(asked).toEqual([{ runId: 'run_1', after: null }, { runId: 'run_1', after: '2' }]);
  });

  test('goes on though nothing happened in the meantime', async () => {
    const { client, asked } = socketWith(
      { cursors: [], code: 4403, lastsS: 900 },
      { cursors: ['1'], code: 4403 },
      { cursors: [], code: 4403, lastsS: 900 },
      { cursors: ['2'] },
    );
    expect(await followed(client, RUN)).toEqual({ cursors: ['1', '2'], said: null, refusals: 0 });
    expect(asked).toEqual([null, null, '1', '1'].map((after) => ({ runId: 'run_1', after })));
  });

  test('ends where nobody is signed in any more', async () => {
    const { client, asked } = socketWith({ cursors: ['1'], code: 4403 }, { cursors: [], code: 4403 });
    expect(await followed(client, RUN)).toMatchObject({ cursors: ['1'], refusals: 1, said: { message: expect.stringContaining('4403 why') } });
    expect(asked).toHaveLength(2);
  });

  test('shows the break where it has no cursor to go on behind', async () => {
    const { client, asked } = socketWith({ cursors: ['1'], code: 4403 });
    expect((await followed(client, NAMELESS)).said).toBeInstanceOf(Error);
    expect(asked).toHaveLength(1);
  });
});

test('a break of another kind is shown', async () => {
  const { client } = socketWith({ cursors: ['1'], code: 1012 });
  expect(await followed(client, RUN)).toMatchObject({ refusals: 0, said: { message: 'The server closed the socket: 1012 why' } });
});
