"""How much of a log is read at once, for somebody who follows it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from domain.events import RunSucceeded
from tests.persistence.test_runs import delta
from tests.support.engines import bare_world, writing
from tests.support.groups import Answers, started, succeeded
from tests.support.kinds import graph

if TYPE_CHECKING:
    from persistence.database import Database

LARGE = 200_000
MOST = 3 * LARGE


@pytest.mark.parametrize("text", ["x" * LARGE, secrets.token_hex(LARGE // 2)], ids=["packs well", "does not pack"])
async def test_a_part_of_a_log_is_bounded_in_bytes_and_the_next_one_goes_on(database: Database, text: str) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a")))
    async with writing(w):
        answers = Answers(w.log)
        for number in range(10):
            answers.append(run, started(f"n{number}"), delta(f"n{number}", text, 0), succeeded(f"n{number}"))
        answers.append(run, RunSucceeded(1))
    whole = await w.log_rows(run)
    read, has_more, parts = whole[:0], True, list[int]()
    while has_more:
        events, has_more = await w.reader.events_after(run, read[-1].seq if read else 0, 64, MOST)
        assert sum(len(getattr(logged.event, "text", "")) for logged in events) <= MOST + LARGE
        parts.append(len(events))
        read += events
    assert read == whole
    assert len(parts) >= 10 * LARGE // (MOST + LARGE)
    large = next(logged.seq for logged in whole if logged.event.type == "NodeOutputDelta")
    alone, has_more = await w.reader.events_after(run, large - 1, 64, 1)
    assert ([logged.seq for logged in alone], has_more) == ([large], True), "the first comes whatever its size"
    last, has_more = await w.reader.events_after(run, whole[-2].seq, 64, 1)
    assert (len(last), has_more) == (1, False)


async def test_small_events_come_as_many_as_are_asked_for(database: Database) -> None:
    w = bare_world(database)
    run = await w.owned(await w.add(graph("a")))
    async with writing(w):
        answers = Answers(w.log)
        for number in range(100):
            answers.append(run, started(f"n{number}"), succeeded(f"n{number}"))
    part = await w.reader.events_after(run, 0, 64, 2_097_152)
    assert (len(part.events), part.has_more) == (64, True)
