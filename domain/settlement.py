"""How a failed attempt of a node is answered: another attempt, or the node's failure; and until when there may be one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from domain.events import NodeFailed, NodeRetrying
from domain.run import Failure
from domain.workflow import ErrorMode

if TYPE_CHECKING:
    from datetime import datetime

    from domain.errors import NodeFault
    from domain.schedule import State


def settle_failure(state: State, slot: int, fault: NodeFault, random: float, at: datetime) -> NodeRetrying | NodeFailed:
    """Return the event that answers a failed attempt: another attempt, or the failure of the node (or item).

    `random` is drawn from [0, 1); the delay it gives is recorded in the event and never drawn again.
    """
    attempts, (index, item) = state.attempts(slot), state.plan.place(slot)
    node, execution = state.plan.nodes[index].node, attempts.execution
    failure = Failure(fault.code, fault.message, fault.is_retryable, node.key, item, execution)
    decision = node.retry.decide(attempts.tries, fault, random)
    if decision.delay_s is not None:
        next_at = at + timedelta(seconds=decision.delay_s)
        if not _is_too_late(state, slot, next_at):
            return NodeRetrying(node.key, item, execution, failure, next_at)
    if item is not None:  # what that means for the node is decided when the item's end is known
        return NodeFailed(node.key, item, execution, failure)
    return NodeFailed(node.key, None, execution, failure, _ports_behind_failure(node.on_error.mode))


def failed_list(state: State, index: int, failure: Failure) -> NodeFailed:
    """Return the end of a node that fails with one of its items."""
    node = state.plan.nodes[index].node
    return NodeFailed(node.key, None, state.nodes[index].execution, failure, _ports_behind_failure(node.on_error.mode))


def deadline(state: State, slot: int) -> datetime | None:
    """Return when all attempts of the node (or item) together must have ended, None without such a limit."""
    limit_ms = state.plan.nodes[state.plan.place(slot)[0]].node.timeouts.schedule_to_close_ms
    first = state.attempts(slot).first_started_at
    return None if limit_ms is None or first is None else first + timedelta(milliseconds=limit_ms)


def _ports_behind_failure(mode: ErrorMode) -> tuple[str, ...]:
    match mode:
        case ErrorMode.STOP:
            return ()
        case ErrorMode.CONTINUE:
            return ("out",)
        case ErrorMode.BRANCH:
            return ("error",)


def _is_too_late(state: State, slot: int, next_at: datetime) -> bool:
    limit = deadline(state, slot)
    return limit is not None and next_at >= limit
