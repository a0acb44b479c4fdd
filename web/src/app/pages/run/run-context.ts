/** The run that is shown, for cards and edges: they look up what changes often by themselves. */

import { createContext, useContext } from 'react';
import { type RunStore, useNodeView } from './run-store';
import type { NodeView } from './run-view';

interface RunFacts {
  readonly runId: string;
  readonly store: RunStore;
  /** Whether cards ask for what their nodes wrote before; not in a graph of many that write. */
  readonly isRecallingTexts: boolean;
}

export const RunContext = createContext<RunFacts | null>(null);

export function useRunFacts(): RunFacts {
  const facts = useContext(RunContext);
  if (!facts) throw new Error('Used outside of a run.');
  return facts;
}

export function useStore(): RunStore {
  return useRunFacts().store;
}

export function useNodeOfRun(key: string): NodeView {
  return useNodeView(useStore(), key);
}
