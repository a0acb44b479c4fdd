"""Several processes at one database: `serve --workers N`, and `worker` beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import aiohttp
import psutil
import pytest

from tests.support.http_peer import HttpPeer, http_peer
from tests.support.prometheus import values
from tests.support.server_process import Caller, free_port, now_ms
from tests.support.waiting import until
from tests.support.worker_process import CommandProcess, stopped_at_the_end

if TYPE_CHECKING:
    from pathlib import Path

SOCKETS = 12
TAKEOVER_S = 20
DISCONNECT_MS = 1_000
"""Ten times what is aimed at, as for the takeover."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


def serve(data_dir: Path, *arguments: str, **environment: str) -> tuple[CommandProcess, str]:
    """Return a server that is to be started, and its address."""
    port = free_port()
    made = CommandProcess(data_dir, ("serve", "--port", str(port), *arguments), environment, "server", "listens on")
    return made, f"http://127.0.0.1:{port}"


async def socket_holders(server: CommandProcess, url: str) -> set[int]:
    """Open websockets until each process of a server has one; return who holds them."""
    port = int(url.rpartition(":")[2])
    async with aiohttp.ClientSession() as session:
        holders: set[int] = set()
        async with asyncio.timeout(60):
            while len(holders) < len(server.children):
                sockets = await asyncio.gather(
                    *(session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]) for _ in range(SOCKETS))
                )
                for child in server.children:
                    found = child.net_connections("tcp")
                    if any(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in found):
                        holders.add(child.pid)
                await asyncio.gather(*(socket.close() for socket in sockets))
        return holders


async def runs_ended(session: aiohttp.ClientSession, url: str) -> float:
    """Return how many runs have succeeded, as a process tells that a new connection reaches."""
    async with session.get(f"{url}/metrics", headers={"connection": "close"}) as answer:
        return values(await answer.text(), "anabranch_runs_ended_total")["succeeded",]


async def test_processes_that_share_an_address_are_one_server_and_one_that_dies_is_started_again(
    data_dir: Path,
) -> None:
    server, url = serve(data_dir, "--workers", "2")
    with stopped_at_the_end(server):
        server.start()
        await server.started()
        first = {child.pid for child in server.children}
        assert await socket_holders(server, url) == first, "each of them answers"
        async with aiohttp.ClientSession() as session:
            caller = Caller(url, session)
            await caller.sign_up()
            fields = [{"name": "x", "value": 1}]
            graph = {"nodes": [{"key": "a", "config": {"transform": {"fields": fields}}}], "edges": []}
            workflow = await caller.create(name="One", graph=graph)
            run_id = await caller.start(workflow)
            # Each over a new connection: whoever takes it knows the account, the workflow and the run.
            for _ in range(SOCKETS):
                async with aiohttp.ClientSession() as another, another.get(f"{url}/readyz") as answer:
                    assert answer.status == 200
                events = [event["__typename"] for event in await caller.ended(run_id)]
                assert events[-1] == "RunSucceeded", events

            counted = await runs_ended(session, url)
            assert counted == await runs_ended(session, url) == 1, "whichever process is asked tells of all"
            victim = server.children[0]
            victim.kill()
            await until(lambda: len({child.pid for child in server.children} - first) == 1, timeout_s=30)
            assert '"server.process_died"' in server.log
            assert "SIGKILL" in server.log
            async with asyncio.timeout(60):
                await socket_holders(server, url)
            assert server.log.count("listens on") == 1
            assert await runs_ended(session, url) == 1, "what the dead process has counted stays counted"

            begun = now_ms()
            async with session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]):  # keeps nobody
                assert await asyncio.to_thread(server.stop) == 0
            assert now_ms() - begun < 20_000
        assert all(not psutil.pid_exists(pid) for pid in first)


async def test_a_parent_that_is_killed_takes_its_processes_and_the_embedded_database_along(data_dir: Path) -> None:
    server, url = serve(data_dir, "--workers", "2")
    server.start()
    with stopped_at_the_end(server):
        await server.started()
        children = server.children
        server.kill()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
        assert (len(gone), alive) == (2, [])
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(f"{url}/healthz")
        assert not (data_dir / "postgres" / "postmaster.pid").exists()


async def test_a_worker_waits_for_the_tables_and_ends_with_a_sentence_when_nobody_makes_them(data_dir: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "anabranch", "worker", "--wait", "1", "--data-dir", str(data_dir)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "did not get this version's tables within 1 s" in ended.stderr
    worker = CommandProcess(data_dir)
    server, _ = serve(data_dir, "--no-runs")
    with stopped_at_the_end(worker, server):
        worker.start()
        await until(lambda: "Waiting until" in worker.log, timeout_s=30)
        server.start()
        await worker.started()


async def test_workers_execute_what_a_server_without_runs_starts_and_hand_over_when_told_to_stop(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with http_peer() as peer, aiohttp.ClientSession() as session:
        server, url = serve(data_dir, "--no-runs", **peer.allowed)
        first, second = (CommandProcess(data_dir, environment=peer.allowed, name=name) for name in ("first", "second"))
        with stopped_at_the_end(server, first, second):
            server.start()
            await server.started()
            caller = Caller(url, session)
            await caller.sign_up()
            workflow = await caller.create(name="Slow", graph={"nodes": [peer.node("say", "gate=1")], "edges": []})
            waiting = await caller.start(workflow)
            first.start()
            await first.started()
            await peer.called(waiting, "say")
            second.start()
            await second.started()

            told = now_ms()
            assert await asyncio.to_thread(first.stop) == 0
            await peer.called(waiting, "say", 2)
            handed_over = now_ms() - told
            first.start()
            await first.started()
            told = now_ms()
            second.send(signal.SIGKILL)
            await peer.called(waiting, "say", 3)
            taken_over = now_ms() - told
            assert taken_over < TAKEOVER_S * 1_000

            spans = [await cancel_to_disconnect(caller, peer, workflow) for _ in range(5)]
            peer.open("1")
            events = [event["__typename"] for event in await caller.ended(waiting)]
            assert events.count("RunRecovered") == 2
            assert events[-2:] == ["NodeSucceeded", "RunSucceeded"]
            assert len(peer.keys[waiting, "say"]) == 1
    spans.sort()
    assert spans[len(spans) // 2] < DISCONNECT_MS
    with capsys.disabled():
        print(f"\nhanded over after {handed_over:.0f} ms, taken over after {taken_over:.0f} ms, ", end="")  # noqa: T201
        print(f"cancel to disconnect in another process {spans[len(spans) // 2]:.0f} ms")  # noqa: T201


async def cancel_to_disconnect(caller: Caller, peer: HttpPeer, workflow: str) -> float:
    """Start a run whose node is not answered, cancel it, and return the ms until its connection is closed."""
    run_id = await caller.start(workflow)
    await peer.called(run_id, "say")
    begun = now_ms()
    document = "mutation($i: CancelRunInput!) { cancelRun(input: $i) { userErrors { message } } }"
    assert not (await caller.ask(document, i={"id": run_id}))["cancelRun"]["userErrors"]
    return await peer.left(run_id, "say") - begun
