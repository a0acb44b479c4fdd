"""Runs that call other workflows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from domain.approvals import ApprovalQuery, ApprovalStatus
from domain.errors import NodeFault
from domain.events import NodeFailed, NodeSucceeded, NodeWaiting, RunCanceled, RunSucceeded
from domain.json_codec import encode
from domain.kinds import Result
from domain.ports.paging import PageRequest
from domain.run import RunLink, RunStatus, TriggerKind, Usage
from domain.suspensions import SubRunCall
from persistence.approvals import PostgresApprovals
from persistence.sub_runs import tell_parent
from runtime.nodes.approval import KIND as APPROVAL
from runtime.nodes.subworkflow import KIND as SUBWORKFLOW
from runtime.nodes.wait import KIND as WAIT
from tests.runtime.test_run_waits import FAST, LINGERING, begun, has_left, waiting
from tests.support.engines import NoServices, World, names, only, world
from tests.support.kinds import forever, graph, script
from tests.support.listed import sole
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.ids import GraphId, RunId, WorkflowId, WorkspaceId
    from domain.json_value import Json
    from domain.kinds import NodeContext
    from domain.run import Run
    from domain.versions import VersionTrack
    from domain.workflow import Definition
    from persistence.database import Database
    from runtime.engine_limits import EngineLimits


class Callable(NoServices):
    """Services that know workflows by slug."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[GraphId, WorkflowId]] = {}

    async def sub_workflow(
        self, workspace_id: WorkspaceId, slug: str, which: int | VersionTrack, given: Json
    ) -> SubRunCall:
        """Return the call of a workflow of the test."""
        del workspace_id, which
        if slug not in self.places:
            raise NodeFault("WORKFLOW_NOT_FOUND", slug)
        graph_id, workflow_id = self.places[slug]
        return SubRunCall(workflow_id, graph_id, None, 1, encode(given))


@asynccontextmanager
async def calling(
    database: Database, *kinds: Any, limits: EngineLimits = FAST, like: World | None = None, **workflows: Definition
) -> AsyncGenerator[World]:
    """Open an engine whose nodes may call workflows."""
    async with world(database, SUBWORKFLOW, WAIT, APPROVAL, *(kinds or (script(),)), limits=limits, like=like) as w:
        services = Callable() if like is None else like.engine.services
        w.engine.services = services
        if isinstance(services, Callable):
            for slug, definition in workflows.items():
                services.places[slug] = await w.add(definition)
        yield w


def call(slug: str = "child", given: Json = None, **more: object) -> dict[str, Any]:
    """Return a node that calls a workflow."""
    return {"config": {"subworkflow": {"workflow": slug, "subInput": given}}, **more}


async def children(w: World, run_id: RunId) -> list[Run]:
    pages = await w.reader.list_linked([run_id], RunLink.CALLED, PageRequest(50))
    return list(pages[run_id].items)


async def child_of(w: World, run_id: RunId) -> Run:
    """Wait for the one run that a run calls."""
    found: list[Run] = []

    async def is_there() -> bool:
        found[:] = await children(w, run_id)
        return bool(found)

    await until(is_there)
    (child,) = found
    return child


