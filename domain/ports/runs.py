"""What remembers runs: their logs, their queue, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from domain.ports.companions import FreedTurn, ToldParent
from domain.run import NEWEST_FIRST

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
        WorkflowId,
        WorkspaceId,
    )
    from domain.json_value import Json
    from domain.ports.companions import Companion
    from domain.ports.new_runs import KeyHolder, NewRun
    from domain.ports.paging import Page, PageRequest
    from domain.run import (
        Failure,
        NodePayloads,
        NodeRun,
        NodeRunQuery,
        Run,
        RunLink,
        RunOrder,
        RunQuery,
        RunSnapshot,
        RunStatus,
        Usage,
    )


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
    companions: tuple[Companion, ...] = ()
    """What is stored with the events in a transaction of their own."""

    @property
    def is_apart(self) -> bool:
        """Whether it is stored beside the groups of other runs, since something else goes with it."""
        return self.write is not None or bool(self.companions)


@dataclass(slots=True, eq=False)
class Departure(Group):
    """A run leaves memory: RunWaiting alone, or no event where it is paused. May also be refused with `StillWanted`."""

    until: datetime | None = None
    """When it comes back by itself."""

    @property
    def is_apart(self) -> bool:
        """Whether it is stored beside the groups of other runs: always, since the lease goes with it."""
        return True


class RunLog(Protocol):
    """Appends to the logs of runs, many groups to a commit."""

    def append(self, group: Group) -> None:
        """Queue a group; it is stored with all others that wait when the commit in flight ends."""
        ...

    def stored(self, group: Group, base: int) -> None:
        """Answer a group that was stored with its run, and tell of it as of all others."""
        ...


@dataclass(frozen=True, slots=True)
class EndedChild:
    """How a run that was called has ended."""

    id: RunId
    node_key: str
    """The node that called it."""
    item_index: int | None
    status: RunStatus
    output: bytes | None
    failure: Failure | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class RunCommand:
    """What somebody who is not a run's owner wants of it."""

    id: UUID
    kind: str
    """`cancel`, `pause`, `resume`, `approval` or `child`."""
    payload: Json
    child: EndedChild | None = None
    """For a `child` whose run is still kept."""


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
    parent_id: RunId | None = None
    """The run that called it."""
    needs_turn: bool = False
    """Whether it obeys a `concurrency` of its workflow."""

    @property
    def farewell(self) -> tuple[Companion, ...]:
        """What is stored with its end."""
        told: tuple[Companion, ...] = () if self.parent_id is None else (ToldParent(self.parent_id),)
        return (*told, FreedTurn()) if self.needs_turn else told


class RunQueue(Protocol):
    """Which executor may run what."""

    async def add(self, run: NewRun, executor: ExecutorId | None = None, first: Group | None = None) -> None:
        """Insert a run with its first event; where an executor is given, claimed and with its first group, behind seq 1.

        The group is not answered: who made it does that.

        Raises:
            NotFound: the workflow is gone.
            KeyTaken: the idempotency key stands for another run than `replaces`; nothing is changed.
        """
        ...

    async def find_key(self, workspace_id: WorkspaceId, key: str) -> KeyHolder | None:
        """Return the run that an idempotency key stands for."""
        ...

    async def claim(
        self, executor: ExecutorId, limit: int, busy: Mapping[WorkspaceId, int] | None = None, most: int | None = None
    ) -> Sequence[ClaimedRun]:
        """Take queued runs of the most urgent priority that nobody holds: fair between workspaces, oldest first.

        `busy` counts the runs that each workspace has in this process, which may be `most` of them; there may be more to
        take than one call does.
        """
        ...

    async def claim_waiting(self, executor: ExecutorId, now: datetime, limit: int) -> Sequence[ClaimedRun]:
        """Take runs out of memory whose time has come, or of which something is asked; and cancelled ones that are held."""
        ...

    async def claim_canceled(self, executor: ExecutorId, limit: int) -> Sequence[ClaimedRun]:
        """Take runs that nobody holds and that somebody has cancelled, oldest first."""
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
        """Remove an executor that is gone and holds no unfinished run any more."""
        ...

    async def announce(self) -> None:
        """Let every process look for queued runs, which whoever calls this has no room for."""
        ...

    async def log_of(self, run_id: RunId, outputs_of: frozenset[str]) -> Sequence[LoggedEvent]:
        """Return the whole log without deltas, oldest first, with the outputs of these nodes."""
        ...

    async def add_command(self, run_id: RunId, key: str, kind: str, payload: Json) -> bool:
        """Ask a run's owner for something; False if the same was asked before."""
        ...

    async def expire_approvals(self, approval_ids: Sequence[UUID]) -> None:
        """Close questions that ran out, with a command to their runs; one that was answered stays as it is."""
        ...

    async def pending_commands(self, executor: ExecutorId) -> Mapping[UUID, Sequence[RunCommand]]:
        """Return the unapplied commands to the runs of an executor, oldest first."""
        ...


