"""What is logged, and stored beside the log, when an attempt is suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.events import ApprovalRequested, NodeWaiting
from domain.ids import ApprovalId, RunId
from domain.ports.companions import NewApproval, NewSubRun
from domain.run import WaitReason
from domain.suspensions import Question, Room, SubRunCall, Until

if TYPE_CHECKING:
    from domain.events import Event
    from domain.ports.companions import Companion
    from runtime.execute import Suspended


def suspend(
    key: str, item: int | None, execution: int, outcome: Suspended
) -> tuple[list[Event], tuple[Companion, ...]]:
    """Return the events of an attempt that waits from now on, NodeWaiting first, and what is stored with them."""
    recorded, usage = outcome.input, outcome.usage
    match outcome.suspension:
        case Until(at):
            return [NodeWaiting(key, item, execution, WaitReason.TIMER, at, input=recorded, usage=usage)], ()
        case Room(until):
            return [NodeWaiting(key, item, execution, WaitReason.RATE_LIMIT, until, input=recorded, usage=usage)], ()
        case Question(until=until) as question:
            approval = ApprovalId(uuid7())
            waits = NodeWaiting(key, item, execution, WaitReason.APPROVAL, until, approval, input=recorded, usage=usage)
            asks = ApprovalRequested(key, item, execution, approval)
            return [waits, asks], (NewApproval(approval, key, item, execution, question),)
        case SubRunCall() as call:
            run = RunId(uuid7())
            waits = NodeWaiting(
                key, item, execution, WaitReason.SUB_RUN, None, sub_run=run, input=recorded, usage=usage
            )
            return [waits], (NewSubRun(run, key, item, call),)
