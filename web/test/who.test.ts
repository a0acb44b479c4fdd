import { expect, test } from 'vitest';
import type { Opening } from '../src/api';
import type { CookieSession } from '../src/app/api/session';
import type { Session } from '../src/session';
import { Who } from '../src/who';

const EMPTY = { nodes: [] };
const ADA = {
  user: { id: 'user_1', name: 'Ada', email: null },
  scopes: ['READ', 'EXECUTE'],
  workspaces: {
    nodes: [
      {
        id: 'ws_1',
        name: 'Delta',
        role: 'ADMIN',
        workflows: { nodes: [{ id: 'wf_1', inputSchema: null, latestRun: { input: { a: 1 } } }] },
        runs: { nodes: [{ id: 'run_2' }] },
        unfinished: EMPTY,
        collections: EMPTY,
        dataTables: { nodes: [{ id: 'tab_1' }] },
      },
    ],
  },
} as unknown as Opening;

function whoWith(token: string | null, isBegun: boolean, ask: (token: string | null) => Promise<Opening | null>): Who {
  const session = { accessToken: () => Promise.resolve(token) } as unknown as Session;
  const shared = { makeReady: () => Promise.resolve(), isBegun: () => isBegun } as unknown as CookieSession;
  return new Who(session, shared, ask);
}

test('what the user has comes with who they are', async () => {
  const who = whoWith(null, true, () => Promise.resolve(ADA));
  await who.ask();
  expect(who.snapshot().viewer).toEqual({
    id: 'user_1',
    label: 'Ada',
    workspaces: [
      {
        workspaceId: 'ws_1',
        name: 'Delta',
        may: ['READ', 'EXECUTE'],
        workflow: { id: 'wf_1', inputSchema: null, lastInput: { a: 1 } },
        newestRunId: 'run_2',
        unfinishedRunId: null,
        collectionId: null,
        tableId: 'tab_1',
      },
    ],
  });
});

test('a key that may not read its workspace has an owner and no workspaces', async () => {
  const who = whoWith('key', false, () => Promise.resolve({ user: ADA.user }));
  await who.ask();
  expect(who.snapshot().viewer).toMatchObject({ label: 'Ada', workspaces: [] });
});

test('the server is not asked where there is neither token nor session', async () => {
  const who = whoWith(null, false, () => Promise.reject(new Error('must not ask')));
  await who.ask();
  expect(who.snapshot()).toMatchObject({ isAsked: true, viewer: null, isRefused: false, problem: null });
});

test('a token that the server does not take is told from none', async () => {
  const who = whoWith('old', false, () => Promise.resolve(null));
  await who.ask();
  expect(who.snapshot().isRefused).toBe(true);
});

test('a server that cannot be reached changes nobody', async () => {
  let isDown = false;
  const who = whoWith('token', false, () => (isDown ? Promise.reject(new Error('Failed to fetch')) : Promise.resolve(ADA)));
  await who.ask();
  isDown = true;
  await who.ask();
  expect(who.snapshot()).toMatchObject({ viewer: { id: 'user_1' }, problem: 'Failed to fetch' });
});

test('a session that has ended leaves its user in place, until someone signs in', async () => {
  const who = whoWith('token', false, () => Promise.resolve(ADA));
  who.end();
  expect(who.snapshot().hasEnded).toBe(false);
  await who.ask();
  who.end();
  expect(who.snapshot()).toMatchObject({ hasEnded: true, viewer: { id: 'user_1' } });
  await who.ask();
  expect(who.snapshot().hasEnded).toBe(false);
});

test('what was asked last has the last word', async () => {
  const answers: ((opening: Opening | null) => void)[] = [];
  const who = whoWith('token', false, () => new Promise((resolve) => void answers.push(resolve)));
  const first = who.ask();
  const second = who.ask();
  await Promise.resolve();
  await Promise.resolve();
  answers[1]?.(ADA);
  answers[0]?.(null);
  await Promise.all([first, second]);
  expect(who.snapshot().viewer?.id).toBe('user_1');
});
