import { expect, test } from 'vitest';
import { follow, type Link, Refused, type Subscribe } from '../src/app/pages/run/follow';
import { fold, openView, type RunEvent } from '../src/app/pages/run/run-view';
import { randomLog, UNTOUCHED } from './run-events';

/** A server whose connections break after so many events, one number for each connection; at last one that holds. */
function breaking(log: readonly RunEvent[], breaks: readonly number[]): { subscribe: Subscribe; asked: string[] } {
  const asked: string[] = [];
  const subscribe: Subscribe = async function* (after, _signal, onOpen) {
    const budget = breaks[asked.length] ?? Number.POSITIVE_INFINITY;
    asked.push(after);
    if (budget < 0) throw new Error('refused');
    onOpen();
    const from = Number(after.slice('at:'.length));
    for (const [index, event] of log.slice(from).entries()) {
      if (index >= budget) throw new Error('broken');
      yield event;
    }
    if (log.length - from >= budget) throw new Error('broken before the end was told');
  };
  return { subscribe, asked };
}

async function watch(log: readonly RunEvent[], breaks: readonly number[]) {
  const seen: RunEvent[] = [];
  const links: Link[] = [];
  const waits: number[] = [];
  const { subscribe, asked } = breaking(log, breaks);
  const last = await follow({
    cursor: 'at:0',
    subscribe,
    onEvent: (event) => seen.push(event),
    onLink: (link) => links.push(link),
    pause: async (ms) => void waits.push(ms),
    delay: (tries) => 100 * 2 ** tries,
    signal: new AbortController().signal,
    now: () => 0,
  });
  return { seen, links, waits, asked, last };
}

const log = randomLog(7);

test('a connection that breaks after any event loses none and brings none twice', async () => {
  const whole = fold(openView(UNTOUCHED), log);
  for (let cut = 0; cut <= log.length; cut++) {
    const { seen, last } = await watch(log, [cut]);
    expect(seen).toEqual(log);
    expect(fold(openView(UNTOUCHED), seen)).toEqual(whole);
    expect(last).toBe(`at:${log.length}`);
  }
});

test('a connection may break after every single event', async () => {
  const { seen } = await watch(log, log.map(() => 1));
  expect(seen).toEqual(log);
});

test('each try goes on behind the last event, waits longer while nothing comes, and says so', async () => {
  const { asked, waits, links } = await watch(log, [3, -1, -1, 2]);
  expect(asked).toEqual(['at:0', 'at:3', 'at:3', 'at:3', 'at:5']);
  expect(waits).toEqual([100, 200, 400, 100]);
  expect(links.map(({ state }) => state)).toEqual([
    'connecting', 'live', 'reconnecting', 'reconnecting', 'reconnecting', 'live', 'reconnecting', 'live', 'complete',
  ]);
  expect(links[2]).toEqual({ state: 'reconnecting', tries: 1, nextTryAt: 100 });
});

test('what the server refuses is not tried again', async () => {
  const links: Link[] = [];
  const following = follow({
    cursor: 'at:0',
    subscribe: async function* () {
      throw new Refused('NOT_FOUND');
    },
    onEvent: () => undefined,
    onLink: (link) => links.push(link),
    pause: () => Promise.reject(new Error('must not wait')),
    delay: () => 0,
    signal: new AbortController().signal,
  });
  await expect(following).rejects.toThrow('NOT_FOUND');
  expect(links.at(-1)).toEqual({ state: 'failed', message: 'NOT_FOUND' });
});

test('who leaves hears nothing more', async () => {
  const leaving = new AbortController();
  const seen: RunEvent[] = [];
  await follow({
    cursor: 'at:0',
    subscribe: breaking(log, []).subscribe,
    onEvent: (event) => {
      seen.push(event);
      if (seen.length === 2) leaving.abort();
    },
    onLink: () => undefined,
    pause: () => Promise.reject(new Error('must not wait')),
    delay: () => 0,
    signal: leaving.signal,
  });
  expect(seen).toEqual(log.slice(0, 2));
});
