"""What editors that are open at once are told of a workflow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import UserId, WorkflowId


class WorkflowChangeKind(StrEnum):
    """What changed in a workflow."""

    EDITED = "EDITED"
    MOVED = "MOVED"
    PUBLISHED = "PUBLISHED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class ToldChange:
    """One change of a workflow; `number` counts all changes of it, 1, 2, 3 …, in the order in which they were stored."""

    workflow_id: WorkflowId
    number: int
    kind: WorkflowChangeKind
    revision: int
    """The draft's revision after it."""
    changed_by: UserId | None
    node_keys: tuple[str, ...]
    """The nodes that it touched, as they are called after it; those that are gone by their last keys."""
    at: datetime
