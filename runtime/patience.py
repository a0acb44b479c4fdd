"""Who waits for room under a connection's limits, and what a long wait means for them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractContextManager


class Waiter(Protocol):
    """An attempt of a node that wants to use a connection."""

    idempotency_key: str
    """Names its place in the queue."""
    waits_since: float | None
    """Since when it has been waiting, in seconds of the epoch, if it did before; None = it has just come."""
    has_sent: bool
    """Whether it has used a connection; else it may be taken out of memory and begun again, and nothing is done twice."""

    def holding(self) -> AbstractContextManager[None]:
        """Stop the clocks of the attempt meanwhile."""
        ...


class Background:
    """Work that nobody waits for: it waits for room as long as it takes."""

    idempotency_key = ""
    waits_since: float | None = None
    has_sent = True

    def holding(self) -> AbstractContextManager[None]:
        """Stop nothing."""
        return nullcontext()


WAITER: Final[ContextVar[Waiter | None]] = ContextVar("waiter", default=None)
"""The attempt that the current task works for. The way from a node to its connection leads through clients, collections
and embedders, which need not know that somebody may have to wait."""

_ANSWER: Final[ContextVar[tuple[asyncio.Timeout, float] | None]] = ContextVar("answer", default=None)


@asynccontextmanager
async def answered_within(seconds: float) -> AsyncGenerator[None]:
    """Bound an outside call by a time that begins when there is room for it.

    Raises:
        TimeoutError: it took longer.
    """
    async with asyncio.timeout(seconds) as timeout:
        outer = _ANSWER.set((timeout, seconds))
        try:
            yield
        finally:
            _ANSWER.reset(outer)


@contextmanager
def waiting_for_room() -> Generator[None]:
    """Let the clocks of whoever waits stand still: the attempt's, and the one of the answer, which has not been asked for."""
    waiter, answer = WAITER.get(), _ANSWER.get()
    with nullcontext() if waiter is None else waiter.holding():
        _reschedule(answer, runs=False)
        try:
            yield
        finally:
            _reschedule(answer, runs=True)


def _reschedule(answer: tuple[asyncio.Timeout, float] | None, *, runs: bool) -> None:
    if answer is not None and not answer[0].expired():
        answer[0].reschedule(asyncio.get_running_loop().time() + answer[1] if runs else None)
