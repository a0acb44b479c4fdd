/** The recent runs of a workspace, kept as they are by a subscription. */

import { useCallback, useEffect, useState } from 'react';
import { useQuery, useSubscription } from 'urql';
import { useReconnected } from '../../api/context';
import { RecentRunsDocument, type RunRowFragment, RunsChangedDocument } from '../../generated/graphql';

const MOST = 30;

/** Put a run in its place: newest first, each once, `MOST` of them. */
export function withRun(runs: readonly RunRowFragment[], changed: RunRowFragment): readonly RunRowFragment[] {
  const others = runs.filter(({ id }) => id !== changed.id);
  const place = others.findIndex(({ createdAt }) => createdAt <= changed.createdAt);
  return (place < 0 ? [...others, changed] : others.toSpliced(place, 0, changed)).slice(0, MOST);
}

export function useRuns(workspaceId: string) {
  const [{ data, error }, ask] = useQuery({ query: RecentRunsDocument, variables: { workspaceId }, requestPolicy: 'cache-and-network' });
  const [runs, setRuns] = useState<readonly RunRowFragment[] | null>(null);
  const [{ data: changed }] = useSubscription({ query: RunsChangedDocument, variables: { workspaceId } });
  useEffect(() => {
    if (data) setRuns(data.runs.nodes);
  }, [data]);
  useEffect(() => {
    if (changed) setRuns((known) => withRun(known ?? [], changed.runChanged));
  }, [changed]);
  // What ended while the socket was gone does not come by it.
  const readAgain = useCallback(() => ask({ requestPolicy: 'network-only' }), [ask]);
  useReconnected(readAgain);
  return { runs, error, readAgain };
}
