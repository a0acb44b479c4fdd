/**
 * The state of an open editor: what the server has, what waits to be sent, and what the person sees, which is both together.
 *
 * Edits show at once and are sent one at a time, since each names the revision that it is based on. Whatever
 * arrives from others becomes the new base, and the edits that wait are placed on top of it anew.
 */

import { type Conflict, editsForMine, isSameConflict, isSettled, type OpenConflict } from './conflicts';
import { apply, type Edit, readdressed, withoutBasis } from './edits';
import { fold, type Folded, type Pending, queued, readdressedQueue, renamesBetween } from './folding';
import type { Path } from './json';
import { type Draft, nodeOf } from './model';
import type { Rename } from './placing';
import { isStored, onStored, storedBy } from './stored';

/** What the server has against an edit. */
export interface EditError {
  readonly message: string;
  readonly code: string;
  readonly nodeKey: string | null;
  readonly path: Path;
  readonly hint: string | null;
}

/** An edit that the server refused; it is shown until the person corrects or drops it. */
export interface Refusal {
  readonly edit: Edit;
  readonly errors: readonly EditError[];
}

/** A step that can be taken back (or done again). */
export interface Entry {
  readonly id: number;
  readonly label: string;
  readonly edits: readonly Edit[];
}

export interface Notice {
  readonly id: number;
  readonly text: string;
}

/** What `workflowChanged` tells. */
export interface RemoteChange {
  readonly draft: Draft;
  readonly isLayout: boolean;
  readonly by: string | null;
  readonly isMine: boolean;
  readonly nodeKeys: readonly string[];
}

export interface EditorState {
  readonly base: Draft;
  readonly pending: readonly Pending[];
  readonly isSending: boolean;
  /** Why the last attempt to save did not come through; it is repeated. */
  readonly fault: string | null;
  readonly shown: Draft;
  readonly undo: readonly Entry[];
  readonly redo: readonly Entry[];
  readonly conflicts: readonly OpenConflict[];
  readonly refusal: Refusal | null;
  readonly notices: readonly Notice[];
  /** What others did while an edit of ours was on its way. */
  readonly deferred: readonly RemoteChange[];
  /** What others removed, with its edges: a form may still hold a change of it. */
  readonly gone: Pick<Draft, 'nodes' | 'edges'>;
  /** Who made the last change that was not ours. */
  readonly lastBy: string | null;
  readonly nextId: number;
}

export type Action =
  | { readonly type: 'edited'; readonly label: string; readonly edits: readonly Edit[] }
  | { readonly type: 'undone' }
  | { readonly type: 'redone' }
  | { readonly type: 'sent' }
  | { readonly type: 'saved'; readonly draft: Draft }
  | { readonly type: 'overtaken'; readonly draft: Draft; readonly by: string | null }
  | { readonly type: 'refused'; readonly errors: readonly EditError[] }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'remote'; readonly change: RemoteChange }
  | { readonly type: 'chosen'; readonly id: number; readonly choice: 'mine' | 'theirs' }
  | { readonly type: 'dropped' }
  | { readonly type: 'read'; readonly id: number };

const MAX_UNDO = 200;
const MAX_GONE = 200;

export function opened(draft: Draft): EditorState {
  return {
    base: draft, pending: [], isSending: false, fault: null, shown: draft, undo: [], redo: [],
    conflicts: [], refusal: null, notices: [], deferred: [], gone: { nodes: [], edges: [] }, lastBy: null, nextId: 1,
  }; // prettier-ignore
}

export function reduce(state: EditorState, action: Action): EditorState {
  switch (action.type) {
    case 'edited':
      return edited(state, action.label, action.edits);
    case 'undone':
      return travelled(state, 'undo', 'redo');
    case 'redone':
      return travelled(state, 'redo', 'undo');
    case 'sent':
      return { ...state, isSending: true };
    case 'saved':
      return caughtUp(saved(arrived(state), action.draft));
    case 'overtaken':
      return caughtUp(rebased(followed(arrived(state), action.draft), action.draft, action.by));
    case 'refused':
      return caughtUp(refused(arrived(state), action.errors));
    case 'failed':
      return { ...state, isSending: false, fault: action.message };
    case 'remote':
      if (state.isSending) return { ...state, deferred: [...state.deferred, action.change] };
      return received(state, action.change);
    case 'chosen':
      return chosen(state, action.id, action.choice);
    case 'dropped':
      return { ...state, refusal: null };
    case 'read':
      return { ...state, notices: state.notices.filter((notice) => notice.id !== action.id) };
  }
}

