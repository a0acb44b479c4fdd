"""Three workers, of which one dies every two seconds: 300 runs of all shapes end as they have to, and their logs are exact."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from domain.approvals import ApprovalQuery, ApprovalStatus
from domain.data_tables import ColumnType, DataColumn
from domain.errors import Conflict
from domain.events import RunRecovered
from domain.ids import Prefix, to_global
from domain.json_codec import decode
from domain.ports.paging import PageRequest
from domain.workflow import WorkflowDraft
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from persistence.runs import PostgresRuns
from runtime.services import open_services
from runtime.settings import RunsSettings, Settings
from tests.support.http_peer import HttpPeer, http_peer
from tests.support.identity import PASSWORD
from tests.support.listed import sole
from tests.support.run_checks import check_log, check_shown
from tests.support.shapes import APPROVE, REJECT, TABLE, Shape, shapes
from tests.support.worker_process import CommandProcess, stopped_at_the_end

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.identity import Principal
    from domain.ids import ApprovalId, RunId, WorkflowId
    from domain.run import Run
    from persistence.database import Database
    from runtime.services import Services

RUNS = int(os.environ.get("ANABRANCH_TEST_RUNS", "300"))
WORKERS = 3
WAVE, PAUSE_S = 20, 1.5
PAUSED = 0.1
"""How many of the runs are paused for a while."""
KILL_EVERY_S = 2.0
KILLS_S = 75
"""When all have not ended by then, nobody is killed any more."""
LONGEST_S = 240
FEWEST_KILLS = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@dataclass
class World:
    """What starts runs, and what has become of them."""

    services: Services
    database: Database
    actor: Principal
    peer: HttpPeer
    dice: random.Random
    shapes: dict[WorkflowId, Shape] = field(default_factory=dict["WorkflowId", Shape])
    answers: dict[RunId, str] = field(default_factory=dict["RunId", str])
    """Which answer to the question of a run counted."""
    kills: int = 0
    pauses: int = 0

    async def make(self) -> None:
        """Make the table and the workflows."""
        columns = [DataColumn("run", ColumnType.TEXT), DataColumn("node", ColumnType.TEXT)]
        await self.services.data_tables.create(self.actor, None, TABLE, columns)
        for shape in shapes(self.peer, self.dice):
            draft = WorkflowDraft(shape.name, shape.slug, None, shape.definition)
            made = await self.services.workflows.create(self.actor, None, draft)
            assert made.is_runnable, (shape.name, made.problems)
            self.shapes[made.id] = shape

    async def start_all(self) -> None:
        """Start runs in waves, and have some of them canceled."""
        own = [workflow_id for workflow_id, shape in self.shapes.items() if shape.is_own]
        order = [own[number % len(own)] for number in range(RUNS)]
        self.dice.shuffle(order)
        async with asyncio.TaskGroup() as group:
            for begin in range(0, RUNS, WAVE):
                for workflow_id in order[begin : begin + WAVE]:
                    run = await self.services.runs.start(self.actor, workflow_id, {"x": 7})
                    if self.shapes[workflow_id].is_canceled:
                        group.create_task(self.cancel(run.id, self.dice.random() * 6))
                    elif self.dice.random() < PAUSED:
                        group.create_task(self.pause(run.id, self.dice.random() * 3))
                await asyncio.sleep(PAUSE_S)  # so that runs of all ages meet each death

    async def cancel(self, run_id: RunId, after_s: float) -> None:
        """Cancel a run at some moment of its life."""
        await asyncio.sleep(after_s)  # any moment will do
        await self.services.runs.cancel(self.actor, run_id, None)

    async def pause(self, run_id: RunId, after_s: float) -> None:
        """Pause a run at some moment, if it has not ended by then, and let it go on later."""
        await asyncio.sleep(after_s)  # any moment will do
        with suppress(Conflict):
            await self.services.steering.pause(self.actor, run_id)
            self.pauses += 1
            await asyncio.sleep(PAUSE_S)  # and any time
            await self.services.steering.resume(self.actor, run_id)

    async def answer_questions(self) -> None:
        """Answer what runs ask, at any moment, now and then twice at once."""
        query = ApprovalQuery(statuses=(ApprovalStatus.OPEN,))
        workspace_id = self.actor.workspace(None)
        while True:
            page = await sole(
                self.services.approvals.page_by_workspace([workspace_id], PageRequest(100), self.actor, query)
            )
            for approval in page.items:
                if self.dice.random() < 0.3:
                    actions = self.dice.choices([APPROVE, REJECT], k=2)
                    taken = await asyncio.gather(*(self.answer(approval.id, action) for action in actions))
                    ((self.answers[approval.run_id]),) = [action for action in taken if action]
            await asyncio.sleep(0.3)  # questions come by themselves

    async def answer(self, approval_id: ApprovalId, action: str) -> str | None:
        """Answer a question; None where another answer counted."""
        try:
            await self.services.approvals.answer(self.actor, approval_id, action, None)
        except Conflict:
            return None
        return action

    async def unfinished(self) -> int:
        """Count what has not ended."""
        statement = "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')"
        async with self.database.direct() as connection:
            return await connection.fetchval(statement)

    async def ended(self) -> None:
        """Wait until everything has ended."""
        async with asyncio.timeout(LONGEST_S):
            while await self.unfinished():
                await asyncio.sleep(0.2)


@asynccontextmanager
async def world(data_dir: Path, dice: random.Random) -> AsyncGenerator[World]:
    """Open what starts runs and executes none."""
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        data_dir=data_dir,
        runs=RunsSettings(max_concurrent_runs=0),
    )
    async with (
        http_peer() as peer,
        open_services(settings) as services,
        embedded_postgres(data_dir) as url,
        open_database(url, pool_size=2) as database,
    ):
        actor = (await services.identity.sign_up("ada@example.com", PASSWORD, None, None, address="")).principal
        made = World(services, database, actor, peer, dice)
        await made.make()
        yield made


async def kill_again_and_again(w: World, workers: list[CommandProcess]) -> None:
    """Kill one of those that work, and start it again; the last one has its time, or a slow machine would never be done."""
    until = asyncio.get_running_loop().time() + KILLS_S
    was_alone = False
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(KILL_EVERY_S)  # a death every so often is what is tested
        working = [worker for worker in workers if worker.is_ready]
        if len(working) > 1 or (working and was_alone):
            victim = w.dice.choice(working)
            await asyncio.to_thread(victim.kill)
            victim.start()
            w.kills += 1
        was_alone = len(working) == 1


async def test_runs_of_all_shapes_end_as_they_have_to_while_a_worker_dies_every_two_seconds(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("ANABRANCH_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    with capsys.disabled():
        print(f"\nseed {seed}", end="", flush=True)  # noqa: T201
    async with world(data_dir, random.Random(seed)) as w:
        # Who dies often is no reason to give a run up here.
        environment = {**w.peer.allowed, "ANABRANCH_RUNS__MAX_RECOVERIES": "100"}
        workers = [CommandProcess(data_dir, ("worker",), environment, f"worker{number}") for number in range(WORKERS)]
        with stopped_at_the_end(*workers):
            for worker in workers:
                worker.start()
            for worker in workers:
                await worker.started()
            async with asyncio.TaskGroup() as group:
                helpers = [group.create_task(w.answer_questions()), group.create_task(kill_again_and_again(w, workers))]
                await w.start_all()
                await w.ended()
                for helper in helpers:
                    helper.cancel()
        assert w.kills >= FEWEST_KILLS
        await check_all(w, capsys)


async def check_all(w: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Check every run, those that were called included."""
    reader = PostgresRuns(w.database)
    async with w.database.direct() as connection:
        ids = [row["id"] for row in await connection.fetch("SELECT id FROM runs")]
        stored = await connection.fetch("SELECT run_id, row->>'run' AS run, row->>'node' AS node FROM data_rows")
    runs = await reader.find_many(frozenset({w.actor.workspace(None)}), ids)
    outputs = {run_id: output for run_id, (_, output) in (await reader.payloads(ids)).items()}
    recovered, wanted_rows = 0, Counter[tuple[str, str]]()
    for run in runs:
        log, _ = await reader.events_after(run.id, 0, 100_000)
        check_log(log)
        nodes = await check_shown(reader, run, log)
        ends = {str(node.node_key): node.status.value for node in nodes if node.item_index is None}
        check_end(w, run, ends, outputs[run.id])
        recovered += sum(isinstance(entry.event, RunRecovered) for entry in log)
        name = to_global(Prefix.RUN, run.id)
        wanted_rows.update((name, node) for node in w.shapes[run.workflow_id].writes)
    assert Counter((row["run"], row["node"]) for row in stored) == wanted_rows, "each row exactly once"
    assert all(len(keys) == 1 for keys in w.peer.keys.values()), "whoever works again says so by the same key"
    assert len([run for run in runs if run.parent_id is None]) == RUNS
    assert recovered > 0
    with capsys.disabled():
        print(f": {len(runs)} runs, {w.kills} kills, {recovered} recoveries, {w.pauses} pauses", end=" ")  # noqa: T201


def check_end(w: World, run: Run, ends: dict[str, str], output: bytes | None) -> None:
    """Check that a run has ended as its shape says."""
    shape = w.shapes[run.workflow_id]
    told = (shape.name, run, ends)
    assert run.status.value == shape.status, told
    assert (run.failure.code if run.failure else None) == shape.code, told
    wanted = shape.by_answer[w.answers[run.id]] if shape.by_answer else shape.nodes
    assert {key: ends.get(key) for key in wanted} == wanted, told
    if shape.output is not None:
        assert decode(output or b"null") == shape.output, told
    if shape.is_canceled:
        assert ends.get("hang", "CANCELED") == "CANCELED", told
