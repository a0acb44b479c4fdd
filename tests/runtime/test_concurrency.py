"""Workflows whose runs take turns, on engines: how many are at work is read from the logs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import InvalidInput
from domain.events import TERMINAL, NodeFailed, RunCancelRequested, RunStarted
from domain.reruns import RerunFrom
from domain.run import RunStatus
from domain.workflow import ConcurrencyPolicy, ConcurrencyStrategy
from runtime.engine_limits import EngineLimits
from runtime.run_starts import StartRequest
from runtime.runs import RunService
from tests.runtime.test_sub_runs import Callable, call, calling, child_of
from tests.support.desk import Desk, desk
from tests.support.engines import World, names, only, world
from tests.support.kinds import forever, graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.events import LoggedEvent
    from domain.ids import RunId, WorkflowId, WorkspaceId
    from domain.json_value import Json
    from domain.kinds import NodeContext
    from domain.suspensions import SubRunCall
    from domain.versions import VersionTrack
    from domain.workflow import Definition
    from persistence.database import Database

LIMITS = EngineLimits(poll_s=0.05)
BY_CUSTOMER = "{{ input.customer }}"


def limited(max_runs: int = 1, *, key: str | None = None, strategy: str = "QUEUE", nodes: Any = "a") -> Definition:
    return graph(nodes, concurrency={"key": key, "maxRuns": max_runs, "strategy": strategy})


async def start(d: Desk, workflow_id: WorkflowId, given: Any = None, **more: Any) -> RunId:
    return (await d.runs.start_with(d.actor, StartRequest(workflow_id, given, **more))).run.id


async def run_of(w: World, run_id: RunId) -> Any:
    (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
    return run


async def has_status(w: World, run_id: RunId, status: RunStatus) -> None:
    async def is_there() -> bool:
        return (await run_of(w, run_id)).status is status

    await until(is_there)


def times(log: Sequence[LoggedEvent]) -> tuple[datetime, datetime]:
    """Return when a run began and when it ended."""
    (began,) = [logged.at for logged in log if isinstance(logged.event, RunStarted)]
    (ended,) = [logged.at for logged in log if isinstance(logged.event, TERMINAL)]
    return began, ended


def most_at_once(logs: Sequence[Sequence[LoggedEvent]]) -> int:
    """Return how many runs were at work at once, at most: one that begins at the instant of an end comes behind it."""
    steps = sorted((at, change) for log in logs for at, change in zip(times(log), (1, -1), strict=True))
    count = most = 0
    for _, change in steps:
        count += change
        most = max(most, count)
    return most


class Gate:
    """A node that works until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self._open = asyncio.Event()

    async def __call__(self, _: NodeContext) -> None:
        """Work."""
        self.begun += 1
        await self._open.wait()

    def open(self) -> None:
        """Let all go."""
        self._open.set()


async def test_of_a_hundred_runs_on_three_engines_never_more_than_allowed_are_at_work(database: Database) -> None:
    async def work(_: NodeContext) -> None:
        await asyncio.sleep(0.002)  # as long as a few turns of the other engines

    kind = script(a=work)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(world(database, kind, limits=LIMITS))
        others = [await stack.enter_async_context(world(database, kind, limits=LIMITS, like=first)) for _ in range(2)]
        d = await desk(first, kind)
        desks = [d.runs, *(RunService(d.shelf, w.queue, w.reader, w.engine, w.progress) for w in others)]
        workflow_id = await d.shelf.add(limited(3, key=BY_CUSTOMER))
        async with asyncio.timeout(50):
            started = await asyncio.gather(
                *(
                    desks[number % 3].start_with(d.actor, StartRequest(workflow_id, {"customer": f"c{number % 2}"}))
                    for number in range(100)
                )
            )
            for one in started:
                await has_status(first, one.run.id, RunStatus.SUCCEEDED)
        logs: dict[str, list[list[LoggedEvent]]] = {"c0": [], "c1": []}
        for number, one in enumerate(started):
            logs[f"c{number % 2}"].append(await first.log_rows(one.run.id))
        assert {key: len(of_key) for key, of_key in logs.items()} == {"c0": 50, "c1": 50}
        assert [most_at_once(of_key) for of_key in logs.values()] == [3, 3]
        assert {(await run_of(first, one.run.id)).concurrency_key for one in started} == {"c0", "c1"}


async def test_a_run_that_could_begin_at_once_takes_its_turn_too_and_a_freed_turn_is_taken(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=EngineLimits(poll_s=60)) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(limited())
        runs = [await start(d, workflow_id) for _ in range(2)]
        await has_status(w, runs[0], RunStatus.RUNNING)
        w.engine.look()
        assert w.engine.has_room
        assert (await run_of(w, runs[1])).status is RunStatus.QUEUED
        assert (await run_of(w, runs[1])).concurrency_key is None, "all together"
        gate.open()
        first = await w.ended(runs[0])
        w.engine.look()  # as the NOTIFY of the end does
        second = await w.ended(runs[1])
        assert times(first)[1] <= times(second)[0]


