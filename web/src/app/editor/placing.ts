/** Where an edit stands on a draft that others have changed since the edit was made. */

import type { Conflict } from './conflicts';
import type { Change, Edit, NodeChanges, WorkflowChanges } from './edits';
import { isEqual, type Json, merge } from './json';
import { type Draft, type DraftNode, edgesOf, freeKey, hasEdge, NODE_FIELDS, nodeOf } from './model';
import { isStored } from './stored';

export interface Rename {
  readonly from: string;
  readonly to: string;
}

export interface Placed {
  /** The edit as it is to be made now; null when nothing is left to do. */
  readonly edit: Edit | null;
  /** What the person has to choose about. */
  readonly conflicts: readonly Conflict[];
  /** What the person should know: a part that cannot be made any more. */
  readonly notice: string | null;
  /** A node that had to get another key, since the wanted one is taken. */
  readonly rekeyed?: Rename;
}

/** Place an edit on a draft; `lost` is the draft that the edit was made on, for restoring what others removed. */
export function place(draft: Draft, edit: Edit, lost: Draft): Placed {
  switch (edit.type) {
    case 'add':
      return placeAdd(draft, edit.node);
    case 'update':
      return placeUpdate(draft, edit.key, edit.changes, lost);
    case 'rename':
      return placeRename(draft, edit.key, edit.newKey);
    case 'remove':
      return placeRemove(draft, edit.key, edit.seen);
    case 'connect': {
      if (hasEdge(draft, edit.edge)) return DONE;
      const missing = [edit.edge.source, edit.edge.target].find((key) => !nodeOf(draft, key));
      if (missing === undefined) return placed(edit);
      return { ...DONE, notice: `“${edit.edge.source}” and “${edit.edge.target}” could not be connected: “${missing}” is gone.` };
    }
    case 'disconnect':
      return hasEdge(draft, edit.edge) ? placed(edit) : DONE;
    case 'move': {
      const there = Object.entries(edit.positions).filter(([key, position]) => {
        const node = nodeOf(draft, key);
        return node && !isEqual(node.position && { ...node.position }, { ...position });
      });
      return there.length > 0 ? placed({ ...edit, positions: Object.fromEntries(there) }) : DONE;
    }
    case 'configure': {
      const { changes, conflicts } = mergedChanges(edit.changes, draft.workflow, null);
      return { edit: changes && { ...edit, changes: changes as WorkflowChanges }, conflicts, notice: null };
    }
  }
}

const DONE: Placed = { edit: null, conflicts: [], notice: null };

function placed(edit: Edit): Placed {
  return { ...DONE, edit };
}

function placeAdd(draft: Draft, node: DraftNode): Placed {
  const there = nodeOf(draft, node.key);
  if (!there) return placed({ type: 'add', node });
  // An answer that was lost on its way: the node is the one that was added.
  if (isStored(there, node)) return DONE;
  const key = freeKey(draft, node.key);
  return {
    edit: { type: 'add', node: { ...node, key } },
    conflicts: [],
    notice: `Someone else added a node “${node.key}”; yours is now “${key}”.`,
    rekeyed: { from: node.key, to: key },
  };
}

function placeUpdate(draft: Draft, key: string, changes: NodeChanges, lost: Draft): Placed {
  const node = nodeOf(draft, key);
  if (!node) {
    const mine = nodeOf(lost, key);
    if (mine) return { ...DONE, conflicts: [{ type: 'removed', node: mine, edges: edgesOf(lost, key) }] };
    // Nothing is left to restore, but the person's values are shown.
    const values = Object.entries(changes).map(([field, change]): Conflict => ({ type: 'field', nodeKey: key, path: [field], mine: change.after }));
    return { ...DONE, conflicts: values };
  }
  const merged = mergedChanges(changes, node, key);
  return { edit: merged.changes && { type: 'update', key, changes: merged.changes }, conflicts: merged.conflicts, notice: null };
}

function placeRename(draft: Draft, key: string, newKey: string): Placed {
  if (!nodeOf(draft, key)) {
    return nodeOf(draft, newKey) ? DONE : { ...DONE, notice: `“${key}” could not be renamed to “${newKey}”: it is gone.` };
  }
  if (!nodeOf(draft, newKey)) return placed({ type: 'rename', key, newKey });
  return { ...DONE, notice: `“${key}” could not be renamed: another node is called “${newKey}” now.` };
}

function placeRemove(draft: Draft, key: string, seen: DraftNode): Placed {
  const node = nodeOf(draft, key);
  if (!node) return DONE;
  if (NODE_FIELDS.every((field) => isEqual(node[field], seen[field]))) return placed({ type: 'remove', key, seen });
  return { ...DONE, conflicts: [{ type: 'changed', nodeKey: key }] };
}

/** Merge changes with the fields' present values; what clashes stays theirs. */
function mergedChanges(
  changes: { readonly [field: string]: Change | undefined },
  present: object,
  nodeKey: string | null,
): { readonly changes: NodeChanges | null; readonly conflicts: readonly Conflict[] } {
  const merged: Record<string, Change> = {};
  const conflicts: Conflict[] = [];
  for (const [field, change] of Object.entries(changes)) {
    if (!change) continue;
    const theirs = (present as { readonly [field: string]: Json })[field] ?? null;
    const { value, clashes } = merge(change.before, change.after, theirs);
    conflicts.push(...clashes.map((clash): Conflict => ({ type: 'field', nodeKey, path: [field, ...clash.path], mine: clash.mine })));
    if (!isEqual(value ?? null, theirs)) merged[field] = { before: theirs, after: value ?? null };
  }
  return { changes: Object.keys(merged).length > 0 ? merged : null, conflicts };
}
