/** The node that is chosen on a run's page; the address names it, so that a link leads there. */

import { useCallback, useState } from 'react';

const MARK = '#node=';

/** Return the address of a run, or of a node of it. */
export function pathOf(runId: string, nodeKey: string | null = null): string {
  return `/runs/${runId}${nodeKey === null ? '' : MARK + encodeURIComponent(nodeKey)}`;
}

export function useChosen(keys: readonly string[]): readonly [string | null, (key: string | null) => void] {
  const [chosen, setChosen] = useState(() => keys.find((key) => window.location.hash === MARK + encodeURIComponent(key)) ?? null);
  const choose = useCallback((key: string | null) => {
    setChosen(key);
    const { pathname, search } = window.location;
    window.history.replaceState(window.history.state, '', `${pathname}${search}${key === null ? '' : MARK + encodeURIComponent(key)}`);
  }, []);
  return [chosen, choose];
}
