import type { Fetcher } from '@graphiql/toolkit';
import type { Client } from 'graphql-ws';
import { describe, expect, test } from 'vitest';
import type { CookieSession } from '../src/app/api/session';
import { createFetcher } from '../src/fetcher';
import type { Session } from '../src/session';

const RUN = 'subscription W($runId: ID!, $after: String) { runEvents(runId: $runId, after: $after) { cursor } }';
const NAMELESS = 'subscription { serverTime }';

/** A socket that gives these events each time it is asked, then closes with this code, or ends. */
function socketWith(...rounds: { cursors: string[]; code?: number }[]) {
  const asked: unknown[] = [];
  const client = {
    async *iterate({ variables }: { variables: unknown }) {
      asked.push(variables);
      const round = rounds.shift();
      for (const cursor of round?.cursors ?? []) yield { data: { runEvents: { cursor } } };
      if (round?.code) throw new CloseEvent('close', { code: round.code, reason: 'why' });
    },
  } as unknown as Client;
  return { client, asked };
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

describe('a subscription whose session runs out', () => {
  test('goes on behind the last cursor, over a socket that is opened anew', async () => {
    const { client, asked } = socketWith({ cursors: ['1', '2'], code: 4403 }, { cursors: ['3'] });
    expect(await followed(client, RUN)).toEqual({ cursors: ['1', '2', '3'], said: null, refusals: 0 });
    expect(asked).toEqual([{ runId: 'run_1', after: null }, { runId: 'run_1', after: '2' }]);
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
