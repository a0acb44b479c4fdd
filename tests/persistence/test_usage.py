from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.errors import Fenced
from domain.events import (
    NodeCanceled,
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunStarted,
    RunSucceeded,
)
from domain.run import MIXED_CURRENCY, NO_USAGE, Failure, RunStatus, Usage, WaitReason
from domain.usage import UsageBucket, UsageGroup, UsageQuery
from persistence.usage import PostgresUsage
from tests.support.engines import World, bare_world, writing
from tests.support.groups import NOW, Answers, started
from tests.support.kinds import graph
from tests.support.listed import one_node_run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.events import Event
    from domain.ids import GraphId, RunId, WorkflowId
    from persistence.database import Database

FAILURE = Failure("NO", "no")
DAY = timedelta(days=1)


@dataclass
class Spending:
    """A log, and what is told of it."""

    w: World
    answers: Answers
    usage: PostgresUsage
    place: tuple[GraphId, WorkflowId]

    async def run(self, *events: Event, at: datetime = NOW, place: tuple[GraphId, WorkflowId] | None = None) -> RunId:
        run_id = await self.w.owned(place or self.place)
        self.answers.append(run_id, RunStarted(), *events, at=at)
        await self.answers.drained()
        return run_id

    async def buckets(
        self, group: UsageGroup, begin: datetime = NOW - DAY, end: datetime = NOW + DAY
    ) -> list[UsageBucket]:
        return list(await self.usage.buckets(self.w.workspace_id, UsageQuery(begin, end, group)))

    async def row_count(self) -> int:
        async with self.w.database.direct() as connection:
            return await connection.fetchval("SELECT count(*) FROM model_usage")


@asynccontextmanager
async def spending(database: Database) -> AsyncGenerator[Spending]:
    w = bare_world(database)
    place = await w.add(graph("a b"))
    async with writing(w):
        yield Spending(w, Answers(w.log), PostgresUsage(database), place)


def used(tokens: int, model: str | None = "m", cost: str | None = None, currency: str = "USD") -> Usage:
    return Usage(tokens, 1, tokens + 1, None if cost is None else Decimal(cost), cost and currency, model)


def good(key: str, usage: Usage, execution: int = 1) -> NodeSucceeded:
    return NodeSucceeded(key, None, execution, ("out",), 1, usage, b"{}")


def bucket(key: str, runs: int, tokens: int, calls: int, cost: str | None = None) -> UsageBucket:
    return UsageBucket(
        key, runs, Usage(tokens, calls, tokens + calls, None if cost is None else Decimal(cost), cost and "USD")
    )


async def test_every_attempt_counts_once_for_its_model_however_it_ended(database: Database) -> None:
    async with spending(database) as s:
        await s.run(
            started("a"),
            NodeRetrying("a", None, 1, FAILURE, NOW, usage=used(10, cost="0.1")),
            started("a", 2),
            good("a", used(20, cost="0.2"), 2),
            started("b"),
            NodeFailed("b", None, 1, FAILURE, ("out",), usage=used(3, "other")),
            RunSucceeded(1, NO_USAGE, b"{}"),
        )
        await s.run(started("a"), NodeCanceled("a", None, 1, used(1, "other")), RunCanceled())
        assert await s.buckets(UsageGroup.MODEL) == [bucket("m", 1, 30, 2, "0.3"), bucket("other", 2, 4, 2)]
        assert await s.row_count() == 4


async def test_a_group_that_is_sent_again_or_refused_is_not_counted_again(database: Database) -> None:
    async with spending(database) as s:
        run_id = await s.run(started("a"))
        s.answers.append(run_id, good("a", used(5)))
        await s.answers.drained()
        s.answers.append(run_id, good("a", used(5)))
        fenced = s.answers.append(run_id, good("b", used(7)), epoch=0)
        await s.answers.drained()
        assert isinstance(s.answers.refusal_of(fenced), Fenced)
        (only,) = await s.buckets(UsageGroup.MODEL)
        assert (only.usage, only.run_count, await s.row_count()) == (used(5), 0, 1), "the run has not ended"


async def test_costs_are_kept_to_the_last_digit_and_read_back_with_the_run(database: Database) -> None:
    exact = Usage(2**33, 1, 2**33 + 1, Decimal("123456789012345678901234567890.000000000000000001"), "USD")
    async with spending(database) as s:
        run_id = await s.run(started("a"), good("a", used(1, cost="0.1")), RunSucceeded(1, exact, b"{}"))
        (run,) = await s.w.reader.find_many(frozenset({s.w.workspace_id}), [run_id])
        node = await one_node_run(s.w.reader, run_id, "a", None)
        assert (run.usage, node and node.usage) == (exact, used(1, cost="0.1"))
        events = [logged.event for logged in await s.w.log_rows(run_id)]
        assert isinstance(events[-1], RunSucceeded)
        assert events[-1].usage == exact
        assert isinstance(events[-2], NodeSucceeded)
        assert events[-2].usage == used(1, cost="0.1")


async def test_days_are_those_of_the_calls_and_of_the_ends_and_a_run_counts_once_in_each(database: Database) -> None:
    night = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    async with spending(database) as s:
        run_id = await s.run(started("a"), good("a", used(1)), started("b"), at=night)
        s.answers.append(run_id, good("b", used(2)), RunSucceeded(1), at=night + timedelta(seconds=1))
        await s.run(RunSucceeded(1), at=night)
        await s.run(started("a"), at=night)
        await s.answers.drained()
        span = (night - DAY, night + DAY)
        assert await s.buckets(UsageGroup.DAY, *span) == [bucket("2026-11-22", 2, 1, 1), bucket("2026-11-23", 1, 2, 1)]
        at = night + timedelta(seconds=1)
        assert await s.buckets(UsageGroup.DAY, night - DAY, at) == [bucket("2026-11-22", 2, 1, 1)], (
            "`until` is not in it"
        )
        assert await s.buckets(UsageGroup.DAY, at, at + DAY) == [bucket("2026-11-23", 1, 2, 1)], "`from` is"