async def status_of(w: World, run_id: RunId) -> RunStatus:
    (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
    return run.status


async def test_a_node_gives_the_output_of_the_run_that_it_calls(database: Database) -> None:
    async def work(_: NodeContext) -> Result:
        return Result(1, usage=Usage(2, 3, 5))

    child = graph({"work": {}, "double": {"value": "{{ input.n * 2 }}"}}, "work>double")
    parent = graph(
        {"sub": call(given={"n": "{{ input }}"}), "then": {"value": "{{ nodes.sub.output.double }}"}}, "sub>then"
    )
    async with calling(database, script(work=work), child=child) as w:
        run = w.new_run(await w.add(parent), 21)
        await w.engine.start(run)
        events = await w.ended(run.id)
        assert isinstance(events[-1].event, RunSucceeded)
        assert (await w.reader.payloads([run.id]))[run.id][1] == b'{"then":42}'
        called = await child_of(w, run.id)
        assert only(events, NodeWaiting).sub_run == called.id
        assert (called.parent_id, called.parent_node_key, called.trigger) == (run.id, "sub", TriggerKind.SUBWORKFLOW)
        assert called.status is RunStatus.SUCCEEDED
        (whole,) = await w.reader.find_many(frozenset({w.workspace_id}), [run.id])
        assert whole.usage == called.usage == Usage(2, 3, 5), "what a sub-run uses, the run that called it has used"
        place = (run.id, "sub", None)
        assert (await w.reader.called_by([place, (run.id, "then", None)])) == {place: called.id}


async def test_the_end_of_a_sub_run_brings_its_parent_back_into_memory(database: Database) -> None:
    opened = asyncio.Event()

    async def work(_: NodeContext) -> None:
        await opened.wait()

    async with calling(database, script(work=work), child=graph("work")) as w:
        run_id = await begun(w, graph({"sub": call()}))
        await has_left(w, run_id)
        opened.set()
        events = await w.ended(run_id)
        assert names(events)[2:] == [
            "NodeStarted sub",
            "NodeWaiting sub",
            "RunWaiting",
            "RunResumed",
            "NodeSucceeded sub",
            "RunSucceeded",
        ]


async def test_a_sub_run_that_fails_fails_its_node_with_the_reason(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("NO_LUCK", "none today", is_retryable=False)

    node = call(onError={"mode": "BRANCH"})
    async with calling(database, script(bad=fail), child=graph("bad")) as w:
        events = await w.ended(
            await begun(w, graph({"sub": node, "sorry": {"value": "{{ error.message }}"}}, "sub.error>sorry"))
        )
        failed = only(events, NodeFailed)
        assert failed.failure.code == "SUB_RUN_FAILED"
        assert failed.failure.message.endswith("NO_LUCK: none today")
        assert isinstance(events[-1].event, RunSucceeded)
        assert len(await children(w, (await child_of(w, events[0].run_id)).parent_id)) == 1  # pyright: ignore[reportArgumentType]


async def test_a_workflow_that_is_not_there_fails_the_node_and_leaves_no_run(database: Database) -> None:
    async with calling(database) as w:
        run_id = await begun(w, graph({"sub": call("gone")}))
        assert only(await w.ended(run_id), NodeFailed).failure.code == "WORKFLOW_NOT_FOUND"
        assert await children(w, run_id) == []


async def test_a_workflow_that_was_deleted_meanwhile_fails_the_node_and_leaves_no_run(database: Database) -> None:
    async with calling(database, child=graph("a")) as w:
        services = w.engine.services
        assert isinstance(services, Callable)
        async with database.direct() as connection:
            await connection.execute("DELETE FROM workflows WHERE id = $1", services.places["child"][1])
        run_id = await begun(w, graph({"sub": call()}))
        events = await w.ended(run_id)
        assert only(events, NodeFailed).failure.code == "WORKFLOW_NOT_FOUND"
        assert names(events)[2:4] == ["NodeStarted sub", "NodeFailed sub"]


async def test_a_sub_run_that_was_deleted_before_its_parent_read_its_end_fails_the_node(database: Database) -> None:
    opened = asyncio.Event()

    async def work(_: NodeContext) -> None:
        await opened.wait()

    kind = script(work=work)
    async with calling(database, kind, limits=LINGERING, child=graph("work")) as dying:
        run_id = await begun(dying, graph({"sub": call()}))
        child = await child_of(dying, run_id)
        dying.crash()
    await dying.entered(expires_in_s=-1)
    async with database.direct() as connection, connection.transaction():
        await tell_parent(connection, child.id, run_id)
        await connection.execute("DELETE FROM workflows WHERE id = $1", child.workflow_id)
    async with calling(database, kind, like=dying) as heir:
        failed = only(await heir.ended(run_id), NodeFailed)
        assert failed.failure.code == "SUB_RUN_FAILED"
        assert failed.failure.message.endswith("failed. RUN_DELETED: Its run was deleted.")
        assert await children(heir, run_id) == []


async def test_workflows_call_each_other_up_to_sixteen_deep(database: Database) -> None:
    async with calling(database, child=graph({"sub": call()})) as w:
        run_id = await begun(w, graph({"sub": call()}))
        failed = only(await w.ended(run_id), NodeFailed)
        assert failed.failure.code == "SUB_RUN_FAILED"
        told = (
            ". SUB_RUN_TOO_DEEP: Workflows may call each other up to 16 deep; here they call each other in a circle: "
        )
        assert told in failed.failure.message
        assert len(failed.failure.message) < 300
        async with database.direct() as connection:
            assert await connection.fetchval("SELECT count(*) FROM runs") == 17
            assert await connection.fetchval("SELECT max(depth) FROM runs") == 16


async def test_workflows_that_call_each_other_in_a_circle_are_named(database: Database) -> None:
    there, back = graph({"sub": call("back")}), graph({"sub": call("there")})
    async with calling(database, there=there, back=back) as w:
        run_id = await begun(w, graph({"sub": call("there")}))
        failed = only(await w.ended(run_id), NodeFailed)
        async with database.direct() as connection:
            services = cast("Callable", w.engine.services)
            first, second = [
                await connection.fetchval("SELECT slug FROM workflows WHERE id = $1", services.places[slug][1])
                for slug in ("there", "back")
            ]
        assert failed.failure.message.endswith(f" in a circle: {first} → {second} → {first}.")


async def test_canceling_goes_down_to_what_works_waits_and_asks(database: Database) -> None:
    ask = {"config": {"approval": {"title": "?"}}}
    middle = graph({"deep": call("deep"), "pause": waiting()})
    async with calling(database, script(work=forever), child=middle, deep=graph({"work": {}, "ask": ask})) as w:
        run_id = await begun(w, graph({"sub": call()}))
        await has_left(w, run_id)
        child = await child_of(w, run_id)
        deep = await child_of(w, child.id)
        await until(lambda: _asks(w, deep.id, ApprovalStatus.OPEN))
        await w.cancel(run_id)
        assert isinstance((await w.ended(run_id))[-1].event, RunCanceled)
        for one in (child, deep):
            assert isinstance((await w.ended(one.id))[-1].event, RunCanceled)
        assert await _asks(w, deep.id, ApprovalStatus.CANCELED)
        async with database.direct() as connection:
            told = await connection.fetch("SELECT kind FROM run_commands WHERE kind = 'child'")
        assert told == [], "nobody tells a run that has ended"


async def _asks(w: World, run_id: RunId, status: ApprovalStatus) -> bool:
    page = await sole(
        PostgresApprovals(w.database).page_by_workspace([w.workspace_id], ApprovalQuery(run_id=run_id), PageRequest(2))
    )
    return [approval.status for approval in page.items] == [status]


async def test_a_sub_run_that_is_no_longer_awaited_is_cancelled_and_its_end_changes_nothing(database: Database) -> None:
    node = call(timeouts={"scheduleToCloseMs": 100}, onError={"mode": "CONTINUE", "defaultOutput": 7})
    nodes = {"sub": node, "pause": waiting(), "then": {"value": "{{ nodes.sub.output }}"}}
    async with calling(database, script(work=forever), child=graph("work")) as w:
        run_id = await begun(w, graph(nodes, "sub>then"))
        child = await child_of(w, run_id)
        assert isinstance((await w.ended(child.id))[-1].event, RunCanceled)
        await has_left(w, run_id)
        async with database.direct() as connection:
            answered = "SELECT count(*) FROM run_commands WHERE run_id = $1 AND applied_at IS NULL"
            await until(lambda: _is_zero(connection, answered, run_id))
        rows = await w.log_rows(run_id)
        assert only(rows, NodeFailed).failure.code == "TIMED_OUT"
        assert "NodeSucceeded then" in names(rows)


async def _is_zero(connection: Any, statement: str, run_id: RunId) -> bool:
    return await connection.fetchval(statement, run_id) == 0


async def test_a_sub_run_that_is_cancelled_by_itself_fails_its_node(database: Database) -> None:
    async with calling(database, script(work=forever), child=graph("work")) as w:
        run_id = await begun(w, graph({"sub": call()}))
        await w.cancel((await child_of(w, run_id)).id)
        assert only(await w.ended(run_id), NodeFailed).failure.code == "SUB_RUN_CANCELED"


async def test_a_child_is_called_once_though_the_process_of_its_parent_dies(database: Database) -> None:
    opened = asyncio.Event()

    async def work(_: NodeContext) -> None:
        await opened.wait()

    kind = script(work=work)
    async with calling(database, kind, limits=LINGERING, child=graph("work")) as dying:
        run_id = await begun(dying, graph({"sub": call()}))
        child = await child_of(dying, run_id)
        dying.crash()
    await dying.entered(expires_in_s=-1)
    opened.set()
    async with calling(database, kind, like=dying) as heir:
        events = await heir.ended(run_id)
        assert isinstance(events[-1].event, RunSucceeded)
        assert [one.id for one in await children(heir, run_id)] == [child.id]
        assert len([e for e in events if isinstance(e.event, NodeSucceeded)]) == 1
