"""Runs that come back into memory where time or commands have overtaken them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.events import (
    NodeFailed,
    NodeProgressed,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunFailed,
    RunPaused,
    RunQueued,
    RunStarted,
)
from domain.ports.runs import RunCommand
from domain.run import WaitReason
from tests.support.engines import named
from tests.support.kinds import forever, graph, script
from tests.support.memory_runs import MemoryHost, past_of


async def test_a_node_that_waited_for_room_until_its_time_was_over_has_timed_out() -> None:
    host = MemoryHost()
    run = host.run(graph({"a": {"timeouts": {"scheduleToCloseMs": 8_000}}}), script(a=forever))
    until = datetime.now(UTC) - timedelta(seconds=15)
    wait = NodeWaiting("a", None, 1, WaitReason.RATE_LIMIT, until)
    run.recover(past_of(run, timedelta(seconds=20), [RunQueued(), RunStarted(), NodeStarted("a", None, 1), wait]))
    async with asyncio.timeout(10):
        await host.gone.wait()
    (failed,) = [event for event in host.events if isinstance(event, NodeFailed)]
    assert failed.failure.code == "TIMED_OUT"


async def test_a_paused_run_that_came_back_for_a_command_that_changes_nothing_leaves_again() -> None:
    host = MemoryHost()
    run = host.run(graph("a b", "a>b"), script(a=forever))
    stale = RunCommand(uuid4(), "child", {"run": str(uuid4())}, None)
    host.wanted.add(stale.id)
    past = [RunQueued(), RunStarted(), NodeStarted("a", None, 1), RunPaused(1, None)]
    run.recover(past_of(run, timedelta(seconds=10), [*past, NodeSucceeded("a", None, 1, ("out",), 1)]), [stale])
    async with asyncio.timeout(10):
        await host.gone.wait()
    assert not host.wanted
    assert host.events == []


@pytest.mark.parametrize("is_pure", [True, False])
@pytest.mark.parametrize("was_begun", [True, False])
async def test_a_run_that_comes_back_when_its_time_is_over_begins_nothing(*, is_pure: bool, was_begun: bool) -> None:
    host = MemoryHost()
    run = host.run(graph("a b", "a>b", timeoutMs=8_000), replace(script(), is_pure=is_pure))
    begun = [NodeStarted("a", None, 1)] if was_begun else []
    run.recover(past_of(run, timedelta(seconds=20), [RunQueued(), RunStarted(), *begun]))
    async with asyncio.timeout(10):
        await host.gone.wait()
    stopped = ["NodeCanceled a"] if was_begun else []
    assert [named(event) for event in host.events] == ["RunRecovered", *stopped, "RunFailed"]
    (failed,) = [event for event in host.events if isinstance(event, RunFailed)]
    assert failed.failure.code == "TIMED_OUT"


async def test_a_run_that_was_dropped_says_nothing_more() -> None:
    host = MemoryHost()
    each: dict[str, Any] = {"forEach": {"items": "{{ range(5000) }}"}}
    run = host.run(graph({"a": each}), replace(script(), is_pure=True))
    run.start()
    while not run.state.lists or run.state.lists[0].done < 200:
        await asyncio.sleep(0)
    told = host.appended
    run.drop()
    run.advance([NodeProgressed("a", None, 1, 300, 5_000)])
    for _ in range(10):
        await asyncio.sleep(0)
    assert host.appended == told
