"""Runs that end outside of their schedule, for a fault of ours or for a graph that cannot be executed here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from domain.events import NodeProgressed, RunFailed, RunRecovered
from domain.kinds import NodeContext, Result
from domain.run import NodeRunStatus, RunStatus, Usage
from persistence import completions
from persistence.companions import store_companions
from runtime import abandoned
from runtime.engine_limits import EngineLimits
from runtime.nodes.wait import KIND as WAIT
from tests.runtime.test_local import FAST, begun, crashing
from tests.support.engines import World, only, world
from tests.support.kinds import forever, graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.ids import RunId
    from domain.workflow import Definition
    from persistence.database import Database

PATIENT = EngineLimits(poll_s=0.02, takeover_probe_s=0.05, linger_s=60)
MANY: dict[str, Any] = {"forEach": {"items": "{{ [1, 2] }}"}, "step": "b"}
WAITING: dict[str, Any] = {"config": {"wait": {"durationMs": 3_600_000}}}


async def spend(_: NodeContext) -> Result:
    return Result(1, usage=Usage(1, 2, 3))


def broken_graph(**nodes: dict[str, Any]) -> Definition:
    """Return a graph in which `c` breaks the bookkeeping when `a` and `gate` are done."""
    steps = {"a": {}, **nodes, "gate": {}, "c": {"config": {"pure": {"step": "c"}}}, "d": {}}
    return graph(steps, "a>c", "gate>c", "c>d")


class Fault:
    """The step of a pure node that breaks the bookkeeping so many times."""

    def __init__(self, times: int = 1_000) -> None:
        self.times = times

    async def __call__(self, _: NodeContext) -> Result:
        self.times -= 1
        return Result(1, ports=("out",) if self.times < 0 else None)  # pyright: ignore[reportArgumentType]


def pure(fault: Fault) -> Any:
    return replace(script(c=fault), is_pure=True, name="pure")


async def rows_of(w: World, run_id: RunId) -> dict[tuple[str, int], tuple[str, bool]]:
    """Return the status of nodes and items, and whether a time of their end is told."""
    async with w.database.direct() as connection:
        rows = await connection.fetch("SELECT * FROM node_runs WHERE run_id = $1", run_id)
    return {(row["node_key"], row["item_index"]): (row["status"], row["finished_at"] is not None) for row in rows}


async def check_closed(w: World, run_id: RunId, *, done: int) -> None:
    (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
    assert (run.status, run.usage, run.nodes_done) == (RunStatus.FAILED, Usage(1, 2, 3), done)


async def test_a_fault_of_ours_closes_what_is_open_and_tells_what_was_used(database: Database) -> None:
    opened = asyncio.Event()

    async def gate(_: NodeContext) -> None:
        await opened.wait()

    kind = script(a=spend, b=forever, gate=gate)
    async with world(database, kind, pure(Fault()), WAIT, limits=PATIENT) as w:
        with capture_logs():
            run_id = await begun(w, broken_graph(b={}, many=MANY, wait=WAITING))

            async def is_all_begun() -> bool:
                found = await rows_of(w, run_id)
                return found.get(("wait", -1)) == ("WAITING", False) and len(found) == 7

            await until(is_all_begun)
            opened.set()
            async with asyncio.timeout(10):
                log = await w.ended(run_id)
        assert only(log, RunFailed).usage == Usage(1, 2, 3)
        canceled, succeeded = (NodeRunStatus.CANCELED.value, True), (NodeRunStatus.SUCCEEDED.value, True)
        ended = {"a": succeeded, "b": canceled, "gate": succeeded, "many": canceled, "wait": canceled}
        items = {("many", 0): canceled, ("many", 1): canceled}
        assert await rows_of(w, run_id) == {**{(key, -1): end for key, end in ended.items()}, **items}
        await check_closed(w, run_id, done=5)


async def test_a_graph_that_cannot_be_executed_any_more_closes_what_is_open(database: Database) -> None:
    async with crashing(database, script(a=spend, b=forever)) as lost:
        run_id = await begun(lost, graph("a b"))

        async def is_spent() -> bool:
            return (await rows_of(lost, run_id)).get(("a", -1)) == ("SUCCEEDED", True)

        await until(is_spent)
    with capture_logs():
        async with world(database, limits=FAST, like=lost) as heir, asyncio.timeout(20):
            failed = only(await heir.ended(run_id), RunFailed)
            assert (failed.failure.code, failed.usage) == ("UNUSABLE_GRAPH", Usage(1, 2, 3))
            assert (await rows_of(heir, run_id))["b", -1] == ("CANCELED", True)
            await check_closed(heir, run_id, done=2)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let each end outside of the schedule be refused for which there is an element."""
    refusals: list[bool] = []

    async def store(connection: Any, group: Any) -> None:
        if refusals:
            refusals.pop()
            raise ValueError
        await store_companions(connection, group)

    monkeypatch.setattr(completions, "store_companions", store)
    monkeypatch.setattr(abandoned, "_FIRST_PAUSE_S", 0.01)
    return refusals


async def test_a_run_of_which_even_the_end_was_refused_is_taken_up_again(
    database: Database, refusing: list[bool]
) -> None:
    refusing.append(True)
    async with world(database, script(a=spend), pure(Fault(times=1)), limits=FAST) as w:
        with capture_logs():
            run_id = await begun(w, broken_graph())
            async with asyncio.timeout(20):
                log = await w.ended(run_id)
        assert only(log, RunRecovered).recovery_count == 1
        assert log[-1].event.type == "RunSucceeded"


async def test_a_run_that_cannot_be_ended_is_not_taken_up_for_ever(database: Database, refusing: list[bool]) -> None:
    refusing += [True] * 1_000
    async with world(database, script(a=spend), pure(Fault()), limits=replace(FAST, max_recoveries=2)) as w:
        with capture_logs() as logs:
            run_id = await begun(w, broken_graph())
            await until(lambda: "engine.run_given_up" in [entry["event"] for entry in logs])
            await asyncio.sleep(0.3)  # in which the engine looks for orphans a dozen times
        assert [entry["event"] for entry in logs].count("run.end_refused") == 3, "and no more"
        assert not w.engine.holds(run_id)
        assert await w.status_of(run_id) is RunStatus.RUNNING


async def test_a_graph_that_cannot_be_executed_is_refused_again_where_that_was_not_stored(
    database: Database, refusing: list[bool]
) -> None:
    refusing.append(True)
    async with world(database, limits=FAST) as w:
        with capture_logs():
            run_id = await begun(w, graph("a"))
            async with asyncio.timeout(20):
                log = await w.ended(run_id)
        assert only(log, RunFailed).failure.code == "UNUSABLE_GRAPH"


async def test_a_run_that_fails_again_while_its_end_is_on_the_way_fails_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = asyncio.Event()

    async def wait(connection: Any, group: Any) -> None:
        await held.wait()
        await store_companions(connection, group)

    monkeypatch.setattr(completions, "store_companions", wait)
    async with world(database, script(a=forever), limits=FAST) as w:
        run = w.new_run(await w.add(graph("a")))
        await w.engine.start(run)
        local = w.engine._runs[run.id]
        with capture_logs():
            for _ in range(2):
                local.obey([None])  # pyright: ignore[reportArgumentType] -- so that the bookkeeping fails
        assert w.engine.holds(run.id), "else it would be looked for as an orphan"
        local.advance([NodeProgressed("a", None, 1, 1, 2)])
        held.set()
        async with asyncio.timeout(10):
            log = await w.ended(run.id)
        assert [entry.event.type for entry in log] == ["RunQueued", "RunStarted", "NodeStarted", "RunFailed"]
