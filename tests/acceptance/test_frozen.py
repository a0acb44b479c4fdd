"""What must not look like a death, and what must: a frozen process, and a database that is started again."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiohttp
import pytest

from domain.events import NodeSucceeded
from domain.ids import Prefix, from_global
from domain.ports.runs import Group
from persistence import embedded
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from persistence.run_log import PostgresRunLog
from tests.acceptance.test_workers import serve
from tests.support.http_peer import HttpPeer, http_peer
from tests.support.server_process import Caller
from tests.support.waiting import until
from tests.support.worker_process import CommandProcess, stopped_at_the_end

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from domain.errors import AnabranchError

RUNS = 10
FROZEN_S = 20.0
GRACE_S = 8.0
"""The time in which nobody takes over after a restart, two probes, and one second more."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@asynccontextmanager
async def service(data_dir: Path) -> AsyncGenerator[tuple[Caller, HttpPeer, list[CommandProcess]]]:
    """Serve without runs, with two workers that are not started, for graphs that call a peer."""
    async with http_peer() as peer, aiohttp.ClientSession() as session:
        server, url = serve(data_dir, "--no-runs", **peer.allowed)
        arguments = ("worker", "--concurrency", str(2 * RUNS))
        workers = [CommandProcess(data_dir, arguments, peer.allowed, name) for name in ("first", "second")]
        with stopped_at_the_end(server, *workers):
            server.start()
            await server.started()
            caller = Caller(url, session)
            await caller.sign_up()
            yield caller, peer, workers


async def ended(caller: Caller, runs: Sequence[str]) -> list[list[str]]:
    """Wait for the ends of runs and return their logs, which must be without a gap or a repeat."""
    async with asyncio.timeout(90):
        logs = await asyncio.gather(*(caller.ended(run) for run in runs))
    for log in logs:
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    return [[f"{event['__typename']} {event.get('nodeKey', '')}".strip() for event in log] for log in logs]


async def append_late(data_dir: Path, run: str, epoch: int) -> str:
    """Append the end of a node under an old lease, as a process could that has not noticed yet; return the answer."""
    answers: list[str] = []

    def refused(_group: Group, error: AnabranchError) -> None:
        answers.append(type(error).__name__)

    def stored(_group: Group, _base: int) -> None:
        answers.append("stored")

    async with embedded_postgres(data_dir) as url, open_database(url, pool_size=1) as database:
        log = PostgresRunLog(database, "late")
        writing = asyncio.create_task(log.run(), name="late")
        late = NodeSucceeded("second", None, 1, ("out",), 1, output=b'"late"')
        run_id = UUID(str(from_global(Prefix.RUN, run)))
        log.append(Group(run_id, epoch, datetime.now(UTC), [late], stored, refused))
        await log.drained()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    return answers[0]


async def test_a_process_that_was_frozen_wakes_without_its_runs_and_changes_nothing(data_dir: Path) -> None:
    async with service(data_dir) as (caller, peer, (sleeper, heir)):
        nodes = [peer.node("first", "gate=1"), peer.node("second", "gate=2")]
        edges = [{"source": "first", "target": "second"}]
        workflow = await caller.create(name="Two", graph={"nodes": nodes, "edges": edges})
        sleeper.start()
        await sleeper.started()
        runs = [await caller.start(workflow) for _ in range(RUNS)]
        await asyncio.gather(*(peer.called(run, "first") for run in runs))
        heir.start()
        await heir.started()

        sleeper.send(signal.SIGSTOP)
        peer.open("1")  # the answers lie in the sleeper's sockets when it wakes
        await asyncio.sleep(FROZEN_S)  # what is tested is that this is longer than the lease
        await asyncio.gather(*(peer.called(run, "second") for run in runs))
        begun = len(sleeper.log)
        sleeper.send(signal.SIGCONT)
        await until(lambda: "engine.lease_lost" in sleeper.log[begun:], timeout_s=30)
        assert await append_late(data_dir, runs[0], epoch=1) == "Fenced"
        peer.open("2")
        logs = await ended(caller, runs)
        expected = {"RunRecovered": 1, "NodeSucceeded first": 1, "NodeSucceeded second": 1, "RunSucceeded": 1}
        for log in logs:
            found = Counter(log)
            assert expected == {name: found[name] for name in expected}, log
            assert [found["NodeStarted first"], found["NodeStarted second"], len(log)] == [2, 1, 9], log
        assert {peer.calls[run, "first"] for run in runs} == {2}
        assert {peer.calls[run, "second"] for run in runs} == {1}
        assert {len(keys) for keys in peer.keys.values()} == {1}

        assert await asyncio.to_thread(heir.stop) == 0
        (log,) = await ended(caller, [await caller.start(workflow)])
        assert log[-1] == "RunSucceeded", "it works for others again"
        assert "RunRecovered" not in log


async def test_nobody_takes_a_live_run_over_when_the_database_is_started_again(data_dir: Path) -> None:
    async with service(data_dir) as (caller, peer, workers):
        for worker in workers:
            worker.arguments = ("worker", "--concurrency", str(RUNS // 2))
            worker.start()
            await worker.started()
        graph = {"nodes": [peer.node("only", "gate=1")], "edges": []}
        workflow = await caller.create(name="One", graph=graph)
        runs = [await caller.start(workflow) for _ in range(RUNS)]
        await asyncio.gather(*(peer.called(run, "only") for run in runs))
        for mode in ("fast", "immediate"):
            await asyncio.to_thread(embedded.stop, data_dir / "postgres", mode)
            await asyncio.to_thread(embedded.start, data_dir / "postgres")
            await asyncio.sleep(GRACE_S)  # nothing is to happen in this time
        peer.open("1")
        for log in await ended(caller, runs):
            assert log == ["RunQueued", "RunStarted", "NodeStarted only", "NodeSucceeded only", "RunSucceeded"]
        assert {peer.calls[run, "only"] for run in runs} == {1}
        said: dict[str, Any] = {worker.name: worker.log for worker in workers}
        assert all("engine.took_over" not in text and "engine.lease_lost" not in text for text in said.values()), said
        assert all("connection_lost" in text for text in said.values()), "each of them lost its connections"
