/** Editors on a server in memory. */

import type { Edit } from '../../src/app/editor/edits';
import type { Json } from '../../src/app/editor/json';
import { type Draft, nodeOf } from '../../src/app/editor/model';
import { EditorSync } from '../../src/app/editor/sync';
import type { FakeServer } from './fake_server';

/** A door that requests wait at until it is opened. */
export class Door {
  #isOpen = true;
  #waiting: (() => void)[] = [];

  readonly pass = (): Promise<void> => (this.#isOpen ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve)));

  shut(): void {
    this.#isOpen = false;
  }

  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}

export function editing(server: FakeServer, who: string) {
  const door = new Door();
  const sync = new EditorSync(server.api(who, door.pass), server.draft);
  server.listen(who, (change) => sync.dispatch({ type: 'remote', change }));
  const edit = (...edits: Edit[]) => sync.dispatch({ type: 'edited', label: 'test', edits });
  return { sync, door, edit, state: sync.snapshot };
}

export async function settled(...editors: { sync: EditorSync }[]): Promise<void> {
  for (let round = 0; round < 2_000; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (editors.every(({ sync }) => sync.snapshot().pending.length === 0 && !sync.snapshot().isSending)) return;
  }
  throw new Error('The editors never came to rest.');
}

export function prompt(draft: Draft, key: string): Json | undefined {
  return (nodeOf(draft, key)?.config as { llmCall: { prompt: Json } } | undefined)?.llmCall.prompt;
}

export function setPrompt(draft: Draft, key: string, text: string): Edit {
  const before = nodeOf(draft, key)?.config ?? {};
  return { type: 'update', key, changes: { config: { before, after: { llmCall: { ...(before.llmCall as object), prompt: text } } } } };
}