function arrived(state: EditorState): EditorState {
  return { ...state, isSending: false, fault: null };
}

function edited(state: EditorState, label: string, edits: readonly Edit[]): EditorState {
  const id = state.nextId;
  const { refusal } = state;
  const based = refusal ? edits.map((edit) => withoutBasis(edit, refusal.edit)) : edits;
  const lost = based.reduce(apply, withGone(state));
  const folded = fold(state.shown, based.map((edit) => ({ edit, entries: [id] })), lost);
  const next = taken({ ...state, nextId: id + 1 }, folded, state.lastBy);
  if (folded.pending.length === 0) return next;
  const keys = new Set(edits.map((edit) => ('key' in edit ? edit.key : null)));
  return {
    ...next,
    pending: queued(state.pending, folded.pending, state.isSending),
    undo: [...state.undo, { id, label, edits: folded.backward }].slice(-MAX_UNDO),
    redo: [],
    // A further change of the same node stands in for the refused one: the form had it in its fields.
    refusal: state.refusal && 'key' in state.refusal.edit && keys.has(state.refusal.edit.key) ? null : state.refusal,
  };
}

function withGone({ shown, gone }: EditorState): Draft {
  return { ...shown, nodes: [...shown.nodes, ...gone.nodes], edges: [...shown.edges, ...gone.edges] };
}

/** Take a step back, or do it again: its edits are edits like others, so they merge with what came since. */
function travelled(state: EditorState, from: 'undo' | 'redo', to: 'undo' | 'redo'): EditorState {
  const entry = state[from].at(-1);
  if (!entry) return state;
  const folded = fold(state.shown, entry.edits.map((edit) => ({ edit, entries: [entry.id] })), state.shown);
  const next = taken({ ...state, [from]: state[from].slice(0, -1) }, folded, null);
  if (folded.pending.length === 0) return next;
  return {
    ...next,
    pending: queued(state.pending, folded.pending, state.isSending),
    [to]: [...state[to], { ...entry, edits: folded.backward }],
  };
}

/** Take over what folding brought, but for the queue. */
function taken(state: EditorState, folded: Folded, by: string | null): EditorState {
  let { nextId } = state;
  // Of several about the same place the last counts: it has the person's last word.
  const last = folded.conflicts.filter((one, index, all) => !all.slice(index + 1).some((later) => isSameConflict(one, later)));
  const fresh = last.map((conflict): OpenConflict => ({ id: nextId++, conflict, by }));
  const older = state.conflicts.filter((one) => !last.some((other) => isSameConflict(one.conflict, other)));
  return {
    ...state,
    shown: folded.draft,
    conflicts: [...older, ...fresh].filter((one) => !isSettled(folded.draft, one.conflict)),
    notices: [...state.notices, ...folded.notices.map((text) => ({ id: nextId++, text }))],
    nextId,
  };
}

function saved(state: EditorState, draft: Draft): EditorState {
  const [first, ...pending] = state.pending;
  return rebased(first ? onAnswer({ ...state, pending }, first.edit, draft) : state, draft, null);
}

/** Let what was made on top of an edit stand on what the server made of it. */
function onAnswer(state: EditorState, edit: Edit, draft: Draft): EditorState {
  const stored = storedBy(edit, (key) => nodeOf(draft, key));
  if (!stored) return state;
  const entries = (list: readonly Entry[]) => list.map((entry) => ({ ...entry, edits: entry.edits.map((one) => onStored(one, stored)) }));
  return {
    ...state,
    pending: state.pending.map((one) => ({ ...one, edit: onStored(one.edit, stored) })),
    undo: entries(state.undo),
    redo: entries(state.redo),
  };
}

/** An answer may be lost on its way: the node of an addition that waits is there already. */
function recognised(state: EditorState, base: Draft): EditorState {
  const [first] = state.pending;
  if (first?.edit.type !== 'add') return state;
  const there = nodeOf(base, first.edit.node.key);
  return there && isStored(there, first.edit.node) ? onAnswer(state, first.edit, base) : state;
}

