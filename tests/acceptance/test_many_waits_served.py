"""Ten thousand runs that wait, started over the API: what the server's own process then uses."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.support.collecting_server import COLLECTING, cpu_s, resident_bytes
from tests.support.server_process import Caller, server_process
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

RUNS = int(os.environ.get("ANABRANCH_TEST_WAITS", "10000"))
TOGETHER, AT_ONCE = 20, 4
"""Runs that one document starts, and documents on their way at once."""
MOST_BYTES = 50 * 1024**2
IDLE_S = 5.0
MOST_CPU = 0.2
"""Ten times what is asked for: the machine of a test may be busy."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

_FIELD = "startRun(input: {workflowId: $id}) { run { id } userErrors { message } }"
START = f"mutation($id: ID!) {{ {' '.join(f'r{place}: {_FIELD}' for place in range(TOGETHER))} }}"
COUNTS = """query($id: ID!) { workflow(id: $id) {
  waiting: runs(filter: {statuses: [WAITING]}) { totalCount } all: runs { totalCount } } }"""


async def test_ten_thousand_runs_started_over_the_api_wait_without_memory_and_without_work(data_dir: Path) -> None:
    async with (
        server_process(data_dir, command=COLLECTING) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session,
    ):
        caller = Caller(server.url, session)
        await caller.sign_up()
        pause = {"wait": {"durationMs": 86_400_000}}
        workflow = await caller.create(name="Pause", graph={"nodes": [{"key": "pause", "config": pause}], "edges": []})
        empty = await resident_bytes(server)
        room = asyncio.Semaphore(AT_ONCE)

        async def start() -> None:
            async with room:
                data = await caller.ask(START, id=workflow)
                assert all(one["run"] for one in data.values()), data

        await asyncio.gather(*(start() for _ in range(RUNS // TOGETHER)))

        async def all_wait() -> bool:
            counts = (await caller.ask(COUNTS, id=workflow))["workflow"]
            assert counts["all"]["totalCount"] == RUNS
            return counts["waiting"]["totalCount"] == RUNS

        await until(all_wait, timeout_s=120)
        grown = await resident_bytes(server) - empty
        used = cpu_s(server)
        await asyncio.sleep(IDLE_S)  # what is measured is how little happens in this time
        cpu = (cpu_s(server) - used) / IDLE_S
        print(f"{RUNS} waiting runs: memory {grown / 1024**2:.1f} MiB, idle CPU {100 * cpu:.1f} %")  # noqa: T201
        assert grown < MOST_BYTES
        assert cpu < MOST_CPU