class LogPart(NamedTuple):
    """Some events of a log, oldest first, and whether there may be more behind them."""

    events: Sequence[LoggedEvent]
    has_more: bool


class LogSpan(NamedTuple):
    """A part of the log of a run: what is between two seqs."""

    run_id: RunId
    after: int
    before: int | None


class RunReader(Protocol):
    """Runs as queries show them."""

    async def find_many(self, within: frozenset[WorkspaceId], run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return those of the runs that exist in these workspaces, in any order."""
        ...

    async def unfinished(
        self, workspace_id: WorkspaceId, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Return unfinished runs of a workspace, or of one of its workflows, newest first."""
        ...

    async def just_ended(
        self, workspace_id: WorkspaceId, within_s: float, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Return runs of a workspace, or of one of its workflows, that ended so many seconds ago at most, newest end first."""
        ...

    async def unfinished_counts(self) -> Mapping[RunStatus, int]:
        """Count the unfinished runs of all workspaces by their status."""
        ...

    async def list(
        self, workspace_id: WorkspaceId, query: RunQuery, request: PageRequest, order: RunOrder = NEWEST_FIRST
    ) -> Page[Run]:
        """Return a page of runs.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count(self, workspace_id: WorkspaceId, query: RunQuery) -> int:
        """Count the runs of a list."""
        ...

    async def list_by_workspace(
        self,
        workspace_ids: Sequence[WorkspaceId],
        query: RunQuery,
        request: PageRequest,
        order: RunOrder = NEWEST_FIRST,
    ) -> Mapping[WorkspaceId, Page[Run]]:
        """Return the same page of the runs of each of the workspaces, in one statement.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: RunQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count the runs of each of the workspaces."""
        ...

    async def list_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], query: RunQuery, request: PageRequest, order: RunOrder = NEWEST_FIRST
    ) -> Mapping[WorkflowId, Page[Run]]:
        """Return the same page of the runs of each of the workflows, in one statement.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId], query: RunQuery) -> Mapping[WorkflowId, int]:
        """Count the runs of each of the workflows."""
        ...

    async def list_linked(
        self, run_ids: Sequence[RunId], link: RunLink, request: PageRequest
    ) -> Mapping[RunId, Page[Run]]:
        """Return the same page of what came from each of the runs, in one statement.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_linked(self, run_ids: Sequence[RunId], link: RunLink) -> Mapping[RunId, int]:
        """Count what came from each of the runs."""
        ...

    async def payloads(self, run_ids: Sequence[RunId]) -> Mapping[RunId, tuple[bytes | None, bytes | None]]:
        """Return input and output of runs as they were written."""
        ...

    async def node_runs(
        self, run_ids: Sequence[RunId], query: NodeRunQuery, request: PageRequest
    ) -> Mapping[RunId, Page[NodeRun]]:
        """Return the same page of what the nodes of each of the runs did, in the order of starting.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_node_runs(self, run_ids: Sequence[RunId], query: NodeRunQuery) -> Mapping[RunId, int]:
        """Count what `node_runs` lists."""
        ...

    async def find_node_runs(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], NodeRun]:
        """Return what nodes (or items) did; those that did not start are left out."""
        ...

    async def called_by(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], RunId]:
        """Return the run that each of the nodes (or items) called last; those that called none are left out."""
        ...

    async def node_payloads(
        self, places: Sequence[tuple[RunId, str, int | None]], limit_bytes: int | None
    ) -> Mapping[tuple[RunId, str, int | None], NodePayloads]:
        """Return input and output of nodes as they were written; a longer output than the limit is left out."""
        ...

    async def events_after(self, run_id: RunId, after: int, limit: int, max_bytes: int | None = None) -> LogPart:
        """Return the events behind seq `after`: so many, or fewer where what they hold may exceed so many bytes.

        The first is there whatever its size, if there is one at all.

        Raises:
            NotFound: the run is gone.
        """
        ...

    async def events(self, spans: Sequence[LogSpan], request: PageRequest) -> Mapping[LogSpan, Page[LoggedEvent]]:
        """Return a page of each of several parts of logs, oldest first; the cursors are the seqs.

        Of the request only the size and the direction count.
        """
        ...

    async def count_events(self, run_ids: Sequence[RunId]) -> Mapping[RunId, int]:
        """Count the events of the log of each of the runs."""
        ...

    async def partial_texts(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], str]:
        """Return what the last attempts of nodes have written so far; those that streamed nothing are left out."""
        ...

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        """Return the state of all started nodes at one point of the log, read in one statement."""
        ...
