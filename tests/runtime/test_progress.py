from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import LoggedEvent, RunQueued, RunStarted, RunSucceeded
from tests.support.engines import bare_world, writing
from tests.support.groups import Answers, started, succeeded
from tests.support.kinds import graph
from tests.support.stored_log import Stored
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from persistence.database import Database

writes = st.lists(
    st.tuples(
        st.integers(1, 400), st.booleans(), st.integers(0, 9).map(bool), st.sampled_from([0, 0.0005, 0.001, 0.02])
    ),
    min_size=1,
    max_size=25,
)
clients = st.lists(
    st.tuples(st.integers(0, 50), st.lists(st.sampled_from([0, 0, 0.0001, 0.003]), max_size=4), st.integers(0, 30)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(writes=writes, clients=clients)
def test_every_follower_sees_every_event_behind_its_cursor_once_and_in_order(
    writes: list[tuple[int, bool, bool, float]], clients: list[tuple[int, list[float], int]]
) -> None:
    async def work() -> None:
        stored = Stored()
        stored.write(*[RunQueued()] * 50)

        async def client(after: int, pauses: list[float], delay_ms: int) -> None:
            await asyncio.sleep(delay_ms / 1_000)
            seqs = await stored.followed(after, pauses)
            assert seqs == list(range(after + 1, len(stored.log) + 1))

        async with asyncio.TaskGroup() as tasks:
            for one in clients:
                tasks.create_task(client(*one))
            for count, is_own, is_told, pause_s in writes:
                stored.write(*[RunStarted()] * count, is_own=is_own, is_told=is_told)
                await asyncio.sleep(pause_s)
            stored.write(RunSucceeded(1), is_told=False)  # found by looking, should every wake-up be lost
        assert stored.progress.follower_count == 0

    run_virtually(work())


def test_what_is_published_while_somebody_elses_read_runs_comes_without_waiting_for_the_poll() -> None:
    async def work() -> None:
        stored = Stored(latency_s=0.1)
        stored.write(RunQueued())
        first = asyncio.create_task(stored.followed())
        await asyncio.sleep(0.07)
        stored.write(RunSucceeded(1))  # not in the page that the first one reads, nor published to the second
        second = asyncio.create_task(stored.followed())
        assert await first == await second == [1, 2]
        assert asyncio.get_running_loop().time() < 0.5

    run_virtually(work())


def test_a_client_that_does_not_take_its_events_holds_no_more_than_256() -> None:
    async def work() -> None:
        stored = Stored()
        stored.write(RunQueued())
        stream = stored.progress.follow(stored.run_id)
        async with aclosing(stream):
            assert (await anext(stream)).seq == 1
            taking = asyncio.create_task(_next(stream))
            await asyncio.sleep(0.01)
            stored.write(RunStarted())
            assert (await taking).seq == 2
            reads = stored.read_count
            for _ in range(1_000):
                stored.write(RunStarted())
            (follower,) = stored.progress._watched[stored.run_id].followers
            assert len(follower.buffer) <= 256
            assert [(await anext(stream)).seq for _ in range(1_000)] == list(range(3, 1_003))
            assert stored.read_count - reads == 16, "from the log, in pages of 64"
        assert stored.progress.follower_count == 0

    run_virtually(work())


async def _next(stream: Any) -> LoggedEvent:
    return await anext(stream)


def test_followers_at_the_same_place_share_one_read() -> None:
    async def work() -> None:
        stored = Stored()
        stored.write(RunQueued())
        tasks = [asyncio.create_task(stored.followed()) for _ in range(50)]
        await asyncio.sleep(0.1)
        assert stored.read_count == 1
        stored.write(RunStarted(), is_own=False)
        await asyncio.sleep(0.1)
        assert stored.read_count == 2
        stored.write(RunSucceeded(1), is_own=False)
        assert [await task for task in tasks] == [[1, 2, 3]] * 50
        assert stored.read_count == 3

    run_virtually(work())


def test_what_this_process_wrote_is_followed_without_reading() -> None:
    async def work() -> None:
        stored = Stored()
        stored.write(RunQueued())
        following = asyncio.create_task(stored.followed())
        await asyncio.sleep(0.1)
        for _ in range(100):
            stored.write(RunStarted(), RunStarted())
            await asyncio.sleep(0.001)
        stored.write(RunSucceeded(1))
        assert await following == list(range(1, 203))
        assert stored.read_count == 1

    run_virtually(work())


def test_a_reader_that_is_cancelled_leaves_the_read_to_the_next() -> None:
    async def work() -> None:
        stored = Stored(latency_s=0.1)
        stored.write(RunQueued(), RunSucceeded(1))
        first = asyncio.create_task(stored.followed())
        second = asyncio.create_task(stored.followed())
        await asyncio.sleep(0.05)
        first.cancel()
        assert await second == [1, 2]
        assert stored.read_count == 2
        assert stored.progress.follower_count == 0

    run_virtually(work())


def test_a_database_that_is_away_is_waited_for() -> None:
    async def work() -> None:
        stored = Stored()
        stored.write(RunQueued(), RunSucceeded(1))
        stored.failures = 3
        assert await stored.followed() == [1, 2]
        assert asyncio.get_running_loop().time() >= 3

    run_virtually(work())


async def test_the_followers_of_a_real_log_miss_and_repeat_nothing(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a")))
    chance = random.Random(7)

    async def client(after: int) -> None:
        seqs: list[int] = []
        async for logged in w.progress.follow(run, after):
            seqs.append(logged.seq)
            if chance.random() < 0.01:
                await asyncio.sleep(0.001)
        assert seqs == list(range(after + 1, 2_003))

    async with writing(w), asyncio.TaskGroup() as tasks:
        answers = Answers(w.log)
        for number in range(5):
            tasks.create_task(client(number % 2))
        for number in range(1_000):
            answers.append(run, started(f"n{number}"), succeeded(f"n{number}"))
            if number % 7 == 0:
                await asyncio.sleep(0.001)
        answers.append(run, RunSucceeded(1))
    assert [logged.seq for logged in await w.ended(run)] == list(range(1, 2_003)), "a finished run is told and done"