function rebased(before: EditorState, base: Draft, by: string | null): EditorState {
  const state = recognised(before, base);
  const folded = fold(base, state.pending, state.shown);
  const removed = state.shown.nodes.filter((node) => !nodeOf(folded.draft, node.key));
  const gone = {
    nodes: [...state.gone.nodes.filter((node) => !removed.some((one) => one.key === node.key)), ...removed].slice(-MAX_GONE),
    edges: [...state.gone.edges, ...state.shown.edges.filter((edge) => removed.some(({ key }) => key === edge.source || key === edge.target))].slice(-MAX_GONE),
  };
  const isLeft = (entry: Entry) => !folded.emptied.includes(entry.id);
  const left = { ...state, gone, lastBy: by ?? state.lastBy, undo: state.undo.filter(isLeft), redo: state.redo.filter(isLeft) };
  return { ...readdressedAll(taken(left, folded, by), folded.renames), base, pending: folded.pending };
}

/** Follow nodes that others renamed. */
function followed(state: EditorState, base: Draft): EditorState {
  return readdressedAll(state, renamesBetween(state.base, base));
}

/** What waits, what can be undone and what is to be chosen: all mean a renamed node by its new key. */
function readdressedAll(state: EditorState, renames: readonly Rename[]): EditorState {
  return renames.reduce((next, { from, to }) => {
    const follow = (edit: Edit) => readdressed(edit, from, to);
    const entries = (list: readonly Entry[]) => list.map((entry) => ({ ...entry, edits: entry.edits.map(follow) }));
    return {
      ...next,
      pending: readdressedQueue(next.pending, from, to),
      undo: entries(next.undo),
      redo: entries(next.redo),
      conflicts: next.conflicts.map((one) => ({ ...one, conflict: conflictAt(one.conflict, from, to) })),
    };
  }, state);
}

function conflictAt(conflict: Conflict, from: string, to: string): Conflict {
  return 'nodeKey' in conflict && conflict.nodeKey === from ? { ...conflict, nodeKey: to } : conflict;
}

function received(state: EditorState, change: RemoteChange): EditorState {
  const { draft } = change;
  const isNews = change.isLayout ? draft.revision >= state.base.revision : draft.revision > state.base.revision;
  if (!isNews) return state;
  const next = rebased(followed(state, draft), draft, change.by);
  if (change.isMine || change.isLayout) return next;
  const what = change.nodeKeys.length > 0 ? change.nodeKeys.slice(0, 5).map((key) => `“${key}”`).join(', ') : 'the workflow';
  const text = `${change.by ?? 'Someone'} changed ${what}${change.nodeKeys.length > 5 ? ' and more' : ''}.`;
  return { ...next, notices: [...next.notices, { id: next.nextId, text }], nextId: next.nextId + 1 };
}

/** Take what others did while our edit was on its way, now that its answer is here. */
function caughtUp(state: EditorState): EditorState {
  return state.deferred.reduce(received, { ...state, deferred: [] });
}

function refused(state: EditorState, errors: readonly EditError[]): EditorState {
  const [first] = state.pending;
  if (!first) return state;
  const isGone = (id: number) => first.entries.includes(id);
  const rest = state.pending.slice(1).filter((one) => !one.entries.some(isGone));
  const pending = rest.map((one) => ({ ...one, edit: withoutBasis(one.edit, first.edit) }));
  const next = rebased({ ...state, pending }, state.base, null);
  return {
    ...next,
    refusal: { edit: first.edit, errors },
    undo: next.undo.filter((entry) => !isGone(entry.id)),
    redo: next.redo.filter((entry) => !isGone(entry.id)),
  };
}

function chosen(state: EditorState, id: number, choice: 'mine' | 'theirs'): EditorState {
  const open = state.conflicts.find((one) => one.id === id);
  if (!open) return state;
  const next = { ...state, conflicts: state.conflicts.filter((one) => one.id !== id) };
  if (choice === 'theirs') return next;
  const edits = editsForMine(state.shown, open.conflict);
  // Where the node is gone as well, the conflict stays open: it is the only place that still has my value.
  return edits.length > 0 ? edited(next, 'Keep mine', edits) : state;
}