async def test_workflows_are_told_by_their_slug_also_after_they_are_deleted(database: Database) -> None:
    async with spending(database) as s:
        other = await s.w.add(graph("a"))
        await s.run(started("a"), good("a", used(100)), RunSucceeded(1), place=other)
        await s.run(started("a"), good("a", used(3)), RunSucceeded(1))
        await s.run(RunSucceeded(1))
        slugs = [str(other[1]), str(s.place[1])]
        assert [
            (b.key, b.workflow_id, b.run_count, b.usage.input_tokens) for b in await s.buckets(UsageGroup.WORKFLOW)
        ] == [
            (slugs[0], other[1], 1, 100),
            (slugs[1], s.place[1], 2, 3),
        ]
        async with database.direct() as connection:
            await connection.execute("UPDATE workflows SET slug = 'renamed' WHERE id = $1", s.place[1])
            await connection.execute("DELETE FROM workflows WHERE id = $1", other[1])
        assert [(b.key, b.workflow_id, b.run_count) for b in await s.buckets(UsageGroup.WORKFLOW)] == [
            (slugs[0], None, 1),
            ("renamed", s.place[1], 2),
        ]


async def test_a_sum_of_two_currencies_has_no_cost_and_another_workspace_sees_nothing(database: Database) -> None:
    async with spending(database) as s:
        both = (good("a", used(1, cost="1")), good("b", used(1, cost="7", currency="CNY")))
        run_id = await s.run(started("a"), both[0], started("b"), both[1])
        mixed = Usage(2, 2, 4, None, MIXED_CURRENCY)
        assert await s.usage.of_runs([run_id]) == {run_id: mixed}
        s.answers.append(run_id, RunSucceeded(1, mixed, b"{}"))
        await s.answers.drained()
        (run,) = await s.w.reader.find_many(frozenset({s.w.workspace_id}), [run_id])
        (event,) = [logged.event for logged in await s.w.log_rows(run_id)][-1:]
        assert isinstance(event, RunSucceeded)
        assert (run.usage, event.usage) == (mixed, mixed)
        assert await s.buckets(UsageGroup.MODEL) == [UsageBucket("m", 1, mixed)]
        stranger = bare_world(database)
        await stranger.add(graph("a"))
        assert await s.usage.buckets(stranger.workspace_id, UsageQuery(NOW - DAY, NOW + DAY)) == []


async def test_a_node_whose_attempts_or_items_cost_in_two_currencies_has_no_cost(database: Database) -> None:
    async with spending(database) as s:
        dear, others = used(1, cost="7", currency="CNY"), used(1, cost="1")
        tries = (NodeRetrying("a", None, 1, FAILURE, NOW, usage=others), started("a", 2), good("a", dear, 2))
        items = [NodeSucceeded("b", index, 1, ("out",), 1, usage, b"1") for index, usage in enumerate((dear, others))]
        begun = [NodeStarted("b", index, 1) for index in range(2)]
        run_id = await s.run(started("a"), *tries, started("b"), *begun, *items)
        mixed = Usage(2, 2, 4, None, MIXED_CURRENCY)
        found = [await one_node_run(s.w.reader, run_id, key, None) for key in ("a", "b")]
        shown = (await s.w.reader.snapshot(run_id)).nodes
        assert [node and node.usage for node in found] == [state.node_run.usage for state in shown] == [mixed, mixed]
        s.answers.append(run_id, NodeRetrying("a", None, 2, FAILURE, NOW, usage=others))
        await s.answers.drained()
        again = await one_node_run(s.w.reader, run_id, "a", None)
        assert again is not None
        assert again.usage == Usage(3, 3, 6, None, MIXED_CURRENCY), "what comes later does not make it a sum"


async def test_a_run_that_has_not_ended_tells_what_it_and_the_runs_that_it_called_have_used(database: Database) -> None:
    async with spending(database) as s:
        waits = NodeWaiting("b", None, 1, WaitReason.SUB_RUN, None)
        top = await s.run(started("a"), good("a", used(10, cost="0.5")), started("b"), waits)
        child = await s.run(started("a"), good("a", used(100, cost="0.25")), started("b"))
        grandchild = await s.run(started("a"), good("a", used(1_000)), RunSucceeded(1, used(1_000)))
        idle = await s.run(started("a"))
        async with database.direct() as connection:
            link = "UPDATE runs SET parent_run_id = $1, parent_node_key = 'b' WHERE id = $2"
            await connection.execute(link, top, child)
            await connection.execute(link, child, grandchild)
        assert await s.usage.of_runs([top, child, idle]) == {
            top: Usage(1_110, 3, 1_113, Decimal("0.75"), "USD"),
            child: Usage(1_100, 2, 1_102, Decimal("0.25"), "USD"),
        }
        s.answers.append(child, good("b", used(1_000, None)), RunCanceled(used(1_100)))
        await s.answers.drained()
        assert (await s.usage.of_runs([top]))[top].input_tokens == 1_110, "what was passed on is not counted again"
        assert (await s.buckets(UsageGroup.MODEL))[0].usage.input_tokens == 1_110
        (run,) = await s.w.reader.find_many(frozenset({s.w.workspace_id}), [child])
        assert run.status is RunStatus.CANCELED
