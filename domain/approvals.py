"""Questions that runs ask people, and what is done with an answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from domain.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import ApprovalId, RunId, UserId, WorkflowId, WorkspaceId
    from domain.json_value import Json
    from domain.suspensions import Question


class ApprovalStatus(StrEnum):
    """Where a question is."""

    OPEN = "OPEN"
    ANSWERED = "ANSWERED"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True)
class Approval:
    """A question that a run asks, and its answer if there is one."""

    id: ApprovalId
    workspace_id: WorkspaceId
    workflow_id: WorkflowId
    run_id: RunId
    node_key: str
    item_index: int | None
    question: Question
    status: ApprovalStatus
    created_at: datetime
    action: str | None = None
    values: Json = None
    answered_by: UserId | None = None
    answered_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether an answer is still taken."""
        return self.status is ApprovalStatus.OPEN and now < self.question.until

    def is_asked(self, email: str | None) -> bool:
        """Whether the person with this address is among those who are asked."""
        return not self.question.assignees or email in self.question.assignees

    def check_open(self, now: datetime) -> None:
        """Check that an answer is still taken.

        Raises:
            Conflict: it was answered, ran out, or its run ended first.
        """
        if self.status is ApprovalStatus.ANSWERED:
            message = f"The question was answered already, with {self.action!r}."
            raise Conflict(message, path=["input", "approvalId"], changed_by=self.answered_by)
        if self.status is ApprovalStatus.CANCELED:
            raise Conflict("The run no longer waits for an answer to this question.", path=["input", "approvalId"])
        if not self.is_open(now):
            message = f"The question ran out at {self.question.until:%Y-%m-%d %H:%M:%S} UTC."
            raise Conflict(message, path=["input", "approvalId"])

    def check_action(self, action: str) -> None:
        """Check that an answer is one of those that were offered.

        Raises:
            InvalidInput: it is not.
        """
        if action not in self.question.actions:
            offered = ", ".join(self.question.actions)
            raise InvalidInput(
                f"The question has no action {action!r}; it offers: {offered}.", path=["input", "action"]
            )


@dataclass(frozen=True, slots=True)
class ApprovalQuery:
    """Which questions; all that is given must hold."""

    statuses: tuple[ApprovalStatus, ...] = ()
    workflow_ids: tuple[WorkflowId, ...] = ()
    run_id: RunId | None = None
    answerable: Answerable | None = None


@dataclass(frozen=True, slots=True)
class Answerable:
    """Those that a person may answer now, or those that the person may not."""

    is_wanted: bool
    email: str | None
    """The person's address; None = one who may answer nothing."""
    now: datetime


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What a person answered."""

    action: str
    values: Json
    by: UserId
    email: str | None
    at: datetime
