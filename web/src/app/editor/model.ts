/** The draft of a workflow, as the editor holds it. */

import type { Json, JsonObject, Path } from './json';

export interface Position {
  readonly x: number;
  readonly y: number;
}

/** What can be changed of a node by `updateNode`; each is JSON, so that changes merge. */
export interface NodeFields {
  /** The name to show; null = the key. */
  readonly name: string | null;
  /** As `NodeConfigInput` takes it: one field, which names the kind. */
  readonly config: JsonObject;
  readonly when: string | null;
  readonly join: string;
  readonly forEach: Json;
  readonly onError: Json;
  readonly retry: Json;
  readonly timeouts: Json;
}

export interface DraftNode extends NodeFields {
  readonly key: string;
  readonly ports: readonly string[];
  readonly position: Position | null;
}

export interface DraftEdge {
  readonly source: string;
  readonly sourcePort: string;
  readonly target: string;
}

/** What can be changed of a workflow besides its graph. */
export interface WorkflowFields {
  readonly name: string;
  readonly description: string | null;
  readonly inputSchema: Json;
  readonly output: Json;
  readonly settings: JsonObject;
}

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly severity: string;
  readonly nodeKey: string | null;
  readonly edge: DraftEdge | null;
  readonly path: Path;
  readonly hint: string | null;
}

export interface Draft {
  readonly revision: number;
  readonly workflow: WorkflowFields;
  readonly nodes: readonly DraftNode[];
  readonly edges: readonly DraftEdge[];
  readonly problems: readonly Problem[];
}

export const NODE_FIELDS = ['name', 'config', 'when', 'join', 'forEach', 'onError', 'retry', 'timeouts'] as const;
export type NodeField = (typeof NODE_FIELDS)[number];
export const WORKFLOW_FIELDS = ['name', 'description', 'inputSchema', 'output', 'settings'] as const;
export type WorkflowField = (typeof WORKFLOW_FIELDS)[number];

export function nodeOf(draft: Draft, key: string): DraftNode | undefined {
  return draft.nodes.find((node) => node.key === key);
}

/** The name of the kind: the one field of the configuration. */
export function kindNameOf(node: Pick<DraftNode, 'config'>): string {
  return Object.keys(node.config)[0] ?? '';
}

export function isSameEdge(a: DraftEdge, b: DraftEdge): boolean {
  return a.source === b.source && a.sourcePort === b.sourcePort && a.target === b.target;
}

export function hasEdge(draft: Draft, edge: DraftEdge): boolean {
  return draft.edges.some((one) => isSameEdge(one, edge));
}

export function edgesOf(draft: Draft, key: string): readonly DraftEdge[] {
  return draft.edges.filter((edge) => edge.source === key || edge.target === key);
}

/** Return a key like the wanted one that no node has; `taken` are further ones that may not be given. */
export function freeKey(draft: Draft, wanted: string, taken: readonly string[] = []): string {
  const keys = new Set([...draft.nodes.map((node) => node.key), ...taken]);
  if (!keys.has(wanted)) return wanted;
  const stem = wanted.replace(/_\d+$/, '').slice(0, 60);
  let number = 2;
  while (keys.has(`${stem}_${number}`)) number += 1;
  return `${stem}_${number}`;
}
