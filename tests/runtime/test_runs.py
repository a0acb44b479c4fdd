from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils.compat import uuid7

from domain.errors import (
    Conflict,
    CursorInvalid,
    DatabaseUnavailable,
    Forbidden,
    GraphHasProblems,
    InvalidInput,
    LimitExceeded,
    NotFound,
    WorkspaceRequired,
)
from domain.events import RunCancelRequested
from domain.identity import Principal, Role, User
from domain.ids import RunId, SessionId, UserId, WorkflowId, WorkspaceId
from domain.ports.paging import Page, PageRequest
from domain.problems import Problem
from domain.run import RunQuery, RunStatus
from domain.workflow import Definition, Published, Workflow
from runtime.engine_limits import EngineLimits
from runtime.runs import RunService, cursor_of, log_span
from tests.support.engines import names, world
from tests.support.kinds import graph, script
from tests.support.listed import sole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.events import LoggedEvent
    from domain.ids import GraphId
    from domain.kinds import NodeContext
    from persistence.database import Database
    from tests.support.engines import World

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Shelf:
    """Workflows whose rows exist, as the service reads them."""

    def __init__(self, w: World) -> None:
        self._world = w
        self._workflows: dict[WorkflowId, Workflow] = {}

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Find a workflow."""
        found = self._workflows.get(workflow_id)
        return found if found is not None and found.workspace_id in within else None

    async def definition(self, graph_id: GraphId) -> Definition:
        """Return a definition."""
        return await self._world.definition_of(graph_id)

    async def definitions(self, graph_ids: Sequence[GraphId]) -> dict[GraphId, Definition]:
        """Return definitions."""
        return {graph_id: await self.definition(graph_id) for graph_id in graph_ids}

    async def publish(self, workflow_id: WorkflowId, made: Definition) -> None:
        """Make something else than the draft the third version."""
        graph_id, _ = await self._world.add(made)
        self._workflows[workflow_id] = replace(self._workflows[workflow_id], published=Published(3, graph_id))

    async def add(self, made: Definition, *problems: Problem, schema: Any = None) -> WorkflowId:
        """Add a workflow."""
        made = made.model_copy(update={"input_schema": schema})
        graph_id, workflow_id = await self._world.add(made)
        self._workflows[workflow_id] = Workflow(
            workflow_id, self._world.workspace_id, "w", "w", None, 1, graph_id, made, problems, NOW, NOW, None
        )
        return workflow_id

    async def edit(self, workflow_id: WorkflowId, draft: Definition, *problems: Problem) -> None:
        """Give a workflow another draft."""
        graph_id, _ = await self._world.add(draft)
        self._workflows[workflow_id] = replace(
            self._workflows[workflow_id], graph_id=graph_id, definition=draft, problems=problems
        )


async def service(w: World) -> tuple[RunService, Shelf, Principal]:
    """Make the service, and a caller who may do anything in the world's workspace."""
    shelf = Shelf(w)
    return RunService(shelf, w.queue, w.reader, w.engine, w.progress), shelf, await caller(w, Role.OWNER)


async def caller(w: World, role: Role | None) -> Principal:
    user_id, session_id = UserId(uuid7()), SessionId(uuid7())
    async with w.database.direct() as connection:
        await connection.execute(
            "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, 'U', 'x')",
            user_id,
            f"{user_id}@example.org",
        )
        await connection.execute(
            "INSERT INTO sessions (id, user_id, expires_at) VALUES ($1, $2, 'infinity')", session_id, user_id
        )
        if role is not None:
            # A world without runs has no row of its workspace yet, and nobody needs to be a member there.
            join = """
            INSERT INTO members (id, workspace_id, user_id, role)
            SELECT gen_random_uuid(), id, $2, $3 FROM workspaces WHERE id = $1
            """
            await connection.execute(join, w.workspace_id, user_id, role.value)
    roles = {} if role is None else {w.workspace_id: role}
    return Principal(User(user_id, "u@example.org", "U", NOW), session_id, NOW, roles)


async def followed(runs: RunService, actor: Principal, run_id: RunId, after: str | None = None) -> list[LoggedEvent]:
    async with asyncio.timeout(20), aclosing(runs.follow(actor, run_id, after)) as events:
        return [event async for event in events]


