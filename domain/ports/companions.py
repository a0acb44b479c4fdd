"""What is stored in one transaction with events of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ids import ApprovalId, RunId
    from domain.suspensions import Question, SubRunCall


@dataclass(frozen=True, slots=True)
class NewApproval:
    """A question of a node that waits for its answer."""

    id: ApprovalId
    node_key: str
    item_index: int | None
    execution: int
    question: Question


@dataclass(frozen=True, slots=True)
class NewSubRun:
    """A run that a node calls; the group may be refused with `NodeFault`, and then only the node has failed."""

    id: RunId
    node_key: str
    item_index: int | None
    call: SubRunCall


@dataclass(frozen=True, slots=True)
class ClosedWaits:
    """What is left open of a run's waits is closed: its questions are, and the runs that it called are cancelled."""

    node_key: str | None = None
    """Only those of this node; None = of all."""
    item_index: int | None = None
    """Only those of this item of the node; None = of all."""


@dataclass(frozen=True, slots=True)
class ClosedNodes:
    """What is shown of nodes and items without an end is closed, as CANCELED; the RunFailed tells what all have used.

    For a run that ends outside of its schedule: no other event tells of them.
    """


@dataclass(frozen=True, slots=True)
class ToldParent:
    """The run that called this one is told that it has ended."""

    parent_id: RunId


@dataclass(frozen=True, slots=True)
class FreedTurn:
    """The turn that the run had in its workflow's `concurrency` is free for the next run that is held."""


Companion: TypeAlias = NewApproval | NewSubRun | ClosedWaits | ClosedNodes | ToldParent | FreedTurn
"""What is stored in one transaction with events."""


def outside_schedule(farewell: Sequence[Companion]) -> tuple[Companion, ...]:
    """Return what is stored with the end of a run that its schedule has not decided on; a wait may be on its way."""
    return ClosedWaits(), ClosedNodes(), *farewell
