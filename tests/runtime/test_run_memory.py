"""A run that leaves memory is freed at once, by counts of references: no cycle holds it until some collection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from domain.errors import NodeFault
from domain.ports.runs import RunCommand
from runtime.nodes.wait import KIND as WAIT
from tests.support.kinds import forever, graph, retry, script
from tests.support.memory_runs import MemoryHost

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from domain.kinds import NodeContext
    from domain.workflow import Definition
    from runtime.local_run import LocalRun


async def fail_once(ctx: NodeContext) -> int:
    """Fail in the first attempt of all that there are; the fault is nobody's afterwards, with its traceback."""
    if ctx.idempotency_key in failed:
        return 1
    failed.add(ctx.idempotency_key)
    raise NodeFault("NO", "no", is_retryable=True)


failed: set[str] = set()
KINDS = (
    script(forever=forever, failing=fail_once),
    replace(script(), name="pure", is_pure=True),
    WAIT,
)
PURE: dict[str, Any] = {"config": {"pure": {"step": "pure", "value": 1}}}
EACH: dict[str, Any] = {"forEach": {"items": "{{ range(300) }}"}}
AGAIN: dict[str, Any] = {"step": "failing", "retry": retry()}
HOUR: dict[str, Any] = {"config": {"wait": {"durationMs": 3_600_000}}}


@pytest.fixture(autouse=True)
def uncollected() -> Generator[None]:
    """Let nothing but counts of references free what is held no more."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held_of(run: LocalRun) -> list[weakref.ref[Any]]:
    """Return references to a run and what it is made of."""
    parts = (run, run._works, run._waits, run._starts, run._work_ends, run.values)
    return [weakref.ref(part) for part in parts]


async def has_gone(host: MemoryHost) -> None:
    async with asyncio.timeout(10):
        await host.gone.wait()
    for _ in range(5):
        await asyncio.sleep(0)  # callbacks of groups and of tasks that were cancelled return


@pytest.mark.parametrize(
    "made",
    [
        graph("a b", "a>b"),
        graph({"a": PURE, "b": {**PURE, **EACH}, "c": EACH}, "a>b", "b>c"),
        graph({"a": AGAIN, "b": {"step": "forever"}}, timeoutMs=100),
        graph({"a": {"value": "{{ nothing.there }}"}, "b": {"step": "forever"}}),
        graph({"a": HOUR}),
    ],
    ids=["ends", "ends_with_items", "times_out", "fails", "departs"],
)
async def test_a_run_that_ends_or_departs(made: Definition) -> None:
    host = MemoryHost()
    run = host.run(made, *KINDS)
    held = held_of(run)
    run.start()
    del run
    await has_gone(host)
    assert [ref() for ref in held] == [None] * len(held)


def drop(run: LocalRun) -> None:
    run.drop()


def cancel(run: LocalRun) -> None:
    run.obey([RunCommand(uuid4(), "cancel", {}, None)])


def fail(run: LocalRun) -> None:
    with capture_logs():
        run._stored(None, 0)  # pyright: ignore[reportArgumentType] -- so that the bookkeeping fails


@pytest.mark.parametrize("leave", [drop, fail, cancel], ids=["dropped", "faulty", "cancelled"])
@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_run_that_is_broken_off(leave: Callable[[LocalRun], None], *, has_begun: bool) -> None:
    host = MemoryHost()
    made = graph({"a": {"step": "forever"}, "wait": HOUR, "b": {**EACH, "step": "forever"}}, timeoutMs=60_000)
    run = host.run(made, *KINDS)
    held = held_of(run)
    run.start()
    if has_begun:
        while len(run._works._works) < 3 or not run.state.waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the attempts are in the midst of it
        leave(run)
    else:
        host.spawned = lambda: leave(one) if (one := held[0]()) else None
    del run
    await has_gone(host)
    assert [ref() for ref in held] == [None] * len(held)
