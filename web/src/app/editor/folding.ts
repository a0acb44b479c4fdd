/** Edits one after the other on a draft, each placed on what the ones before it left. */

import type { Conflict } from './conflicts';
import { apply, type Edit, inverse, readdressed } from './edits';
import { isEqual } from './json';
import type { Draft, DraftNode } from './model';
import { place, type Rename } from './placing';

/** An edit that the server has not confirmed. */
export interface Pending {
  readonly edit: Edit;
  /** The undo entries that stand for it: they go when the server refuses it. */
  readonly entries: readonly number[];
}

export interface Folded {
  readonly draft: Draft;
  readonly pending: readonly Pending[];
  /** What takes it all back, in the order in which it is to be done. */
  readonly backward: readonly Edit[];
  readonly conflicts: readonly Conflict[];
  readonly notices: readonly string[];
  /** Nodes that had to get another key. */
  readonly renames: readonly Rename[];
  /** Undo entries of edits that came to nothing: others did the same, or it ended in a conflict. */
  readonly emptied: readonly number[];
}

/** Place edits on a draft; `lost` has what others may have removed from it. */
export function fold(draft: Draft, edits: readonly Pending[], lost: Draft): Folded {
  let folded: Folded = { draft, pending: [], backward: [], conflicts: [], notices: [], renames: [], emptied: [] };
  let rest = edits;
  while (rest[0]) {
    const [{ edit, entries }] = rest as [Pending];
    rest = rest.slice(1);
    const placed = place(folded.draft, edit, lost);
    const { rekeyed } = placed;
    if (rekeyed) rest = readdressedQueue(rest, rekeyed.from, rekeyed.to);
    folded = {
      draft: placed.edit ? apply(folded.draft, placed.edit) : folded.draft,
      pending: placed.edit ? [...folded.pending, { edit: placed.edit, entries }] : folded.pending,
      backward: placed.edit ? [...inverse(folded.draft, placed.edit), ...folded.backward] : folded.backward,
      conflicts: [...folded.conflicts, ...placed.conflicts],
      notices: placed.notice === null ? folded.notices : [...folded.notices, placed.notice],
      renames: rekeyed ? [...folded.renames, rekeyed] : folded.renames,
      emptied: placed.edit ? folded.emptied : [...folded.emptied, ...entries],
    };
  }
  return folded;
}

/** Add edits to a queue; a change of a node that still waits takes up a further change of it. */
export function queued(queue: readonly Pending[], added: readonly Pending[], isSending: boolean): readonly Pending[] {
  const [first, ...more] = added;
  if (!first) return queue;
  const last = queue.length > (isSending ? 1 : 0) ? queue.at(-1) : undefined;
  const joint = last && combined(last.edit, first.edit);
  const next = joint
    ? [...queue.slice(0, -1), { edit: joint, entries: [...last.entries, ...first.entries] }]
    : [...queue, first];
  return queued(next, more, isSending);
}

function combined(first: Edit, second: Edit): Edit | null {
  if (first.type === 'move' && second.type === 'move') {
    return { type: 'move', positions: { ...first.positions, ...second.positions }, from: { ...second.from, ...first.from } };
  }
  if (first.type !== 'update' || second.type !== 'update' || first.key !== second.key) return null;
  const changes = { ...first.changes };
  for (const [field, change] of Object.entries(second.changes) as [keyof typeof changes, { before: never; after: never }][]) {
    changes[field] = { before: changes[field]?.before ?? change.before, after: change.after };
  }
  return { type: 'update', key: first.key, changes };
}

/** Address what waits to a node's new key, up to where it gives the old key to another node. */
export function readdressedQueue(queue: readonly Pending[], from: string, to: string): readonly Pending[] {
  const reused = queue.findIndex(({ edit }) =>
    edit.type === 'add' ? edit.node.key === from : edit.type === 'rename' && edit.newKey === from,
  );
  const end = reused === -1 ? queue.length : reused;
  return queue.map((one, index) => (index < end ? { ...one, edit: readdressed(one.edit, from, to) } : one));
}

/**
 * Find the nodes that another person renamed: the API tells a node by its key alone.
 *
 * A node that is gone and a single new one with the same configuration are taken for one. A rename that is not
 * found ends in a conflict that the person sees, as if the node had been removed.
 */
export function renamesBetween(old: Draft, now: Draft): readonly Rename[] {
  const gone = old.nodes.filter((node) => !now.nodes.some((one) => one.key === node.key));
  const come = now.nodes.filter((node) => !old.nodes.some((one) => one.key === node.key));
  const alike = (list: readonly DraftNode[], node: DraftNode) => list.filter((one) => isEqual(one.config, node.config));
  return gone.flatMap((node) => {
    const [same, ...more] = alike(come, node);
    return same && more.length === 0 && alike(gone, node).length === 1 ? [{ from: node.key, to: same.key }] : [];
  });
}
