/** A server in memory, which knows revisions, refuses cycles, stores nodes as the real one does, and tells all who listen. */

import { apply, type Edit } from '../../src/app/editor/edits';
import { isObject, type Json, type JsonObject } from '../../src/app/editor/json';
import { type Draft, type DraftEdge, type DraftNode, hasEdge, nodeOf } from '../../src/app/editor/model';
import type { RemoteChange } from '../../src/app/editor/state';
import type { Answer, EditorApi } from '../../src/app/editor/sync';

export function node(key: string, config: DraftNode['config'] = { llmCall: { prompt: `hello from ${key}` } }): DraftNode {
  return {
    key, name: null, config, when: null, join: 'ALL', forEach: null, onError: ON_ERROR, retry: RETRY,
    timeouts: TIMEOUTS, ports: ['out'], position: { x: 0, y: 0 },
  }; // prettier-ignore
}

const ON_ERROR = { mode: 'STOP', defaultOutput: null };
const RETRY = {
  maximumAttempts: 3, initialIntervalMs: 1_000, backoffCoefficient: 2, maximumIntervalMs: null, hasJitter: true, nonRetryableErrors: [],
}; // prettier-ignore
const TIMEOUTS = { startToCloseMs: 300_000, scheduleToCloseMs: null, idleMs: null };
/** What the configurations of some kinds preset. */
const DEFAULTS: JsonObject = { writeMode: 'INSERT', topK: 5 };

/** Return a node as it is stored: its policies complete, its configuration without what is preset. */
function stored(one: DraftNode): DraftNode {
  const filled = (given: Json, presets: JsonObject) => ({ ...presets, ...(isObject(given) ? given : {}) });
  const bare = (value: JsonObject) => Object.fromEntries(Object.entries(value).filter(([name, part]) => part !== null && part !== DEFAULTS[name]));
  return {
    ...one,
    config: Object.fromEntries(Object.entries(one.config).map(([kind, config]) => [kind, isObject(config) ? bare(config) : config])),
    onError: filled(one.onError, ON_ERROR),
    retry: filled(one.retry, RETRY),
    timeouts: filled(one.timeouts, TIMEOUTS),
  };
}

export function edge(source: string, target: string, sourcePort = 'out'): DraftEdge {
  return { source, sourcePort, target };
}

export function draftOf(nodes: readonly DraftNode[], edges: readonly DraftEdge[] = [], revision = 1): Draft {
  const workflow = { name: 'Ask', description: null, inputSchema: null, output: [], settings: {} };
  return { revision, workflow, nodes, edges, problems: [] };
}

export class FakeServer {
  readonly log: { readonly by: string; readonly edit: Edit }[] = [];
  readonly #listeners: { readonly who: string; readonly tell: (change: RemoteChange) => void }[] = [];
  #lastBy: string | null = null;
  /** What it has against an edit besides what it always has. */
  refuse: (edit: Edit) => boolean = () => false;

  constructor(public draft: Draft) {}

  listen(who: string, tell: (change: RemoteChange) => void): void {
    this.#listeners.push({ who, tell });
  }

  /** The API as one person sees it; `pause` is awaited before each request arrives. */
  api(who: string, pause: () => Promise<void> = async () => {}): EditorApi {
    return {
      send: async (edit, expectedRevision) => {
        await pause();
        return this.#take(who, edit, expectedRevision);
      },
      fetch: async () => {
        await pause();
        return this.draft;
      },
    };
  }

  #take(who: string, edit: Edit, expectedRevision: number): Answer {
    const isLayout = edit.type === 'move';
    if (!isLayout && expectedRevision !== this.draft.revision) return { type: 'overtaken', by: this.#lastBy };
    const fault = this.refuse(edit) ? 'That is not right.' : faultOf(this.draft, edit);
    if (fault !== null) {
      return { type: 'refused', errors: [{ message: fault, code: 'INVALID_INPUT', nodeKey: null, path: [], hint: null }] };
    }
    const revision = this.draft.revision + (isLayout ? 0 : 1);
    const applied = apply(this.draft, edit);
    this.draft = { ...applied, nodes: applied.nodes.map(stored), revision };
    this.log.push({ by: who, edit });
    if (!isLayout) this.#lastBy = who;
    const told = { draft: this.draft, isLayout, by: who, nodeKeys: 'key' in edit ? [edit.key] : [] };
    for (const one of this.#listeners) one.tell({ ...told, isMine: one.who === who });
    return { type: 'saved', draft: this.draft };
  }
}

function faultOf(draft: Draft, edit: Edit): string | null {
  switch (edit.type) {
    case 'add':
      return nodeOf(draft, edit.node.key) ? 'The key is taken.' : null;
    case 'update':
    case 'remove':
      return nodeOf(draft, edit.key) ? null : 'There is no such node.';
    case 'rename':
      return nodeOf(draft, edit.key) && !nodeOf(draft, edit.newKey) ? null : 'There is no such node, or the key is taken.';
    case 'connect':
      if (!nodeOf(draft, edit.edge.source) || !nodeOf(draft, edit.edge.target)) return 'There is no such node.';
      return hasEdge(draft, edit.edge) || leads(draft, edit.edge.target, edit.edge.source) ? 'That would be a cycle, or there twice.' : null;
    case 'disconnect':
      return hasEdge(draft, edit.edge) ? null : 'There is no such edge.';
    default:
      return null;
  }
}

function leads(draft: Draft, from: string, to: string): boolean {
  return from === to || draft.edges.some((one) => one.source === from && leads(draft, one.target, to));
}
