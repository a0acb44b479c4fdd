"""Chain, fan and nodes per second, each beside the raw commit of the same minute."""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import TYPE_CHECKING

from bench.world import chain, fan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.world import World
    from domain.ids import RunId

RUNS = 1_000
NODES = 10


async def chain_of_100(world: World, passes: int) -> dict[str, float]:
    """Measure a chain of 100 nodes: ms per node, and that in raw commits."""
    workflow = await world.workflow("Chain", chain(100))
    await world.run(workflow, {"x": 1})
    spans: list[float] = []
    ratios: list[float] = []
    for _ in range(passes):
        raw_s = await world.raw_commit_s()
        node_s = await world.run(workflow, {"x": 1}) / 100
        spans.append(node_s)
        ratios.append(node_s / ((raw_s + await world.raw_commit_s()) / 2))
    return {"chain ms/node": median(spans) * 1e3, "chain / raw commit (≤ 4)": median(ratios)}


async def fan_of_100(world: World, passes: int) -> dict[str, float]:
    """Measure 1 → 100 → 1: ms, and that in raw commits."""
    workflow = await world.workflow("Fan", fan(100))
    await world.run(workflow, {"x": 1})
    spans: list[float] = []
    ratios: list[float] = []
    for _ in range(passes):
        raw_s = await world.raw_commit_s()
        span_s = await world.run(workflow, {"x": 1})
        spans.append(span_s)
        ratios.append(span_s / ((raw_s + await world.raw_commit_s()) / 2))
    return {"fan of 100 ms": median(spans) * 1e3, "fan / raw commit (≤ 40)": median(ratios)}


async def nodes_per_second(world: World, passes: int) -> dict[str, float]:
    """Measure 1,000 runs of 10 nodes at once, claimed, executed, stored and read back."""
    workflow = await world.workflow("Ten", chain(NODES))
    await world.run(workflow, {"x": 1})
    rates: list[float] = []
    ratios: list[float] = []
    for _ in range(passes):
        raw_s = await world.raw_commit_s()
        ids = await world.queue(workflow, RUNS, '{"x": 1}')
        started = time.perf_counter()
        world.services.engine.look()
        await _all_ended(world)
        rate = RUNS * NODES / (time.perf_counter() - started)
        await _read_back(world, ids)
        rates.append(rate)
        ratios.append(rate * (raw_s + await world.raw_commit_s()) / 2)
    return {"durable nodes/s (≥ 6,000)": median(rates), "nodes/s / raw commits/s (≥ 3)": median(ratios)}


async def _all_ended(world: World) -> None:
    """Return when the engine has run what is queued; a run leaves it when its end is stored."""
    engine = world.services.engine
    async with asyncio.timeout(120):
        while engine.run_count == 0:  # noqa: ASYNC110 -- nothing in the engine is slowed by a hook for the bench
            await asyncio.sleep(0.001)
        while engine.run_count > 0:  # noqa: ASYNC110 -- the same
            await asyncio.sleep(0.005)


async def _read_back(world: World, ids: Sequence[RunId]) -> None:
    async with world.database.direct() as connection:
        runs = await connection.fetchval(
            "SELECT count(*) FROM runs WHERE id = ANY($1::uuid[]) AND status = 'SUCCEEDED'", ids
        )
        events = await connection.fetchval("SELECT count(*) FROM run_events WHERE run_id = ANY($1::uuid[])", ids)
        nodes = await connection.fetchval(
            "SELECT count(*) FROM node_runs WHERE run_id = ANY($1::uuid[]) AND status = 'SUCCEEDED'"
            " AND octet_length(output::text) BETWEEN 180 AND 220",
            ids,
        )
    assert (runs, events, nodes) == (RUNS, RUNS * (3 + 2 * NODES), RUNS * NODES), (runs, events, nodes)
