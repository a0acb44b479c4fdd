/** The runs that a run called, page by page, as they stand. */

import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { SubRunsDocument } from '../../generated/graphql';
import { Loading } from '../../parts/empty';
import { RequestError } from '../../parts/errors';
import { Pager } from '../../parts/pager';
import { useStore } from './run-context';
import { useOfRun } from './run-store';
import type { OpenedRun, RunView } from './run-view';
import { RunLink } from './waits';

/** Whether a graph can call other runs. */
export function isCalling(run: OpenedRun): boolean {
  return run.graph.nodes.some(({ kind }) => kind === 'SUBWORKFLOW');
}

const PAGE = 20;

export function SubRuns({ run, names }: { readonly run: OpenedRun; readonly names: ReadonlyMap<string, string> }) {
  const told = useOfRun(useStore(), (view) => signOf(view, run));
  const [after, setAfter] = useState<readonly string[]>([]);
  const variables = { id: run.id, after: after.at(-1) ?? null };
  const [{ data, error }, ask] = useQuery({ query: SubRunsDocument, variables, requestPolicy: 'cache-and-network' });
  useEffect(() => ask({ requestPolicy: 'network-only' }), [told, ask]);
  const page = data?.run?.subRuns;
  if (error) return <RequestError error={error} onRetry={() => ask({ requestPolicy: 'network-only' })} />;
  if (!page) return <Loading what="the runs that it called" />;
  if (page.totalCount === 0) return <p className="muted">It has not called a run yet.</p>;
  return (
    <div className="stack">
      <ol className="rows boxed" aria-label="Runs that it called">
        {page.nodes.map((called) => (
          <li key={called.id}>
            <RunLink run={called} note={`by “${names.get(called.parentNodeKey ?? '') ?? called.parentNodeKey}”`} />
          </li>
        ))}
      </ol>
      <Pager
        what="runs"
        from={after.length * PAGE}
        shown={page.nodes.length}
        total={page.totalCount}
        onBack={after.length > 0 ? () => setAfter(after.slice(0, -1)) : null}
        onOn={page.pageInfo.hasNextPage && page.pageInfo.endCursor ? () => setAfter([...after, page.pageInfo.endCursor ?? '']) : null}
      />
    </div>
  );
}

/** What changes whenever a run was called or has ended. */
function signOf(view: RunView, run: OpenedRun): string {
  const calling = run.graph.nodes.filter(({ kind }) => kind === 'SUBWORKFLOW').map(({ key }) => view.nodes.get(key));
  return [view.status, ...calling.map((node) => `${node?.status} ${node?.subRunId} ${node?.itemsDone} ${node?.items.size}`)].join(' ');
}
