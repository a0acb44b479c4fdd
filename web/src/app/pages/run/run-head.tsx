/** Above the graph: which run it is, how far it is, and what one can do with it. */

import { Link } from 'wouter';
import { CopyButton } from '../../parts/json-view';
import { lookOf, StatusBadge } from '../../parts/status';
import { Ago, Elapsed, Instant } from '../../parts/time';
import { useTitle } from '../../parts/title';
import { DeleteButton } from './delete-run';
import { LinkState } from './link-state';
import { CancelButton, PauseButton } from './run-actions';
import { useStore } from './run-context';
import { useRunView } from './run-store';
import { isFinished, isSettled, type OpenedRun, type RunView } from './run-view';
import { sumOf, tellUsage } from './usage';
import { pathOf } from './use-chosen';
import type { FollowedRun } from './use-run';

interface HeadProps {
  readonly run: OpenedRun;
  readonly followed: FollowedRun;
  readonly onRerun: (hasFailed: boolean) => void;
}

export function RunHead({ run, followed, onRerun }: HeadProps) {
  const view = useRunView(useStore());
  return (
    <header className="run-head">
      <div className="run-name">
        <h1>
          <Link href={`/workflows/${run.workflow.id}`}>{run.workflow.name}</Link>
        </h1>
        <p className="muted small">
          <code>{run.id}</code> · <Ago at={run.createdAt} />
          {run.parent && <CalledBy parent={run.parent} parentNodeKey={run.parentNodeKey} />}
        </p>
      </div>
      <StatusBadge status={view.status} />
      <Progress run={run} view={view} />
      <Facts view={view} />
      <LinkState link={followed.link} onReopen={followed.reopen} />
      <div className="actions end run-actions">
        <CopyButton text={() => window.location.href} what="Link" title="Copy link" />
        {isFinished(view) && (
          <button type="button" className="button" onClick={() => onRerun(view.status !== 'SUCCEEDED')}>
            Run again…
          </button>
        )}
        {/* A called run goes with the one that called it. */}
        {isFinished(view) && !run.parent && <DeleteButton runId={run.id} />}
        {!isFinished(view) && view.status !== 'CANCELING' && <PauseButton key={view.status} runId={run.id} isPaused={view.status === 'PAUSED'} />}
        {!isFinished(view) && <CancelButton runId={run.id} isCanceling={view.status === 'CANCELING'} />}
      </div>
    </header>
  );
}

interface CalledByProps {
  readonly parent: NonNullable<OpenedRun['parent']>;
  readonly parentNodeKey: string | null;
}

function CalledBy({ parent, parentNodeKey }: CalledByProps) {
  return (
    <>
      {' '}
      · called by{' '}
      <Link href={pathOf(parent.id, parentNodeKey)}>
        {parent.workflow.name}
        {parentNodeKey && `, node “${parentNodeKey}”`}
      </Link>
    </>
  );
}

function Progress({ run, view }: { readonly run: OpenedRun; readonly view: RunView }) {
  const nodes = [...view.nodes.values()];
  const done = nodes.filter(isSettled).length;
  const { word, tone } = lookOf(view.status);
  useTitle(`${word} ${done}/${nodes.length} · ${run.workflow.name}`);
  return (
    <div className={`run-progress tone-${tone}`}>
      <div className="progress" role="progressbar" aria-label="Nodes settled" aria-valuemin={0} aria-valuemax={nodes.length} aria-valuenow={done}>
        <div style={{ width: `${(done / Math.max(1, nodes.length)) * 100}%` }} />
      </div>
      <span className="muted small">{`${done} of ${nodes.length} nodes`}</span>
    </div>
  );
}

function Facts({ view }: { readonly view: RunView }) {
  // Before the end only what the nodes have told of is known.
  const usage = view.usage ?? sumOf([...view.nodes.values()].map((node) => node.usage));
  return (
    <>
      {view.startedAt && (
        <span className="muted small">
          <Elapsed from={view.startedAt} until={view.finishedAt} />
        </span>
      )}
      {usage.totalTokens > 0 && <span className="muted small">{tellUsage(usage)}</span>}
      {view.status === 'PAUSED' && <span className="muted small">{`nothing new starts${view.pausedBy ? `; paused by ${view.pausedBy}` : ''}`}</span>}
      {view.wakesAt && (
        <span className="muted small">
          goes on by itself at <Instant at={view.wakesAt} />
        </span>
      )}
      {view.recoveries > 0 && (
        <span className="badge tone-reused" title="Another process took the run over; what was settled was kept.">
          {view.recoveries === 1 ? 'Recovered' : `Recovered ${view.recoveries} times`}
        </span>
      )}
    </>
  );
}
