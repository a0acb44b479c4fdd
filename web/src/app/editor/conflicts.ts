/** What two people did to the same thing: shown to the one who came second, who chooses. */

import type { Edit } from './edits';
import { isEqual, type Json, partAt, type Path, withPart } from './json';
import { type Draft, type DraftEdge, type DraftNode, hasEdge, NODE_FIELDS, type NodeField, nodeOf, type WorkflowField } from './model';

export type Conflict =
  /** Both changed the same field; `nodeKey` is null for a field of the workflow. `mine` undefined = I took it away. */
  | { readonly type: 'field'; readonly nodeKey: string | null; readonly path: Path; readonly mine: Json | undefined }
  /** They removed the node that I changed. */
  | { readonly type: 'removed'; readonly node: DraftNode; readonly edges: readonly DraftEdge[] }
  /** They changed the node that I removed. */
  | { readonly type: 'changed'; readonly nodeKey: string };

/** A conflict that waits for a choice. */
export interface OpenConflict {
  readonly id: number;
  readonly conflict: Conflict;
  /** Who came first; null where that is not known. */
  readonly by: string | null;
}

export function isSameConflict(a: Conflict, b: Conflict): boolean {
  if (a.type === 'field' && b.type === 'field') {
    return a.nodeKey === b.nodeKey && a.path.length === b.path.length && a.path.every((step, index) => step === b.path[index]);
  }
  if (a.type === 'removed' && b.type === 'removed') return a.node.key === b.node.key;
  return a.type === 'changed' && b.type === 'changed' && a.nodeKey === b.nodeKey;
}

/** Return what the draft has now at the place of a conflict: theirs. */
export function theirsOf(draft: Draft, conflict: Conflict): Json | undefined {
  if (conflict.type !== 'field') return undefined;
  const [field = '', ...rest] = conflict.path;
  if (conflict.nodeKey === null) return partAt(draft.workflow[field as WorkflowField], rest);
  return partAt(nodeOf(draft, conflict.nodeKey)?.[field as NodeField], rest);
}

/** Tell whether nothing is left to choose: the draft is as I wanted it, or the place is gone. */
export function isSettled(draft: Draft, conflict: Conflict): boolean {
  switch (conflict.type) {
    case 'field':
      if (conflict.nodeKey !== null && !nodeOf(draft, conflict.nodeKey)) return false;
      return isEqual(theirsOf(draft, conflict), conflict.mine);
    case 'removed': {
      const there = nodeOf(draft, conflict.node.key);
      return there !== undefined && NODE_FIELDS.every((field) => isEqual(there[field], conflict.node[field]));
    }
    case 'changed':
      return nodeOf(draft, conflict.nodeKey) === undefined;
  }
}

/** Return the edits that put mine in the place of theirs. */
export function editsForMine(draft: Draft, conflict: Conflict): readonly Edit[] {
  switch (conflict.type) {
    case 'field':
      return fieldEdits(draft, conflict.nodeKey, conflict.path, conflict.mine);
    case 'removed':
      return [
        { type: 'add', node: conflict.node },
        ...conflict.edges
          .filter((edge) => !hasEdge(draft, edge))
          .map((edge): Edit => ({ type: 'connect', edge })),
      ];
    case 'changed': {
      const seen = nodeOf(draft, conflict.nodeKey);
      return seen ? [{ type: 'remove', key: conflict.nodeKey, seen }] : [];
    }
  }
}

function fieldEdits(draft: Draft, nodeKey: string | null, path: Path, mine: Json | undefined): readonly Edit[] {
  const [field = '', ...rest] = path;
  if (nodeKey === null) {
    const before = draft.workflow[field as WorkflowField];
    return [{ type: 'configure', changes: { [field]: { before, after: withPart(before, rest, mine) ?? null } } }];
  }
  const node = nodeOf(draft, nodeKey);
  if (!node) return [];
  const before = node[field as NodeField];
  return [{ type: 'update', key: nodeKey, changes: { [field]: { before, after: withPart(before, rest, mine) ?? null } } }];
}
