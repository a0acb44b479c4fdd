/** What a node or a run waits for, and until when. */

import { Link } from 'wouter';
import type { RunLinkFragment } from '../../generated/graphql';
import { StatusBadge } from '../../parts/status';
import { Elapsed, Instant, Left } from '../../parts/time';
import type { NodeView, Waiting } from './run-view';

const AWAITED: Readonly<Record<Waiting['reason'], string>> = {
  TIMER: 'It waits until',
  APPROVAL: 'It waits for a person’s answer, at the latest until',
  SUB_RUN: 'It waits for the run that it called, at the latest until',
  RATE_LIMIT: 'It waits for room under a rate limit, until',
};

export function WaitNote({ waiting: { reason, until } }: { readonly waiting: Waiting }) {
  const told = AWAITED[reason] ?? 'It waits until';
  if (until === null) return <p className="muted">{told.replace(/,?( at the latest)? until$/, '')}.</p>;
  return (
    <p className="muted">
      {told} <Instant at={until} />.
    </p>
  );
}

/** The same in two words, where there is no room. */
export function WaitWord({ node: { waiting } }: { readonly node: NodeView }) {
  if (!waiting) return null;
  if (waiting.reason === 'APPROVAL') return <span>asks</span>;
  if (waiting.reason === 'SUB_RUN') return <span>called</span>;
  return waiting.until === null ? null : <Left until={waiting.until} />;
}

/** The way to a run that was called. */
export function RunLink({ run, note = run.id }: { readonly run: RunLinkFragment; readonly note?: string }) {
  return (
    <Link href={`/runs/${run.id}`} className="row row-link">
      <span className="row-main">
        <span className="row-title">{run.workflow.name}</span>
        <span className="muted small row-note">{note}</span>
      </span>
      <span className="muted small">{run.startedAt && <Elapsed from={run.startedAt} until={run.finishedAt} />}</span>
      <StatusBadge status={run.status} />
    </Link>
  );
}
