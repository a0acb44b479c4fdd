"""The threads in which indexes are searched and changed: as many at once as the machine has processors."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from persistence.vectors.faiss_index import tune_threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

Given = ParamSpec("Given")
Result = TypeVar("Result")


class VectorThreads:
    """Runs what blocks; what is cancelled here still ends there, so it must not need anybody to wait for it."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    async def call(self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs) -> Result:
        """Call a function in one of the threads, when one is free."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, partial(function, *args, **kwargs))


@asynccontextmanager
async def open_threads() -> AsyncGenerator[VectorThreads]:
    """Open the threads; at the end, wait for what they still do."""
    count = len(os.sched_getaffinity(0))
    executor = ThreadPoolExecutor(count, "vectors", initializer=tune_threads, initargs=(count,))
    try:
        yield VectorThreads(executor)
    finally:
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)
