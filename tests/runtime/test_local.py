from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from domain.errors import DatabaseUnavailable, NodeFault
from domain.events import NodeRetrying, NodeStarted, NodeSucceeded, RunCrashed, RunFailed, RunRecovered, RunSucceeded
from domain.run import NodeRunStatus
from domain.workflow import Definition
from persistence.database import open_database
from persistence.migrate import migrate
from persistence.partitions import ensure_partitions
from runtime.engine_limits import EngineLimits
from runtime.nodes.transform import KIND as TRANSFORM
from tests.support.engines import names, world
from tests.support.kinds import graph, retry, script
from tests.support.listed import one_node_run
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from domain.events import LoggedEvent
    from domain.ids import RunId
    from domain.kinds import NodeContext, NodeKind
    from persistence.database import Database
    from tests.support.engines import World
    from tests.support.postgres import Postgres

FAST = EngineLimits(poll_s=0.02, takeover_probe_s=0.05)


def chain(length: int) -> Definition:
    def fields(index: int) -> list[dict[str, str]]:
        value = "{{ input.x }}" if index == 0 else f"{{{{ nodes.n{index - 1}.output.x + 1 }}}}"
        return [{"name": "x", "value": value}]

    nodes: list[dict[str, Any]] = [
        {"key": f"n{index}", "config": {"transform": {"fields": fields(index)}}} for index in range(length)
    ]
    edges = [{"source": f"n{index}", "target": f"n{index + 1}"} for index in range(length - 1)]
    return Definition.model_validate({"graph": {"nodes": nodes, "edges": edges}})


class Gate:
    """A step that counts its attempts and holds each until it is let through."""

    def __init__(self) -> None:
        self.count = 0
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, _: NodeContext) -> int:
        """Wait for the gate."""
        self.count += 1
        self.reached.set()
        await self.opened.wait()
        return self.count


@asynccontextmanager
async def crashing(database: Database, *kinds: NodeKind, like: World | None = None) -> AsyncGenerator[World]:
    """Open an engine whose process ends without a word when the block does."""
    async with world(database, *kinds, limits=FAST, like=like) as w:
        yield w
        w.crash()
    await w.entered(expires_in_s=-1)


async def begun(w: World, definition: Definition, given: Any = None) -> RunId:
    run_id = await w.queued(await w.add(definition), given)
    w.engine.look()
    return run_id


async def logged(w: World, run_id: RunId, kind: type) -> LoggedEvent:
    """Wait for an event of a run."""
    async for event in w.progress.follow(run_id):
        if isinstance(event.event, kind):
            return event
    raise AssertionError


def check_exact(log: Sequence[LoggedEvent], *, nodes: int) -> None:
    """Check that a log is dense and ends well, and that each node succeeded once."""
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert isinstance(log[-1].event, RunSucceeded)
    succeeded = Counter(e.event.node_key for e in log if isinstance(e.event, NodeSucceeded))
    assert len(succeeded) == nodes
    assert set(succeeded.values()) == {1}


# ── running ──


async def test_a_chain_runs_in_order_and_its_last_output_is_the_runs(database: Database) -> None:
    async with world(database, TRANSFORM) as w:
        events = await w.run(chain(3), {"x": 5})
        assert names(events) == [
            "RunQueued",
            "RunStarted",
            "NodeStarted n0",
            "NodeSucceeded n0",
            "NodeStarted n1",
            "NodeSucceeded n1",
            "NodeStarted n2",
            "NodeSucceeded n2",
            "RunSucceeded",
        ]
        check_exact(events, nodes=3)
        assert w.log.commit_count == 3, "one for each node: a pure one starts and ends in it"
        payloads = await w.reader.payloads([events[0].run_id])  # pyright: ignore[reportArgumentType]
        assert payloads[events[0].run_id] == (b'{"x":5}', b'{"n2":{"x":7}}')  # pyright: ignore[reportArgumentType]


