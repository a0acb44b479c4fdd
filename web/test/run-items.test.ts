import { describe, expect, test } from 'vitest';
import { countWaiting, textOfItem } from '../src/app/pages/run/run-items';
import { fold, openView, type RunView } from '../src/app/pages/run/run-view';
import { event, FAILURE, UNTOUCHED, USAGE } from './run-events';

const item = (seq: number, type: string, index: number, fields: object = {}) =>
  event(seq, type, { nodeKey: 'a', itemIndex: index, attempt: 1, ...fields });
const whole = (seq: number, type: string, fields: object = {}) => event(seq, type, { nodeKey: 'a', itemIndex: null, attempt: 1, ...fields });
const nodeOf = (view: RunView) => view.nodes.get('a') ?? expect.fail('no node a');
const folded = (...events: Parameters<typeof fold>[1]) => nodeOf(fold(openView(UNTOUCHED), events));

describe('the items of a list', () => {
  test('are kept while they are at work, and only counted afterwards', () => {
    const node = folded(
      whole(1, 'NodeStarted'),
      item(2, 'NodeStarted', 0),
      item(3, 'NodeStarted', 1),
      item(4, 'NodeStarted', 2),
      item(5, 'NodeSucceeded', 1, { usage: USAGE }),
      item(6, 'NodeFailed', 2, { error: FAILURE }),
    );
    expect([...node.items.keys()]).toEqual([0]);
    expect(node.itemsDone).toBe(2);
    expect(node.usage.totalTokens).toBe(nodeOf(openView(UNTOUCHED)).usage.totalTokens + USAGE.totalTokens);
    expect(node.status).toBe('RUNNING');
  });

  test('are as many as the log says, and what it says is done counts', () => {
    const log = [
      whole(1, 'NodeStarted'),
      whole(2, 'NodeExpanded', { itemCount: 3 }),
      item(3, 'NodeStarted', 0),
      item(4, 'NodeSucceeded', 0, { usage: USAGE }),
      whole(5, 'NodeProgressed', { itemsDone: 1, itemCount: 3 }),
    ];
    const counts = log.map((_, end) => folded(...log.slice(0, end + 1))).map((node) => [node.itemsDone, node.itemCount]);
    expect(counts).toEqual([[null, null], [0, 3], [0, 3], [1, 3], [1, 3]]);
  });

  test('count on behind what the snapshot knew', () => {
    const opened = openView(UNTOUCHED);
    const at = { ...opened, nodes: new Map([['a', { ...nodeOf(opened), itemsDone: 40, itemCount: 100 }]]) };
    expect(nodeOf(fold(at, [item(1, 'NodeSucceeded', 7, { usage: USAGE })])).itemsDone).toBe(41);
  });

  test('that wait when the page is opened are counted until they go on', () => {
    const [only, ...others] = UNTOUCHED.snapshot.nodes;
    const nodes = [{ ...(only ?? expect.fail('no node')), itemCount: 4, itemsDone: 0, itemsWaiting: [0, 2] }, ...others];
    const opened = openView({ ...UNTOUCHED, snapshot: { ...UNTOUCHED.snapshot, nodes } });
    expect(countWaiting(nodeOf(opened).items)).toBe(2);
    const onward = [item(1, 'NodeSucceeded', 2, { usage: USAGE }), item(2, 'NodeStarted', 0)];
    const waits = item(3, 'NodeWaiting', 0, { reason: 'TIMER', until: null, subRun: null });
    const counts = [onward.slice(0, 1), onward, [...onward, waits]].map((events) => countWaiting(nodeOf(fold(opened, events)).items));
    expect(counts).toEqual([1, 0, 1]);
  });

  test('tell their state: at work, tried again, waiting, at work again', () => {
    const log = [
      item(1, 'NodeStarted', 3),
      item(2, 'NodeRetrying', 3, { error: FAILURE, nextAttemptAt: '2026-11-25T12:00:01Z' }),
      item(3, 'NodeStarted', 3, { attempt: 2 }),
      item(4, 'NodeWaiting', 3, { attempt: 2, reason: 'TIMER', until: '2026-11-25T13:00:00Z', subRun: null }),
    ];
    const states = log.map((_, end) => folded(...log.slice(0, end + 1)).items.get(3));
    expect(states.map((one) => [one?.status, one?.attempt])).toEqual([['RUNNING', 1], ['RETRYING', 1], ['RUNNING', 2], ['WAITING', 2]]);
    expect(states[1]?.error).toEqual(FAILURE);
    expect(states[3]?.waiting).toEqual({ reason: 'TIMER', until: '2026-11-25T13:00:00Z' });
  });

  test('write texts of their own, which a new attempt writes anew', () => {
    const delta = (seq: number, text: string, offset: number, attempt = 1) => item(seq, 'NodeOutputDelta', 0, { channel: 'TEXT', text, offset, attempt });
    const log = [item(1, 'NodeStarted', 0), delta(2, 'river ', 0), delta(3, 'splits', 6), delta(4, 's and meets', 11)];
    expect(folded(...log).items.get(0)?.text).toBe('river splits and meets');
    expect(folded(...log).text).toBe('');
    expect(folded(...log, delta(5, 'anew', 0, 2)).items.get(0)?.text).toBe('anew');
    expect(folded(...log, delta(5, 'anew', 0, 2), delta(6, 'late', 22)).items.get(0)?.text).toBe('anew');
  });

  test('are gone with the end of their node', () => {
    expect(folded(whole(1, 'NodeStarted'), item(2, 'NodeStarted', 0), whole(3, 'NodeCanceled')).items.size).toBe(0);
  });
});

describe('the text of an item', () => {
  const seen = folded(item(1, 'NodeOutputDelta', 0, { channel: 'TEXT', text: 'splits', offset: 6 })).items.get(0);

  test('that was seen from the middle on is completed by what was read', () => {
    expect(textOfItem(seen, { text: 'river spl', attempt: 1 })).toBe('river splits');
    expect(textOfItem(seen, null)).toBe('…splits');
    expect(textOfItem(seen, { text: 'of another attempt', attempt: 2 })).toBe('…splits');
  });

  test('that was not seen is what was read', () => {
    expect(textOfItem(undefined, { text: 'river', attempt: 1 })).toBe('river');
    expect(textOfItem(undefined, null)).toBe('');
    expect(textOfItem(folded(item(1, 'NodeStarted', 0)).items.get(0), { text: 'river', attempt: 1 })).toBe('river');
  });
});
