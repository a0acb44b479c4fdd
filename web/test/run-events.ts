/** Logs of runs for tests, random but repeatable. */

import type { OpenedRun, RunEvent, RunView } from '../src/app/pages/run/run-view';

export const KEYS = ['a', 'b', 'c'] as const;
const BEGIN = Date.parse('2026-11-25T12:00:00Z');

/** A generator of numbers in [0, 1) that gives the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function event(seq: number, __typename: string, fields: object = {}): RunEvent {
  return { __typename, seq, cursor: `at:${seq}`, at: new Date(BEGIN + seq * 100).toISOString(), ...fields } as unknown as RunEvent;
}

export const FAILURE = { code: 'TIMED_OUT', message: 'Too slow.', nodeKey: 'a', itemIndex: null, attempt: 1, isRetryable: true };
export const USAGE = { inputTokens: 3, outputTokens: 4, totalTokens: 7, cost: null, currency: null };
const PIECES = ['river ', 'splits, ', '🌊', 'é', '\ud83d', '\udca7', '', 'and meets again.'];

/** Write the log of a run: three nodes at once that stream, are tried again, are taken over, and settle in every way. */
export function randomLog(seed: number): RunEvent[] {
  const random = randomOf(seed);
  const log: RunEvent[] = [];
  const say = (type: string, fields: object = {}) => log.push(event(log.length + 1, type, fields));
  const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(random() * values.length)] as Value;
  const states = new Map(KEYS.map((key) => [key, { attempt: 0, text: 0, isRunning: false, isSettled: false }]));
  say('RunQueued');
  say('RunStarted');
  while ([...states.values()].some(({ isSettled }) => !isSettled)) {
    if (random() < 0.04) {
      const restarted = KEYS.filter((key) => states.get(key)?.isRunning);
      for (const key of restarted) Object.assign(states.get(key) ?? {}, { isRunning: false });
      say('RunRecovered', { restartedNodeKeys: restarted });
      continue;
    }
    const nodeKey = pick(KEYS);
    const state = states.get(nodeKey);
    if (!state || state.isSettled) continue;
    const of = (fields: object = {}) => ({ nodeKey, itemIndex: null, attempt: state.attempt, ...fields });
    if (!state.isRunning) {
      if (state.attempt === 0 && random() < 0.15) {
        state.isSettled = true;
        say(...pick<[string, object]>([['NodeSkipped', of({ skipReason: 'CONDITION_FALSE' })], ['NodeReused', of()]]));
        continue;
      }
      Object.assign(state, { attempt: state.attempt + 1, text: 0, isRunning: true });
      say('NodeStarted', of());
      continue;
    }
    const dice = random();
    if (dice < 0.7) {
      const text = pick(PIECES);
      say('NodeOutputDelta', of({ channel: 'TEXT', text, offset: state.text }));
      state.text += text.length;
    } else if (dice < 0.82) {
      state.isRunning = false;
      say('NodeRetrying', of({ error: FAILURE, nextAttemptAt: new Date(BEGIN).toISOString() }));
    } else {
      state.isSettled = true;
      say(...pick<[string, object]>([['NodeSucceeded', of({ usage: USAGE })], ['NodeFailed', of({ error: FAILURE })], ['NodeCanceled', of()]]));
    }
  }
  say(...pick<[string, object]>([['RunSucceeded', { usage: USAGE }], ['RunFailed', { error: FAILURE }], ['RunCanceled', {}]]));
  return log;
}

/** What the server answers to who opens a run before anything happened. */
export const UNTOUCHED = {
  id: 'run_1',
  startedAt: null,
  finishedAt: null,
  error: null,
  usage: USAGE,
  snapshot: {
    cursor: 'at:0',
    status: 'QUEUED',
    nodes: KEYS.map((key) => ({
      key,
      status: 'PENDING',
      attempt: 0,
      itemCount: null,
      itemsDone: null,
      partialText: null,
      partialReasoning: null,
      startedAt: null,
      finishedAt: null,
      waiting: null,
      error: null,
      usage: USAGE,
    })),
  },
} as unknown as OpenedRun;

/** What the server answers to who opens a run at a point of its log: texts only of attempts in flight. */
export function snapshotOf(view: RunView): OpenedRun {
  const nodes = [...view.nodes.values()].map((node) => ({
    ...node,
    partialText: node.status === 'RUNNING' ? node.text : null,
    partialReasoning: null,
  }));
  const { id, startedAt, finishedAt, error, usage } = view;
  const run = { id, startedAt, finishedAt, error, usage, snapshot: { cursor: `at:${view.seq}`, status: view.status, nodes } };
  return run as unknown as OpenedRun;
}
