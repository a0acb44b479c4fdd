from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from structlog.testing import capture_logs

from domain.events import (
    Event,
    NodeFailed,
    NodeOutputDelta,
    NodeRetrying,
    NodeStarted,
    NodeSucceeded,
    RunFailed,
    RunRecovered,
    RunStarted,
    RunSucceeded,
)
from domain.ports.paging import PageRequest
from domain.ports.runs import LogSpan
from domain.run import DeltaChannel, Failure
from gql.client.run_view import Text
from persistence import compaction as module
from persistence import database as connections
from persistence.compaction import PostgresCompaction
from persistence.database import open_database
from runtime.deltas import utf16_length
from tests.support.engines import World, bare_world, names, writing
from tests.support.groups import NOW, Answers, started, succeeded
from tests.support.kinds import graph
from tests.support.listed import sole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from domain.events import LoggedEvent
    from domain.ids import RunId
    from persistence.database import Database

Place: TypeAlias = tuple[str, int | None, int, DeltaChannel]

LATER = NOW + timedelta(seconds=1)
FAILURE = Failure("NO", "no")
PIECES = ("Hello", " 😀", "é", "\n", "𝄞𝄞", '{"a": "\\\\u0041"}', "'); DROP", "👩‍👩‍👧")


@dataclass
class Streams:
    """Attempts that write, piece by piece."""

    chance: random.Random
    lengths: dict[Place, int] = field(default_factory=dict["Place", int])

    def piece(
        self, key: str, execution: int, channel: DeltaChannel = DeltaChannel.TEXT, text: str = ""
    ) -> NodeOutputDelta:
        text = text or self.chance.choice(PIECES)
        place = (key, None, execution, channel)
        offset = self.lengths.get(place, 0)
        self.lengths[place] = offset + utf16_length(text)
        return NodeOutputDelta(key, None, execution, channel, text, offset)


def texts(log: Iterable[LoggedEvent], before: dict[Place, Text] | None = None) -> dict[Place, str]:
    """Return the texts that a client has after these events, which it splices onto what it had before."""
    known = {place: Text(str(text)) for place, text in (before or {}).items()}
    for logged in log:
        match logged.event:
            case NodeOutputDelta(key, item, execution, channel, text, offset):
                known.setdefault((key, item, execution, channel), Text()).splice(text, offset)
            case _:
                pass
    return {place: str(text) for place, text in known.items()}


def had(log: Iterable[LoggedEvent], seq: int) -> dict[Place, Text]:
    return {place: Text(text) for place, text in texts(one for one in log if one.seq <= seq).items()}


def others(log: Iterable[LoggedEvent]) -> list[LoggedEvent]:
    return [logged for logged in log if not isinstance(logged.event, NodeOutputDelta)]


@asynccontextmanager
async def ended(database: Database, *events: Event) -> AsyncGenerator[tuple[World, RunId, PostgresCompaction]]:
    """Open a log in which a run has ended; its other events come before."""
    w = bare_world(database)
    place = await w.add(graph("a b"))
    run_id = await w.owned(place)
    async with writing(w):
        answers = Answers(w.log)
        answers.append(run_id, RunStarted(), *events, RunSucceeded(1))
        await answers.drained()
        yield w, run_id, PostgresCompaction(database)


def story(chance: random.Random) -> list[Event]:
    """Return what two nodes write at the same time: thoughts and answers, with attempts that fail and are cut off."""
    streams, events = Streams(chance), list[Event]()
    events += [started("a"), started("b")]
    for _ in range(chance.randint(0, 12)):
        events.append(streams.piece(chance.choice("ab"), 1, chance.choice(list(DeltaChannel))))
    events += [NodeRetrying("a", None, 1, FAILURE, NOW), started("a", 2)]
    for _ in range(chance.randint(0, 12)):
        events.append(streams.piece(*chance.choice([("a", 2), ("b", 1)]), chance.choice(list(DeltaChannel))))
    events += [RunRecovered(1, ["a", "b"]), started("a", 3), started("b", 2)]
    for _ in range(chance.randint(0, 12)):
        events.append(streams.piece(*chance.choice([("a", 3), ("b", 2)]), chance.choice(list(DeltaChannel))))
    return [*events, succeeded("a", execution=3), NodeFailed("b", None, 2, FAILURE)]


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_goes_on_behind_any_event_of_a_compacted_run_has_the_whole_text(
    database: Database, seed: int
) -> None:
    async with ended(database, *story(random.Random(seed))) as (w, run_id, compaction):
        before = await w.log_rows(run_id)
        whole = texts(before)
        assert await compaction.compact(LATER, 10) == 1
        after = await w.log_rows(run_id)
        assert others(after) == others(before), "all else stays, in its place"
        assert len(after) - len(others(after)) == len(whole), "one piece for each attempt and channel"
        for seq in range(before[-1].seq + 1):
            rest, _ = await w.reader.events_after(run_id, seq, 1_000)
            assert texts(rest, had(before, seq)) == whole
            page = await sole(w.reader.events([LogSpan(run_id, seq, None)], PageRequest(1_000)))
            assert page.items == rest
        assert [logged async for logged in w.progress.follow(run_id, 3)] == list(
            (await w.reader.events_after(run_id, 3, 1_000)).events
        )
        assert await sole(w.reader.count_events([run_id])) == len(after)


