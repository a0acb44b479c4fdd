/** The configuration that a new node begins with: one that the server takes, so that it can be refined in place. */

import { startingValue } from '../forms/starting';
import type { Json, JsonObject } from './json';

export interface KindInfo {
  readonly kind: string;
  /** Its field in `NodeConfigInput`. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly configSchema: JsonObject;
  readonly outputSchema: JsonObject;
  readonly ports: readonly string[];
}

/** What the schema alone does not say: which of several texts to begin with, and what an example looks like. */
const STARTERS: Readonly<Record<string, Json>> = {
  llmCall: { prompt: 'Say hello in one sentence.' },
  httpRequest: { method: 'GET', url: 'https://example.com/' },
  faissSearch: { collection: '', searchText: '', topK: 5 },
  faissUpsert: { collection: '', text: '' },
  dbWrite: { target: { dataTable: '' }, writeMode: 'INSERT', values: [{ column: 'column', value: '' }] },
  transform: { fields: [{ name: 'value', value: '' }] },
  branch: { cases: [{ name: 'yes', when: 'true' }] },
  subworkflow: { workflow: '' },
  wait: { durationMs: 1_000 },
  approval: { title: 'Is this right?' },
};

/** Keys that read well in expressions: `nodes.answer.output.text`. */
const KEYS: Readonly<Record<string, string>> = {
  llmCall: 'answer', httpRequest: 'request', faissSearch: 'search', faissUpsert: 'learn', dbWrite: 'save',
  transform: 'shape', branch: 'choose', subworkflow: 'call', wait: 'pause', approval: 'ask',
}; // prettier-ignore

export function starterOf(kind: KindInfo): JsonObject {
  return { [kind.name]: STARTERS[kind.name] ?? startingValue(kind.configSchema, kind.configSchema, 0, 'text') };
}

export function keyFor(kind: KindInfo): string {
  return KEYS[kind.name] ?? kind.name;
}
