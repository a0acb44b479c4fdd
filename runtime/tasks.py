"""Task groups that raise what their block raised, not a group around it; and tasks that last as long as a block."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine


@asynccontextmanager
async def task_group() -> AsyncGenerator[asyncio.TaskGroup]:
    """Own tasks until the block ends.

    A fault of the block is raised as it is, so that callers can catch it by its class; a fault of a task ends the block
    and is raised in an ExceptionGroup.
    """
    fault: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            except BaseException as error:
                fault = error
                raise
    except BaseExceptionGroup:
        if fault is not None and not isinstance(fault, asyncio.CancelledError):
            raise fault from None
        raise


@asynccontextmanager
async def running(*works: tuple[str, Coroutine[None, None, None]]) -> AsyncGenerator[None]:
    """Run works, each with its name, beside the block; they end with it, and a fault in one ends it."""
    async with task_group() as group:
        tasks = [group.create_task(work, name=name) for name, work in works]
        yield
        for task in tasks:
            task.cancel()
