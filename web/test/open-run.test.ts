import { Client, fetchExchange } from '@urql/core';
import { expect, test } from 'vitest';
import { openRun } from '../src/app/pages/run/open-run';
import { openView } from '../src/app/pages/run/run-view';

const ENDED_AT = '2026-11-25T12:00:00Z';
const run = (isRunEnded: boolean, isSnapshotEnded: boolean) => ({
  id: 'run_1',
  isFinished: isRunEnded,
  finishedAt: isRunEnded ? ENDED_AT : null,
  snapshot: { cursor: 'at:1', status: isSnapshotEnded ? 'SUCCEEDED' : 'RUNNING', nodes: [] },
});

/** A server that answers one reading after the other. */
function reading(...answers: object[]) {
  let readings = 0;
  const fetch = async () => {
    readings += 1;
    return new Response(JSON.stringify({ data: { run: answers.shift() } }), { headers: { 'content-type': 'application/json' } });
  };
  const client = new Client({ url: 'http://localhost/graphql', preferGetMethod: false, exchanges: [fetchExchange], fetch });
  return { open: () => openRun(client, 'run_1'), count: () => readings };
}

test('a run that ends while it is read is read once more', async () => {
  const server = reading(run(false, true), run(true, true));
  const { run: opened } = await server.open();
  expect(opened && openView(opened)).toMatchObject({ status: 'SUCCEEDED', finishedAt: ENDED_AT });
  expect(server.count()).toBe(2);
});

test.each([
  ['goes on', run(false, false)],
  ['has ended', run(true, true)],
])('a run that %s is read once', async (_, answer) => {
  const server = reading(answer, run(true, true));
  expect((await server.open()).run).toMatchObject(answer);
  expect(server.count()).toBe(1);
});
