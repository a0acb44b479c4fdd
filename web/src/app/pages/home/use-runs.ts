/** The recent runs of a workspace, kept as they are by a subscription. */

import { useCallback } from 'react';
import { useQuery, useSubscription } from 'urql';
import { useReconnected } from '../../api/context';
import { RecentRunsDocument, RunsChangedDocument, type RunsChangedSubscription } from '../../generated/graphql';
import { type RunChanges, withChange, withChanges } from '../../parts/run-changes';

const MOST = 30;

export function useRuns(workspaceId: string) {
  const [{ data, error }, ask] = useQuery({ query: RecentRunsDocument, variables: { workspaceId }, requestPolicy: 'cache-and-network' });
  // Kept apart from the list: what is told before the list has come would be lost in it.
  const [{ data: changes }] = useSubscription<RunsChangedSubscription, RunChanges>(
    { query: RunsChangedDocument, variables: { workspaceId } },
    (known, { runChanged }) => withChange(known, runChanged),
  );
  // What ended while the socket was gone does not come by it.
  const readAgain = useCallback(() => ask({ requestPolicy: 'network-only' }), [ask]);
  useReconnected(readAgain);
  return { runs: data ? withChanges(data.runs.nodes, changes, MOST) : null, error, readAgain };
}
