"""Many runs that wait cost rows and nothing else: an engine on a real PostgreSQL, with what its process uses."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from runtime.engine_limits import EngineLimits
from runtime.nodes.wait import KIND as WAIT
from tests.runtime.test_run_waits import waiting
from tests.support.engines import World, world
from tests.support.kinds import graph
from tests.support.waiting import until

if TYPE_CHECKING:
    from persistence.database import Database

RUNS = int(os.environ.get("ANABRANCH_TEST_WAITS", "10000"))
AT_ONCE = 50
MOST_BYTES = 50 * 1024**2
IDLE_S = 5.0
MOST_CPU = 0.2
"""Ten times what is asked for: the machine of a test may be busy."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


async def count(w: World, status: str) -> int:
    async with w.database.direct() as connection:
        return await connection.fetchval("SELECT count(*) FROM runs WHERE status = $1", status)


async def all_wait(w: World) -> bool:
    return await count(w, "WAITING") == RUNS + 100


def resident_bytes() -> int:
    """Return the memory of this process, after what is not used any more was given back."""
    import ctypes  # noqa: PLC0415 -- glibc alone has it
    import gc  # noqa: PLC0415

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_ten_thousand_runs_that_wait_take_no_memory_and_no_time(database: Database) -> None:
    async with world(database, WAIT, limits=EngineLimits()) as w:
        place = await w.add(graph({"pause": waiting(86_400_000)}))
        room = asyncio.Semaphore(AT_ONCE)

        async def start() -> None:
            async with room:
                await w.engine.start(w.new_run(place))

        await asyncio.gather(*(start() for _ in range(100)))  # what is made once is made now
        await until(lambda: w.engine.run_count == 0, timeout_s=60)
        before = resident_bytes()
        for _ in range(RUNS // 100):
            await asyncio.gather(*(start() for _ in range(100)))
        await until(lambda: all_wait(w), timeout_s=300)
        await until(lambda: w.engine.run_count == 0)
        grown = resident_bytes() - before
        begun = os.times()
        await asyncio.sleep(IDLE_S)  # what is measured is how little happens in this time
        ended = os.times()
        cpu = (ended.user - begun.user + ended.system - begun.system) / IDLE_S
        print(f"waiting runs: {RUNS}, memory {grown / 1024**2:.1f} MiB, idle CPU {100 * cpu:.1f} %")  # noqa: T201
        assert grown < MOST_BYTES
        assert cpu < MOST_CPU