async def forever(_: NodeContext) -> None:
    await asyncio.Event().wait()


# ── starting ──


async def test_the_published_version_is_run_unless_the_draft_is_asked_for(database: Database) -> None:
    async with world(database, script()) as w:
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph({"draft": {}}), schema={"required": ["draft"]})
        assert (await runs.start(actor, workflow_id, {"draft": 1})).version is None
        published = graph({"a": {}, "b": {}}).model_copy(update={"input_schema": {"required": ["published"]}})
        await shelf.publish(workflow_id, published)
        run = await runs.start(actor, workflow_id, {"published": 1})
        assert (run.version, run.node_count) == (3, 2)
        stored = await runs.get(actor, run.id)
        assert (stored.version, stored.graph_id) == (3, run.graph_id)
        assert len((await runs.definition(run.graph_id)).graph.nodes) == 2
        draft = await runs.start(actor, workflow_id, {"draft": 1}, is_draft=True)
        assert (draft.version, draft.node_count) == (None, 1)
        assert (await runs.get(actor, draft.id)).version is None
        for given, is_draft in (({"draft": 1}, False), ({"published": 1}, True)):
            with pytest.raises(InvalidInput):
                await runs.start(actor, workflow_id, given, is_draft=is_draft)
        assert await runs.count(actor, None, RunQuery()) == 3


async def test_a_draft_with_errors_keeps_nobody_from_running_what_is_published(database: Database) -> None:
    async with world(database, script()) as w:
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph({"a": {}}), Problem("UNKNOWN_SECRET", "There is no secret."))
        await shelf.publish(workflow_id, graph({"a": {}}))
        assert (await runs.start(actor, workflow_id, {})).version == 3
        with pytest.raises(GraphHasProblems):
            await runs.start(actor, workflow_id, {}, is_draft=True)
        assert await runs.count(actor, None, RunQuery()) == 1


@pytest.mark.parametrize("room", [0, 10])
async def test_a_run_is_started_and_followed_to_its_end_by_this_process_or_through_the_queue(
    database: Database, room: int
) -> None:
    async with world(database, script(), limits=EngineLimits(max_concurrent_runs=10, poll_s=0.02)) as w:
        w.engine._limits = EngineLimits(max_concurrent_runs=room, poll_s=0.02)
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph({"a": {"value": "{{ input.q }}"}}))
        run = await runs.start(actor, workflow_id, {"q": 1.0}, [("who", "test")])
        w.engine._limits = EngineLimits(max_concurrent_runs=10, poll_s=0.02)
        assert (run.status, run.last_seq, run.node_count, run.labels) == (RunStatus.QUEUED, 1, 1, (("who", "test"),))
        assert (run.workflow_id, run.triggered_by) == (workflow_id, actor.user.id)
        events = await followed(runs, actor, run.id)
        assert names(events)[-1] == "RunSucceeded"
        after = await runs.get(actor, run.id)
        assert (after.status, after.nodes_done, after.labels) == (RunStatus.SUCCEEDED, 1, (("who", "test"),))
        assert (await runs.payloads([run.id]))[run.id] == (b'{"q":1.0}', b'{"a":1.0}')


