"""Runs for those who start, stop and look at them."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from domain.errors import Conflict, CursorInvalid, Forbidden, NotFound
from domain.events import RunCancelRequested
from domain.identity import Permission
from domain.ports.runs import LogSpan
from domain.run import NEWEST_FIRST, RunStatus
from domain.texts import check_text
from runtime.effects import await_event
from runtime.run_room import UNLIMITED
from runtime.run_starts import RunStarter, StartRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from uuid import UUID

    from domain.events import LoggedEvent
    from domain.identity import Principal
    from domain.ids import GraphId, RunId, WorkflowId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.paging import Page, PageRequest
    from domain.ports.runs import RunQueue, RunReader
    from domain.run import NodePayloads, NodeRun, NodeRunQuery, Run, RunLink, RunOrder, RunQuery, RunSnapshot
    from domain.workflow import Definition
    from runtime.local import LocalEngine
    from runtime.progress import Progress
    from runtime.run_room import RunRoom
    from runtime.run_starts import Started, Workflows

MAX_EVENT_OUTPUT_BYTES: Final = 65_536
MAX_REASON: Final = 1_000
_HEAD: Final = "HEAD"
_CURSOR: Final = re.compile(r"([0-9a-f]{8})-(\d{1,9})")


class RunService:
    """Starts, cancels and reads runs on behalf of a caller."""

    def __init__(  # noqa: PLR0917 -- the composition root names them all
        self,
        workflows: Workflows,
        queue: RunQueue,
        reader: RunReader,
        engine: LocalEngine,
        progress: Progress,
        room: RunRoom = UNLIMITED,
    ) -> None:
        self._workflows = workflows
        self._queue = queue
        self._reader = reader
        self._engine = engine
        self._progress = progress
        self._starter = RunStarter(workflows, queue, reader, engine, progress, room)

    # ── changing ──

    async def start(
        self,
        actor: Principal,
        workflow_id: WorkflowId,
        given: Json,
        labels: Sequence[tuple[str, str]] = (),
        *,
        is_draft: bool = False,
    ) -> Run:
        """Start a run without any key; see `start_with`."""
        request = StartRequest(workflow_id, given, is_draft=is_draft, labels=labels)
        return (await self.start_with(actor, request)).run

    async def start_with(self, actor: Principal, request: StartRequest) -> Started:
        """Start a run, or find the one that an earlier call with the same key has started.

        Raises:
            NotFound, Forbidden, GraphHasProblems, InvalidInput, LimitExceeded, Conflict: see `RunStarter.start`.
        """
        return await self._starter.start(actor, request)

    async def cancel(self, actor: Principal, run_id: RunId, reason: str | None) -> Run:
        """Ask a run to stop; asking twice is asking once. Its executor is given a second to obey.

        Raises:
            NotFound: the caller sees no such run.
            Forbidden: the caller may see it but not stop it.
            Conflict: the run has ended.
            InvalidInput: the reason is longer than 1,000 characters, or cannot be stored.
        """
        run = await self.get(actor, run_id)
        if run.workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Stopping runs needs the role EDITOR.")
        if reason is not None:
            check_text(reason, ["input", "reason"], limit=MAX_REASON)
        if run.status.is_finished:
            raise Conflict(f"The run has ended already ({run.status.value}).", path=["input", "id"])
        await self._queue.add_command(run_id, "cancel", "cancel", {"by": str(actor.user.id), "reason": reason})
        self._engine.look()
        if run.status is not RunStatus.CANCELING:
            await await_event(self._progress, run, RunCancelRequested)
        return await self.get(actor, run_id)

    # ── reading ──

    async def get(self, actor: Principal, run_id: RunId) -> Run:
        """Return a run.

        Raises:
            NotFound: the caller sees no such run.
        """
        runs = await self.list_by_id(actor, [run_id])
        if not runs:
            raise NotFound("There is no run with this id.", path=["input", "id"])
        return runs[run_id]

    async def find(self, actor: Principal, run_id: RunId) -> Run | None:
        """Return a run; None where the caller sees none."""
        return (await self.list_by_id(actor, [run_id])).get(run_id)

    async def list_by_id(self, actor: Principal, run_ids: Sequence[RunId]) -> Mapping[RunId, Run]:
        """Return those of the runs that the caller sees."""
        return {run.id: run for run in await self._reader.find_many(actor.within(Permission.READ), run_ids)}

    async def page(
        self,
        actor: Principal,
        workspace_id: WorkspaceId | None,
        query: RunQuery,
        request: PageRequest,
        order: RunOrder = NEWEST_FIRST,
    ) -> Page[Run]:
        """Return a page of runs of a workspace.

        Raises:
            NotFound, WorkspaceRequired: see `Principal.workspace`.
            CursorInvalid: a cursor of another list.
        """
        return await self._reader.list(actor.workspace(workspace_id), query, request, order)

    async def count(self, actor: Principal, workspace_id: WorkspaceId | None, query: RunQuery) -> int:
        """Count what `page` lists."""
        return await self._reader.count(actor.workspace(workspace_id), query)

    async def page_by_workspace(
        self,
        workspace_ids: Sequence[WorkspaceId],
        query: RunQuery,
        request: PageRequest,
        order: RunOrder = NEWEST_FIRST,
    ) -> Mapping[WorkspaceId, Page[Run]]:
        """Return the same page of the runs of each of the workspaces, which the caller was shown.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._reader.list_by_workspace(workspace_ids, query, request, order)

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: RunQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        return await self._reader.count_by_workspace(workspace_ids, query)

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], query: RunQuery, request: PageRequest, order: RunOrder = NEWEST_FIRST
    ) -> Mapping[WorkflowId, Page[Run]]:
        """Return the same page of the runs of each of the workflows, which the caller was shown.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._reader.list_by_workflow(workflow_ids, query, request, order)

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId], query: RunQuery) -> Mapping[WorkflowId, int]:
        """Count what `page_by_workflow` lists."""
        return await self._reader.count_by_workflow(workflow_ids, query)

    async def page_linked(
        self, run_ids: Sequence[RunId], link: RunLink, request: PageRequest
    ) -> Mapping[RunId, Page[Run]]:
        """Return the same page of what came from each of the runs, which the caller was shown.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._reader.list_linked(run_ids, link, request)

    async def count_linked(self, run_ids: Sequence[RunId], link: RunLink) -> Mapping[RunId, int]:
        """Count what `page_linked` lists."""
        return await self._reader.count_linked(run_ids, link)

    async def definition(self, graph_id: GraphId) -> Definition:
        """Return the definition that a run is pinned to."""
        return await self._workflows.definition(graph_id)

    async def definitions(self, graph_ids: Sequence[GraphId]) -> Mapping[GraphId, Definition]:
        """Return the definitions that runs or versions are pinned to."""
        return await self._workflows.definitions(graph_ids)

    async def payloads(self, run_ids: Sequence[RunId]) -> Mapping[RunId, tuple[bytes | None, bytes | None]]:
        """Return input and output of runs that the caller was shown."""
        return await self._reader.payloads(run_ids)

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        """Return the state of a run that the caller was shown, at one point of its log."""
        return await self._reader.snapshot(run_id)

    async def page_node_runs(
        self, run_ids: Sequence[RunId], query: NodeRunQuery, request: PageRequest
    ) -> Mapping[RunId, Page[NodeRun]]:
        """Return the same page of what the nodes of each of the runs did, in the order of starting.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._reader.node_runs(run_ids, query, request)

    async def count_node_runs(self, run_ids: Sequence[RunId], query: NodeRunQuery) -> Mapping[RunId, int]:
        """Count what `page_node_runs` lists."""
        return await self._reader.count_node_runs(run_ids, query)

    async def find_node_runs(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], NodeRun]:
        """Return what nodes, whose runs the caller was shown, did; those that did not start are left out."""
        return await self._reader.find_node_runs(places)

    async def called_by(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], RunId]:
        """Return the run that each of the nodes, whose runs the caller was shown, called last."""
        return await self._reader.called_by(places)

    async def node_payloads(
        self, places: Sequence[tuple[RunId, str, int | None]], *, is_bounded: bool
    ) -> Mapping[tuple[RunId, str, int | None], NodePayloads]:
        """Return inputs and outputs of nodes; bounded: outputs up to 64 KiB, as events show them."""
        return await self._reader.node_payloads(places, MAX_EVENT_OUTPUT_BYTES if is_bounded else None)

    async def partial_texts(
        self, places: Sequence[tuple[RunId, str, int | None]]
    ) -> Mapping[tuple[RunId, str, int | None], str]:
        """Return what the last attempts of nodes have written so far."""
        return await self._reader.partial_texts(places)

    async def page_events(self, spans: Sequence[LogSpan], request: PageRequest) -> Mapping[LogSpan, Page[LoggedEvent]]:
        """Return a page of each of several parts of logs (`log_span`), oldest first."""
        return await self._reader.events(spans, request)

    async def count_events(self, run_ids: Sequence[RunId]) -> Mapping[RunId, int]:
        """Count the events of the log of each of the runs, which the caller was shown."""
        return await self._reader.count_events(run_ids)

    # ── watching ──

    async def follow(self, actor: Principal, run_id: RunId, after: str | None) -> AsyncGenerator[LoggedEvent]:
        """Yield a run's log behind a cursor, then what is added to it; ends after the run's last event.

        Raises:
            NotFound: the caller sees no such run.
            CursorInvalid: a cursor of another run, or none at all.
        """
        run = await self.get(actor, run_id)
        seq = 0 if after is None else read_cursor(run, after)
        if run.status.is_finished and seq == run.last_seq:
            return  # the client has seen the end: nothing will ever follow
        async with aclosing(self._progress.follow(run_id, seq)) as events:
            async for event in events:
                yield event

    async def changes(
        self, actor: Principal, workspace_id: WorkspaceId | None, workflow_id: WorkflowId | None
    ) -> AsyncGenerator[Run]:
        """Yield the unfinished runs of a workspace, then each that was made or changed.

        Raises:
            NotFound, WorkspaceRequired: see `Principal.workspace`.
        """
        async with aclosing(self._progress.changes(actor.workspace(workspace_id), workflow_id)) as runs:
            async for run in runs:
                if workflow_id is None or run.workflow_id == workflow_id:
                    yield run


def cursor_of(run_id: UUID, seq: int) -> str:
    """Return the cursor behind the event `seq` of a run."""
    return f"{run_id.hex[-8:]}-{seq}"


def log_span(run: Run, request: PageRequest) -> LogSpan:
    """Return the part of a run's log that a page is asked of; cursors are those of `RunService.follow`.

    Raises:
        CursorInvalid: a cursor of another run, or none at all.
    """
    after = 0 if request.after is None else read_cursor(run, request.after)
    return LogSpan(run.id, after, None if request.before is None else read_cursor(run, request.before))


def read_cursor(run: Run, cursor: str) -> int:
    """Return the seq that a cursor stands behind.

    Raises:
        CursorInvalid: it is not one of this run's.
    """
    if cursor == _HEAD:
        return run.last_seq
    match = _CURSOR.fullmatch(cursor)
    if match is None or match[1] != run.id.hex[-8:] or int(match[2]) > run.last_seq:
        raise CursorInvalid
    return int(match[2])
