import { describe, expect, test } from 'vitest';
import { fold, openView, type RunView } from '../src/app/pages/run/run-view';
import { sumOf, tellUsage, tellUsageInFull } from '../src/app/pages/run/usage';
import { formatDuration, formatInstant, formatLeft } from '../src/app/parts/time';
import { event, UNTOUCHED, USAGE } from './run-events';

const of = (seq: number, type: string, fields: object = {}) => event(seq, type, { nodeKey: 'a', itemIndex: null, attempt: 1, ...fields });
const nodeOf = (view: RunView) => view.nodes.get('a') ?? expect.fail('no node a');
const UNTIL = '2026-11-25T13:00:00Z';

describe('a node that waits', () => {
  const waiting = fold(openView(UNTOUCHED), [
    of(1, 'NodeStarted'),
    of(2, 'NodeWaiting', { reason: 'SUB_RUN', until: UNTIL, subRun: { id: 'run_2' } }),
    event(3, 'RunWaiting', { until: UNTIL }),
  ]);

  test('tells what for, until when, and which run it called', () => {
    expect(nodeOf(waiting)).toMatchObject({ status: 'WAITING', waiting: { reason: 'SUB_RUN', until: UNTIL }, subRunId: 'run_2' });
    expect([waiting.status, waiting.wakesAt]).toEqual(['WAITING', UNTIL]);
  });

  test('waits no more when it goes on, but keeps the run that it called', () => {
    const over = fold(waiting, [event(4, 'RunStarted'), of(5, 'NodeSucceeded', { usage: USAGE })]);
    expect(nodeOf(over)).toMatchObject({ status: 'SUCCEEDED', waiting: null, subRunId: 'run_2' });
    expect(over.wakesAt).toBeNull();
  });

  test('and what it asks is told by a number that grows with every question and every answer', () => {
    const asked = fold(waiting, [of(4, 'ApprovalRequested'), of(5, 'ApprovalAnswered')]);
    expect([waiting.asked, asked.asked]).toEqual([0, 2]);
    expect(nodeOf(asked).status).toBe('WAITING');
  });

  test('is found waiting by who opens the page then', () => {
    const [first, ...others] = UNTOUCHED.snapshot.nodes;
    const state = { ...first, status: 'WAITING', waiting: { reason: 'TIMER', until: UNTIL, subRun: null } };
    const opened = openView({ ...UNTOUCHED, snapshot: { ...UNTOUCHED.snapshot, nodes: [state, ...others] } } as typeof UNTOUCHED);
    expect(nodeOf(opened)).toMatchObject({ status: 'WAITING', waiting: { reason: 'TIMER', until: UNTIL }, subRunId: null });
  });
});

describe('a pause', () => {
  const begun = fold(openView(UNTOUCHED), [event(1, 'RunQueued'), event(2, 'RunStarted')]);
  const paused = fold(begun, [event(3, 'RunPaused', { by: { id: 'user_1', name: 'Ada' } })]);

  test('tells whose it is, while it lasts', () => {
    expect([paused.status, paused.pausedBy]).toEqual(['PAUSED', 'Ada']);
    const resumed = fold(paused, [event(4, 'RunResumed', { by: null })]);
    expect([resumed.status, resumed.pausedBy]).toEqual(['RUNNING', null]);
  });

  test('in the queue ends in the queue', () => {
    const queued = fold(openView(UNTOUCHED), [event(1, 'RunQueued'), event(2, 'RunPaused', { by: null })]);
    expect(fold(queued, [event(3, 'RunResumed', { by: null })]).status).toBe('QUEUED');
  });
});

test.each([
  [172_800_000, '2 d 0 h'], [259_140_000, '3 d 0 h'], [255_600_000, '2 d 23 h'], [172_740_000, '47 h 59 min'],
])('%i ms is written as %s', (ms, text) => expect(formatDuration(ms)).toBe(text)); // prettier-ignore

test('what is left is written in whole seconds, and an instant of today without its date', () => {
  expect([formatLeft(10_500, 0), formatLeft(0, 0), formatLeft(0, 5), formatLeft(90_000, 0)]).toEqual(['11 s', 'any moment', 'any moment', '1 min 30 s']);
  const noon = new Date(2026, 10, 25, 12, 0, 5);
  expect(formatInstant(noon, new Date(2026, 10, 25, 9))).not.toContain('2026');
  expect(formatInstant(noon, new Date(2026, 10, 24, 9))).toContain('2026');
});

describe('usage', () => {
  const priced = { inputTokens: 1_000, outputTokens: 234, totalTokens: 1_234, cost: '0.0021', currency: 'EUR' };

  test('is told with its cost where there is one', () => {
    expect(tellUsage(priced)).toBe('1,234 tokens · 0.0021 EUR');
    expect(tellUsage({ ...USAGE, totalTokens: 1 })).toBe('1 token');
    expect(tellUsageInFull(priced)).toBe('1,234 (1,000 in, 234 out) · 0.0021 EUR');
  });

  test('is added up, costs of one currency too', () => {
    expect(sumOf([priced, priced, USAGE])).toEqual({ inputTokens: 2_003, outputTokens: 472, totalTokens: 2_475, cost: '0.0042', currency: 'EUR' });
    expect(sumOf([priced, { ...priced, currency: 'USD' }]).cost).toBeNull();
    expect(sumOf([]).totalTokens).toBe(0);
  });
});