async def test_what_cannot_be_started_is_refused_and_leaves_nothing(database: Database) -> None:
    async with world(database, script()) as w:
        runs, shelf, actor = await service(w)
        viewer, stranger = await caller(w, Role.VIEWER), await caller(w, None)
        fine = await shelf.add(graph("a"), schema={"type": "object", "required": ["q"]})
        faulty = await shelf.add(graph("a"), Problem("CYCLE", "A cycle.", is_error=True))
        warned = await shelf.add(graph("a"), Problem("UNREACHABLE", "Hm.", is_error=False))
        with pytest.raises(NotFound):
            await runs.start(stranger, fine, {"q": 1})
        with pytest.raises(NotFound):
            await runs.start(actor, WorkflowId(uuid7()), {"q": 1})
        with pytest.raises(Forbidden):
            await runs.start(viewer, fine, {"q": 1})
        with pytest.raises(GraphHasProblems) as refused:
            await runs.start(actor, faulty, None)
        assert [problem.code for problem in refused.value.problems] == ["CYCLE"]
        wrong: list[Any] = [{}, [], None, {"q": "a\0"}, {"q": "\ud800"}]
        for given in wrong:
            with pytest.raises(InvalidInput):
                await runs.start(actor, fine, given)
        with pytest.raises(LimitExceeded):
            await runs.start(actor, fine, {"q": "x" * 1_048_576})
        with pytest.raises(LimitExceeded):
            await runs.start(actor, fine, {"q": 1}, [("n", str(number)) for number in range(51)])
        for label in (("n", "\0"), ("\ud800", "v"), ("n", "x" * 257)):
            with pytest.raises(InvalidInput):
                await runs.start(actor, fine, {"q": 1}, [label])
        assert await runs.count(actor, None, RunQuery()) == 0
        run = await runs.start(actor, warned, None)
        assert names(await followed(runs, actor, run.id))[-1] == "RunSucceeded"


async def test_a_run_whose_insertion_was_not_answered_is_executed_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script()) as w:
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph("a"))
        add = w.queue.add

        async def answered_badly(*arguments: Any) -> Any:
            await add(*arguments)
            raise DatabaseUnavailable

        monkeypatch.setattr(w.queue, "add", answered_badly)
        with pytest.raises(DatabaseUnavailable):
            await runs.start(actor, workflow_id, None)
        (run,) = (await runs.page(actor, None, RunQuery(), PageRequest(9))).items
        assert names(await followed(runs, actor, run.id))[-1] == "RunSucceeded"


# ── cancelling ──


async def test_a_run_is_cancelled_once_by_whoever_may(database: Database) -> None:
    async with world(database, script(a=forever)) as w:
        runs, shelf, actor = await service(w)
        run = await runs.start(actor, await shelf.add(graph("a")), None)
        viewer, stranger = await caller(w, Role.VIEWER), await caller(w, None)
        with pytest.raises(Forbidden):
            await runs.cancel(viewer, run.id, None)
        with pytest.raises(NotFound):
            await runs.cancel(stranger, run.id, None)
        for reason in ("x" * 1_001, "a\0b", "\ud800"):
            with pytest.raises(InvalidInput):
                await runs.cancel(actor, run.id, reason)
        assert not (await runs.get(actor, run.id)).status.is_finished
        first, second = await asyncio.gather(
            runs.cancel(actor, run.id, "enough"), runs.cancel(actor, run.id, "enough again")
        )
        assert first.id == second.id == run.id
        events = await followed(runs, actor, run.id)
        (requested,) = [event.event for event in events if isinstance(event.event, RunCancelRequested)]
        assert requested.by == actor.user.id
        assert requested.reason in {"enough", "enough again"}
        assert names(events)[-2:] == ["NodeCanceled a", "RunCanceled"]
        with pytest.raises(Conflict):
            await runs.cancel(actor, run.id, None)


async def test_whoever_cancels_is_shown_it_and_is_not_kept_waiting_for_a_process_that_does_nothing(
    database: Database,
) -> None:
    async with world(database, script(a=forever)) as w:
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph("a"))
        obeyed, frozen = [(await runs.start(actor, workflow_id, None)).id for _ in range(2)]
        assert (await runs.cancel(actor, obeyed, None)).status in {RunStatus.CANCELING, RunStatus.CANCELED}
        w.crash()
        async with asyncio.timeout(20):
            assert not (await runs.cancel(actor, frozen, None)).status.is_finished


# ── reading ──


