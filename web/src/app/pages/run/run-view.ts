/** What a page knows of a run: the snapshot, and every event since folded into it. Pure. */

import type { EventFieldsFragment, FailureFragment, NodeRunStatus, OpenRunQuery, RunStatus, UsageFieldsFragment, WaitReason } from '../../generated/graphql';
import { foldItem, type ItemView, waitingItems } from './run-items';
import { NO_USAGE } from './usage';

export type OpenedRun = NonNullable<OpenRunQuery['run']>;
/** An event; a server that is newer than this page may send types that it does not know. */
export type RunEvent = EventFieldsFragment;
export type NodeEvent = Extract<RunEvent, { readonly nodeKey: string }>;
type Delta = Extract<RunEvent, { readonly __typename: 'NodeOutputDelta' }>;

export interface Attempt {
  readonly number: number;
  readonly startedAt: string;
  /** Null while it works. */
  readonly endedAt: string | null;
  /** How it ended; `LOST` with the process that worked on it. */
  readonly end: 'SUCCEEDED' | 'FAILED' | 'CANCELED' | 'LOST' | null;
  readonly error: FailureFragment | null;
}

export interface NodeView {
  readonly key: string;
  readonly status: NodeRunStatus;
  readonly attempt: number;
  /** What the current attempt has written. */
  readonly text: string;
  readonly reasoning: string;
  readonly error: FailureFragment | null;
  readonly usage: UsageFieldsFragment;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly nextAttemptAt: string | null;
  readonly skipReason: string | null;
  readonly itemCount: number | null;
  readonly itemsDone: number | null;
  /** The items at work, as far as they have shown themselves. */
  readonly items: ReadonlyMap<number, ItemView>;
  /** What it waits for, while it does. */
  readonly waiting: Waiting | null;
  /** The id of the run that it called last. */
  readonly subRunId: string | null;
  readonly attempts: readonly Attempt[];
}

export interface Waiting {
  readonly reason: WaitReason;
  readonly until: string | null;
}

export interface RunView {
  readonly id: string;
  readonly status: RunStatus;
  /** The number of the last event; 0 where only the snapshot is known. */
  readonly seq: number;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly error: FailureFragment | null;
  readonly usage: UsageFieldsFragment | null;
  readonly recoveries: number;
  /** When a run that waits goes on by itself. */
  readonly wakesAt: string | null;
  /** Who paused it, where the log has told since the page was opened. */
  readonly pausedBy: string | null;
  /** How many questions and answers the log has told of since the page was opened. */
  readonly asked: number;
  readonly nodes: ReadonlyMap<string, NodeView>;
}

/** A piece begins behind the end of what is known: the page has to read the snapshot again. */
export class StreamGap extends Error {}

const FINISHED: ReadonlySet<RunStatus> = new Set<RunStatus>(['SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED']);
const SETTLED: ReadonlySet<NodeRunStatus> = new Set<NodeRunStatus>(['SUCCEEDED', 'FAILED', 'SKIPPED', 'CANCELED', 'REUSED']);

const QUESTIONS: ReadonlySet<string> = new Set(['ApprovalRequested', 'ApprovalAnswered']);

export function isFinished({ status }: Pick<RunView, 'status'>): boolean {
  return FINISHED.has(status);
}

export function isSettled({ status }: Pick<NodeView, 'status'>): boolean {
  return SETTLED.has(status);
}

export function openView(run: OpenedRun): RunView {
  const isOver = FINISHED.has(run.snapshot.status);
  return {
    id: run.id,
    status: run.snapshot.status,
    seq: 0,
    startedAt: run.startedAt,
    // Where the snapshot is of the time before the end, the end comes as an event.
    finishedAt: isOver ? run.finishedAt : null,
    error: isOver ? run.error : null,
    usage: isOver ? run.usage : null,
    recoveries: 0,
    wakesAt: null,
    pausedBy: null,
    asked: 0,
    nodes: new Map(run.snapshot.nodes.map((state) => [state.key, openNode(state)])),
  };
}

type NodeState = OpenedRun['snapshot']['nodes'][number];

function openNode(state: NodeState): NodeView {
  const { key, status, attempt, error, startedAt, finishedAt, itemCount, itemsDone, waiting } = state;
  return {
    ...newNode(key),
    status,
    attempt,
    error,
    startedAt,
    finishedAt,
    itemCount,
    itemsDone,
    items: waitingItems(state.itemsWaiting ?? []),
    waiting: waiting && { reason: waiting.reason, until: waiting.until },
    subRunId: waiting?.subRun?.id ?? null,
    text: state.partialText ?? '',
    reasoning: state.partialReasoning ?? '',
    usage: state.usage,
    attempts: attempt > 0 && startedAt ? [attemptOf(state, startedAt)] : [],
  };
}

