import { describe, expect, test } from 'vitest';
import { fold, isFinished, openView, type RunEvent, type RunView, StreamGap, withHistory } from '../src/app/pages/run/run-view';
import { event, FAILURE, randomLog, randomOf, snapshotOf, UNTOUCHED, USAGE } from './run-events';

const opened = openView(UNTOUCHED);
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

function inPieces(view: RunView, log: readonly RunEvent[], random: () => number): RunView {
  let folded = view;
  for (let at = 0; at < log.length; ) {
    const next = at + 1 + Math.floor(random() * 5);
    folded = fold(folded, log.slice(at, next));
    at = next;
  }
  return folded;
}

/** A view without what a snapshot does not tell: texts that are over, skips, and attempts before the last. */
function asSnapshotTells(view: RunView) {
  const nodes = [...view.nodes.values()].map((node) => ({
    key: node.key,
    status: node.status,
    attempt: node.attempt,
    text: node.status === 'RUNNING' ? node.text : '',
    error: node.error,
    startedAt: node.startedAt,
    finishedAt: node.finishedAt,
    totalTokens: node.usage.totalTokens,
  }));
  return { status: view.status, finishedAt: view.finishedAt, error: view.error, nodes };
}

describe.each(SEEDS)('a run of random events, seed %i', (seed) => {
  const log = randomLog(seed);
  const whole = fold(opened, log);

  test('ends the same however its events are batched', () => {
    expect(isFinished(whole)).toBe(true);
    expect(inPieces(opened, log, randomOf(seed + 1000))).toEqual(whole);
  });

  test('ends the same when the connection drops after any event, and even if events come twice', () => {
    for (let cut = 0; cut <= log.length; cut++) {
      const before = fold(opened, log.slice(0, cut));
      expect(fold(before, log.slice(before.seq))).toEqual(whole);
      expect(fold(before, log.slice(Math.max(0, cut - 3)))).toEqual(whole);
    }
  });

  test('shows at every point what one sees who opens it there, and goes on alike', () => {
    for (let cut = 0; cut <= log.length; cut++) {
      const live = fold(opened, log.slice(0, cut));
      const reopened = openView(snapshotOf(live));
      expect(asSnapshotTells(reopened)).toEqual(asSnapshotTells(live));
      expect(asSnapshotTells(fold(reopened, log.slice(cut)))).toEqual(asSnapshotTells(whole));
    }
  });

  test('has the attempts of the whole log, wherever it was opened', () => {
    for (let cut = 0; cut <= log.length; cut += 3) {
      const reopened = withHistory(openView(snapshotOf(fold(opened, log.slice(0, cut)))), log.slice(0, cut));
      const ended = fold(reopened, log.slice(cut));
      for (const [key, node] of whole.nodes) expect(ended.nodes.get(key)?.attempts).toEqual(node.attempts);
    }
  });
});

const started = event(1, 'NodeStarted', { nodeKey: 'a', itemIndex: null, attempt: 1 });
const piece = (seq: number, text: string, offset: number, attempt = 1) =>
  event(seq, 'NodeOutputDelta', { nodeKey: 'a', itemIndex: null, attempt, channel: 'TEXT', text, offset });
const textOf = (view: RunView) => view.nodes.get('a')?.text;

test('a piece overwrites from its offset on, so an overlap doubles nothing', () => {
  expect(textOf(fold(opened, [started, piece(2, 'one two', 0), piece(3, 'two three', 4)]))).toBe('one two three');
});

test('a piece that begins behind the end is a gap, and nothing of the batch is taken', () => {
  const before = fold(opened, [started, piece(2, 'one', 0)]);
  expect(() => fold(before, [piece(3, ' two', 3), piece(4, 'x', 9)])).toThrow(StreamGap);
  expect(textOf(before)).toBe('one');
});

test('what an attempt wrote is dropped when it is to be tried again', () => {
  const retrying = event(3, 'NodeRetrying', { nodeKey: 'a', itemIndex: null, attempt: 1, error: FAILURE, nextAttemptAt: 'soon' });
  const view = fold(opened, [started, piece(2, 'half', 0), retrying]);
  expect([textOf(view), view.nodes.get('a')?.status, view.nodes.get('a')?.nextAttemptAt]).toEqual(['', 'RETRYING', 'soon']);
  const second = event(4, 'NodeStarted', { nodeKey: 'a', itemIndex: null, attempt: 2 });
  expect(textOf(fold(view, [second, piece(5, 'whole', 0, 2)]))).toBe('whole');
});

test('a piece of a superseded attempt that comes late changes nothing', () => {
  const second = event(3, 'NodeStarted', { nodeKey: 'a', itemIndex: null, attempt: 2 });
  const view = fold(opened, [started, piece(2, 'old', 0), second, piece(4, 'new', 0, 2), piece(5, 'older', 3, 1)]);
  expect(textOf(view)).toBe('new');
});

test('an attempt that was lost with its process ends where the run was taken over', () => {
  const recovered = event(2, 'RunRecovered', { restartedNodeKeys: ['a'] });
  const second = event(3, 'NodeStarted', { nodeKey: 'a', itemIndex: null, attempt: 2 });
  const attempts = fold(opened, [started, recovered, second]).nodes.get('a')?.attempts ?? [];
  expect(attempts.map(({ number, end, endedAt }) => [number, end, endedAt])).toEqual([
    [1, 'LOST', recovered.at],
    [2, null, null],
  ]);
});

test('events of items count, and leave the node itself alone', () => {
  const item = (seq: number, type: string) => event(seq, type, { nodeKey: 'a', itemIndex: seq, attempt: 1, usage: USAGE });
  const node = fold(opened, [started, item(2, 'NodeStarted'), item(3, 'NodeSucceeded'), item(4, 'NodeFailed')]).nodes.get('a');
  expect([node?.status, node?.itemsDone, node?.attempts.length]).toEqual(['RUNNING', 2, 1]);
});

test('an event of an unknown type or node is passed over, and its number is kept', () => {
  const odd = [event(1, 'NodeDreamed', { nodeKey: 'a', itemIndex: null, attempt: 0 }), event(2, 'RunBlessed'), event(3, 'NodeStarted', { nodeKey: 'zz', itemIndex: null, attempt: 1 })];
  expect(fold(opened, odd)).toEqual({ ...opened, seq: 3 });
});

test('nodes that nothing happened to stay the same objects', () => {
  const view = fold(opened, [started]);
  expect(view.nodes.get('b')).toBe(opened.nodes.get('b'));
  expect(fold(view, [started])).toBe(view);
});
