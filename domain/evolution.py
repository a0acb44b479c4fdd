"""How the events of a log change the state of a run: `evolve`, with one function for each type.

The cost of an event is the degree of its node, never the size of the graph or the length of a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.events import (
    Event,
    NodeCanceled,
    NodeExpanded,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunCancelRequested,
    RunCrashed,
    RunFailed,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    RunSucceeded,
    RunWaiting,
)
from domain.items import ItemList
from domain.run import NO_USAGE, Failure, NodeRunStatus, SkipReason, WaitReason
from domain.workflow import FailurePolicy, ItemErrorPolicy, JoinPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.items import Attempts
    from domain.run_state import State

MAX_EVENTS: Final = 100_000
"""How many events of a run may change its state; the next one fails it."""


def evolve(state: State, event: Event, at: datetime) -> None:
    """Fold an event, logged at `at`, into the state. Deltas and what only readers need are ignored."""
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(state, event, at)
        state.events += 1
        if state.events > MAX_EVENTS and not (state.is_stopping or state.is_finished):
            message = f"The run has logged {MAX_EVENTS:,} events, and no run may log more; split it into sub-runs."
            state.failure = Failure("TOO_MANY_EVENTS", message)
            state.is_stopping = True


# ── one function for each event that changes the state ──


def _run_started(state: State, _event: RunStarted, at: datetime) -> None:
    state.is_started = True
    state.started_at = at


def _run_recovered(state: State, _event: RunRecovered, _at: datetime) -> None:
    state.recoveries += 1
    state.idle_recoveries += 1
    interrupted, later, state.woken = [*state.running], state.woken, {}
    for slot in interrupted:
        state.halt(slot)
        state.attempts(slot).interrupted()
        state.make_ready(slot)
    state.woken |= later


def _run_waiting(state: State, _event: RunWaiting, _at: datetime) -> None:
    state.departures += 1
    state.is_away = True


def _run_paused(state: State, _event: RunPaused, _at: datetime) -> None:
    state.is_paused = True


def _run_resumed(state: State, _event: RunResumed, _at: datetime) -> None:
    state.is_away = state.is_paused = False
    state.resumptions += 1


def _cancel_requested(state: State, _event: RunCancelRequested, _at: datetime) -> None:
    state.is_canceling = True
    state.is_stopping = True


def _run_ended(state: State, _event: Event, _at: datetime) -> None:
    state.is_finished = True


def _node_started(state: State, event: NodeStarted, at: datetime) -> None:
    slot = state.plan.slot_of(event)
    if event.item_index is None:
        state.ready.pop(slot, None)
        state.woken.pop(slot, None)
        attempts: Attempts = state.nodes[slot]
    else:
        index = state.plan.index[event.node_key]
        attempts = state.lists[index].start(event.item_index)
        state.items_running += 1
        state.look(index)
    state.retrying.pop(slot, None)
    state.waiting.pop(slot, None)
    state.running[slot] = None
    attempts.started(event.execution, at)


def _node_expanded(state: State, event: NodeExpanded, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    each = state.plan.nodes[index].node.for_each
    assert each is not None  # noqa: S101 -- nobody else logs it
    state.halt(index)
    reused = {item for item in state.reused.get(index, ()) if item < event.item_count}
    state.lists[index] = ItemList(event.item_count, each.max_parallel_items, reused)
    state.look(index)


def _node_retrying(state: State, event: NodeRetrying, _at: datetime) -> None:
    slot = state.plan.slot_of(event)
    state.halt(slot)
    state.retrying[slot] = event.next_attempt_at
    attempts = state.attempts(slot)
    attempts.status = NodeRunStatus.RETRYING
    attempts.next_attempt_at = event.next_attempt_at
    state.usage += event.usage


def _node_waiting(state: State, event: NodeWaiting, _at: datetime) -> None:
    slot = state.plan.slot_of(event)
    state.halt(slot)
    state.waiting[slot] = event
    attempts = state.attempts(slot)
    attempts.status = NodeRunStatus.WAITING
    if event.reason is WaitReason.RATE_LIMIT:
        attempts.tries -= 1  # it has done nothing yet, and is begun again
    state.usage += event.usage


def _node_succeeded(state: State, event: NodeSucceeded, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    state.idle_recoveries = 0
    if event.usage is not NO_USAGE:
        state.usage += event.usage
    if event.item_index is not None:
        _settle_item(state, index, event.item_index)
        return
    _settle(state, index, NodeRunStatus.SUCCEEDED)
    _take(state, index, event.ports)


def _node_failed(state: State, event: NodeFailed, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    state.usage += event.usage
    if event.item_index is not None:
        each = state.plan.nodes[index].node.for_each
        is_fatal = each is None or each.on_item_error is ItemErrorPolicy.FAIL
        _settle_item(state, index, event.item_index, event.failure if is_fatal else None)
        return
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


def _node_reused(state: State, event: NodeReused, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    if event.item_index is not None:
        state.reused.setdefault(index, set()).add(event.item_index)
        return
    state.nodes[index].failure = event.failure
    _settle(state, index, NodeRunStatus.REUSED)
    _take(state, index, event.ports)


def _node_canceled(state: State, event: NodeCanceled, _at: datetime) -> None:
    index = state.plan.index[event.node_key]
    state.usage += event.usage
    if event.item_index is not None:
        _settle_item(state, index, event.item_index)
        return
    _settle(state, index, NodeRunStatus.CANCELED)


def _settle_item(state: State, index: int, item: int, failure: Failure | None = None) -> None:
    state.halt(state.plan.slot(index, item))
    state.lists[index].end(item, failure)
    state.look(index)


def _settle(state: State, index: int, status: NodeRunStatus) -> None:
    state.halt(index)
    state.ready.pop(index, None)
    state.woken.pop(index, None)
    state.to_skip.pop(index, None)
    if state.lists:
        state.lists.pop(index, None)
        state.due.pop(index, None)
    state.nodes[index].status = status
    state.unsettled -= 1


def _take(state: State, index: int, ports: tuple[str, ...], *, is_behind_failure: bool = False) -> None:
    for port, target in state.plan.nodes[index].outgoing:
        progress = state.nodes[target]
        progress.edges_settled += 1
        progress.edges_taken += port in ports
        progress.is_behind_failure = progress.is_behind_failure or is_behind_failure
        if progress.status is NodeRunStatus.PENDING and target not in state.ready:
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
    RunWaiting: _run_waiting,
    RunPaused: _run_paused,
    RunResumed: _run_resumed,
    RunCancelRequested: _cancel_requested,
    NodeStarted: _node_started,
    NodeExpanded: _node_expanded,
    NodeRetrying: _node_retrying,
    NodeWaiting: _node_waiting,
    NodeSucceeded: _node_succeeded,
    NodeFailed: _node_failed,
    NodeSkipped: _node_skipped,
    NodeReused: _node_reused,
    NodeCanceled: _node_canceled,
    RunSucceeded: _run_ended,
    RunFailed: _run_ended,
    RunCanceled: _run_ended,
    RunCrashed: _run_ended,
}  # pyright: ignore[reportAssignmentType] -- each handler takes the type it is listed under
