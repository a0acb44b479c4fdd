"""A run as a state machine: `evolve` folds an event into the state, `decide` says what to do next.

No I/O, no clock, no randomness, and no values: only facts (which port, which error code). Expressions are evaluated
where the data is. The cost of an event is the degree of its node, never the size of the graph. Recovery is the same
fold over the stored log. Graph semantics: domain.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from domain.events import (
    Event,
    NodeCanceled,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    RunCanceled,
    RunCancelRequested,
    RunCrashed,
    RunFailed,
    RunRecovered,
    RunStarted,
    RunSucceeded,
)
from domain.run import NO_USAGE, Failure, NodeRunStatus, RunStatus, SkipReason, Usage
from domain.workflow import ErrorMode, FailurePolicy, JoinPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.errors import NodeFault
    from domain.plan import Plan


@dataclass(frozen=True, slots=True)
class StartNode:
    """Log NodeStarted with this execution, then run the node; or log NodeSkipped where its `when` is false."""

    index: int
    execution: int


@dataclass(frozen=True, slots=True)
class SkipNode:
    """Log NodeSkipped."""

    index: int
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class StopNode:
    """Stop the node's work, then log NodeCanceled; repeated until the node is settled."""

    index: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Log the end of the run; nothing is in flight."""

    status: RunStatus


Command: TypeAlias = StartNode | SkipNode | StopNode | Finish

_PENDING = NodeRunStatus.PENDING
_RUNNING = NodeRunStatus.RUNNING


@dataclass(slots=True)
class NodeProgress:
    """Where one node is."""

    status: NodeRunStatus = _PENDING
    edges_settled: int = 0
    edges_taken: int = 0
    is_behind_failure: bool = False
    execution: int = 0
    tries: int = 0
    first_started_at: datetime | None = None
    next_attempt_at: datetime | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class State:
    """Where a run is. Made by `begin`, changed by `evolve`, `wake`, `expire` and `give_up` alone."""

    plan: Plan
    nodes: list[NodeProgress]
    unsettled: int
    ready: dict[int, None] = field(default_factory=dict)
    """Nodes that may start, in the order in which they became ready."""
    to_skip: dict[int, SkipReason] = field(default_factory=dict)
    running: dict[int, None] = field(default_factory=dict)
    retrying: dict[int, datetime] = field(default_factory=dict)
    is_started: bool = False
    is_finished: bool = False
    is_canceling: bool = False
    is_stopping: bool = False
    """Whether nothing may start any more: the run failed fast, timed out or is being cancelled."""
    started_at: datetime | None = None
    failure: Failure | None = None
    usage: Usage = NO_USAGE
    recoveries: int = 0
    idle_recoveries: int = 0
    """Recoveries since a node last succeeded."""


def begin(plan: Plan) -> State:
    """Return the state of a run whose log is empty."""
    state = State(plan, [NodeProgress() for _ in plan.nodes], len(plan.nodes))
    for node in plan.nodes:
        if node.incoming_count == 0:
            state.ready[node.index] = None
    return state


def evolve(state: State, event: Event, at: datetime) -> None:
    """Fold an event, logged at `at`, into the state. Deltas and what only readers need are ignored."""
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(state, event, at)


def decide(state: State) -> list[Command]:
    """Return what has to be done now; the same commands again until events answer them."""
    if not state.is_started or state.is_finished:
        return []
    if state.is_stopping:
        return _wind_up(state)
    commands: list[Command] = [SkipNode(index, reason) for index, reason in state.to_skip.items()]
    room = state.plan.settings.max_parallel_nodes - len(state.running)
    for index in state.ready:
        if room <= 0:
            break
        room -= 1
        commands.append(StartNode(index, state.nodes[index].execution + 1))
    if state.unsettled == 0:
        commands.append(Finish(RunStatus.FAILED if state.failure else RunStatus.SUCCEEDED))
    return commands


def _wind_up(state: State) -> list[Command]:
    # A node whose backoff is over, or that a crash cut off, is ready again: it was started and has to be told its end.
    woken = [index for index in state.ready if state.nodes[index].execution]
    if state.running or state.retrying or woken:
        return [StopNode(index) for index in (*state.running, *state.retrying, *woken)]
    return [Finish(RunStatus.CANCELED if state.is_canceling else RunStatus.FAILED)]


def wake(state: State, index: int) -> None:
    """Tell that the backoff of a RETRYING node is over."""
    if state.retrying.pop(index, None) is not None:
        state.ready[index] = None


def expire(state: State) -> None:
    """Tell that the time of the whole run is over: everything stops and the run fails."""
    if not state.is_stopping:
        state.failure = Failure("TIMED_OUT", "The run took longer than its timeout allows.")
        state.is_stopping = True


def give_up(state: State) -> None:
    """Tell that nothing may start any more, for a reason that is the caller's."""
    state.is_stopping = True


def settle_failure(
    state: State, index: int, fault: NodeFault, random: float, at: datetime
) -> NodeRetrying | NodeFailed:
    """Return the event that answers a failed attempt: another attempt, or the node's failure.

    `random` is drawn from [0, 1); the delay it gives is recorded in the event and never drawn again.
    """
    progress, plan_node = state.nodes[index], state.plan.nodes[index]
    key, execution = plan_node.key, progress.execution
    failure = Failure(fault.code, fault.message, fault.is_retryable, key, None, execution)
    decision = plan_node.node.retry.decide(progress.tries, fault, random)
    if decision.delay_s is not None:
        next_at = at + timedelta(seconds=decision.delay_s)
        if not _is_too_late(state, index, next_at):
            return NodeRetrying(key, None, execution, failure, next_at)
    match plan_node.node.on_error.mode:
        case ErrorMode.STOP:
            ports: tuple[str, ...] = ()
        case ErrorMode.CONTINUE:
            ports = ("out",)
        case ErrorMode.BRANCH:
            ports = ("error",)
    return NodeFailed(key, None, execution, failure, ports)