async def test_a_follower_that_is_in_the_midst_of_the_pieces_gets_the_rest_right(database: Database) -> None:
    streams = Streams(random.Random(1))
    pieces = [streams.piece("a", 1) for _ in range(1_200)]  # more than the follower reads at once
    async with ended(database, started("a"), *pieces, succeeded("a")) as (w, run_id, compaction):
        whole = texts(await w.log_rows(run_id))
        seen: list[LoggedEvent] = []
        async for logged in w.progress.follow(run_id):
            seen.append(logged)
            if len(seen) == 700:
                assert await compaction.compact(LATER, 10) == 1
        assert texts(seen) == whole
        assert isinstance(seen[-1].event, RunSucceeded)
        assert [one.seq for one in seen] == sorted({one.seq for one in seen})
        assert len(await w.log_rows(run_id)) == 6


async def test_a_long_text_stays_some_pieces_and_compacting_it_again_changes_nothing(database: Database) -> None:
    streams = Streams(random.Random(2))
    pieces = [streams.piece("a", 1, text=streams.chance.choice("ab😀") * 2_000) for _ in range(100)]
    async with ended(database, started("a"), *pieces, succeeded("a")) as (w, run_id, compaction):
        before = await w.log_rows(run_id)
        await compaction.compact(LATER, 10)
        after = await w.log_rows(run_id)
        lengths = [len(one.event.text) for one in after if isinstance(one.event, NodeOutputDelta)]
        assert len(lengths) == 4
        assert max(lengths) < 65_536 + 2_000
        for seq in range(before[-1].seq + 1):
            assert texts((one for one in after if one.seq > seq), had(before, seq)) == texts(before)
        async with database.direct() as connection:
            await connection.execute("DELETE FROM compactions")
        assert await compaction.compact(LATER, 10) == 1
        assert await w.log_rows(run_id) == after


async def test_items_are_texts_of_their_own(database: Database) -> None:
    written: list[Event] = [
        event
        for item in (0, 1)
        for event in (
            NodeStarted("a", item, 1),
            NodeOutputDelta("a", item, 1, DeltaChannel.TEXT, "x", 0),
            NodeOutputDelta("a", item, 1, DeltaChannel.TEXT, str(item), 1),
            NodeSucceeded("a", item, 1, ("out",), 1),
        )
    ]
    async with ended(database, started("a"), *written, succeeded("a")) as (w, run_id, compaction):
        await compaction.compact(LATER, 10)
        assert sorted(texts(await w.log_rows(run_id)).values()) == ["x0", "x1"]
        assert names(await w.log_rows(run_id)).count("NodeOutputDelta a") == 2


async def test_runs_are_compacted_once_in_the_order_of_their_ends_and_not_too_early(database: Database) -> None:
    w = bare_world(database)
    other = bare_world(database)
    compaction = PostgresCompaction(database)
    async with writing(w), writing(other):
        runs: list[RunId] = []
        for number, world in enumerate((w, other, w, w, other)):
            run_id = await world.owned(await world.add(graph("a")))
            answers, streams = Answers(world.log), Streams(random.Random(3))
            pieces = [streams.piece("a", 1), streams.piece("a", 1)]
            end = [] if number == 2 else [RunFailed(FAILURE)]
            answers.append(run_id, RunStarted(), started("a"), *pieces, *end, at=NOW + timedelta(minutes=number))
            await answers.drained()
            runs.append(run_id)

        async def sizes() -> list[int]:
            return [len(await w.log_rows(run_id)) for run_id in runs]

        assert await sizes() == [6, 6, 5, 6, 6]
        assert await compaction.compact(NOW, 10) == 0, "the first ended just then"
        assert await compaction.compact(NOW + timedelta(minutes=9), 2) == 2
        assert await sizes() == [5, 5, 5, 6, 6]
        assert await compaction.compact(NOW + timedelta(minutes=4), 10) == 1
        assert await sizes() == [5, 5, 5, 5, 6]
        assert await compaction.compact(NOW + timedelta(minutes=9), 10) == 1
        assert await compaction.compact(NOW + timedelta(minutes=9), 10) == 0
        assert await sizes() == [5, 5, 5, 5, 5], "one that is at work stays as it is"


