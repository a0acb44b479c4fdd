from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from domain.errors import DatabaseUnavailable
from runtime.compaction import Compactor
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence


class Told:
    """A compaction that answers as it is told, and remembers when it was asked; the last question ends the test."""

    def __init__(self, answers: Sequence[int | Exception]) -> None:
        self.answers = list(answers)
        self.times: list[float] = []
        self.ages: list[timedelta] = []
        self.limit = 0
        self.is_over = asyncio.Event()

    async def compact(self, ended_before: datetime, limit: int) -> int:
        self.times.append(asyncio.get_running_loop().time())
        self.ages.append(datetime.now(UTC) - ended_before)
        self.limit = limit
        if not self.answers:
            self.is_over.set()
            return 0
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def asked(*answers: int | Exception, after_s: float = 600) -> Told:
    told = Told(answers)

    async def work() -> None:
        task = asyncio.create_task(Compactor(told, after_s, poll_s=30, breath_s=1).run(), name="compaction")
        await told.is_over.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtually(work())
    return told


def test_while_there_is_more_to_do_it_goes_on_after_a_breath_and_else_it_rests() -> None:
    full = asked().limit
    assert asked(full, full, full - 1, 0).times == [0, 1, 2, 32, 62]


def test_neither_a_database_that_is_away_nor_a_fault_ends_it() -> None:
    with capture_logs() as logs:
        assert asked(DatabaseUnavailable(), ValueError("no"), 0).times == [0, 30, 60, 90]
    assert [entry["event"] for entry in logs] == ["compaction.failed"]


def test_it_asks_for_runs_that_ended_long_enough_ago() -> None:
    assert timedelta(seconds=1234) <= asked(after_s=1234).ages[0] < timedelta(seconds=1244)
