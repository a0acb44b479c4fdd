/** Sends what waits, one edit at a time, and takes in what the server says. */

import type { Edit } from './edits';
import type { Draft } from './model';
import { type Action, type EditError, type EditorState, opened, reduce } from './state';

export type Answer =
  | { readonly type: 'saved'; readonly draft: Draft }
  /** Someone else was first. */
  | { readonly type: 'overtaken'; readonly by: string | null }
  | { readonly type: 'refused'; readonly errors: readonly EditError[] };

/** The server, as the editor sees it; both reject when it cannot be reached. */
export interface EditorApi {
  readonly send: (edit: Edit, expectedRevision: number) => Promise<Answer>;
  readonly fetch: () => Promise<Draft>;
}

const RETRY_MS = [1_000, 2_000, 5_000, 10_000];

export class EditorSync {
  #state: EditorState;
  #failures = 0;
  #saves = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isClosed = false;
  readonly #listeners = new Set<() => void>();

  constructor(
    private readonly api: EditorApi,
    draft: Draft,
  ) {
    this.#state = opened(draft);
  }

  readonly snapshot = (): EditorState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly dispatch = (action: Action): void => {
    this.#state = reduce(this.#state, action);
    for (const listener of this.#listeners) listener();
    this.#pump();
  };

  /** Try at once what is to be tried again later, as when the connection is back. */
  readonly hurry = (): void => {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#pump();
  };

  /** Read the draft anew: changes may have been missed while the connection was down. */
  readonly refresh = async (): Promise<void> => {
    const saves = this.#saves;
    const draft = await this.api.fetch();
    // The answer to what was saved meanwhile is newer than what was read, though a move has no revision to tell it by.
    if (this.#saves !== saves || this.#state.isSending) return;
    this.dispatch({ type: 'remote', change: { draft, isLayout: true, by: null, isMine: false, nodeKeys: [] } });
  };

  /** Leave the page: what waits is sent still, but not tried again for ever. */
  readonly close = (): void => {
    this.#isClosed = true;
  };

  readonly open = (): void => {
    this.#isClosed = false;
  };

  #pump(): void {
    if (this.#isClosed && this.#state.fault !== null) return;
    const [next] = this.#state.pending;
    if (this.#timer !== null || this.#state.isSending || !next) return;
    const { revision } = this.#state.base;
    this.dispatch({ type: 'sent' });
    void this.#exchange(next.edit, revision).then((action) => {
      if (action.type === 'failed') this.#retryLater();
      else this.#failures = 0;
      if (action.type === 'saved') this.#saves += 1;
      this.dispatch(action);
    });
  }

  async #exchange(edit: Edit, revision: number): Promise<Action> {
    try {
      const answer = await this.api.send(edit, revision);
      if (answer.type !== 'overtaken') return answer;
      return { type: 'overtaken', by: answer.by, draft: await this.api.fetch() };
    } catch (error) {
      return { type: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  }

  #retryLater(): void {
    if (this.#isClosed) return;
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 0;
    this.#failures += 1;
    this.#timer = setTimeout(this.hurry, wait);
  }
}
