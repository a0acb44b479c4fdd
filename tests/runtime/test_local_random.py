"""Random graphs on a real engine and a real PostgreSQL whose connections break: every run ends, and its log is legal."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from structlog.testing import capture_logs

from domain.data_rows import check_write
from domain.data_tables import WriteMode
from domain.errors import Conflict, DatabaseUnavailable, NodeFault
from domain.events import (
    SETTLING,
    TERMINAL,
    NodeEventBase,
    NodeExpanded,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    RunPaused,
    RunRecovered,
)
from domain.kinds import NodeContext, NodeKind, Result
from tests.runtime.test_row_writes import rows, tables
from tests.support.items import each
from tests.support.kinds import graph, retry, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from domain.data_tables import DataTable
    from domain.events import LoggedEvent
    from domain.ids import RunId
    from domain.workflow import Definition
    from persistence.database import Database
    from tests.support.engines import World

Answer = TypeVar("Answer")
Place = tuple[str, int | None]
"""A node, or one of its items."""

SEEDS = [int(seed) for seed in os.environ.get("ANABRANCH_TEST_SEEDS", "2 3").split()]
RUNS = 60
ENDS_WITHIN_S = 60

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


def random_graph(dice: random.Random) -> Definition:
    """Return a graph of pure, waiting, failing and row-writing nodes, with conditions, retries, joins and limits."""
    count = dice.randint(1, 12)
    nodes: dict[str, dict[str, Any]] = {}
    edges: list[str] = []
    for number in range(count):
        kind = dice.choice(["script", "script", "pure", "pure", "pure"])
        steps = (
            ["none", "none", "flaky"]
            if kind == "pure"
            else ["quick", "slow", "flaky", "write", "write", "talk", "stubborn"]
        )
        node: dict[str, Any] = {"config": {kind: {"step": dice.choice(steps), "value": number}}}
        if dice.random() < 0.15:
            node["when"] = dice.choice(["false", "true", "input > 2"])
        if dice.random() < 0.6:
            node["retry"] = retry(dice.randint(2, 4), dice.choice([1, 1, 20]))
        if dice.random() < 0.3:
            node["onError"] = {"mode": "CONTINUE", "defaultOutput": 0}
        if dice.random() < 0.3:
            node |= random_list(dice)
        sources = dice.sample(range(number), min(number, dice.choice([0, 1, 1, 1, 2, 3])))
        if len(sources) > 1 and dice.random() < 0.3:
            node["join"] = "ANY"
        nodes[f"n{number}"] = node
        edges += [f"n{source}>n{number}" for source in sources]
    settings: dict[str, Any] = {
        "maxParallelNodes": dice.choice([1, 2, 3, 16]),
        "failurePolicy": dice.choice(["FAIL_FAST", "FINISH_BRANCHES"]),
    }
    if dice.random() < 0.15:
        settings["timeoutMs"] = dice.choice([100, 300, 1_000])
    return graph(nodes, *edges, **settings)


def random_list(dice: random.Random) -> dict[str, Any]:
    """Return a `forEach`: of a list that is short, empty, long, or none."""
    items = dice.choice(["range(5)", "range(2)", "[]", "range(40)", "input"])
    return each(items, dice.choice([1, 2, 8, 100]), dice.choice(["FAIL", "NULL", "DROP"]))


class Steps:
    """What nodes do; one that writes writes one row under a key of its own."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.table: DataTable | None = None

    async def quick(self, _: NodeContext) -> int:
        """Return at once."""
        return 1

    async def slow(self, _: NodeContext) -> int:
        """Take a while."""
        await asyncio.sleep(self._dice.random() * 0.03)
        return 2

    async def flaky(self, _: NodeContext) -> int:
        """Fail now and then."""
        if self._dice.random() < 0.4:
            raise NodeFault("FLAKY", "no luck", is_retryable=True)
        return 3

    async def talk(self, ctx: NodeContext) -> int:
        """Stream."""
        for _ in range(3):
            await ctx.emit("word ")
            await asyncio.sleep(0)
        return 4

    async def write(self, ctx: NodeContext) -> Result:
        """Have a row stored."""
        if self._dice.random() < 0.3:
            await asyncio.sleep(self._dice.random() * 0.02)
        assert self.table is not None
        return Result(None, write=check_write(self.table, WriteMode.INSERT, {"key": ctx.idempotency_key}))

    async def stubborn(self, ctx: NodeContext) -> Result:
        """End well although it is told to stop."""
        try:
            await asyncio.sleep(self._dice.random() * 0.05)
        except asyncio.CancelledError:
            return await self.write(ctx) if self._dice.random() < 0.5 else Result(5)
        return Result(5)

    def kinds(self) -> tuple[NodeKind, NodeKind]:
        """Return a kind of nodes that wait and one of pure nodes."""
        names = ("quick", "slow", "flaky", "talk", "write", "stubborn")
        kind = script(**{name: getattr(self, name) for name in names})
        return kind, replace(kind, kind="PURE", name="pure", is_pure=True)


