/** What happened when: nodes over time, one bar for each attempt, and the waits between them. */

import { type CSSProperties, memo } from 'react';
import { lookOf, StatusSign } from '../../parts/status';
import { formatDuration, useNow } from '../../parts/time';
import { useStore } from './run-context';
import { useRunView } from './run-store';
import { type Attempt, isFinished, isSettled, type NodeView } from './run-view';

const TICK_MS = 250;
const SHORTEST_MS = 1_000;
const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 18e5, 36e5, 216e5, 864e5];

interface TimelineProps {
  readonly names: ReadonlyMap<string, string>;
  readonly createdAt: string;
  readonly selected: string | null;
  readonly onSelect: (key: string) => void;
}

interface Span {
  readonly from: number;
  readonly until: number;
}

export function Timeline({ names, createdAt, selected, onSelect }: TimelineProps) {
  const view = useRunView(useStore());
  const isOver = isFinished(view);
  const now = useNow(TICK_MS, !isOver);
  const from = Date.parse(view.startedAt ?? createdAt);
  const last = isOver && view.finishedAt ? Date.parse(view.finishedAt) : Math.max(now, from + SHORTEST_MS);
  const span = { from, until: Math.max(last, from + 1) };
  const rows = [...view.nodes.values()].filter(({ startedAt }) => startedAt !== null).sort(byStart);
  if (rows.length === 0) return <p className="muted timeline-none">No node has started yet.</p>;
  return (
    <div className="timeline">
      <Scale span={span} />
      <ol>
        {rows.map((node) => (
          <li key={node.key}>
            <Row
              node={node}
              name={names.get(node.key) ?? node.key}
              from={span.from}
              // Only what is still at work grows with the clock; the scale moves for all.
              until={span.until}
              isSelected={selected === node.key}
              onSelect={onSelect}
            />
          </li>
        ))}
      </ol>
    </div>
  );
}

function byStart(one: NodeView, other: NodeView): number {
  return (one.startedAt ?? '').localeCompare(other.startedAt ?? '');
}

function Scale({ span }: { readonly span: Span }) {
  const length = span.until - span.from;
  const step = STEPS_MS.find((each) => length / each <= 6) ?? length / 4;
  const marks = Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
  return (
    <div className="timeline-scale" aria-hidden="true">
      <span />
      <div>
        {marks.map((mark) => (
          <span key={mark} style={{ left: `${(mark / length) * 100}%` }}>
            {mark === 0 ? '0' : formatDuration(mark)}
          </span>
        ))}
      </div>
    </div>
  );
}

interface RowProps {
  readonly node: NodeView;
  readonly name: string;
  readonly from: number;
  readonly until: number;
  readonly isSelected: boolean;
  readonly onSelect: (key: string) => void;
}

const Row = memo(({ node, name, from, until, isSelected, onSelect }: RowProps) => {
  const { word, tone } = lookOf(node.status);
  const end = isSettled(node) && node.finishedAt ? Date.parse(node.finishedAt) : until;
  const took = formatDuration(Math.max(0, end - Date.parse(node.startedAt ?? '')));
  const tries = node.attempts.length > 1 ? `, ${node.attempts.length} attempts` : '';
  return (
    <button
      type="button"
      className={`timeline-row tone-${tone}`}
      data-selected={isSelected}
      aria-pressed={isSelected}
      onClick={() => onSelect(node.key)}
    >
      <span className="timeline-name">
        <StatusSign status={node.status} size={12} />
        <span>{name}</span>
        <span className="visually-hidden">{`: ${word}${tries}, `}</span>
      </span>
      <span className="timeline-track">
        {node.attempts.map((attempt, index) => (
          <Bars key={attempt.number} attempt={attempt} isWaiting={node.status === 'WAITING'} next={node.attempts[index + 1]} end={end} from={from} until={until} />
        ))}
      </span>
      <span className="timeline-took">{took}</span>
    </button>
  );
});

interface BarsProps extends Span {
  readonly attempt: Attempt;
  /** Whether what is not over works at nothing now. */
  readonly isWaiting: boolean;
  readonly next: Attempt | undefined;
  readonly end: number;
}

function Bars({ attempt, isWaiting, next, end, from, until }: BarsProps) {
  const started = Date.parse(attempt.startedAt);
  const ended = attempt.endedAt ? Date.parse(attempt.endedAt) : end;
  const nextStart = next ? Date.parse(next.startedAt) : end;
  const place = (begin: number, finish: number): CSSProperties => ({
    left: `${((begin - from) / (until - from)) * 100}%`,
    width: `max(2px, ${((finish - begin) / (until - from)) * 100}%)`,
  });
  return (
    <>
      <i className={`bar bar-${(attempt.end ?? (isWaiting ? 'waiting' : 'open')).toLowerCase()}`} style={place(started, ended)} />
      {attempt.endedAt && nextStart > ended && <i className="bar bar-wait" style={place(ended, nextStart)} />}
    </>
  );
}
