/** One node at work: its text as it comes, then its output. */

import { useEffect } from 'react';
import { useQuery } from 'urql';
import { NodePayloadsDocument } from '../../generated/graphql';
import { Notice } from '../../parts/errors';
import { JsonView } from '../../parts/json-view';
import { StatusBadge } from '../../parts/status';
import { type RunStore, useNodeView, useRunView } from '../run/run-store';
import { isSettled } from '../run/run-view';
import { useRun } from '../run/use-run';

export function Trial({ runId, nodeKey }: { readonly runId: string; readonly nodeKey: string }) {
  const { opened } = useRun(runId);
  if (opened.state !== 'open') return <p className="muted">Starting…</p>;
  return <Result runId={runId} nodeKey={nodeKey} store={opened.store} />;
}

function Result({ runId, nodeKey, store }: { readonly runId: string; readonly nodeKey: string; readonly store: RunStore }) {
  const node = useNodeView(store, nodeKey);
  const run = useRunView(store);
  const isOver = isSettled(node);
  const [{ data }, ask] = useQuery({
    query: NodePayloadsDocument,
    variables: { id: runId, key: nodeKey },
    requestPolicy: 'network-only',
    pause: true,
  });
  useEffect(() => {
    if (isOver) ask();
  }, [isOver, ask]);
  const error = node.error ?? run.error;
  return (
    <div className="trial" aria-live="polite">
      <StatusBadge status={node.status} />
      {error && (
        <Notice title={error.code}>
          <p>{error.message}</p>
        </Notice>
      )}
      {node.text !== '' && !isOver && <p className="trial-text">{node.text}</p>}
      {isOver && data?.run?.nodeRun && node.status === 'SUCCEEDED' && <JsonView value={data.run.nodeRun.output} label="Output" />}
    </div>
  );
}
