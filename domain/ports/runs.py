"""What remembers runs: their logs, their queue, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from domain.data_tables import RowWrite
    from domain.errors import AnabranchError
    from domain.events import Event, LoggedEvent
    from domain.ids import (
        ExecutorId,
        GraphId,
        RunId,
        UserId,
        WorkflowId,
        WorkspaceId,
    )
    from domain.json_value import Json
    from domain.ports.paging import Page, PageRequest
    from domain.run import NodePayloads, NodeRun, Run, RunQuery, RunSnapshot, TriggerKind


FIRST_EPOCH: Final = 1
"""The lease of an executor that claims a run when it is inserted."""


@dataclass(slots=True, eq=False)
class Group:
    """Events of one run that are appended together or not at all; never split, always in the order of their making."""

    run_id: UUID
    epoch: int
    """The lease under which they were made; another one's append is refused."""
    at: datetime
    events: list[Event]
    on_stored: Callable[[Group, int], None]
    """Called with the seq of the last event before the group, in the order of the commits."""
    on_refused: Callable[[Group, AnabranchError], None]
    """Called with `Fenced`, or with `InvalidInput` where PostgreSQL cannot hold a value."""
    applied_commands: tuple[UUID, ...] = ()
    """Ids of the commands that these events answer."""
    write: RowWrite | None = None
    """Rows that are stored with the one event, a NodeSucceeded, in a transaction of their own; the event's output is made
    of what was written. Such a group may also be refused with `NodeFault`: then nothing is stored, and only the node
    has failed."""


class RunLog(Protocol):
    """Appends to the logs of runs, many groups to a commit."""

    def append(self, group: Group) -> None:
        """Queue a group; it is stored with all others that wait when the commit in flight ends."""
        ...


class LogListener(Protocol):
    """Hears what other processes do to runs; a wake-up may be lost."""

    def woken(self, run_ids: Sequence[UUID]) -> None:
        """Look at these runs; another process appended to them. Empty = look at all."""
        ...

    def commanded(self, run_ids: Sequence[UUID]) -> None:
        """Look at the commands of these runs. Empty = look at all."""
        ...


@dataclass(frozen=True, slots=True)
class RunCommand:
    """What somebody who is not a run's owner wants of it."""

    id: UUID
    kind: str
    payload: Json


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run that an executor may now append to, with all it needs to go on."""

    id: RunId
    workspace_id: WorkspaceId
    graph_id: GraphId
    epoch: int
    last_seq: int
    created_at: datetime
    input: bytes


@dataclass(frozen=True, slots=True)
class NewRun:
    """What `startRun` inserts."""

    id: RunId
    workspace_id: WorkspaceId
    workflow_id: WorkflowId
    graph_id: GraphId
    node_count: int
    trigger: TriggerKind
    triggered_by: UserId | None
    input: bytes
    created_at: datetime
    priority: int = 3
    labels: tuple[tuple[str, str], ...] = ()
    concurrency_key: str | None = None
    idempotency_key: str | None = None
    request_hash: bytes | None = None


class RunQueue(Protocol):
    """Which executor may run what."""

    async def add(self, run: NewRun, executor: ExecutorId | None = None, first: Group | None = None) -> None:
        """Insert a run with its first event; where an executor is given, claimed and with its first group, behind seq 1.

        The group is not answered: who made it does that.

        Raises:
            NotFound: the workflow is gone.
        """
        ...

    async def claim(self, executor: ExecutorId, limit: int) -> Sequence[ClaimedRun]:
        """Take queued runs that nobody holds: by priority, fair between workspaces, oldest first."""
        ...

    async def claim_commanded(self, executor: ExecutorId, limit: int) -> Sequence[ClaimedRun]:
        """Take queued runs that nobody holds and that have a command waiting, oldest first."""
        ...

    async def take_over(
        self, executor: ExecutorId, dead: ExecutorId, limit: int, held: Sequence[UUID] = ()
    ) -> Sequence[ClaimedRun]:
        """Take unfinished runs of a dead executor but those in `held`; its appends are refused from then on."""
        ...

    async def dead_executors(self, executor: ExecutorId, grace_s: float) -> Mapping[ExecutorId, bool]:
        """Return executors that seem dead, with whether their lease has run out (else only their lock is free)."""
        ...

    async def forget(self, dead: ExecutorId) -> None:
        """Remove an executor that holds no unfinished run any more."""
        ...

    async def log_of(self, run_id: RunId) -> Sequence[LoggedEvent]:
        """Return the whole log without deltas, oldest first, with the outputs of its nodes."""
        ...

    async def add_command(self, run_id: RunId, key: str, kind: str, payload: Json) -> bool:
        """Ask a run's owner for something; False if the same was asked before."""
        ...

    async def pending_commands(self, executor: ExecutorId) -> Mapping[UUID, Sequence[RunCommand]]:
        """Return the unapplied commands to the runs of an executor, oldest first."""
        ...


class RunReader(Protocol):
    """Runs as queries show them."""

    async def find_many(self, within: frozenset[WorkspaceId], run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return those of the runs that exist in these workspaces, in any order."""
        ...

    async def unfinished(self, workspace_id: WorkspaceId, limit: int) -> Sequence[Run]:
        """Return unfinished runs, newest first."""
        ...

    async def list(self, workspace_id: WorkspaceId, query: RunQuery, request: PageRequest) -> Page[Run]:
        """Return a page of runs, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count(self, workspace_id: WorkspaceId, query: RunQuery) -> int:
        """Count the runs of a list."""
        ...

    async def payloads(self, run_ids: Sequence[RunId]) -> Mapping[RunId, tuple[bytes | None, bytes | None]]:
        """Return input and output of runs as they were written."""
        ...

    async def node_runs(self, run_id: RunId, request: PageRequest) -> Page[NodeRun]:
        """Return a page of what the nodes of a run did, in the order of starting.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_node_runs(self, run_id: RunId) -> int:
        """Count what `node_runs` lists."""
        ...

    async def find_node_run(self, run_id: RunId, key: str, item_index: int | None) -> NodeRun | None:
        """Return what one node (or item) did; None if it did not start."""
        ...

    async def node_payloads(
        self, places: Sequence[tuple[RunId, str, int | None]], limit_bytes: int | None
    ) -> Mapping[tuple[RunId, str, int | None], NodePayloads]:
        """Return input and output of nodes as they were written; a longer output than the limit is left out."""
        ...

    async def events_after(self, run_id: RunId, after: int, limit: int) -> Sequence[LoggedEvent]:
        """Return the events behind seq `after`, oldest first."""
        ...

    async def events(self, run_id: RunId, request: PageRequest, after: int, before: int | None) -> Page[LoggedEvent]:
        """Return a page of a run's log, oldest first, between two seqs; the cursors are the seqs."""
        ...

    async def count_events(self, run_id: RunId) -> int:
        """Count the events of a run's log."""
        ...

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        """Return the state of all started nodes at one point of the log, read in one statement."""
        ...