async def test_no_more_runs_are_claimed_than_there_is_room_for(database: Database) -> None:
    most = 0

    async def count(_: NodeContext) -> None:
        nonlocal most
        most = max(most, w.engine.run_count)

    async with world(database, script(a=count), limits=EngineLimits(max_concurrent_runs=2, poll_s=10)) as w:
        place = await w.add(graph("a b", "a>b"))
        runs = [await w.queued(place) for _ in range(7)]
        w.engine.look()
        async with asyncio.timeout(30):
            for log in await asyncio.gather(*(w.ended(run) for run in runs)):
                check_exact(log, nodes=2)
        assert most == 2
        assert w.engine.run_count == 0


async def test_a_run_that_waits_for_room_is_cancelled_without_waiting_for_it(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=EngineLimits(max_concurrent_runs=1, poll_s=0.02)) as w:
        place = await w.add(graph("a"))
        first = await w.queued(place)
        w.engine.look()
        await gate.reached.wait()
        second = await w.queued(place)
        await w.cancel(second)
        async with asyncio.timeout(20):
            assert names(await w.ended(second)) == ["RunQueued", "RunStarted", "RunCancelRequested", "RunCanceled"]
        gate.opened.set()
        check_exact(await w.ended(first), nodes=1)
        assert gate.count == 1


async def test_a_run_that_cannot_be_executed_here_fails_alone(database: Database) -> None:
    async with world(database, script()) as w:
        foreign = await begun(w, chain(1))
        broken = await w.queued(await w.add(graph("a")))
        w.definitions[(await w.reader.find_many(frozenset({w.workspace_id}), [broken]))[0].graph_id] = None  # pyright: ignore[reportArgumentType]
        with capture_logs():
            for run_id, reason in ((foreign, "'transform' is not installed"), (broken, "cannot be read")):
                end = (await w.ended(run_id))[-1].event
                assert isinstance(end, RunFailed)
                assert end.failure.code == "UNUSABLE_GRAPH"
                assert reason in end.failure.message
        check_exact(await w.run(graph("a")), nodes=1)


# ── recovery ──


