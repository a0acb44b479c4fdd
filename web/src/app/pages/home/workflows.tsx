/** The workflows of a workspace: to find, to open, to start, to make. */

import { useDeferredValue, useState } from 'react';
import { useQuery } from 'urql';
import { Link } from 'wouter';
import { WorkflowsDocument, type WorkflowsQuery } from '../../generated/graphql';
import { Empty, Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { StatusBadge } from '../../parts/status';
import { Ago } from '../../parts/time';
import { NewWorkflow } from './new-workflow';
import { StartDialog } from './start-dialog';

type Row = WorkflowsQuery['workflows']['nodes'][number];

interface WorkflowsProps {
  readonly workspaceId: string;
  readonly mayEdit: boolean;
}

export function Workflows({ workspaceId, mayEdit }: WorkflowsProps) {
  const [search, setSearch] = useState('');
  const [starting, setStarting] = useState<Row | null>(null);
  const [isMaking, setMaking] = useState(false);
  const wanted = useDeferredValue(search.trim());
  const variables = { workspaceId, search: wanted || null };
  const [{ data, error }, ask] = useQuery({ query: WorkflowsDocument, variables, requestPolicy: 'cache-and-network' });
  const rows = data?.workflows.nodes;
  return (
    <section className="card" aria-labelledby="workflows">
      <div className="section-head">
        <h2 id="workflows">Workflows</h2>
        <input
          className="input"
          type="search"
          placeholder="Search"
          aria-label="Search workflows"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
        {mayEdit && (
          <button type="button" className="button primary" onClick={() => setMaking(true)}>
            New workflow
          </button>
        )}
      </div>
      {error && <RequestError error={error} onRetry={() => ask({ requestPolicy: 'network-only' })} />}
      {!error && !rows && <Loading what="workflows" />}
      {rows?.length === 0 && <NoWorkflow wanted={wanted} mayEdit={mayEdit} onMake={() => setMaking(true)} />}
      {rows && rows.length > 0 && (
        <ul className="rows">
          {rows.map((row) => (
            <li key={row.id}>
              <WorkflowRow row={row} mayStart={mayEdit} onStart={() => setStarting(row)} />
            </li>
          ))}
        </ul>
      )}
      {data?.workflows.pageInfo.hasNextPage && (
        <p className="muted small section-foot">{`The first ${rows?.length} of ${data.workflows.totalCount}; search to see others.`}</p>
      )}
      <NewWorkflow workspaceId={workspaceId} isOpen={isMaking} onClose={() => setMaking(false)} />
      <StartDialog workflow={starting} onClose={() => setStarting(null)} />
    </section>
  );
}

function NoWorkflow({ wanted, mayEdit, onMake }: { readonly wanted: string; readonly mayEdit: boolean; readonly onMake: () => void }) {
  if (wanted) {
    return (
      <Empty title={`Nothing is called “${wanted}”`}>
        <p>The search looks at names and slugs.</p>
      </Empty>
    );
  }
  return (
    <Empty title="No workflow yet">
      <p>
        A workflow is a graph of steps: ask a model, call an HTTP API, search, write to a table. Begin with an example and change it, or
        with an empty graph.
      </p>
      {mayEdit && (
        <button type="button" className="button primary" onClick={onMake}>
          Make the first workflow
        </button>
      )}
    </Empty>
  );
}

interface WorkflowRowProps {
  readonly row: Row;
  readonly mayStart: boolean;
  readonly onStart: () => void;
}

function WorkflowRow({ row, mayStart, onStart }: WorkflowRowProps) {
  const errors = row.problems.filter(({ severity }) => severity === 'ERROR').length;
  const warnings = row.problems.length - errors;
  const last = row.latestRun;
  return (
    <div className="row">
      <span className="row-main">
        <Link href={`/workflows/${row.id}`} className="row-title">
          {row.name}
        </Link>
        <span className="muted small row-note">{row.description ?? row.slug}</span>
      </span>
      {errors > 0 && <span className="badge tone-failed">{errors === 1 ? '1 error' : `${errors} errors`}</span>}
      {warnings > 0 && <span className="badge tone-waiting">{warnings === 1 ? '1 warning' : `${warnings} warnings`}</span>}
      {last ? (
        <Link href={`/runs/${last.id}`} className="row-last">
          <span className="visually-hidden">{`Last run of ${row.name}: `}</span>
          <StatusBadge status={last.status} />
          <span className="muted small">
            <Ago at={last.createdAt} />
          </span>
        </Link>
      ) : (
        <span className="muted small row-last">Never run</span>
      )}
      {mayStart && (
        <button
          type="button"
          className="button compact"
          disabled={!row.isRunnable}
          title={row.isRunnable ? undefined : 'Its graph has errors: open it to see them.'}
          aria-label={`Start ${row.name}`}
          onClick={onStart}
        >
          Start
        </button>
      )}
    </div>
  );
}
