import { describe, expect, test } from 'vitest';
import { delayOf } from '../src/app/api/socket';
import { titleOfKind } from '../src/app/graph/kinds';
import { CARD_WIDTH, heightOf, place } from '../src/app/graph/layout';
import { lookOf, type Status } from '../src/app/parts/status';
import { formatAgo, formatDuration } from '../src/app/parts/time';

describe('the layout', () => {
  const node = (key: string, position: { x: number; y: number } | null = null) => ({ key, kind: 'TRANSFORM', position });

  test('leaves nodes where their author put them', () => {
    expect([...place([node('a', { x: 7, y: 8 }), node('b', { x: 1, y: 2 })], []).values()]).toEqual([
      { x: 7, y: 8 },
      { x: 1, y: 2 },
    ]);
  });

  test('puts every node to the right of its sources, and none upon another', () => {
    const nodes = ['a', 'b', 'c', 'd'].map((key) => node(key));
    const edges = [['a', 'b'], ['a', 'c'], ['b', 'd'], ['c', 'd']].map(([source = '', target = '']) => ({ source, target }));
    const places = place(nodes, edges);
    for (const { source, target } of edges) expect(places.get(target)?.x).toBeGreaterThanOrEqual((places.get(source)?.x ?? 0) + CARD_WIDTH);
    expect(Math.abs((places.get('b')?.y ?? 0) - (places.get('c')?.y ?? 0))).toBeGreaterThanOrEqual(heightOf('TRANSFORM'));
  });

  test('puts a node without a place near the ones that have one', () => {
    const places = place([node('a', { x: 5000, y: 5000 }), node('b')], [{ source: 'a', target: 'b' }]);
    expect(places.get('a')).toEqual({ x: 5000, y: 5000 });
    expect(places.get('b')).toEqual({ x: 5000 + CARD_WIDTH + 72, y: 5000 });
  });

  test('takes an edge to nowhere for none', () => {
    expect(place([node('a')], [{ source: 'a', target: 'gone' }]).size).toBe(1);
  });
});

test.each([
  [0, '0 ms'], [999, '999 ms'], [1_000, '1.0 s'], [59_940, '59.9 s'], [59_960, '1 min 0 s'], [125_000, '2 min 5 s'], [3_840_000, '1 h 4 min'],
])('%i ms read %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test.each([
  [0, 'just now'], [59_000, 'just now'], [5 * 60_000, '5 minutes ago'], [3_600_000, '1 hour ago'], [86_400_000, 'yesterday'], [3 * 86_400_000, '3 days ago'],
])('%i ms ago reads %s', (ms, text) => {
  expect(formatAgo(1e12, 1e12 + ms)).toBe(text);
});

test('waits grow and are bounded', () => {
  expect([0, 1, 4, 20].map((tries) => delayOf(tries, () => 1))).toEqual([250, 500, 4_000, 10_000]);
  expect(delayOf(20, () => 0)).toBe(5_000);
});

test('every state has a word of its own, one of a newer server too', () => {
  const states: Status[] = ['PENDING', 'RUNNING', 'RETRYING', 'WAITING', 'SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELED', 'REUSED'];
  expect(new Set(states.map((state) => lookOf(state).word)).size).toBe(states.length);
  expect(lookOf('DREAMING' as Status).word).toBe('DREAMING');
  expect([titleOfKind('LLM_CALL'), titleOfKind('MY_OWN_KIND')]).toEqual(['Language model', 'My own kind']);
});