async def test_a_cursor_resumes_behind_what_was_seen_and_the_end_is_told_at_once(database: Database) -> None:
    async with world(database, script()) as w:
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph("a b", "a>b"))
        run_id = (await runs.start(actor, workflow_id, None)).id
        other_id = (await runs.start(actor, workflow_id, None)).id
        events = await followed(runs, actor, run_id)
        await followed(runs, actor, other_id)
        for seen in range(len(events) + 1):
            rest = await followed(runs, actor, run_id, cursor_of(run_id, seen))
            assert [event.seq for event in rest] == [event.seq for event in events[seen:]]
        assert await followed(runs, actor, run_id, "HEAD") == []
        for wrong in (cursor_of(other_id, 1), cursor_of(run_id, len(events) + 1), "", "1", cursor_of(run_id, -1)):
            with pytest.raises(CursorInvalid):
                await followed(runs, actor, run_id, wrong)
        stranger = await caller(w, None)
        with pytest.raises(NotFound):
            await followed(runs, stranger, run_id)

        run = await runs.get(actor, run_id)

        async def page_of(request: PageRequest) -> Page[LoggedEvent]:
            return await sole(runs.page_events([log_span(run, request)], request))

        page = await page_of(PageRequest(2, after=cursor_of(run_id, 2)))
        assert ([event.seq for event in page.items], page.has_next, page.has_previous) == ([3, 4], True, True)
        page = await page_of(PageRequest(2, before=cursor_of(run_id, 4), is_backward=True))
        assert [event.seq for event in page.items] == [2, 3]
        with pytest.raises(CursorInvalid):
            await page_of(PageRequest(2, after=cursor_of(other_id, 1)))


async def test_runs_are_shown_to_members_alone(database: Database) -> None:
    async with world(database, script()) as w:
        runs, shelf, actor = await service(w)
        workflow_id = await shelf.add(graph("a"))
        ids = [(await runs.start(actor, workflow_id, None)).id for _ in range(3)]
        for run_id in ids:
            await followed(runs, actor, run_id)
        viewer, stranger = await caller(w, Role.VIEWER), await caller(w, None)
        page = await runs.page(viewer, None, RunQuery(statuses=(RunStatus.SUCCEEDED,)), PageRequest(2))
        assert [run.id for run in page.items] == [ids[2], ids[1]]
        assert await runs.count(viewer, w.workspace_id, RunQuery()) == 3
        assert set(await runs.list_by_id(viewer, [*ids, RunId(uuid7())])) == set(ids)
        assert await runs.list_by_id(stranger, ids) == {}
        assert await runs.find(stranger, ids[0]) is None
        with pytest.raises(NotFound):
            await runs.get(stranger, ids[0])
        with pytest.raises(NotFound):
            await runs.page(stranger, w.workspace_id, RunQuery(), PageRequest(2))
        with pytest.raises(WorkspaceRequired):
            await runs.count(stranger, None, RunQuery())


async def test_changes_tell_the_unfinished_runs_and_then_each_one_that_begins_or_ends(database: Database) -> None:
    async with world(database, script(a=forever)) as w:
        runs, shelf, actor = await service(w)
        watched, ignored = await shelf.add(graph("a")), await shelf.add(graph("b"))
        first = await runs.start(actor, watched, None)
        heard: asyncio.Queue[tuple[RunId, RunStatus]] = asyncio.Queue(100)

        async def listen() -> None:
            async with aclosing(runs.changes(actor, None, watched)) as changes:
                async for run in changes:
                    heard.put_nowait((run.id, run.status))

        async def until(run_id: RunId, *statuses: RunStatus) -> None:
            async with asyncio.timeout(20):
                while (await heard.get()) not in [(run_id, status) for status in statuses]:
                    pass

        listening = asyncio.create_task(listen())
        await until(first.id, RunStatus.QUEUED, RunStatus.RUNNING)
        await runs.start(actor, ignored, None)
        second = await runs.start(actor, watched, None)
        await until(second.id, RunStatus.RUNNING)
        await runs.cancel(actor, first.id, None)
        await until(first.id, RunStatus.CANCELED)
        await runs.cancel(actor, second.id, None)
        await until(second.id, RunStatus.CANCELED)
        assert heard.empty()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_the_unfinished_runs_of_a_workflow_are_told_however_many_others_there_are(database: Database) -> None:
    async with world(database, script(), limits=EngineLimits(max_concurrent_runs=0)) as w:
        runs, shelf, actor = await service(w)
        watched, busy = await shelf.add(graph("a")), await shelf.add(graph("b"))
        first = await runs.start(actor, watched, None)
        for _ in range(100):
            await runs.start(actor, busy, None)
        async with aclosing(runs.changes(actor, None, watched)) as changes, asyncio.timeout(5):
            assert (await anext(changes)).id == first.id