const ENDS: Partial<Record<NodeRunStatus, Attempt['end']>> = {
  SUCCEEDED: 'SUCCEEDED',
  FAILED: 'FAILED',
  RETRYING: 'FAILED',
  CANCELED: 'CANCELED',
};

/** The snapshot knows the first start and the last end: of several attempts, the log tells more. */
function attemptOf({ attempt, status, finishedAt, error }: NodeState, startedAt: string): Attempt {
  const end = ENDS[status] ?? null;
  return { number: attempt, startedAt, endedAt: finishedAt, end, error: end === 'FAILED' ? error : null };
}

const NO_ITEMS: ReadonlyMap<number, ItemView> = new Map();

export function newNode(key: string): NodeView {
  return {
    key,
    status: 'PENDING',
    attempt: 0,
    text: '',
    reasoning: '',
    error: null,
    usage: NO_USAGE,
    startedAt: null,
    finishedAt: null,
    nextAttemptAt: null,
    skipReason: null,
    itemCount: null,
    itemsDone: null,
    items: NO_ITEMS,
    waiting: null,
    subRunId: null,
    attempts: [],
  };
}

/** Fold events in, those that were seen already aside; throws `StreamGap`. Nodes that nothing happened to stay the same objects. */
export function fold(view: RunView, events: readonly RunEvent[]): RunView {
  const fresh = events.filter(({ seq }) => seq > view.seq);
  if (fresh.length === 0) return view;
  const nodes = new Map(view.nodes);
  let run: RunView = { ...view, nodes };
  for (const event of fresh) {
    if ('nodeKey' in event) {
      const node = nodes.get(event.nodeKey);
      if (node) nodes.set(event.nodeKey, foldNode(node, event));
      if (QUESTIONS.has(event.__typename)) run = { ...run, asked: run.asked + 1 };
    } else {
      run = foldRun({ ...run, wakesAt: null, pausedBy: null }, event, nodes);
    }
    run = { ...run, seq: event.seq };
  }
  return run;
}

function foldRun(run: RunView, event: RunEvent, nodes: Map<string, NodeView>): RunView {
  const end = { finishedAt: event.at };
  switch (event.__typename) {
    case 'RunQueued':
      return { ...run, status: 'QUEUED' };
    case 'RunStarted':
      return { ...run, status: 'RUNNING', startedAt: event.at };
    case 'RunWaiting':
      return { ...run, status: 'WAITING', wakesAt: event.until };
    case 'RunPaused':
      return { ...run, status: 'PAUSED', pausedBy: event.by?.name ?? null };
    case 'RunResumed':
      // What was paused in the queue is there again.
      return { ...run, status: run.startedAt === null ? 'QUEUED' : 'RUNNING' };
    case 'RunRecovered':
      for (const key of event.restartedNodeKeys) {
        const node = nodes.get(key);
        if (node) nodes.set(key, { ...node, attempts: closed(node.attempts, event.at, 'LOST', null) });
      }
      return { ...run, status: 'RUNNING', recoveries: run.recoveries + 1 };
    case 'RunCancelRequested':
      return { ...run, status: 'CANCELING' };
    case 'RunSucceeded':
      return { ...run, ...end, status: 'SUCCEEDED', usage: event.usage };
    case 'RunFailed':
      return { ...run, ...end, status: 'FAILED', error: event.error };
    case 'RunCrashed':
      return { ...run, ...end, status: 'CRASHED', error: event.error };
    case 'RunCanceled':
      return { ...run, ...end, status: 'CANCELED' };
    default:
      return run;
  }
}

function foldNode(before: NodeView, event: NodeEvent): NodeView {
  const node = foldOwn(before, event);
  return node.status === 'WAITING' || node.waiting === null ? node : { ...node, waiting: null };
}

