from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import DatabaseUnavailable
from domain.run import RunStatus
from runtime.engine_limits import EngineLimits
from runtime.nodes.transform import KIND as TRANSFORM
from tests.runtime.test_local import chain, check_exact
from tests.support.engines import names, world
from tests.support.kinds import graph, script

if TYPE_CHECKING:
    from domain.kinds import NodeContext
    from persistence.database import Database


async def test_a_run_that_is_started_here_has_its_first_group_stored_with_it(database: Database) -> None:
    async with world(database, script(), limits=EngineLimits(poll_s=60)) as w:
        await asyncio.sleep(0)
        assert w.engine.has_room
        run = w.new_run(await w.add(graph("a")))
        await w.engine.start(run)
        assert names(await w.log_rows(run.id))[:3] == ["RunQueued", "RunStarted", "NodeStarted a"]
        async with asyncio.timeout(20):
            check_exact(await w.ended(run.id), nodes=1)
        assert w.log.commit_count == 1, "the end; everything before it came with the run"


async def test_a_run_may_have_ended_when_it_is_stored(database: Database) -> None:
    async with world(database, TRANSFORM, limits=EngineLimits(poll_s=60)) as w:
        await asyncio.sleep(0)
        run = w.new_run(await w.add(chain(1)), {"x": 5})
        await w.engine.start(run)
        check_exact(await w.log_rows(run.id), nodes=1)
        (stored,) = await w.reader.find_many(frozenset({w.workspace_id}), [run.id])
        assert (stored.status, stored.last_seq, stored.nodes_done) == (RunStatus.SUCCEEDED, 5, 1)
        assert stored.started_at is not None
        assert stored.finished_at is not None
        assert run.created_at <= stored.started_at <= stored.finished_at
        assert (await w.reader.payloads([run.id]))[run.id] == (b'{"x":5}', b'{"n0":{"x":5}}')
        assert (w.engine.run_count, w.log.commit_count) == (0, 0)


async def test_pure_nodes_that_compute_for_long_at_the_start_go_on_when_the_run_is_stored(database: Database) -> None:
    async def compute(_: NodeContext) -> None:
        done_at = time.monotonic() + 0.01
        while time.monotonic() < done_at:
            pass

    async with world(database, replace(script(a=compute, b=compute), is_pure=True)) as w:
        await asyncio.sleep(0)
        run = w.new_run(await w.add(graph("a b c")))
        await w.engine.start(run)
        check_exact(await w.ended(run.id), nodes=3)


async def test_a_run_whose_insertion_got_no_answer_is_taken_up_if_it_was_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script()) as w:
        await w.entered()
        add = w.queue.add

        async def lose_the_answer(*given: Any) -> None:
            await add(*given)
            raise DatabaseUnavailable

        monkeypatch.setattr(w.queue, "add", lose_the_answer)
        run = w.new_run(await w.add(graph("a")))
        with pytest.raises(DatabaseUnavailable):
            await w.engine.start(run)
        w.engine.look()
        async with asyncio.timeout(20):
            log = await w.ended(run.id)
        check_exact(log, nodes=1)
        assert names(log).count("RunRecovered") == 1
