from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from uuid_utils.compat import uuid7

from domain.events import NodeOutputDelta, RunStarted, RunSucceeded
from domain.ids import GraphId, RunId, WorkflowId, WorkspaceId
from domain.ports.runs import Group
from domain.run import DeltaChannel, Run, RunStatus, TriggerKind
from tests.support.groups import started, succeeded
from tests.support.stored_log import NOW, WORKSPACE, Stored, ignore
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from domain.events import Event


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
    stored.progress.stored(Group(run.id, 1, NOW, list(events), ignore, ignore), 1)


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
            at = NOW + timedelta(seconds=asyncio.get_running_loop().time())
            stored.runs[run.id] = replace(run, status=RunStatus.SUCCEEDED, finished_at=at)
            stored.progress.woken([])  # of very many at once it is not said which
        await asyncio.sleep(4)
        told = Told(stored)
        await asyncio.sleep(1)
        await told.stop()
        assert [run_id for _, run_id, *_ in told.heard] == [just_now.id], f"and not {long_ago.id}"

    run_virtually(work())
