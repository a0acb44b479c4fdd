"""Processes that lose everything at seeded moments around waits: one question, one child, one answer, and the run ends."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

import pytest

from domain.events import ApprovalAnswered, ApprovalRequested, RunSucceeded
from domain.run import RunStatus
from tests.runtime.test_approval_runs import answer, approval_of, asking
from tests.runtime.test_run_waits import FAST, waiting
from tests.runtime.test_sub_runs import call, calling, child_of, children
from tests.support.engines import names, only
from tests.support.kinds import graph

if TYPE_CHECKING:
    from persistence.database import Database

SEEDS = [int(seed) for seed in os.environ.get("ANABRANCH_TEST_SEEDS", "1 2 3 4 5 6 7 8").split()]

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(120),
    # A process that is killed while it connects closes nothing.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_that_asks_waits_and_calls_ends_right_whenever_its_processes_die(
    database: Database, seed: int
) -> None:
    dice = random.Random(seed)
    child = graph({"first": {}, "pause": waiting(60), "last": {"value": 7}}, "first>pause", "pause>last")
    nodes = {"ask": asking(), "sub": call(), "end": {"value": "{{ nodes.sub.output.last }}"}}
    async with calling(database, child=child) as first:
        place = await first.add(graph(nodes, "ask.approve>sub", "sub>end"))
        run = first.new_run(place)
        await first.engine.start(run)
        await asyncio.sleep(dice.random() * 0.05)  # death comes at any moment, and after no event
        first.crash()
    last = first
    is_answered = False
    for _ in range(4):
        await last.entered(expires_in_s=-1)
        async with calling(database, like=last) as heir:
            if not is_answered and dice.random() < 0.6:
                approval = await approval_of(heir, run.id)
                answers = await asyncio.gather(answer(heir, approval.id), answer(first, approval.id))
                assert sorted(answers) == [False, True]
                is_answered = True
            await asyncio.sleep(dice.random() * 0.15)  # again at any moment
            heir.crash()
            last = heir
    await last.entered(expires_in_s=-1)
    async with calling(database, limits=FAST, like=last) as heir:
        if not is_answered:
            await answer(heir, (await approval_of(heir, run.id)).id)
        log = await heir.ended(run.id)
        assert isinstance(log[-1].event, RunSucceeded), names(log)
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        assert only(log, ApprovalRequested).approval == only(log, ApprovalAnswered).approval
        assert (await heir.reader.payloads([run.id]))[run.id][1] == b'{"end":7}'
        called = await child_of(heir, run.id)
        assert called.status is RunStatus.SUCCEEDED
        assert len(await children(heir, run.id)) == 1