@pytest.mark.parametrize(
    ("key", "given", "stored"),
    [("{{ input.n }}", {"n": 7}, "7"), ("{{ input }}", {"b": [True]}, '{"b":[true]}'), ("c-{{ input }}", "x", "c-x")],
)
async def test_a_key_that_is_no_text_is_kept_as_json(database: Database, key: str, given: Any, stored: str) -> None:
    async with world(database, script(), limits=LIMITS) as w:
        d = await desk(w, script())
        run_id = await start(d, await d.shelf.add(limited(key=key)), given)
        assert (await run_of(w, run_id)).concurrency_key == stored
        assert names(await w.ended(run_id))[-1] == "RunSucceeded"


@pytest.mark.parametrize("given", [{}, None, {"customer": "x" * 257}, {"customer": "a"}])
async def test_an_input_that_gives_no_key_is_refused_unless_a_key_is_given(database: Database, given: Any) -> None:
    async with world(database, script(), limits=LIMITS) as w:
        d = await desk(w, script())
        key = "{{ input.customer.id }}" if given == {"customer": "a"} else BY_CUSTOMER
        workflow_id = await d.shelf.add(limited(key=key))
        with pytest.raises(InvalidInput, match=r"settings\.concurrency\.key") as refused:
            await start(d, workflow_id, given)
        assert refused.value.path == ["input", "input"]
        assert await d.run_count() == 0
        run_id = await start(d, workflow_id, given, concurrency_key="mine")
        assert (await run_of(w, run_id)).concurrency_key == "mine"


async def test_a_key_that_is_given_replaces_the_one_that_the_workflow_computes(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=LIMITS) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(limited(key=BY_CUSTOMER))
        runs = [await start(d, workflow_id, {"customer": name}, concurrency_key="one") for name in "xy"]
        apart = await start(d, workflow_id, {"customer": "x"})
        await has_status(w, apart, RunStatus.RUNNING)
        await has_status(w, runs[0], RunStatus.RUNNING)
        assert (await run_of(w, runs[1])).status is RunStatus.QUEUED
        gate.open()
        assert most_at_once([await w.ended(run_id) for run_id in runs]) == 1


async def test_a_key_without_a_limit_is_kept_and_holds_nobody(database: Database) -> None:
    async with world(database, script(a=forever), limits=EngineLimits(poll_s=60)) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(graph("a"))
        for _ in range(2):
            run = await run_of(w, await start(d, workflow_id, concurrency_key="k"))
            assert (run.status, run.concurrency_key) == (RunStatus.RUNNING, "k")


async def test_the_turn_of_a_process_that_died_is_not_given_away_before_its_run_ends(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=LIMITS) as w:
        await w.entered()
        d = await desk(w, script())
        workflow_id = await d.shelf.add(limited())
        runs = [await start(d, workflow_id) for _ in range(2)]
        await until(lambda: gate.begun == 1)
        w.crash()
    await w.entered(expires_in_s=-1)
    again, limits = Gate(), EngineLimits(poll_s=0.05, takeover_probe_s=0.05)
    async with world(database, script(a=again), limits=limits, like=w) as heir:
        await until(lambda: again.begun == 1)
        assert (await run_of(heir, runs[1])).status is RunStatus.QUEUED
        again.open()
        first, second = [await heir.ended(run_id) for run_id in runs]
        assert "RunRecovered" in names(first)
        assert most_at_once([first, second]) == 1


