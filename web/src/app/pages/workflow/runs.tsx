/** Recent runs of this workflow, as they change. */

import { useQuery, useSubscription } from 'urql';
import { Link } from 'wouter';
import { WorkflowRunsChangedDocument, WorkflowRunsDocument, type WorkflowRunsChangedSubscription } from '../../generated/graphql';
import { Empty, Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { type RunChanges, withChange, withChanges } from '../../parts/run-changes';
import { StatusBadge } from '../../parts/status';
import { Ago, formatDuration } from '../../parts/time';
import { useWorkbench } from './workbench';

const MOST = 20;

export function Runs() {
  const { workflowId, workspaceId, mayEdit, open } = useWorkbench();
  const [{ data, error }, ask] = useQuery({ query: WorkflowRunsDocument, variables: { id: workflowId }, requestPolicy: 'cache-and-network' });
  const [changed] = useSubscription<WorkflowRunsChangedSubscription, RunChanges>(
    { query: WorkflowRunsChangedDocument, variables: { workspaceId, workflowId } },
    (known, { runChanged }) => withChange(known, runChanged),
  );
  if (error && !data) return <RequestError error={error} onRetry={() => ask({ requestPolicy: 'network-only' })} />;
  if (!data?.workflow) return <Loading what="runs" />;
  const runs = withChanges(data.workflow.runs.nodes, changed.data, MOST);
  if (runs.length === 0) {
    return (
      <Empty title="No run yet">
        <p>A run shows every step live, and its page can be shared.</p>
        {mayEdit && (
          <button type="button" className="button compact" onClick={() => open({ type: 'run' })}>
            Run it
          </button>
        )}
      </Empty>
    );
  }
  return (
    <ul className="side-runs">
      {runs.map((run) => (
        <li key={run.id}>
          <Link href={`/runs/${run.id}`} className="side-run">
            <StatusBadge status={run.status} />
            <span className="muted small">{run.durationMs === null ? `${run.progress.done} of ${run.progress.total}` : formatDuration(run.durationMs)}</span>
            <span className="muted small">
              <Ago at={run.createdAt} />
            </span>
            {run.error && <span className="side-run-error small">{run.error.message}</span>}
          </Link>
        </li>
      ))}
    </ul>
  );
}
