"""A process that executes no runs: those that it starts are for others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domain.errors import DatabaseUnavailable
from persistence.run_listener import PostgresListener
from runtime.engine_limits import EngineLimits
from tests.runtime.test_local import Gate
from tests.support.engines import names, world
from tests.support.kinds import graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import pytest

    from persistence.database import Database
    from runtime.local import LocalEngine

NO_RUNS = EngineLimits(max_concurrent_runs=0, poll_s=0.02, takeover_probe_s=0.05)


class Ears:
    """Lets an engine look, as the process around it would."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.is_listening = asyncio.Event()

    def woken(self, run_ids: Sequence[UUID]) -> None: ...

    def limited(self, connection: UUID | None, pause_s: float | None) -> None: ...

    def edited(self, workflow_ids: Sequence[UUID]) -> None:
        self.is_listening.set()  # the last of what is told when a connection is made

    def commanded(self, run_ids: Sequence[UUID]) -> None:
        if not run_ids:
            self._engine.look()


async def test_runs_that_are_started_where_none_are_executed_begin_elsewhere_at_once(database: Database) -> None:
    async with (
        world(database, script(), limits=NO_RUNS) as api,
        world(database, script(), limits=EngineLimits(poll_s=60), like=api) as worker,
    ):
        ears = Ears(worker.engine)
        listening = asyncio.create_task(PostgresListener(database, worker.executor.hex, ears).run())
        await ears.is_listening.wait()
        run = api.new_run(await api.add(graph("a b", "a>b")))
        await api.engine.start(run)
        assert not api.engine.holds(run.id)
        async with asyncio.timeout(20):  # at its next look it would be a minute
            assert names(await worker.ended(run.id))[-1] == "RunSucceeded"
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_where_no_runs_are_executed_those_that_wait_can_be_cancelled_and_the_others_wait(
    database: Database,
) -> None:
    async with world(database, script(), limits=NO_RUNS) as api:
        place = await api.add(graph("a"))
        waiting, canceled = await api.queued(place), await api.queued(place)
        await api.cancel(canceled)
        async with asyncio.timeout(20):
            assert names(await api.ended(canceled))[-1] == "RunCanceled"
        await until(lambda: api.engine.run_count == 0)
        assert names(await api.log_rows(waiting)) == ["RunQueued"]


async def test_a_cancelled_run_whose_claim_was_never_heard_of_ends_where_none_are_executed_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script(), limits=NO_RUNS) as api:
        claim, lost = api.queue.claim_canceled, list[int]()

        async def unheard(*given: Any) -> Any:
            claimed = await claim(*given)
            if claimed and not lost:
                lost.append(len(claimed))
                raise DatabaseUnavailable
            return claimed

        monkeypatch.setattr(api.queue, "claim_canceled", unheard)
        canceled = await api.queued(await api.add(graph("a")))
        await api.cancel(canceled)
        async with asyncio.timeout(20):
            assert names(await api.ended(canceled))[-1] == "RunCanceled"
        assert lost


async def test_a_full_engine_asks_for_no_orphans_until_it_has_room(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, full = Gate(), EngineLimits(max_concurrent_runs=1, poll_s=0.02, takeover_probe_s=60)
    async with world(database, script(a=gate), limits=full) as w:
        place = await w.add(graph("a"))
        run = w.new_run(place)
        await w.engine.start(run)
        await gate.reached.wait()
        take_over, claim, rooms, looks = w.queue.take_over, w.queue.claim_canceled, list[int](), list[int]()

        async def counted(*given: Any) -> Any:
            rooms.append(given[2])
            return await take_over(*given)

        async def looked(*given: Any) -> Any:
            looks.append(1)
            if len(looks) == 1:
                raise DatabaseUnavailable  # from now on it expects orphans
            return await claim(*given)

        monkeypatch.setattr(w.queue, "take_over", counted)
        monkeypatch.setattr(w.queue, "claim_canceled", looked)
        orphan = await w.owned(place)
        await until(lambda: len(looks) > 3)
        assert rooms == []
        gate.opened.set()
        async with asyncio.timeout(10):
            assert names(await w.ended(orphan))[-1] == "RunSucceeded"
