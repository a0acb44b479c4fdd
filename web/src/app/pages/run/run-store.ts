/** A run's view for components: events are folded once a frame, and only who shows what changed draws anew. */

import { useSyncExternalStore } from 'react';
import { fold, newNode, type NodeView, type RunEvent, type RunView } from './run-view';

/** Frames do not come in a window that nobody sees, whose title still tells how the run stands. */
const LONGEST_FRAME_MS = 400;

export type Schedule = (work: () => void) => void;

const nextFrame: Schedule = (work) => {
  let isDone = false;
  const once = () => {
    if (isDone) return;
    isDone = true;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    work();
  };
  const frame = requestAnimationFrame(once);
  const timer = setTimeout(once, LONGEST_FRAME_MS);
};

export class RunStore {
  #view: RunView;
  #waiting: RunEvent[] = [];
  readonly #listeners = new Set<() => void>();

  constructor(
    view: RunView,
    private readonly onFault: (error: Error) => void,
    private readonly schedule: Schedule = nextFrame,
  ) {
    this.#view = view;
  }

  readonly snapshot = (): RunView => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly push = (event: RunEvent): void => {
    this.#waiting.push(event);
    if (this.#waiting.length === 1) this.schedule(() => this.#flush());
  };

  /** Replace the view by one made of it, in its place between the events. */
  change(make: (view: RunView) => RunView): void {
    this.#flush();
    this.#set(make(this.#view));
  }

  #flush(): void {
    const events = this.#waiting;
    this.#waiting = [];
    if (events.length === 0) return;
    try {
      this.#set(fold(this.#view, events));
    } catch (error) {
      this.onFault(error as Error);
    }
  }

  #set(view: RunView): void {
    this.#view = view;
    for (const listener of this.#listeners) listener();
  }
}

export function useRunView(store: RunStore): RunView {
  return useSyncExternalStore(store.subscribe, store.snapshot);
}

const nothing = newNode('');

export function useNodeView(store: RunStore, key: string): NodeView {
  return useSyncExternalStore(store.subscribe, () => store.snapshot().nodes.get(key) ?? nothing);
}

/** What of a run a component shows; it is drawn anew only when that differs. */
export function useOfRun<Value extends string | number | boolean | null | object>(store: RunStore, choose: (view: RunView) => Value): Value {
  return useSyncExternalStore(store.subscribe, () => choose(store.snapshot()));
}
