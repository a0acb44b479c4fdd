"""The time for an answer, which begins when there is room to ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from uuid_utils.compat import uuid7

from domain.rate_limits import Caps, LimitState, settle
from runtime.connection_limits import ConnectionLimits
from runtime.patience import WAITER, Background, answered_within
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import Any
    from uuid import UUID

    from domain.rate_limits import Ask, Settled

CAPS = Caps(uuid7(), "api", requests_per_minute=1)


class Permits:
    """The limits of one process, by the clock of its loop; those with the same state are of one connection."""

    def __init__(self, state: LimitState | None = None) -> None:
        self._state = state or LimitState()
        self._holder = uuid7()

    async def settle(self, asks: Mapping[UUID, tuple[Caps, Ask]]) -> Mapping[UUID, Settled]:
        """Let through whoever may go."""
        now = asyncio.get_running_loop().time()
        alive = dict.fromkeys(self._state.shares, True)
        return {
            key: settle(self._state, caps, self._holder, ask, now, alive=alive) for key, (caps, ask) in asks.items()
        }

    async def pause(self, key: UUID, wait_s: float) -> None:
        """Share nothing."""

    async def list_pauses(self) -> Mapping[UUID, float]:
        """Return none."""
        return {}


def under_limits(work: Coroutine[Any, Any, None], limits: ConnectionLimits) -> None:
    async def both() -> None:
        asking = asyncio.create_task(limits.run(), name="limits")
        WAITER.set(Background())
        try:
            await work
        finally:
            asking.cancel()

    run_virtually(both())


def test_the_wait_for_room_is_no_part_of_the_time_for_an_answer() -> None:
    limits = ConnectionLimits(Permits())

    async def ask() -> None:
        async with answered_within(10), limits.permit(CAPS):
            await asyncio.sleep(9)

    async def work() -> None:
        await asyncio.gather(*(ask() for _ in range(4)))
        assert asyncio.get_running_loop().time() >= 180, "one a minute"

    under_limits(work(), limits)


def test_an_answer_that_takes_too_long_is_not_awaited_though_there_was_a_wait_for_room() -> None:
    limits = ConnectionLimits(Permits())

    async def work() -> None:
        async with limits.permit(CAPS):
            pass
        asked_at: list[float] = []

        async def ask() -> None:
            async with answered_within(10), limits.permit(CAPS):
                asked_at.append(asyncio.get_running_loop().time())
                await asyncio.Event().wait()

        with pytest.raises(TimeoutError):
            await ask()
        assert asked_at[0] > 10
        assert asyncio.get_running_loop().time() == pytest.approx(asked_at[0] + 10)

    under_limits(work(), limits)
