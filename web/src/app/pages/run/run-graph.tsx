/** The graph of a run: each node as it stands, and the way that the run took. */

import type { EdgeProps, EdgeTypes } from '@xyflow/react';
import { memo, useMemo } from 'react';
import { useQuery } from 'urql';
import { NodeTextDocument } from '../../generated/graphql';
import { CardFrame } from '../../graph/card';
import { type CardProps, GraphView, LinkPath, type StepEdge } from '../../graph/graph-view';
import { lookOf, StatusSign } from '../../parts/status';
import { Elapsed } from '../../parts/time';
import { textIn } from './panel';
import { useNodeOfRun, useRunFacts } from './run-context';
import { countWaiting } from './run-items';
import { isSettled, type NodeView, type OpenedRun } from './run-view';
import { WaitWord } from './waits';

/** What fits on a card; the rest is in the panel. */
const SHOWN_CHARACTERS = 90;

const RunCard = memo(({ step, isSelected }: CardProps) => {
  const node = useNodeOfRun(step.key);
  const { tone, word } = lookOf(node.status);
  return (
    <CardFrame
      step={step}
      isSelected={isSelected}
      tone={`tone-${tone} ${node.status === 'SKIPPED' || node.status === 'PENDING' ? 'step-idle' : 'step-toned'}`}
      sign={
        <span className="step-sign" data-status={node.status} title={word}>
          <StatusSign status={node.status} />
          <span className="visually-hidden">{word}</span>
        </span>
      }
      aside={<Aside node={node} />}
    >
      {node.itemCount !== null && <ItemBar node={node} />}
      {step.kind === 'LLM_CALL' && node.itemCount !== null && <NewestText node={node} />}
      {step.kind === 'LLM_CALL' && node.itemCount === null && <Written node={node} />}
      {node.error && step.kind !== 'LLM_CALL' && node.itemCount === null && <div className="step-error">{node.error.code}</div>}
    </CardFrame>
  );
});

function Aside({ node }: { readonly node: NodeView }) {
  const { status, attempt, startedAt, finishedAt, itemsDone, itemCount, items } = node;
  if (itemCount !== null || itemsDone !== null) {
    const waiting = countWaiting(items);
    return <span>{`${waiting > 0 ? `${waiting} waiting · ` : ''}${itemsDone ?? 0} / ${itemCount ?? '?'}`}</span>;
  }
  return (
    <span>
      {attempt > 1 && `#${attempt} `}
      <WaitWord node={node} />
      {startedAt && status !== 'WAITING' && <Elapsed from={startedAt} until={isSettled(node) ? finishedAt : null} />}
    </span>
  );
}

/** How many items are done; the words stand in the second line. */
function ItemBar({ node: { status, itemsDone, itemCount } }: { readonly node: NodeView }) {
  return (
    <div className={`step-items tone-${lookOf(status).tone}`} aria-hidden="true">
      <div className="progress">
        <div style={{ width: `${((itemsDone ?? 0) / Math.max(1, itemCount ?? 0)) * 100}%` }} />
      </div>
    </div>
  );
}

/** What one of the items writes that are at work. */
function NewestText({ node: { items } }: { readonly node: NodeView }) {
  const item = [...items.values()].findLast(({ text }) => text !== '');
  if (!item) return null;
  return (
    <div className="step-text">
      <span>
        {`${item.index}: …${item.text.slice(-SHOWN_CHARACTERS)}`}
        <i className="caret" />
      </span>
    </div>
  );
}

function Written({ node }: { readonly node: NodeView }) {
  const recorded = useRecordedText(node);
  if (node.status === 'FAILED' && node.error) return <div className="step-error">{node.error.code}</div>;
  const isReasoning = node.text === '' && node.reasoning !== '';
  const text = isReasoning ? node.reasoning : node.text || recorded;
  return (
    <div className="step-text" data-reasoning={isReasoning}>
      <span>
        {text.length > SHOWN_CHARACTERS && '…'}
        {text.slice(-SHOWN_CHARACTERS)}
        {node.status === 'RUNNING' && <i className="caret" />}
      </span>
    </div>
  );
}

/** What a node wrote before this page was opened; asked for where few enough nodes write. */
function useRecordedText(node: NodeView): string {
  const { runId, isRecallingTexts } = useRunFacts();
  const isWanted = isRecallingTexts && (node.status === 'SUCCEEDED' || node.status === 'REUSED') && node.text === '';
  const [{ data }] = useQuery({ query: NodeTextDocument, variables: { id: runId, key: node.key }, pause: !isWanted });
  return textIn(data?.run?.nodeRun?.output) ?? '';
}

const RunEdge = memo((props: EdgeProps<StepEdge>) => {
  const [source, target] = [useNodeOfRun(props.source), useNodeOfRun(props.target)];
  return <LinkPath {...props} className={`way ${wayOf(source, target)}`} />;
});

function wayOf(source: NodeView, target: NodeView): string {
  if (!isSettled(source)) return 'way-open';
  if (source.status === 'SKIPPED' || target.status === 'SKIPPED' || target.status === 'PENDING') return 'way-closed';
  return isSettled(target) ? 'way-taken' : 'way-taken way-live';
}

const EDGE_TYPES: EdgeTypes = { link: RunEdge as never };

interface RunGraphProps {
  readonly run: OpenedRun;
  readonly selected: string | null;
  readonly onSelect: (key: string | null) => void;
}

export function RunGraph({ run, selected, onSelect }: RunGraphProps) {
  const { nodes, edges } = run.graph;
  // Ports that no edge leaves from say nothing about a run.
  const steps = useMemo(() => nodes.map((node) => ({ ...node, ports: usedPorts(node.key, node.ports, edges) })), [nodes, edges]);
  return (
    <GraphView
      steps={steps}
      links={edges}
      card={RunCard}
      edgeTypes={EDGE_TYPES}
      selected={selected}
      onSelect={onSelect}
      label={`Graph of ${run.workflow.name}`}
    />
  );
}

function usedPorts(key: string, ports: readonly string[], edges: OpenedRun['graph']['edges']): readonly string[] {
  const used = new Set(edges.filter(({ source }) => source === key).map(({ sourcePort }) => sourcePort));
  return ports.filter((port) => used.has(port));
}
