"""What a workspace has used of models, summed for people who pay for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from domain.errors import InvalidInput, LimitExceeded

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import WorkflowId
    from domain.run import Usage

MAX_BUCKETS: Final = 1_000


class UsageGroup(StrEnum):
    """What a bucket of usage stands for."""

    DAY = "DAY"
    WORKFLOW = "WORKFLOW"
    MODEL = "MODEL"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Which usage: not before `begin`, before `end`."""

    begin: datetime
    end: datetime
    group: UsageGroup = UsageGroup.DAY


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """Usage of one day, workflow or model; `key` is its date, slug or name."""

    key: str
    run_count: int
    usage: Usage
    workflow_id: WorkflowId | None = None
    """The workflow, where usage is grouped by workflows and it still exists."""


def check_usage_query(query: UsageQuery) -> UsageQuery:
    """Return the query.

    Raises:
        InvalidInput: it ends before it begins.
        LimitExceeded: it has more days than are shown.
    """
    if query.end < query.begin:
        raise InvalidInput("The span of time ends before it begins.", path=["until"])
    days = (query.end - query.begin) / timedelta(days=1)
    if query.group is UsageGroup.DAY and days > MAX_BUCKETS - 1:
        message = f"A span of {days:.0f} days has too many; ask for at most {MAX_BUCKETS - 1}."
        raise LimitExceeded(message, limit=MAX_BUCKETS - 1, actual=int(days), path=["until"])
    return query
