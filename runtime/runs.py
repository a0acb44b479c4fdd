"""Runs for those who start, stop and look at them."""

from __future__ import annotations

import re
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from uuid_utils.compat import uuid7

from domain.errors import (
    Conflict,
    CursorInvalid,
    Forbidden,
    GraphHasProblems,
    InvalidInput,
    LimitExceeded,
    NodeFault,
    NotFound,
)
from domain.identity import Permission
from domain.ids import RunId
from domain.json_codec import encode
from domain.ports.runs import NewRun
from domain.run import Run, RunQuery, RunStatus, TriggerKind
from domain.texts import check_text
from runtime.input_schema import check_input

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from uuid import UUID

    from domain.events import LoggedEvent
    from domain.identity import Principal
    from domain.ids import GraphId, WorkflowId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.paging import Page, PageRequest
    from domain.ports.runs import RunQueue, RunReader
    from domain.run import NodePayloads, NodeRun, RunSnapshot
    from domain.workflow import Definition, Workflow
    from runtime.local import LocalEngine
    from runtime.progress import Progress

MAX_INPUT_BYTES: Final = 1_048_576
MAX_LABELS: Final = 50
MAX_LABEL: Final = 256
MAX_EVENT_OUTPUT_BYTES: Final = 65_536
_MAX_REASON: Final = 1_000
_HEAD: Final = "HEAD"
_CURSOR: Final = re.compile(r"([0-9a-f]{8})-(\d{1,9})")