async def test_another_engine_goes_on_where_a_process_was_lost(database: Database) -> None:
    gate = Gate()
    kind = script(b=gate)
    made = graph({"a": {"value": {"x": 1.0}}, "b": {}, "c": {"value": "{{ nodes.a.output }}"}}, "a>b", "b>c")
    async with crashing(database, kind) as lost:
        run_id = await begun(lost, made, {"in": 1.0})
        await gate.reached.wait()
    gate.opened.set()
    async with world(database, kind, limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        check_exact(events, nodes=3)
        assert names(events)[5:10] == [
            "RunRecovered",
            "NodeStarted b",
            "NodeSucceeded b",
            "NodeStarted c",
            "NodeSucceeded c",
        ]
        recovered = events[5].event
        assert isinstance(recovered, RunRecovered)
        assert (recovered.recovery_count, recovered.restarted) == (1, ["b"])
        assert [e.event.execution for e in events if isinstance(e.event, NodeStarted)] == [1, 1, 2, 1]
        assert (await heir.reader.payloads([run_id]))[run_id][1] == b'{"c":{"x":1.0}}', "as it was written"


async def test_an_end_that_was_not_stored_is_made_again(database: Database) -> None:
    gate = Gate()
    kind = script(a=gate)
    async with crashing(database, kind) as lost:
        run_id = await begun(lost, graph("a b", "a>b"))
        await gate.reached.wait()
        lost.crash()
        gate.opened.set()
        await until(lambda: len(lost.log._queue) > 0)  # the node's end waits for a log that nobody writes
    async with world(database, kind, limits=FAST, like=lost) as heir:
        check_exact(await heir.ended(run_id), nodes=2)
        assert gate.count == 2


async def test_a_lock_that_is_free_in_two_probes_is_enough(database: Database) -> None:
    gate = Gate()
    async with crashing(database, script(a=gate)) as lost:
        run_id = await begun(lost, graph("a"))
        await gate.reached.wait()
    await lost.entered(expires_in_s=3_600)  # its row would hold for long
    gate.opened.set()
    async with world(database, script(a=gate), limits=FAST, like=lost) as heir:
        check_exact(await heir.ended(run_id), nodes=1)

        async def is_forgotten() -> bool:
            return lost.executor not in await heir.queue.dead_executors(heir.executor, 0)

        await until(is_forgotten)


async def test_a_run_that_never_began_is_simply_begun(database: Database) -> None:
    async with crashing(database, script()) as lost:
        run_id = await lost.owned(await lost.add(graph("a")))
    async with world(database, script(), limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        assert "RunRecovered" not in names(events)
        check_exact(events, nodes=1)


async def test_a_backoff_goes_on_with_what_is_left_of_it(database: Database) -> None:
    async def fail(_: NodeContext) -> None:
        raise NodeFault("LATER", "no", is_retryable=True)

    async with crashing(database, script(a=fail)) as lost:
        run_id = await begun(lost, graph({"a": {"retry": retry(2, 3_600_000)}}))
        retrying = (await logged(lost, run_id, NodeRetrying)).event
    async with world(database, script(a=fail), limits=FAST, like=lost) as heir:
        await logged(heir, run_id, RunRecovered)
        timer = heir.engine._runs[run_id].timers._handles[0]
        left_s = timer.when() - asyncio.get_running_loop().time()
        assert isinstance(retrying, NodeRetrying)
        assert left_s == pytest.approx((retrying.next_attempt_at - datetime.now(UTC)).total_seconds(), abs=1)
        await heir.cancel(run_id)
        assert names(await heir.ended(run_id))[-3:] == ["RunCancelRequested", "NodeCanceled a", "RunCanceled"]


async def test_the_time_of_a_run_does_not_begin_anew(database: Database) -> None:
    gate = Gate()
    async with crashing(database, script(a=gate)) as lost:
        run_id = await begun(lost, graph("a", timeoutMs=300))
        await gate.reached.wait()
    async with world(database, script(a=gate), limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        assert names(events)[-2:] == ["NodeCanceled a", "RunFailed"]
        assert isinstance(events[-1].event, RunFailed)
        assert events[-1].event.failure.code == "TIMED_OUT"


async def test_a_run_that_was_cancelled_while_nobody_held_it_starts_nothing_again(database: Database) -> None:
    gate = Gate()
    async with crashing(database, script(a=gate)) as lost:
        run_id = await begun(lost, graph("a"))
        await gate.reached.wait()
    await lost.queue.add_command(run_id, "cancel", "cancel", {})
    async with world(database, script(a=gate), limits=FAST, like=lost) as heir:
        events = await heir.ended(run_id)
        assert names(events)[3:] == ["RunRecovered", "RunCancelRequested", "NodeCanceled a", "RunCanceled"]
        assert gate.count == 1


async def test_a_run_that_loses_every_process_without_getting_further_crashes(database: Database) -> None:
    gate = Gate()
    limits = EngineLimits(poll_s=0.02, takeover_probe_s=0.05, max_recoveries=2)
    async with crashing(database, script(b=gate)) as last:
        run_id = await begun(last, graph("a b", "a>b"))
        await gate.reached.wait()
    for _ in range(2):
        gate.reached.clear()
        async with crashing(database, script(b=gate), like=last) as last:
            await gate.reached.wait()
    async with world(database, script(b=gate), limits=limits, like=last) as heir:
        events = await heir.ended(run_id)
        assert names(events)[-3:] == ["RunRecovered", "NodeCanceled b", "RunCrashed"]
        crashed = events[-1].event
        assert isinstance(crashed, RunCrashed)
        assert "3 times" in crashed.failure.message
        assert gate.count == 3
        node = await one_node_run(heir.reader, run_id, "b", None)
        assert node is not None
        assert (node.status, node.attempts) == (NodeRunStatus.CANCELED, 3)


async def test_an_engine_whose_run_was_taken_over_changes_nothing_any_more(database: Database) -> None:
    gate, later = Gate(), Gate()
    async with world(database, script(a=gate), limits=FAST) as slow:
        run_id = await begun(slow, graph("a b", "a>b"))
        await gate.reached.wait()
        await slow.entered(expires_in_s=-1)
        async with world(database, script(a=later), limits=FAST, like=slow) as heir:
            await later.reached.wait()
            gate.opened.set()
            with capture_logs() as logs:
                await until(lambda: not slow.engine.holds(run_id))
            assert [entry["event"] for entry in logs] == ["run.fenced"]
            before = names(await heir.log_rows(run_id))
            assert before[-2:] == ["RunRecovered", "NodeStarted a"]
            later.opened.set()
            events = await heir.ended(run_id)
            assert names(events) == [*before, "NodeSucceeded a", "NodeStarted b", "NodeSucceeded b", "RunSucceeded"]
            check_exact(events, nodes=2)


async def test_an_engine_that_lost_its_lease_takes_its_runs_up_again_when_the_database_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=FAST) as w:
        run_id = await begun(w, graph("a"))
        await gate.reached.wait()
        take_over, failures = w.queue.take_over, [1, 2]

        async def away(*arguments: Any) -> Any:
            if failures:
                failures.pop()
                raise DatabaseUnavailable
            return await take_over(*arguments)

        monkeypatch.setattr(w.queue, "take_over", away)
        with capture_logs() as logs:
            w.engine.lost()
        assert (w.engine.run_count, [entry["event"] for entry in logs]) == (0, ["engine.lease_lost"])
        gate.opened.set()
        events = await w.ended(run_id)
        assert names(events)[3:5] == ["RunRecovered", "NodeStarted a"]
        check_exact(events, nodes=1)


async def test_a_claim_whose_answer_was_lost_is_found_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(database, script(), limits=FAST) as w:
        claim = w.queue.claim

        async def answered_badly(*arguments: Any) -> Any:
            if await claim(*arguments):
                raise DatabaseUnavailable
            return []

        monkeypatch.setattr(w.queue, "claim", answered_badly)
        check_exact(await w.run(graph("a b", "a>b")), nodes=2)


# ── PostgreSQL away ──


def _has_stored(w: World, event_count: int) -> bool:
    return w.log.event_count >= event_count


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_runs_survive_that_postgresql_is_stopped_and_started(stoppable_postgres: Postgres, mode: str) -> None:
    async def work(_: NodeContext) -> None:
        await asyncio.sleep(0.02)

    await migrate(stoppable_postgres.url)
    async with open_database(stoppable_postgres.url, pool_size=5) as database:
        await ensure_partitions(database, datetime.now(UTC).date())
        keys = [f"n{number}" for number in range(20)]
        edges = [f"{a}>{b}" for a, b in itertools.pairwise(keys)]
        with capture_logs():
            async with world(database, script(**dict.fromkeys(keys, work)), limits=FAST) as w:
                place = await w.add(graph(" ".join(keys), *edges))
                runs = [await w.queued(place) for _ in range(30)]
                w.engine.look()
                following = [asyncio.create_task(w.ended(run)) for run in runs]
                for event_count in (100, 400):
                    await until(partial(_has_stored, w, event_count))
                    await stoppable_postgres.stop(mode)
                    await stoppable_postgres.start()
                async with asyncio.timeout(150):
                    logs = await asyncio.gather(*following)
                for run, log in zip(runs, logs, strict=True):
                    check_exact(log, nodes=20)
                    assert len(log) == 2 + 2 * 20 + 1
                    stored = await w.log_rows(run)
                    assert names(log) == names(stored), "what was followed is what is stored"
                    assert [(e.seq, e.at) for e in log] == [(e.seq, e.at) for e in stored]
                assert w.engine.run_count == 0
