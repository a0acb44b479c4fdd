"""Whoever leaves memory until a minute with room begins, and comes back wherever, is let through in the end."""

from __future__ import annotations

import asyncio
from typing import Final

from domain.rate_limits import LimitState, NoRoom
from runtime.connection_limits import ConnectionLimits
from runtime.patience import WAITER
from tests.runtime.test_connection_limits import Attempt
from tests.runtime.test_patience import CAPS, Permits
from tests.support.virtual_time import run_virtually

MINUTE_S: Final = 62.0
COME_BACK_S: Final = 0.3
"""How long it takes until a run is in memory again whose time has come."""


class Crowd:
    """Runs of one node each that want to use a connection with one request a minute."""

    def __init__(self) -> None:
        state = LimitState()
        self.processes = [ConnectionLimits(Permits(state)) for _ in range(2)]
        self.done: list[int] = []

    async def run(self, number: int) -> None:
        """Wait in memory while the time is unknown, else out of it; come back in the other process."""
        attempt, place = Attempt(f"run/{number}/-"), number
        WAITER.set(attempt)
        begun = asyncio.get_running_loop().time()
        while True:
            limits = self.processes[place % 2]
            try:
                async with limits.permit(CAPS):
                    self.done.append(number)
                    return
            except NoRoom as no_room:
                attempt.waits_since = begun
                await self._wait(limits, attempt, no_room.retry_after_s)
                place += no_room.retry_after_s is not None

    async def _wait(self, limits: ConnectionLimits, attempt: Attempt, wait_s: float | None) -> None:
        if wait_s is not None:
            limits.leave(attempt.idempotency_key)
            await asyncio.sleep(wait_s + COME_BACK_S)
            return
        woken = asyncio.Event()

        def wake() -> bool:
            woken.set()
            return True

        limits.on_room(attempt.idempotency_key, wake)
        await woken.wait()


def test_nobody_starves_though_newcomers_ask_in_the_moment_in_which_a_minute_begins() -> None:
    async def work() -> None:
        crowd = Crowd()
        tasks = [asyncio.create_task(one.run(), name="limits") for one in crowd.processes]
        for number in range(400):  # ten times as many as the connection can take
            tasks.append(asyncio.create_task(crowd.run(number), name="run"))
            await asyncio.sleep(0.1 if number < 10 else MINUTE_S / 10 - 0.01)  # so at each moment of a minute
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(crowd.done) >= 36, "the connection is never left unused"
        assert all(abs(number - place) <= 5 for place, number in enumerate(crowd.done)), crowd.done

    run_virtually(work())