class Workflows(Protocol):
    """What starting a run reads of workflows."""

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Return a workflow; None where there is none in these workspaces."""
        ...

    async def definition(self, graph_id: GraphId) -> Definition:
        """Return a stored definition."""
        ...


class RunService:
    """Starts, cancels and reads runs on behalf of a caller."""

    def __init__(
        self, workflows: Workflows, queue: RunQueue, reader: RunReader, engine: LocalEngine, progress: Progress
    ) -> None:
        self._workflows = workflows
        self._queue = queue
        self._reader = reader
        self._engine = engine
        self._progress = progress

    # ── changing ──

    async def start(
        self, actor: Principal, workflow_id: WorkflowId, given: Json, labels: Sequence[tuple[str, str]] = ()
    ) -> Run:
        """Start a run of a workflow's draft.

        Raises:
            NotFound: the caller sees no such workflow.
            Forbidden: the caller may see it but start nothing there.
            GraphHasProblems: the draft has a problem of severity ERROR.
            InvalidInput: the input does not satisfy the workflow's schema, or it or a label cannot be stored.
            LimitExceeded: the input is larger than 1 MiB, or there are more than 50 labels.
        """
        workflow = await self._workflows.find(actor.within(Permission.READ), workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", "workflowId"])
        if workflow.workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Starting runs needs the role EDITOR.")
        _refuse_problems(workflow)
        if len(labels) > MAX_LABELS:
            raise LimitExceeded(
                f"A run has at most {MAX_LABELS} labels.",
                limit=MAX_LABELS,
                actual=len(labels),
                path=["input", "labels"],
            )
        for name, value in labels:
            check_text(name, ["input", "labels"], limit=MAX_LABEL)
            check_text(value, ["input", "labels"], limit=MAX_LABEL)
        encoded = _encoded(given)
        check_input(workflow.definition.input_schema, given)
        run = NewRun(
            RunId(uuid7()),
            workflow.workspace_id,
            workflow.id,
            workflow.graph_id,
            len(workflow.definition.graph.nodes),
            TriggerKind.MANUAL,
            actor.user.id,
            encoded,
            datetime.now(UTC),
            labels=tuple(labels),
        )
        await self._engine.start(run)
        self._progress.woken([run.id])
        return _queued(run)

    async def cancel(self, actor: Principal, run_id: RunId, reason: str | None) -> Run:
        """Ask a run to stop; asking twice is asking once.

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
            check_text(reason, ["input", "reason"], limit=_MAX_REASON)
        if run.status.is_finished:
            raise Conflict(f"The run has ended already ({run.status.value}).", path=["input", "id"])
        await self._queue.add_command(run_id, "cancel", "cancel", {"by": str(actor.user.id), "reason": reason})
        self._engine.look()
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
        self, actor: Principal, workspace_id: WorkspaceId | None, query: RunQuery, request: PageRequest
    ) -> Page[Run]:
        """Return a page of runs of a workspace, newest first.

        Raises:
            NotFound, WorkspaceRequired: see `Principal.workspace`.
            CursorInvalid: a cursor of another list.
        """
        return await self._reader.list(actor.workspace(workspace_id), query, request)

    async def count(self, actor: Principal, workspace_id: WorkspaceId | None, query: RunQuery) -> int:
        """Count what `page` lists."""
        return await self._reader.count(actor.workspace(workspace_id), query)

    async def definition(self, graph_id: GraphId) -> Definition:
        """Return the definition that a run is pinned to."""
        return await self._workflows.definition(graph_id)

    async def payloads(self, run_ids: Sequence[RunId]) -> Mapping[RunId, tuple[bytes | None, bytes | None]]:
        """Return input and output of runs that the caller was shown."""
        return await self._reader.payloads(run_ids)

    async def snapshot(self, run_id: RunId) -> RunSnapshot:
        """Return the state of a run that the caller was shown, at one point of its log."""
        return await self._reader.snapshot(run_id)

    async def page_node_runs(self, run_id: RunId, request: PageRequest) -> Page[NodeRun]:
        """Return a page of what the nodes of a run did, in the order of starting."""
        return await self._reader.node_runs(run_id, request)

    async def count_node_runs(self, run_id: RunId) -> int:
        """Count what `page_node_runs` lists."""
        return await self._reader.count_node_runs(run_id)

    async def find_node_run(self, run_id: RunId, key: str, item_index: int | None) -> NodeRun | None:
        """Return what one node did; None if it did not start."""
        return await self._reader.find_node_run(run_id, key, item_index)

    async def node_payloads(
        self, places: Sequence[tuple[RunId, str, int | None]], *, is_bounded: bool
    ) -> Mapping[tuple[RunId, str, int | None], NodePayloads]:
        """Return inputs and outputs of nodes; bounded: outputs up to 64 KiB, as events show them."""
        return await self._reader.node_payloads(places, MAX_EVENT_OUTPUT_BYTES if is_bounded else None)

    async def page_events(self, run: Run, request: PageRequest) -> Page[LoggedEvent]:
        """Return a page of a run's log, oldest first; cursors are those of `follow`.

        Raises:
            CursorInvalid: a cursor of another run, or none at all.
        """
        after = 0 if request.after is None else read_cursor(run, request.after)
        before = None if request.before is None else read_cursor(run, request.before)
        return await self._reader.events(run.id, request, after, before)

    async def count_events(self, run_id: RunId) -> int:
        """Count the events of a run's log."""
        return await self._reader.count_events(run_id)

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
        async with aclosing(self._progress.changes(actor.workspace(workspace_id))) as runs:
            async for run in runs:
                if workflow_id is None or run.workflow_id == workflow_id:
                    yield run


def _queued(run: NewRun) -> Run:
    """Return a run as it is right after its insertion."""
    return Run(
        run.id,
        run.workspace_id,
        run.workflow_id,
        run.graph_id,
        RunStatus.QUEUED,
        1,
        run.node_count,
        0,
        run.trigger,
        run.triggered_by,
        run.priority,
        run.labels,
        run.created_at,
    )


def cursor_of(run_id: UUID, seq: int) -> str:
    """Return the cursor behind the event `seq` of a run."""
    return f"{run_id.hex[-8:]}-{seq}"


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


def _refuse_problems(workflow: Workflow) -> None:
    if not workflow.is_runnable:
        errors = [problem for problem in workflow.problems if problem.is_error]
        raise GraphHasProblems(errors, "The draft has errors and cannot be run.", path=["input", "workflowId"])


def _encoded(given: Json) -> bytes:
    try:
        encoded = encode(given)
    except NodeFault as fault:
        raise InvalidInput(fault.message.replace("output", "input"), path=["input", "input"]) from fault
    if len(encoded) > MAX_INPUT_BYTES:
        message = f"An input has at most {MAX_INPUT_BYTES} bytes of JSON."
        raise LimitExceeded(message, limit=MAX_INPUT_BYTES, actual=len(encoded), path=["input", "input"])
    return encoded
