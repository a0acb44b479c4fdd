/** Beside the graph: the node that is chosen, what it was given, and what came of it. */

import { type ReactNode, useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { NodePayloadsDocument } from '../../generated/graphql';
import { titleOfKind } from '../../graph/kinds';
import { RequestError } from '../../parts/errors';
import { StatusBadge } from '../../parts/status';
import { Tabs } from '../../parts/tabs';
import { Elapsed, formatDuration } from '../../parts/time';
import { Items } from './items/items';
import { Result } from './node-result';
import { Failure, Payload } from './panel';
import { useNodeOfRun } from './run-context';
import { isSettled, type NodeView, type OpenedRun } from './run-view';
import { tellUsage } from './usage';

type NodeTab = 'items' | 'result' | 'input' | 'attempts';

interface NodePanelProps {
  readonly run: OpenedRun;
  readonly nodeKey: string;
  readonly onClose: () => void;
  /** What one can do with the node, such as to run again from it. */
  readonly actions?: ReactNode;
}

export function NodePanel({ run, nodeKey, onClose, actions }: NodePanelProps) {
  const node = useNodeOfRun(nodeKey);
  const step = run.graph.nodes.find(({ key }) => key === nodeKey);
  const hasItems = node.itemCount !== null || node.itemsDone !== null;
  const [chosen, setTab] = useState<NodeTab | null>(null);
  const tab = chosen ?? (hasItems ? 'items' : 'result');
  const [{ data, error, fetching }, ask] = useQuery({ query: NodePayloadsDocument, variables: { id: run.id, key: nodeKey }, requestPolicy: 'cache-and-network' });
  const isOver = isSettled(node);
  useEffect(() => {
    if (isOver || node.subRunId !== null) ask({ requestPolicy: 'network-only' });
  }, [isOver, node.subRunId, ask]);
  const recorded = data?.run?.nodeRun;
  // What failed attempts have used comes with no event.
  const usage = (isOver && recorded?.usage) || node.usage;
  const tabs: readonly { readonly name: NodeTab; readonly title: string }[] = [
    ...(hasItems ? [{ name: 'items', title: `Items (${node.itemCount ?? '?'})` } as const] : []),
    { name: 'result', title: 'Result' },
    { name: 'input', title: 'Input' },
    { name: 'attempts', title: `Attempts (${node.attempts.length})` },
  ];
  return (
    <section className="panel" aria-label={`Node ${step?.name ?? nodeKey}`}>
      <div className="panel-head">
        <div>
          <h2>{step?.name ?? nodeKey}</h2>
          <p className="muted small">
            {step && titleOfKind(step.kind)} · <code>{nodeKey}</code>
            {usage.totalTokens > 0 && ` · ${tellUsage(usage)}`}
          </p>
        </div>
        <StatusBadge status={node.status} />
        <button type="button" className="button quiet icon" aria-label="Back to the run" onClick={onClose}>
          ✕
        </button>
      </div>
      {actions}
      <Tabs label="The node" tabs={tabs} selected={tab} onSelect={setTab}>
        {error && <RequestError error={error} />}
        {tab === 'input' && <Payload label="Input" value={recorded?.input} none={node.attempt === 0 ? 'It has not started.' : 'No input is recorded yet.'} />}
        {tab === 'attempts' && <Attempts node={node} />}
        {tab === 'result' && <Result run={run} kind={step?.kind} node={node} recorded={recorded} isFetching={fetching} />}
        {tab === 'items' && <Items run={run} node={node} />}
      </Tabs>
    </section>
  );
}

function Attempts({ node }: { readonly node: NodeView }) {
  if (node.attempts.length === 0) return <p className="muted">It has not started.</p>;
  return (
    <ol className="attempts">
      {node.attempts.map(({ number, startedAt, endedAt, end, error }) => (
        <li key={number}>
          <div className="attempt-line">
            <strong>Attempt {number}</strong>
            <span className="muted">{tellEnd(end)}</span>
            <span className="muted">
              {endedAt ? formatDuration(Date.parse(endedAt) - Date.parse(startedAt)) : <Elapsed from={startedAt} until={null} />}
            </span>
          </div>
          {error && <Failure error={error} />}
        </li>
      ))}
    </ol>
  );
}

function tellEnd(end: NodeView['attempts'][number]['end']): string {
  const words = { SUCCEEDED: 'succeeded', FAILED: 'failed', CANCELED: 'canceled', LOST: 'lost with its server; begun anew' };
  return end === null ? 'at work' : words[end];
}
