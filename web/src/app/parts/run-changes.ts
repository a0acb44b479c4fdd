/** Lists of runs: what was read once, and what a subscription said of it before, meanwhile and since. */

import type { RunRowFragment } from '../generated/graphql';

/** Runs as a subscription told them, newest first. */
export type RunChanges = readonly RunRowFragment[];

/** More than any list shows. */
const MOST_KEPT = 100;

/** Keep what was told of a run; a run that has ended stays as it ended. */
export function withChange(changes: RunChanges = [], told: RunRowFragment): RunChanges {
  const known = changes.find(({ id }) => id === told.id);
  if (known?.isFinished && !told.isFinished) return changes;
  const others = changes.filter(({ id }) => id !== told.id);
  const place = others.findIndex(({ createdAt }) => createdAt <= told.createdAt);
  return (place < 0 ? [...others, told] : others.toSpliced(place, 0, told)).slice(0, MOST_KEPT);
}

/** A list with what was told: either may be the newer one, whichever came first. */
export function withChanges(listed: readonly RunRowFragment[], changes: RunChanges = [], most: number): readonly RunRowFragment[] {
  return listed.reduce((runs, run) => (run.isFinished || !runs.some(({ id }) => id === run.id) ? withChange(runs, run) : runs), changes).slice(0, most);
}