async def test_two_processes_do_not_compact_at_the_same_time(database: Database) -> None:
    streams = Streams(random.Random(4))
    pieces = [streams.piece("a", 1) for _ in range(5)]
    async with ended(database, started("a"), *pieces, succeeded("a")) as (w, run_id, compaction):
        async with database.direct() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", 0x616E_6163_6F6D_7061)
            assert await compaction.compact(LATER, 10) == 0
            assert len(await w.log_rows(run_id)) == 10
        counts = await asyncio.gather(*(PostgresCompaction(database).compact(LATER, 10) for _ in range(4)))
        assert sum(counts) == 1
        assert len(await w.log_rows(run_id)) == 6


async def test_a_run_that_cannot_be_compacted_stays_and_does_not_hold_up_the_others(database: Database) -> None:
    streams = Streams(random.Random(5))
    async with ended(database, started("a"), streams.piece("a", 1), streams.piece("a", 1), succeeded("a")) as (
        w,
        bad,
        one,
    ):
        good = await w.owned(await w.add(graph("a")))
        answers, streams = Answers(w.log), Streams(random.Random(6))
        answers.append(good, started("a"), streams.piece("a", 1), streams.piece("a", 1), RunSucceeded(1), at=LATER)
        await answers.drained()
        async with database.direct() as connection:
            harm = """UPDATE run_events SET data = '{"channel": "TEXT", "text": "x", "offset": "?"}'
                       WHERE run_id = $1 AND type = 'NodeOutputDelta'"""
            await connection.execute(harm, bad)
        with capture_logs() as logs:
            assert await one.compact(LATER + timedelta(seconds=1), 10) == 2
        assert [entry["event"] for entry in logs] == ["compaction.run_skipped"]
        async with database.direct() as connection:
            count = "SELECT count(*) FROM run_events WHERE run_id = $1 AND type = 'NodeOutputDelta'"
            assert [await connection.fetchval(count, run) for run in (bad, good)] == [2, 1]


async def test_a_run_whose_texts_take_long_gets_more_time_than_a_query_and_holds_up_nobody_when_it_takes_longer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = Streams(random.Random(5))
    pieces = [streams.piece("a", 1) for _ in range(5)]
    slowly = module._MERGE.replace("WITH pieces AS (", "WITH slow AS MATERIALIZED (SELECT pg_sleep(1)), pieces AS (", 1)
    monkeypatch.setattr(module, "_MERGE", slowly.replace("FROM run_events e WHERE", "FROM slow, run_events e WHERE", 1))
    monkeypatch.setattr(connections, "_ANSWER_GRACE_S", 0.2)
    async with ended(database, started("a"), *pieces, succeeded("a")) as (w, run_id, _):
        before = await w.log_rows(run_id)
        async with open_database(database.url, statement_timeout_ms=500) as impatient:
            compaction = PostgresCompaction(impatient)
            with monkeypatch.context() as patch, capture_logs() as logs:
                patch.setattr(module, "_MERGE_S", 0.3)
                assert await compaction.compact(LATER, 10) == 1
            assert [entry["event"] for entry in logs] == ["compaction.run_skipped"]
            assert await w.log_rows(run_id) == before
            assert await compaction.compact(LATER, 10) == 0, "it is not tried again"
            async with database.direct() as connection:
                await connection.execute("DELETE FROM compactions")
            assert await compaction.compact(LATER, 10) == 1
            assert len(await w.log_rows(run_id)) == len(before) - 4


async def test_what_was_asked_of_a_run_that_has_ended_is_pending_no_longer(database: Database) -> None:
    pending = "SELECT run_id FROM run_commands WHERE applied_at IS NULL"
    async with (
        ended(database, started("a"), succeeded("a")) as (w, run_id, compaction),
        database.direct() as connection,
    ):
        at_work = await w.owned(await w.add(graph("a")))
        for run in (run_id, at_work):
            await connection.execute(
                "INSERT INTO run_commands (id, run_id, command_key, kind) VALUES (gen_random_uuid(), $1, 'pause/1', 'pause')",
                run,
            )
        assert await compaction.compact(LATER, 10) == 1
        assert [row["run_id"] for row in await connection.fetch(pending)] == [at_work]
