"""Floods from one address, and what somebody at another one notices of them."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.server_process import Caller, server_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

AT_ONCE = 400
MEASURED_S = 6.0
PACE_S = 0.02
TOLERATED = 3.0
QUERY = "{ viewer { user { email } workspaces(first: 1) { nodes { name } } } }"


async def times_until(caller: Caller, end: asyncio.Future[Any]) -> list[float]:
    """Ask as a page does, one after the other, until it ends."""
    times: list[float] = []
    while not end.done():
        began = time.perf_counter()
        assert (await caller.ask(QUERY))["viewer"]["user"]
        times.append(time.perf_counter() - began)
        await asyncio.sleep(PACE_S)  # a page does not ask without a pause either
    return times


async def p95_ms(caller: Caller, end: asyncio.Future[Any]) -> float:
    return statistics.quantiles(await times_until(caller, end), n=20)[-1] * 1_000


async def idle_ms(caller: Caller) -> float:
    return await p95_ms(caller, asyncio.create_task(asyncio.sleep(MEASURED_S), name="a while"))


async def flooded(caller: Caller, what: str, count: int) -> tuple[float, dict[str, int]]:
    """Return the p95 of the caller's times during a flood, and what the flood was told."""
    command = (sys.executable, "-m", "tests.support.flood", f"{caller.url}/graphql", what, str(count), str(AT_ONCE))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    reading = asyncio.create_task(process.communicate(), name="flood")
    told_ms = await p95_ms(caller, reading)
    return told_ms, json.loads((await reading)[0])


@asynccontextmanager
async def served(data_dir: Path) -> AsyncGenerator[Caller]:
    async with aiohttp.ClientSession() as session, server_process(data_dir) as server:
        caller = Caller(server.url, session)
        await caller.sign_up()
        await idle_ms(caller)  # a process that has just started is still warming up
        yield caller


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("what", "count"), [("sign-ins", 10_000), ("sockets", 2_000)])
async def test_a_flood_from_one_address_is_not_noticed_at_another(
    what: str, count: int, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(data_dir) as caller:
        before = await idle_ms(caller)
        during, told = await flooded(caller, what, count)
        after = await idle_ms(caller)
    with capsys.disabled():
        sys.stdout.write(f"\n{what}: p95 {before:.1f} ms, flooded {during:.1f} ms, then {after:.1f} ms; {told}\n")
    assert sum(told.values()) == count
    if what == "sign-ins":
        assert told["429 RATE_LIMITED"] > count * 0.8
        assert told["200 INVALID_CREDENTIALS"] < 100, "so few were looked up and hashed"
    else:
        # A hundred at a time; those that have waited ten seconds for their first word make room for others.
        assert told["opened"] <= 300
        assert told["opened"] + told["429"] == count
    assert during <= TOLERATED * max(before, after)
