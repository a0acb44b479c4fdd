from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
from structlog.testing import capture_logs

from domain.errors import SetupFault
from gql.commands.explaining import explain
from gql.commands.supervisor import Supervisor
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MODULE = "tests.support.supervised_process"


def children() -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process().children():
        try:
            if MODULE in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@asynccontextmanager
async def supervised(behaviour: str, count: int, grace_s: float = 20) -> AsyncGenerator[list[psutil.Process]]:
    """Keep processes alive until the block ends; gives those that were there first."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    calls = 0

    async def on_ready() -> None:
        nonlocal calls
        calls += 1
        ready.set()

    supervisor = Supervisor(MODULE, [behaviour], environment={}, grace_s=grace_s)
    running = asyncio.create_task(supervisor.run(count, stopping, on_ready))
    try:
        await ready.wait()
        yield children()
    finally:
        stopping.set()
        await running
    assert calls == 1
    assert children() == []


async def test_a_process_that_dies_is_started_again_and_all_are_stopped_at_the_end() -> None:
    with capture_logs() as logs:
        async with supervised("plain", 2) as first:
            assert len(first) == 2
            os.kill(first[0].pid, signal.SIGKILL)

            def is_replaced() -> bool:
                now = {process.pid for process in children()}
                return len(now) == 2 and first[0].pid not in now

            await until(is_replaced)
            assert first[1].pid in {process.pid for process in children()}, "the other one was left alone"
    assert [(entry["event"], entry["how"]) for entry in logs] == [("server.process_died", "SIGKILL")]


async def test_a_process_that_never_gets_ready_ends_all_of_them() -> None:
    supervisor = Supervisor(MODULE, ["fails"], environment={}, grace_s=20)

    async def never() -> None:
        pytest.fail("it is not ready")

    with pytest.raises(ExceptionGroup) as caught:
        await supervisor.run(2, asyncio.Event(), never)
    assert isinstance(caught.value.exceptions[0], SetupFault)
    assert explain(caught.value).startswith("A server process did not start (status 3)")
    assert children() == []


async def test_a_process_that_does_not_hear_is_killed_when_its_grace_is_over() -> None:
    with capture_logs() as logs:
        async with supervised("deaf", 1, grace_s=0.2):
            pass
    assert [entry["event"] for entry in logs] == ["server.process_killed"]
