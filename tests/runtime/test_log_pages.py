"""Followers whose pages are cut for the bytes in them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from domain.events import RunQueued, RunStarted, RunSucceeded
from tests.runtime.test_progress import Stored
from tests.support.groups import succeeded
from tests.support.virtual_time import run_virtually


def test_a_page_that_is_cut_for_its_size_is_followed_by_the_next_at_once() -> None:
    async def work() -> None:
        stored = Stored()
        stored.fits = 2
        stored.write(*[RunQueued()] * 99, RunSucceeded(1))
        before = asyncio.get_running_loop().time()
        assert await stored.followed() == list(range(1, 101))
        assert asyncio.get_running_loop().time() - before < 1, "not with its own look once in a second"

    run_virtually(work())


def test_a_client_that_does_not_take_its_events_holds_two_megabytes_of_outputs_at_most() -> None:
    async def work() -> None:
        stored, output = Stored(), b'"' + b"x" * 1_000_000 + b'"'
        stored.write(RunQueued())
        async with aclosing(stored.progress.follow(stored.run_id)) as stream:
            assert (await anext(stream)).seq == 1
            taking = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            stored.write(RunStarted())
            assert (await taking).seq == 2
            (follower,) = stored.progress._watched[stored.run_id].followers
            for number in range(100):
                stored.write(succeeded(f"n{number}", output))
                assert sum(len(output) for _ in follower.buffer) <= 2_097_152
            stored.write(RunSucceeded(1))
            assert [logged.seq async for logged in stream] == list(range(3, 104))
            assert follower.held_bytes == 0

    run_virtually(work())