async def test_with_cancel_in_progress_a_new_run_begins_when_the_former_has_ended(database: Database) -> None:
    stopped = asyncio.Event()

    async def reluctant(_: NodeContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await stopped.wait()

    async with world(database, script(a=reluctant), limits=LIMITS) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(limited(strategy="CANCEL_IN_PROGRESS"))
        first = await start(d, workflow_id)
        await has_status(w, first, RunStatus.RUNNING)
        second = await start(d, workflow_id)
        await has_status(w, first, RunStatus.CANCELING)
        third = await start(d, workflow_id)
        assert names(await w.ended(second))[-1] == "RunCanceled", "the newest is wanted"
        assert (await run_of(w, third)).status is RunStatus.QUEUED, "the first is at work still"
        stopped.set()
        log = await w.ended(first)
        assert only(log, RunCancelRequested).reason == "A newer run of its concurrency key takes its turn."
        await has_status(w, third, RunStatus.RUNNING)
        began = [one.at for one in await w.log_rows(third) if isinstance(one.event, RunStarted)]
        assert times(log)[1] <= began[0]


async def test_with_cancel_newest_one_more_run_is_stored_and_ends_at_once(database: Database) -> None:
    gate = Gate()
    async with world(database, script(a=gate), limits=LIMITS) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(limited(strategy="CANCEL_NEWEST"))
        first, second = await start(d, workflow_id), await start(d, workflow_id)
        log = await w.ended(second)
        assert names(log) == ["RunQueued", "RunStarted", "RunCancelRequested", "RunCanceled"]
        assert only(log, RunCancelRequested).reason == "All turns of its concurrency key were taken."
        gate.open()
        assert names(await w.ended(first))[-1] == "RunSucceeded"
        assert gate.begun == 1


async def test_a_held_run_can_be_cancelled_though_the_engine_has_room(database: Database) -> None:
    async with world(database, script(a=forever), limits=LIMITS) as w:
        d = await desk(w, script())
        workflow_id = await d.shelf.add(limited())
        first, second, third = [await start(d, workflow_id) for _ in range(3)]
        await has_status(w, first, RunStatus.RUNNING)
        await d.runs.cancel(d.actor, second, "no")
        assert names(await w.ended(second))[-1] == "RunCanceled"
        assert (await run_of(w, third)).status is RunStatus.QUEUED
        await d.runs.cancel(d.actor, first, None)
        await w.ended(first)
        await has_status(w, third, RunStatus.RUNNING)


async def test_a_rerun_takes_a_turn_under_the_key_of_its_input(database: Database) -> None:
    gate, kind = Gate(), script()
    async with world(database, script(a=gate), limits=LIMITS) as w:
        d = await desk(w, kind)
        workflow_id = await d.shelf.add(limited(key=BY_CUSTOMER))
        gate.open()
        before = await start(d, workflow_id, {"customer": "x"}, concurrency_key="given")
        await w.ended(before)
        gate._open.clear()
        blocker = await start(d, workflow_id, {"customer": "y"})
        await has_status(w, blocker, RunStatus.RUNNING)
        same = (await d.rerun(before, RerunFrom.START)).run
        other = (await d.rerun(before, RerunFrom.START, given={"customer": "y"})).run
        assert same is not None
        assert other is not None
        assert (same.concurrency_key, other.concurrency_key) == ("given", "y")
        await has_status(w, same.id, RunStatus.RUNNING)
        assert (await run_of(w, other.id)).status is RunStatus.QUEUED
        gate.open()
        assert most_at_once([await w.ended(blocker), await w.ended(other.id)]) == 1


# ── runs that are called ──


class Turning(Callable):
    """Services whose workflows take turns under one key."""

    def __init__(self, policy: ConcurrencyPolicy) -> None:
        super().__init__()
        self._policy = policy

    async def sub_workflow(
        self, workspace_id: WorkspaceId, slug: str, which: int | VersionTrack, given: Json
    ) -> SubRunCall:
        """Return the call of a workflow of the test."""
        called = await super().sub_workflow(workspace_id, slug, which, given)
        return replace(called, concurrency_key="k", turns=self._policy)


async def test_runs_that_are_called_take_turns_as_well(database: Database) -> None:
    async with calling(database, script(), limits=LIMITS) as w:
        services = w.engine.services = Turning(ConcurrencyPolicy(max_runs=1))
        services.places["child"] = await w.add(graph("a"))
        parent = await w.add(graph({"sub": call()}))
        runs = [w.new_run(parent) for _ in range(5)]
        for run in runs:
            await w.engine.start(run)
        for run in runs:
            assert names(await w.ended(run.id))[-1] == "RunSucceeded"
        assert most_at_once([await w.log_rows((await child_of(w, run.id)).id) for run in runs]) == 1


async def test_a_run_that_is_called_by_one_of_its_own_key_works_in_that_ones_turn(database: Database) -> None:
    policy = ConcurrencyPolicy(max_runs=1)
    async with calling(database, script(), limits=LIMITS) as w:
        services = w.engine.services = Turning(policy)
        parent = await w.add(graph({"sub": call("middle")}))
        middle, leaf = await w.add(graph({"sub": call("leaf")})), await w.add(graph("a"))
        services.places = {"middle": middle, "leaf": (leaf[0], parent[1])}  # the third is of the first one's workflow
        runs = [replace(w.new_run(parent), concurrency_key="k", turns=policy) for _ in range(2)]
        for run in runs:
            await w.engine.start(run)
        logs = [await w.ended(run.id) for run in runs]
        assert [names(log)[-1] for log in logs] == ["RunSucceeded", "RunSucceeded"]
        assert most_at_once(logs) == 1


async def test_a_call_above_the_limit_of_a_workflow_that_wants_no_more_fails_its_node(database: Database) -> None:
    gate = Gate()
    async with calling(database, script(a=gate), limits=LIMITS) as w:
        services = w.engine.services = Turning(
            ConcurrencyPolicy(max_runs=1, strategy=ConcurrencyStrategy.CANCEL_NEWEST)
        )
        services.places["child"] = await w.add(graph("a"))
        parent = await w.add(graph({"sub": call(retry={"maximumAttempts": 1})}))
        runs = [w.new_run(parent) for _ in range(2)]
        await w.engine.start(runs[0])
        await until(lambda: gate.begun == 1)
        await w.engine.start(runs[1])
        assert only(await w.ended(runs[1].id), NodeFailed).failure.code == "SUB_RUN_CANCELED"
        gate.open()
        assert names(await w.ended(runs[0].id))[-1] == "RunSucceeded"
        assert gate.begun == 1
