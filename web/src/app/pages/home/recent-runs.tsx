/** Runs, newest first, as they happen. */

import { Link } from 'wouter';
import { useIsLost } from '../../api/context';
import type { RunRowFragment } from '../../generated/graphql';
import { Empty, Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { lookOf, StatusBadge } from '../../parts/status';
import { Ago, Elapsed } from '../../parts/time';
import { useRuns } from './use-runs';

export function RecentRuns({ workspaceId }: { readonly workspaceId: string }) {
  const { runs, error, readAgain } = useRuns(workspaceId);
  const isLost = useIsLost();
  return (
    <section className="card" aria-labelledby="recent-runs">
      <div className="section-head">
        <h2 id="recent-runs">Recent runs</h2>
        {isLost && (
          <span className="link-state tone-waiting" role="status">
            Reconnecting…
          </span>
        )}
      </div>
      {error && !runs && <RequestError error={error} onRetry={readAgain} />}
      {!error && !runs && <Loading what="recent runs" />}
      {runs?.length === 0 && (
        <Empty title="No run yet">
          <p>Start a workflow: its run appears here at once, and you can watch every node and every token.</p>
        </Empty>
      )}
      {runs && runs.length > 0 && (
        <ol className="rows">
          {runs.map((run) => (
            <li key={run.id}>
              <RunRow run={run} />
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function RunRow({ run }: { readonly run: RunRowFragment }) {
  const { status, progress, startedAt, finishedAt, error } = run;
  return (
    <Link href={`/runs/${run.id}`} className="row run-row">
      <span className="row-main">
        <span className="row-title">{run.workflow.name}</span>
        <span className="muted small row-note">{error ? `${error.code}${error.nodeKey ? ` in ${error.nodeKey}` : ''}` : <Ago at={run.createdAt} />}</span>
      </span>
      {!run.isFinished && (
        <span className={`progress tone-${lookOf(status).tone}`} role="img" aria-label={`${progress.done} of ${progress.total} nodes`}>
          <div style={{ width: `${(progress.done / Math.max(1, progress.total)) * 100}%` }} />
        </span>
      )}
      <span className="muted small">{startedAt && <Elapsed from={startedAt} until={finishedAt} />}</span>
      <StatusBadge status={status} />
    </Link>
  );
}
