from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from domain.errors import DatabaseUnavailable
from domain.events import LoggedEvent, NodeOutputDelta, RunQueued, RunStarted, RunSucceeded
from domain.ids import GraphId, RunId, WorkflowId, WorkspaceId
from domain.ports.runs import Group, LogPart
from domain.run import DeltaChannel, Run, RunStatus, TriggerKind
from runtime.progress import Progress
from tests.support.engines import bare_world, writing
from tests.support.groups import Answers, started, succeeded
from tests.support.kinds import graph
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.events import Event
    from persistence.database import Database

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WORKSPACE = WorkspaceId(uuid7())


class Stored:
    """Runs and one log in memory, and the `Progress` that reads them; reads take time, and writes happen meanwhile."""

    def __init__(self, latency_s: float = 0.001) -> None:
        self.run_id = RunId(uuid7())
        self.log: list[LoggedEvent] = []
        self.runs: dict[UUID, Run] = {}
        self.latency_s = latency_s
        self.read_count = 0
        self.failures = 0
        self.fits = 1_000
        """How many events fit into the bytes of a page."""
        self.progress = Progress(self)  # pyright: ignore[reportArgumentType] -- only reads of Progress are answered

    async def events_after(self, run_id: RunId, after: int, limit: int, max_bytes: int) -> LogPart:
        """Read a page, as it was in the midst of the read."""
        assert run_id == self.run_id
        self.read_count += 1
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable
        await asyncio.sleep(self.latency_s / 2)
        assert max_bytes > 0
        events = self.log[after : after + min(limit, self.fits)]
        page = LogPart(events, has_more=len(events) == limit or len(self.log) > after + len(events))
        await asyncio.sleep(self.latency_s / 2)
        return page

    async def find_many(self, within: frozenset[WorkspaceId], run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Read runs."""
        self.read_count += 1
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable
        return [
            self.runs[run_id] for run_id in run_ids if run_id in self.runs and self.runs[run_id].workspace_id in within
        ]

    async def unfinished(
        self, workspace_id: WorkspaceId, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Read unfinished runs."""
        found = [run for run in self.runs.values() if run.workspace_id == workspace_id and not run.status.is_finished]
        found = [run for run in found if workflow_id in {None, run.workflow_id}]
        return found[-limit:]

    def write(self, *events: Event, is_told: bool = True, is_own: bool = True) -> None:
        """Store a group; tell of it as this process's own, as another's, or not at all."""
        base = len(self.log)
        group = Group(self.run_id, 1, NOW, list(events), _ignore, _ignore)
        self.log += [LoggedEvent(self.run_id, base + place, NOW, event) for place, event in enumerate(events, 1)]
        if is_told and is_own:
            self.progress.stored(group, base)
        elif is_told:
            self.progress.woken([self.run_id])

    async def followed(self, after: int = 0, pauses: Sequence[float] = ()) -> list[int]:
        """Follow to the end, at the pace of a slow client."""
        seqs: list[int] = []
        async for logged in self.progress.follow(self.run_id, after):
            seqs.append(logged.seq)
            if pauses:
                await asyncio.sleep(pauses[len(seqs) % len(pauses)])
        return seqs


def _ignore(_group: Group, _answer: object) -> None:
    """Nobody waits for the answer."""


# ── following ──

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


class Told:
    """What a client of `runChanged` hears, and when."""

    def __init__(self, stored: Stored) -> None:
        self.heard: list[tuple[float, RunId, RunStatus, int]] = []
        self.task = asyncio.create_task(self._listen(stored))

    async def _listen(self, stored: Stored) -> None:
        async with aclosing(stored.progress.changes(WORKSPACE)) as changes:
            async for run in changes:
                at = round(asyncio.get_running_loop().time(), 3)
                self.heard.append((at, run.id, run.status, run.nodes_done))

    async def stop(self) -> None:
        """Leave."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def made(stored: Stored, *, status: RunStatus = RunStatus.RUNNING, workspace: WorkspaceId = WORKSPACE) -> Run:
    run_id, made_at = RunId(uuid7()), NOW + timedelta(seconds=len(stored.runs))
    run = Run(
        run_id,
        workspace,
        WorkflowId(uuid7()),
        GraphId(uuid7()),
        status,
        1,
        9,
        0,
        TriggerKind.MANUAL,
        None,
        3,
        (),
        made_at,
    )
    stored.runs[run_id] = run
    return run


def changed(stored: Stored, run: Run, *events: Event, **change: Any) -> None:
    """Change a run, as one of this process's groups."""
    stored.runs[run.id] = replace(stored.runs[run.id], **change)
    stored.progress.stored(Group(run.id, 1, NOW, list(events), _ignore, _ignore), 1)


def test_a_run_is_told_at_most_four_times_a_second_and_its_last_state_always_is() -> None:
    async def work() -> None:
        stored = Stored()
        run = made(stored)
        told = Told(stored)
        await asyncio.sleep(0.01)
        for number in range(1, 100):
            changed(stored, run, succeeded(f"n{number}"), started(f"n{number + 1}"), nodes_done=number)
            await asyncio.sleep(0.01)
        changed(stored, run, RunSucceeded(1), status=RunStatus.SUCCEEDED, nodes_done=100)
        await asyncio.sleep(5)
        times = [at for at, *_ in told.heard]
        assert all(later - sooner >= 0.249 for sooner, later in itertools.pairwise(times))
        assert len(times) <= 6
        assert told.heard[0][2:] == (RunStatus.RUNNING, 0)
        assert told.heard[-1][2:] == (RunStatus.SUCCEEDED, 100)
        assert told.heard[-1][0] < 1.5
        await told.stop()

    run_virtually(work())


def test_a_run_that_begins_is_told_and_one_that_only_streams_is_not() -> None:
    async def work() -> None:
        stored = Stored()
        run = made(stored, status=RunStatus.QUEUED)
        told = Told(stored)
        await asyncio.sleep(1)
        changed(stored, run, RunStarted(), started("a"), status=RunStatus.RUNNING)
        await asyncio.sleep(1)
        assert [status for _, _, status, _ in told.heard] == [RunStatus.QUEUED, RunStatus.RUNNING]
        changed(stored, run, NodeOutputDelta("a", None, 1, DeltaChannel.TEXT, "x", 0))
        await asyncio.sleep(1)
        assert len(told.heard) == 2
        await told.stop()

    run_virtually(work())


def test_runs_of_other_workspaces_are_not_told() -> None:
    async def work() -> None:
        stored = Stored()
        foreign = made(stored, workspace=WorkspaceId(uuid7()))
        told = Told(stored)
        await asyncio.sleep(1)
        changed(stored, foreign, RunSucceeded(1), status=RunStatus.SUCCEEDED)
        await asyncio.sleep(1)
        assert told.heard == []
        await told.stop()

    run_virtually(work())


def test_what_ended_while_nobody_listened_is_told_by_the_catch_up() -> None:
    async def work() -> None:
        stored = Stored()
        known, other = made(stored), made(stored)
        told = Told(stored)
        await asyncio.sleep(1)
        told.heard.clear()
        fresh = made(stored)
        stored.runs[known.id] = replace(known, status=RunStatus.FAILED)
        changed(stored, other, RunSucceeded(1), status=RunStatus.SUCCEEDED)
        stored.failures = 1
        stored.progress.woken([])  # the connection for wake-ups was made again
        await asyncio.sleep(2)
        last = {run_id: status for _, run_id, status, _ in told.heard}
        assert last == {known.id: RunStatus.FAILED, other.id: RunStatus.SUCCEEDED, fresh.id: RunStatus.RUNNING}
        await told.stop()

    run_virtually(work())


def test_what_ended_up_to_ten_seconds_before_is_told_first() -> None:
    async def work() -> None:
        stored = Stored()
        for run in (long_ago := made(stored), just_now := made(stored)):
            await asyncio.sleep(8)
            changed(stored, run, RunSucceeded(1), status=RunStatus.SUCCEEDED)
        await asyncio.sleep(4)
        told = Told(stored)
        await asyncio.sleep(1)
        await told.stop()
        assert [run_id for _, run_id, *_ in told.heard] == [just_now.id], f"and not {long_ago.id}"

    run_virtually(work())