function foldOwn(before: NodeView, event: NodeEvent): NodeView {
  if (event.itemIndex !== null) return foldItem(before, event.itemIndex, event);
  if (event.attempt < before.attempt) return before;
  const node = event.attempt > before.attempt ? beginAttempt(before, event) : before;
  const settled = { finishedAt: event.at, nextAttemptAt: null, items: NO_ITEMS };
  switch (event.__typename) {
    case 'NodeStarted':
      return { ...node, status: 'RUNNING', nextAttemptAt: null };
    case 'NodeExpanded':
      return { ...node, status: 'RUNNING', itemCount: event.itemCount, itemsDone: node.itemsDone ?? 0 };
    case 'NodeProgressed':
      return { ...node, itemsDone: event.itemsDone, itemCount: event.itemCount ?? node.itemCount };
    case 'NodeOutputDelta':
      return spliceDelta(node, event);
    case 'NodeWaiting': {
      const { reason, until, subRun } = event;
      return { ...node, status: 'WAITING', waiting: { reason, until }, subRunId: subRun?.id ?? node.subRunId };
    }
    case 'NodeRetrying': {
      // The next attempt writes anew, so what this one wrote is void.
      const { error, nextAttemptAt } = event;
      const attempts = closed(node.attempts, event.at, 'FAILED', error);
      return { ...node, status: 'RETRYING', error, nextAttemptAt, text: '', reasoning: '', attempts };
    }
    case 'NodeSucceeded': {
      const attempts = closed(node.attempts, event.at, 'SUCCEEDED', null);
      return { ...node, ...settled, status: 'SUCCEEDED', error: null, usage: event.usage, attempts };
    }
    case 'NodeFailed':
      return { ...node, ...settled, status: 'FAILED', error: event.error, attempts: closed(node.attempts, event.at, 'FAILED', event.error) };
    case 'NodeSkipped':
      return { ...node, ...settled, status: 'SKIPPED', skipReason: event.skipReason };
    case 'NodeReused':
      return { ...node, ...settled, status: 'REUSED' };
    case 'NodeCanceled':
      return { ...node, ...settled, status: 'CANCELED', attempts: closed(node.attempts, event.at, 'CANCELED', null) };
    default:
      return node;
  }
}

function beginAttempt(node: NodeView, { attempt, at }: NodeEvent): NodeView {
  const attempts = [...closed(node.attempts, at, 'LOST', null), { number: attempt, startedAt: at, endedAt: null, end: null, error: null }];
  return { ...node, attempt, attempts, text: '', reasoning: '', startedAt: node.startedAt ?? at };
}

function closed(attempts: readonly Attempt[], at: string, end: Attempt['end'], error: FailureFragment | null): readonly Attempt[] {
  const last = attempts.at(-1);
  return last && last.end === null ? [...attempts.slice(0, -1), { ...last, endedAt: at, end, error }] : attempts;
}

function spliceDelta(node: NodeView, { channel, text, offset }: Delta): NodeView {
  if (channel === 'TEXT') return { ...node, text: splice(node.text, text, offset, node.key) };
  return { ...node, reasoning: splice(node.reasoning, text, offset, node.key) };
}

/** Put a piece in its place: offsets count UTF-16 code units, as JavaScript does. */
function splice(text: string, piece: string, offset: number, key: string): string {
  if (offset > text.length) throw new StreamGap(`A piece of “${key}” begins at ${offset}, the text ends at ${text.length}.`);
  return text.slice(0, offset) + piece;
}

/** Complete the attempts of a view that began with a snapshot by what the log tells of the time before. */
export function withHistory(view: RunView, log: readonly RunEvent[]): RunView {
  const blank: RunView = { ...view, seq: 0, nodes: new Map([...view.nodes.keys()].map((key) => [key, newNode(key)])) };
  // Finished runs keep their texts merged or not at all: attempts need none.
  const told = fold(blank, log.filter(({ __typename }) => __typename !== 'NodeOutputDelta'));
  const nodes = new Map(
    [...view.nodes].map(([key, node]) => [key, { ...node, attempts: merged(told.nodes.get(key)?.attempts ?? [], node.attempts) }]),
  );
  return { ...view, recoveries: Math.max(view.recoveries, told.recoveries), nodes };
}

function merged(earlier: readonly Attempt[], later: readonly Attempt[]): readonly Attempt[] {
  const byNumber = new Map(earlier.map((attempt) => [attempt.number, attempt]));
  for (const attempt of later) {
    const known = byNumber.get(attempt.number);
    if (!known) byNumber.set(attempt.number, attempt);
    // The log up to the snapshot knows better what it saw end; what ended since, only the view knows.
    else if (known.end === null) byNumber.set(attempt.number, { ...attempt, startedAt: known.startedAt });
  }
  return [...byNumber.values()].sort((one, other) => one.number - other.number);
}
