/** Edits of a draft: what a person does, in the steps that the API knows. */

import { isEqual, isObject, type Json } from './json';
import {
  type Draft,
  type DraftEdge,
  type DraftNode,
  edgesOf,
  isSameEdge,
  type NodeField,
  nodeOf,
  type Position,
  type WorkflowField,
} from './model';

/** A field's value as the person saw it, and as the person wants it: with both, changes of two people merge. */
export interface Change {
  readonly before: Json;
  readonly after: Json;
}
export type NodeChanges = { readonly [field in NodeField]?: Change };
export type WorkflowChanges = { readonly [field in WorkflowField]?: Change };

export type Positions = { readonly [key: string]: Position };

export type Edit =
  | { readonly type: 'add'; readonly node: DraftNode }
  | { readonly type: 'update'; readonly key: string; readonly changes: NodeChanges }
  | { readonly type: 'rename'; readonly key: string; readonly newKey: string }
  /** `seen` is the node as it was when the person removed it. */
  | { readonly type: 'remove'; readonly key: string; readonly seen: DraftNode }
  | { readonly type: 'connect'; readonly edge: DraftEdge }
  | { readonly type: 'disconnect'; readonly edge: DraftEdge }
  /** `from` is where the canvas showed the nodes, which may have no stored position. */
  | { readonly type: 'move'; readonly positions: Positions; readonly from: Positions }
  | { readonly type: 'configure'; readonly changes: WorkflowChanges };

/** Return the draft after an edit; what the edit names must be there (see `place`). */
export function apply(draft: Draft, edit: Edit): Draft {
  switch (edit.type) {
    case 'add':
      return { ...draft, nodes: [...draft.nodes, edit.node] };
    case 'update':
      return { ...draft, nodes: draft.nodes.map((node) => (node.key === edit.key ? { ...node, ...after(edit.changes) } : node)) };
    case 'rename':
      return renamed(draft, edit.key, edit.newKey);
    case 'remove':
      return {
        ...draft,
        nodes: draft.nodes.filter((node) => node.key !== edit.key),
        edges: draft.edges.filter((edge) => edge.source !== edit.key && edge.target !== edit.key),
      };
    case 'connect':
      return { ...draft, edges: [...draft.edges, edit.edge] };
    case 'disconnect':
      return { ...draft, edges: draft.edges.filter((edge) => !isSameEdge(edge, edit.edge)) };
    case 'move':
      return {
        ...draft,
        nodes: draft.nodes.map((node) => {
          const position = edit.positions[node.key];
          return position === undefined ? node : { ...node, position };
        }),
      };
    case 'configure':
      return { ...draft, workflow: { ...draft.workflow, ...after(edit.changes) } };
  }
}

/** Return the edits that take an edit back; `draft` is the one before it. */
export function inverse(draft: Draft, edit: Edit): readonly Edit[] {
  switch (edit.type) {
    case 'add':
      return [{ type: 'remove', key: edit.node.key, seen: edit.node }];
    case 'update':
      return [{ ...edit, changes: swapped(edit.changes) }];
    case 'rename':
      return [{ type: 'rename', key: edit.newKey, newKey: edit.key }];
    case 'remove': {
      const node = nodeOf(draft, edit.key);
      if (!node) return [];
      return [{ type: 'add', node }, ...edgesOf(draft, edit.key).map((edge): Edit => ({ type: 'connect', edge }))];
    }
    case 'connect':
      return [{ type: 'disconnect', edge: edit.edge }];
    case 'disconnect':
      return [{ type: 'connect', edge: edit.edge }];
    case 'move':
      return [{ type: 'move', positions: edit.from, from: edit.positions }];
    case 'configure':
      return [{ ...edit, changes: swapped(edit.changes) }];
  }
}

/** Return an edit that was made on top of one that the server refused, as made on what was there before that one. */
export function withoutBasis(edit: Edit, refused: Edit): Edit {
  if (edit.type === 'update' && refused.type === 'update' && edit.key === refused.key) {
    return { ...edit, changes: rebasedChanges(edit.changes, refused.changes) };
  }
  if (edit.type !== 'configure' || refused.type !== 'configure') return edit;
  return { ...edit, changes: rebasedChanges(edit.changes, refused.changes) };
}

/** Return an edit as it reads after another person renamed a node. */
export function readdressed(edit: Edit, key: string, newKey: string): Edit {
  const name = (one: string) => (one === key ? newKey : one);
  switch (edit.type) {
    case 'add':
      return edit;
    case 'update':
    case 'rename':
      return { ...edit, key: name(edit.key) };
    case 'remove':
      return { ...edit, key: name(edit.key), seen: { ...edit.seen, key: name(edit.seen.key) } };
    case 'connect':
    case 'disconnect':
      return { ...edit, edge: { ...edit.edge, source: name(edit.edge.source), target: name(edit.edge.target) } };
    case 'move':
      return { ...edit, positions: moved(edit.positions, name), from: moved(edit.from, name) };
    case 'configure':
      return edit;
  }
}

function after(changes: { readonly [field: string]: Change | undefined }): { readonly [field: string]: Json } {
  return Object.fromEntries(Object.entries(changes).flatMap(([field, change]) => (change ? [[field, change.after]] : [])));
}

function rebasedChanges<Changes extends { readonly [field: string]: Change | undefined }>(changes: Changes, refused: Changes): Changes {
  const based = Object.entries(changes).map(([field, change]) => {
    const under = refused[field];
    return [field, change && under && isEqual(change.before, under.after) ? { ...change, before: under.before } : change];
  });
  return Object.fromEntries(based) as Changes;
}

function swapped<Changes extends { readonly [field: string]: Change | undefined }>(changes: Changes): Changes {
  const turned = Object.entries(changes).map(([field, change]) => [field, change && { before: change.after, after: change.before }]);
  return Object.fromEntries(turned) as Changes;
}

function moved(positions: Positions, name: (key: string) => string): Positions {
  return Object.fromEntries(Object.entries(positions).map(([key, position]) => [name(key), position]));
}

/** The server rewrites references exactly; until its answer comes, this shows what it will be in all but odd cases. */
function renamed(draft: Draft, key: string, newKey: string): Draft {
  const name = (one: string) => (one === key ? newKey : one);
  const reference = new RegExp(`\\bnodes\\.${key}\\b`, 'g');
  const rewritten = <Value extends Json>(value: Value): Value => rewrite(value, (text) => text.replace(reference, `nodes.${newKey}`)) as Value;
  return {
    ...draft,
    workflow: { ...draft.workflow, output: rewritten(draft.workflow.output) },
    nodes: draft.nodes.map((node) => ({
      ...node,
      key: name(node.key),
      config: rewritten(node.config),
      when: rewritten(node.when),
      forEach: rewritten(node.forEach),
    })),
    edges: draft.edges.map((edge) => ({ ...edge, source: name(edge.source), target: name(edge.target) })),
  };
}

function rewrite(value: Json, text: (value: string) => string): Json {
  if (typeof value === 'string') return text(value);
  if (Array.isArray(value)) return value.map((one: Json) => rewrite(one, text));
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rewrite(one, text)]));
  return value;
}
