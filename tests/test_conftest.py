"""The two watchers of `conftest.py` see what they are there for."""

from __future__ import annotations

import asyncio
import time
from types import FunctionType
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockingError

from persistence import partitions

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]


async def test_code_of_ours_that_blocks_the_event_loop_is_caught() -> None:
    # A function whose code says that it stands in a module of ours.
    code = _waste_time.__code__.replace(co_filename=partitions.__file__)
    blocking: Callable[[], None] = FunctionType(code, {"time": time})
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        blocking()
    await asyncio.to_thread(blocking)
    _waste_time()


def test_a_task_that_outlives_its_test_is_caught(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.conftest import _no_task_left, no_task_left")
    pytester.makepyfile("""
        import asyncio

        async def test_leaves():
            asyncio.create_task(asyncio.sleep(60), name="the forgotten one")

        async def test_ends():
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
    """)
    result = pytester.runpytest_inprocess(
        "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*Tasks outlive their test: the forgotten one*"])


def _waste_time() -> None:
    time.sleep(0.001)
