"""Line 21 of docs/design/security.md: what one workspace, or one run, may take, each cap at a small value."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from domain.collections import NewDocument
from domain.data_tables import ColumnType, DataColumn, WriteMode
from domain.errors import LimitExceeded
from domain.events import ApprovalRequested, NodeFailed, RunFailed, RunSucceeded
from domain.ids import WorkspaceId
from domain.reruns import RerunFrom
from domain.room import Room
from domain.workflow import Definition, WorkflowDraft
from gql.errors import to_user_error
from runtime.collections import CollectionDraft
from runtime.engine_limits import EngineLimits
from runtime.reruns import RerunRequest
from runtime.services import open_services
from runtime.settings import LimitsSettings
from tests.support.engines import only, world
from tests.support.identity import PASSWORD
from tests.support.kinds import graph, script
from tests.support.services import settings_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from domain.kinds import NodeContext
    from persistence.database import Database
    from runtime.services import Services

ASK = {"approval": {"title": "Well?"}}


@asynccontextmanager
async def services_with(database_url: str, tmp_path: Path, **limits: int) -> AsyncGenerator[tuple[Services, Principal]]:
    settings = settings_on(database_url, tmp_path).model_copy(update={"limits": LimitsSettings(**limits)})
    async with open_services(settings) as services:
        signed_in = await services.identity.sign_up("ada@example.com", PASSWORD, "Ada", None, address="")
        yield services, signed_in.principal


async def run(services: Services, actor: Principal, config: dict[str, Any]) -> list[Any]:
    """Run one node to the end of its run, or until the run waits for an answer; return its events."""
    workflow = await services.workflows.create(actor, None, WorkflowDraft(f"W {uuid4().hex}", definition=_one(config)))
    started = await services.runs.start(actor, workflow.id, None)
    events: list[Any] = []
    async for logged in services.runs.follow(actor, started.id, None):
        events.append(logged.event)
        if isinstance(logged.event, ApprovalRequested):
            break
    return events


def _one(config: dict[str, Any]) -> Definition:
    return Definition.model_validate(
        {"graph": {"nodes": [{"key": "only", "config": config, "retry": {"maximumAttempts": 1}}]}}
    )


def failure_of(events: list[Any]) -> tuple[str, str]:
    [failed] = [event for event in events if isinstance(event, NodeFailed)]
    assert isinstance(events[-1], RunFailed), "the run has ended, and says why"
    return failed.failure.code, failed.failure.message


async def test_line_21_a_workspace_has_so_many_workflows(database_url: str, tmp_path: Path) -> None:
    async with services_with(database_url, tmp_path, workflows=2) as (services, ada):
        made = [await services.workflows.create(ada, None, WorkflowDraft(name)) for name in ("a", "b")]
        with pytest.raises(LimitExceeded, match="ANABRANCH_LIMITS__WORKFLOWS") as refused:
            await services.workflows.create(ada, None, WorkflowDraft("c"))
        assert to_user_error(refused.value).code == "LIMIT_EXCEEDED"
        assert refused.value.limit == 2
        eve = (await services.identity.sign_up("eve@example.com", PASSWORD, "Eve", None, address="")).principal
        assert await services.workflows.create(eve, None, WorkflowDraft("a")), "in a workspace of one's own"
        await services.workflows.delete(ada, made[0].id)
        assert await services.workflows.create(ada, None, WorkflowDraft("c"))


async def test_line_21_a_workspace_has_so_many_runs_that_have_not_ended(database_url: str, tmp_path: Path) -> None:
    async with services_with(database_url, tmp_path, unfinished_runs=2) as (services, ada):
        for _ in range(3):
            ended = await run(services, ada, {"transform": {"fields": [{"name": "one", "value": 1}]}})
            assert isinstance(ended[-1], RunSucceeded), "what has ended does not count"
        for _ in range(2):
            await run(services, ada, ASK)
        with pytest.raises(LimitExceeded, match="ANABRANCH_LIMITS__UNFINISHED_RUNS") as refused:
            await run(services, ada, ASK)
        assert refused.value.limit == 2


async def test_line_21_a_run_that_calls_and_one_that_is_rerun_count_as_well(database_url: str, tmp_path: Path) -> None:
    async with services_with(database_url, tmp_path, unfinished_runs=2) as (services, ada):
        called = await services.workflows.create(ada, None, WorkflowDraft("Called", definition=_one(ASK)))
        first = await services.runs.start(ada, called.id, None)
        code, message = failure_of(
            await run(services, ada, {"subworkflow": {"workflow": called.slug, "version": {"track": "DRAFT"}}})
        )
        assert (code, "ANABRANCH_LIMITS__UNFINISHED_RUNS" in message) == ("TOO_MANY_RUNS", True)
        await services.runs.cancel(ada, first.id, None)
        async for _ in services.runs.follow(ada, first.id, None):
            pass
        for _ in range(2):
            await services.reruns.rerun(ada, RerunRequest(first.id, RerunFrom.START))
        with pytest.raises(LimitExceeded):
            await services.reruns.rerun(ada, RerunRequest(first.id, RerunFrom.START))
        other = (await services.identity.sign_up("eve@example.com", PASSWORD, "Eve", None, address="")).principal
        assert await run(services, other, ASK), "of this workspace only"


async def test_line_21_a_workspace_has_so_many_runs_at_work_in_a_process_and_the_others_room(
    database: Database,
) -> None:
    go = asyncio.Event()

    async def wait(_: NodeContext) -> None:
        await go.wait()

    async with world(database, script(a=wait), limits=EngineLimits(poll_s=0.05, max_runs_per_workspace=2)) as w:
        place = await w.add(graph("a"))
        mine = [w.new_run(place) for _ in range(5)]
        for one in mine:
            await w.engine.start(one)
        assert [w.engine.holds(one.id) for one in mine] == [True, True, False, False, False]
        w.workspace_id = WorkspaceId(uuid4())
        others = w.new_run(await w.add(graph("a")))
        await w.engine.start(others)
        assert w.engine.holds(others.id), "what one workspace queues keeps no other waiting"
        go.set()
        for one in (*mine, others):
            assert only(await w.ended(one.id), RunSucceeded)


async def test_line_21_a_run_logs_so_many_events_also_of_a_stream_that_never_ends(database: Database) -> None:
    async def babble(ctx: NodeContext) -> None:
        while True:
            await ctx.emit("x" * 2_048)

    limits = EngineLimits(poll_s=0.05, max_events=100)
    async with world(database, script(a=babble), limits=limits) as w:
        log = await w.run(graph("a"))
    failure = only(log, RunFailed).failure
    assert failure.code == "TOO_MANY_EVENTS"
    assert "at most 100" in failure.message
    assert "ANABRANCH_LIMITS__EVENTS_PER_RUN" in failure.message
    assert [logged.event.type for logged in log][-2:] == ["NodeCanceled", "RunFailed"], "its node was stopped"
    assert len(log) < 200


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_line_21_the_nodes_of_a_run_return_and_stream_so_much(database: Database, *, is_streamed: bool) -> None:
    begun: list[str] = []

    async def much(ctx: NodeContext) -> str:
        begun.append("much")
        if is_streamed:
            await ctx.emit("x" * 3_000)
            return ""
        return "x" * 3_000

    limits = EngineLimits(poll_s=0.05, max_output_bytes=5_000)
    async with world(database, script(a=much, b=much, c=much), limits=limits) as w:
        log = await w.run(graph("a b c", "a>b", "b>c"))
        assert only(log, RunFailed).failure.code == "TOO_MUCH_OUTPUT"
        assert "ANABRANCH_LIMITS__OUTPUT_BYTES_PER_RUN" in only(log, RunFailed).failure.message
        assert len(begun) in {2, 3}, "not before, and nothing more is waited for"
        fine = await w.run(graph("a"))
        assert only(fine, RunSucceeded), "each run for itself"


async def test_line_21_a_table_has_so_many_rows_and_what_is_there_may_still_change(
    database_url: str, tmp_path: Path
) -> None:
    async with services_with(database_url, tmp_path, rows_per_table=2) as (services, ada):
        columns = [DataColumn("key", ColumnType.TEXT), DataColumn("value", ColumnType.INTEGER)]
        await services.data_tables.create(ada, None, "things", columns, ["key"])

        def write(key: str, mode: WriteMode) -> dict[str, Any]:
            values = [{"column": "key", "value": key}, {"column": "value", "value": 1}]
            picked = {"conflictColumns": [] if mode is WriteMode.INSERT else ["key"]}
            written = values[:1] if mode is WriteMode.DELETE else values
            return {"dbWrite": {"target": {"dataTable": "things"}, "writeMode": mode, "values": written, **picked}}

        for key in ("a", "b"):
            assert isinstance((await run(services, ada, write(key, WriteMode.INSERT)))[-1], RunSucceeded)
        for mode in (WriteMode.INSERT, WriteMode.UPSERT):
            code, message = failure_of(await run(services, ada, write("c", mode)))
            assert (code, "ANABRANCH_LIMITS__ROWS_PER_TABLE" in message) == ("TABLE_FULL", True)
        for mode in (WriteMode.UPSERT, WriteMode.UPDATE, WriteMode.DELETE):
            assert isinstance((await run(services, ada, write("a", mode)))[-1], RunSucceeded), mode
        assert isinstance((await run(services, ada, write("c", WriteMode.UPSERT)))[-1], RunSucceeded)


async def test_line_21_a_collection_has_so_many_documents(database_url: str, tmp_path: Path) -> None:
    async with services_with(database_url, tmp_path, documents_per_collection=2) as (services, ada):
        collection = await services.collections.create(ada, None, CollectionDraft("tales"))
        new = [NewDocument(key, f"About {key}.", None) for key in ("a", "b", "c")]
        with pytest.raises(LimitExceeded, match="ANABRANCH_LIMITS__DOCUMENTS_PER_COLLECTION") as refused:
            await services.documents.upsert(ada, collection.id, new)
        assert (refused.value.limit, refused.value.actual) == (2, 3)
        await services.documents.upsert(ada, collection.id, new[:2])
        config = {"faissUpsert": {"collection": "tales", "text": "About d.", "externalId": "d"}}
        assert failure_of(await run(services, ada, config))[0] == "COLLECTION_FULL"
        changed = [NewDocument("a", "Another text.", None)]
        await services.documents.upsert(ada, collection.id, changed)


async def test_line_21_what_is_far_from_its_cap_is_seldom_counted_and_what_is_near_always() -> None:
    owner, there, counted = WorkspaceId(uuid4()), 0, 0

    async def count(_: WorkspaceId, most: int) -> int:
        nonlocal counted
        counted += 1
        return min(there, most)

    room: Room[WorkspaceId] = Room(10_000)
    while await room.is_there(owner, count):
        there += 1
    assert there == 10_000, "not one more"
    assert counted < 100, "and with few looks"
    there -= 1
    assert await room.is_there(owner, count), "what is given back is there at once"