def deadline(state: State, index: int) -> datetime | None:
    """Return when all attempts of the node together must have ended, None without such a limit."""
    limit_ms = state.plan.nodes[index].node.timeouts.schedule_to_close_ms
    first = state.nodes[index].first_started_at
    return None if limit_ms is None or first is None else first + timedelta(milliseconds=limit_ms)


def _is_too_late(state: State, index: int, next_at: datetime) -> bool:
    limit = deadline(state, index)
    return limit is not None and next_at >= limit


# ── one function for each event that changes the state ──


def _run_started(state: State, _event: RunStarted, at: datetime) -> None:
    state.is_started = True
    state.started_at = at


def _run_recovered(state: State, _event: RunRecovered, _at: datetime) -> None:
    state.recoveries += 1
    state.idle_recoveries += 1
    interrupted, state.running = state.running, {}
    for index in interrupted:
        # The attempt that was cut off is not the node's fault: it costs none of its tries.
        state.nodes[index].tries -= 1
        state.nodes[index].status = NodeRunStatus.RETRYING
    state.ready = dict.fromkeys((*interrupted, *state.ready))


def _cancel_requested(state: State, _event: RunCancelRequested, _at: datetime) -> None:
    state.is_canceling = True
    state.is_stopping = True


def _run_ended(state: State, _event: Event, _at: datetime) -> None:
    state.is_finished = True


def _node_started(state: State, event: NodeStarted, at: datetime) -> None:
    index = state.plan.index[event.node_key]
    progress = state.nodes[index]
    state.ready.pop(index, None)
    state.retrying.pop(index, None)
    state.running[index] = None
    progress.status = _RUNNING
    progress.execution = event.execution
    progress.tries += 1
    if progress.first_started_at is None:
        progress.first_started_at = at


def _node_retrying(state: State, event: NodeRetrying, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    state.running.pop(index, None)
    state.retrying[index] = event.next_attempt_at
    progress = state.nodes[index]
    progress.status = NodeRunStatus.RETRYING
    progress.next_attempt_at = event.next_attempt_at
    state.usage += event.usage


def _node_succeeded(state: State, event: NodeSucceeded, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    state.idle_recoveries = 0
    if event.usage is not NO_USAGE:
        state.usage += event.usage
    _settle(state, index, NodeRunStatus.SUCCEEDED)
    _take(state, index, event.ports)


def _node_failed(state: State, event: NodeFailed, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    state.usage += event.usage
    state.nodes[index].failure = event.failure
    _settle(state, index, NodeRunStatus.FAILED)
    if event.ports:
        _take(state, index, event.ports)
        return
    state.failure = state.failure or event.failure
    if state.plan.settings.failure_policy is FailurePolicy.FAIL_FAST:
        state.is_stopping = True
    _take(state, index, (), is_behind_failure=True)


def _node_skipped(state: State, event: NodeSkipped, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    _settle(state, index, NodeRunStatus.SKIPPED)
    _take(state, index, (), is_behind_failure=event.reason is SkipReason.UPSTREAM_FAILED)


def _node_canceled(state: State, event: NodeCanceled, _at: datetime) -> None:
    state.usage += event.usage
    _settle(state, state.plan.index[event.node_key], NodeRunStatus.CANCELED)


def _settle(state: State, index: int, status: NodeRunStatus) -> None:
    state.ready.pop(index, None)
    state.to_skip.pop(index, None)
    state.running.pop(index, None)
    state.retrying.pop(index, None)
    state.nodes[index].status = status
    state.unsettled -= 1


def _take(state: State, index: int, ports: tuple[str, ...], *, is_behind_failure: bool = False) -> None:
    for port, target in state.plan.nodes[index].outgoing:
        progress = state.nodes[target]
        progress.edges_settled += 1
        progress.edges_taken += port in ports
        progress.is_behind_failure = progress.is_behind_failure or is_behind_failure
        if progress.status is _PENDING and target not in state.ready:
            _reach(state, target)


def _reach(state: State, target: int) -> None:
    """Make a pending node ready, or one to be skipped, when its incoming edges say so."""
    progress, plan_node = state.nodes[target], state.plan.nodes[target]
    is_any = plan_node.node.join is JoinPolicy.ANY
    if is_any and progress.edges_taken:
        state.ready[target] = None
    elif progress.edges_settled == plan_node.incoming_count:
        if progress.edges_taken and not progress.is_behind_failure:
            state.ready[target] = None
        else:
            failed = progress.is_behind_failure
            state.to_skip[target] = SkipReason.UPSTREAM_FAILED if failed else SkipReason.NO_EDGE_TAKEN


_HANDLERS: dict[type[Event], Callable[[State, Event, datetime], None]] = {
    RunStarted: _run_started,
    RunRecovered: _run_recovered,
    RunCancelRequested: _cancel_requested,
    NodeStarted: _node_started,
    NodeRetrying: _node_retrying,
    NodeSucceeded: _node_succeeded,
    NodeFailed: _node_failed,
    NodeSkipped: _node_skipped,
    NodeCanceled: _node_canceled,
    RunSucceeded: _run_ended,
    RunFailed: _run_ended,
    RunCanceled: _run_ended,
    RunCrashed: _run_ended,
}  # pyright: ignore[reportAssignmentType] -- each handler takes the type it is listed under
