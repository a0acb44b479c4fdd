"""What a node may wait for without being at work, and what ends such a wait.

An attempt returns a suspension instead of an output. The run logs NodeWaiting and may leave memory; when the answer is
there, the kind's `resume` makes a result of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import GraphId, WorkflowId
    from domain.json_value import Json
    from domain.run import Failure, RunStatus, Usage
    from domain.workflow import ConcurrencyPolicy


@dataclass(frozen=True, slots=True)
class Until:
    """The node waits for a time; the answer is `Due`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """The node asks a person; the answer is `Answered`, also when nobody has answered in time."""

    title: str
    message: str | None
    form: Json
    """JSON Schema of the values that are filled in; None = none."""
    actions: tuple[str, ...]
    until: datetime
    assignees: tuple[str, ...]
    """Case-folded addresses of who may answer; empty = every EDITOR and above."""


@dataclass(frozen=True, slots=True)
class SubRunCall:
    """The node calls another workflow; the answer is `SubRunEnded`. Made by `NodeContext.sub_workflow`."""

    workflow_id: WorkflowId
    graph_id: GraphId
    version: int | None
    """Number of the workflow's version; None for its draft."""
    node_count: int
    input: bytes
    """JSON known to be storable."""
    concurrency_key: str | None = None
    turns: ConcurrencyPolicy | None = None
    """What the run has to obey under its concurrency key."""


@dataclass(frozen=True, slots=True)
class Room:
    """The node waits for room under the limits of a connection; then it is begun again, at no cost of its tries."""

    until: datetime | None
    """When there will be some; None = when others are done."""


Suspension: TypeAlias = Until | Question | SubRunCall


@dataclass(frozen=True, slots=True)
class Due:
    """The time that was awaited has come."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """A person has answered; `action` is None where nobody has until the question ran out."""

    action: str | None
    values: Json
    by: str | None
    """The person's address."""
    at: datetime


@dataclass(frozen=True, slots=True)
class SubRunEnded:
    """The run that was called has ended."""

    run: str
    """Its global id."""
    status: RunStatus
    output: Json
    failure: Failure | None
    usage: Usage


Answer: TypeAlias = Due | Answered | SubRunEnded