def check_legal(log: Sequence[LoggedEvent]) -> None:
    """Check that a log is dense, ends once, and that each node starts before it ends and then is silent."""
    told = [f"{entry.seq} {entry.event}" for entry in log]
    assert [entry.seq for entry in log] == list(range(1, len(log) + 1)), told
    assert [isinstance(entry.event, TERMINAL) for entry in log] == [False] * (len(log) - 1) + [True], told
    running: dict[Place, int] = {}
    started: Counter[Place] = Counter()
    settled: set[Place] = set()
    lists: set[str] = set()
    for event in (entry.event for entry in log):
        if isinstance(event, RunRecovered):
            running = {
                place: execution for place, execution in running.items() if place[1] is None and place[0] in lists
            }
        if not isinstance(event, NodeEventBase):
            continue
        key = event.node_key, event.item_index
        assert key not in settled, told
        assert (event.node_key, None) not in settled, told
        assert event.item_index is None or event.node_key in lists, told
        if isinstance(event, NodeExpanded):
            lists.add(event.node_key)
        if isinstance(event, NodeStarted):
            started[key] += 1
            assert key not in running, told
            assert event.execution == started[key], told
            running[key] = event.execution
        elif isinstance(event, (NodeSucceeded, NodeFailed, NodeRetrying)):
            assert running.pop(key, None) == event.execution, told
        elif isinstance(event, SETTLING):
            assert not isinstance(event, NodeSkipped) or key not in started, told
            running.pop(key, None)
        if isinstance(event, SETTLING):
            settled.add(key)
            still_at_work = [place for place in running if place[0] == event.node_key]
            assert event.item_index is not None or not still_at_work, told
    assert not running, told


async def break_connections(database: Database, dice: random.Random) -> None:
    """End one of the connections now and then, be it the log's or one of the pool."""
    async with database.direct() as connection:
        while True:
            await asyncio.sleep(dice.random() * 0.4)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'anabranch' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
            )


async def begin(w: World, dice: random.Random, place: Any) -> RunId | None:
    """Begin a run in one of the two ways; None if the database was away in that moment and nobody knows."""
    run = w.new_run(place, dice.randint(0, 5))
    try:
        if dice.random() < 0.5:
            await w.engine.start(run)
        else:
            await w.queue.add(run)
            w.engine.look()
    except DatabaseUnavailable:
        return run.id if await w.reader.find_many(frozenset({w.workspace_id}), [run.id]) else None
    return run.id


async def cancel_some(w: World, dice: random.Random, ids: Sequence[RunId]) -> None:
    """Cancel some runs while they are at work."""
    for run_id in ids:
        if dice.random() < 0.2:
            await asyncio.sleep(dice.random() * 0.02)
            try:
                await w.cancel(run_id)
            except DatabaseUnavailable:
                continue


async def pause_some(w: World, dice: random.Random, ids: Sequence[RunId]) -> None:
    """Pause some runs wherever they are, and let them go on after a while."""
    paused: list[RunId] = []
    for run_id in ids:
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.02)
            if await is_taken(partial(w.pause, run_id)):
                paused.append(run_id)
    await asyncio.sleep(dice.random() * 0.3)
    for run_id in paused:
        await is_taken(partial(w.resume, run_id))


async def is_taken(ask: Callable[[], Awaitable[None]]) -> bool:
    """Ask until it is known whether it was taken: a conflict may be of our own doing, whose answer was lost."""
    is_lost = False
    while True:
        try:
            await ask()
        except DatabaseUnavailable:
            is_lost = True
        except Conflict:
            return is_lost
        else:
            return True


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the database answers."""
    while True:
        try:
            return await ask()
        except DatabaseUnavailable:
            await asyncio.sleep(0.01)


async def trouble(w: World, dice: random.Random) -> None:
    """Let an engine lose its lease and hear of it, or not hear of it while another takes its runs, or neither."""
    match dice.randint(0, 2):
        case 0:
            w.engine.lost()
        case 1:
            await patiently(partial(w.entered, expires_in_s=-1))
            await asyncio.sleep(0.2)
            await patiently(partial(w.entered, expires_in_s=3_600))
        case _:
            pass


async def ended(w: World, ids: Sequence[RunId]) -> None:
    """Wait until no run is open."""

    async def open_ones() -> list[str]:
        found = await w.reader.find_many(frozenset({w.workspace_id}), ids)
        return [f"{run.id} {run.status} held={w.engine.holds(run.id)}" for run in found if not run.status.is_finished]

    left: list[str] = []
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            while left := await patiently(open_ones):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"runs that do not end: {left}")


@pytest.mark.parametrize("seed", SEEDS)
async def test_runs_of_random_graphs_end_with_a_legal_log_while_connections_break(
    database: Database, seed: int
) -> None:
    dice = random.Random(seed)
    steps = Steps(dice)
    with capture_logs() as logs:
        async with (
            tables(database, *steps.kinds()) as (w, table),
            tables(database, *steps.kinds(), like=w, table=table) as (other, _),
        ):
            steps.table = table
            for one in (w, other):
                await one.entered(expires_in_s=3_600)
            places = [await w.add(random_graph(dice)) for _ in range(RUNS)]
            breaking = asyncio.create_task(break_connections(database, dice))
            begun = await asyncio.gather(*(begin(w, dice, place) for place in places))
            ids = [run_id for run_id in begun if run_id is not None]
            pausing = asyncio.create_task(pause_some(other, dice, ids))
            await cancel_some(w, dice, ids)
            await trouble(w, dice)
            await pausing
            await ended(w, ids)
            breaking.cancel()
            await asyncio.gather(breaking, return_exceptions=True)
            await until(lambda: w.engine.run_count == other.engine.run_count == 0)
            whole = [await patiently(partial(w.log_rows, run_id)) for run_id in ids]
            written = await patiently(partial(rows, database, table))
    for log in whole:
        check_legal(log)
    assert any(isinstance(logged.event, RunPaused) for log in whole for logged in log)
    assert written == await succeeded_writes(database)
    errors = [entry["event"] for entry in logs if entry["log_level"] == "error"]
    assert set(errors) <= {"engine.lease_lost", "node.fault"}, errors


async def succeeded_writes(database: Database) -> int:
    """Return how many nodes and items ended with rows."""
    statement = "SELECT count(*) FROM node_runs WHERE status = 'SUCCEEDED' AND output::text LIKE '{\"rowCount\"%'"
    async with database.direct() as connection:
        return await connection.fetchval(statement)
