import { describe, expect, it } from 'vitest';
import type { RunRowFragment } from '../src/app/generated/graphql';
import { withChange, withChanges } from '../src/app/parts/run-changes';

const run = (id: string, minute: number, isFinished = false) =>
  ({ id, createdAt: `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`, isFinished }) as RunRowFragment;
const ids = (runs: readonly RunRowFragment[]) => runs.map(({ id }) => id);

describe('a list of runs', () => {
  it('keeps what was told before the list came', () => {
    const changes = withChange(undefined, run('b', 2, true));
    expect(ids(withChanges([run('a', 1)], changes, 30))).toEqual(['b', 'a']);
  });

  it('shows the end of a run, whether the list or the subscription knows of it', () => {
    expect(withChanges([run('a', 1, true)], [run('a', 1)], 30)).toEqual([run('a', 1, true)]);
    expect(withChanges([run('a', 1)], [run('a', 1, true)], 30)).toEqual([run('a', 1, true)]);
    expect(withChange([run('a', 1, true)], run('a', 1))).toEqual([run('a', 1, true)]);
  });

  it('is newest first, each run once, and no longer than asked', () => {
    const changes = [run('b', 2), run('d', 4), run('b', 2)].reduce(withChange, []);
    expect(ids(withChanges([run('c', 3), run('b', 2), run('a', 1)], changes, 3))).toEqual(['d', 'c', 'b']);
  });

  it('takes a new run at its place, and stays bounded', () => {
    expect(ids(withChange([run('c', 3), run('a', 1)], run('b', 2)))).toEqual(['c', 'b', 'a']);
    expect(ids(withChange([run('c', 3), run('a', 1)], run('0', 0)))).toEqual(['c', 'a', '0']);
    let changes: readonly RunRowFragment[] = [];
    for (let number = 0; number < 150; number++) changes = withChange(changes, run(`${number}`, number % 60));
    expect(changes).toHaveLength(100);
  });

  it('prefers what was told of a run that goes on', () => {
    const told = { ...run('a', 1), status: 'RUNNING' } as RunRowFragment;
    expect(withChanges([run('a', 1)], [told], 30)).toEqual([told]);
  });
});
