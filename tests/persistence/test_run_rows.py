from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from asyncpg.pgproto.pgproto import UUID as DriverUuid  # noqa: N811 -- a class of its own beside `uuid.UUID`
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from domain.events import (
    ApprovalAnswered,
    ApprovalRequested,
    LoggedEvent,
    NodeCanceled,
    NodeEventBase,
    NodeExpanded,
    NodeFailed,
    NodeOutputDelta,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunCancelRequested,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStarted,
    RunSucceeded,
    RunWaiting,
)
from domain.ids import NodeKey, RunId, UserId
from domain.ports.paging import PageRequest
from domain.reruns import Origin, RerunFrom, plan_rerun
from domain.run import NO_USAGE, DeltaChannel, NodePayloads, NodeRun, NodeRunQuery, NodeRunStatus, Run, RunStatus, Usage
from persistence.event_facts import facts
from persistence.run_rows import event_key
from tests.domain.stepper import Case, Stepper, cases
from tests.support.engines import bare_world, writing
from tests.support.groups import Answers
from tests.support.listed import sole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.events import Event
    from persistence.database import Database
    from tests.support.engines import World

WITHOUT_ROW = NodeOutputDelta | NodeExpanded | NodeProgressed | ApprovalRequested | ApprovalAnswered
Place = tuple[str, int | None]
"""A node, or one of its items."""

_STATUS: dict[type[Event], NodeRunStatus] = {
    NodeSucceeded: NodeRunStatus.SUCCEEDED,
    NodeFailed: NodeRunStatus.FAILED,
    NodeSkipped: NodeRunStatus.SKIPPED,
    NodeCanceled: NodeRunStatus.CANCELED,
    NodeReused: NodeRunStatus.REUSED,
}


@dataclass
class Shown:
    """The read model, written from what the events mean: no batches, no SQL."""

    run: Run
    nodes: dict[Place, NodeRun]
    """In the order of their first events."""
    payloads: dict[Place, NodePayloads]

    def seen(self) -> list[NodeRun]:
        """Return nodes and items as queries show them: a node as a whole has used what its items have."""
        shown: list[NodeRun] = []
        for (key, item), node in self.nodes.items():
            items = [one.usage for (other, place), one in self.nodes.items() if other == key and place is not None]
            shown.append(node if item is not None else replace(node, usage=sum(items, node.usage)))
        return shown

    def fold(self, events: Iterable[LoggedEvent]) -> None:
        """Take events one by one."""
        for logged in events:
            self.run = replace(self.run, last_seq=logged.seq)
            self._fold_run(logged)
            self._fold_node(logged)

    def _fold_run(self, logged: LoggedEvent) -> None:
        event, run = logged.event, self.run
        match event:
            case RunStarted():
                self.run = replace(run, status=RunStatus.RUNNING, started_at=logged.at)
            case RunPaused():
                self.run = replace(run, status=RunStatus.PAUSED)
            case RunResumed():
                self.run = replace(run, status=RunStatus.RUNNING)
            case RunCancelRequested():
                self.run = replace(run, status=RunStatus.CANCELING)
            case RunSucceeded():
                run = replace(run, status=RunStatus.SUCCEEDED)
                self.run = replace(run, finished_at=logged.at, usage=event.usage)
            case RunCanceled():
                run = replace(run, status=RunStatus.CANCELED)
                self.run = replace(run, finished_at=logged.at, usage=event.usage)
            case RunFailed():
                run = replace(run, status=RunStatus.FAILED, failure=event.failure)
                self.run = replace(run, finished_at=logged.at, usage=event.usage)
            case NodeSucceeded() | NodeFailed() | NodeSkipped() | NodeReused() | NodeCanceled() if (
                event.item_index is None
            ):
                self.run = replace(run, nodes_done=run.nodes_done + 1)
            case _:
                pass

    def _fold_node(self, logged: LoggedEvent) -> None:
        event, at = logged.event, logged.at
        if not isinstance(event, NodeEventBase) or isinstance(event, WITHOUT_ROW):
            return
        place = event.node_key, event.item_index
        node = self.nodes.get(place) or NodeRun(self.run.id, NodeKey(place[0]), place[1], NodeRunStatus.PENDING, 0)
        kept = self.payloads.get(place, NodePayloads(None, None))
        node = replace(node, usage=node.usage + getattr(event, "usage", NO_USAGE), failure=None, next_attempt_at=None)
        match event:
            case NodeStarted():
                node = replace(
                    node,
                    status=NodeRunStatus.RUNNING,
                    attempts=event.execution,
                    started_at=node.started_at or at,
                )
            case NodeRetrying():
                node = replace(node, status=NodeRunStatus.RETRYING, failure=event.failure)
                node = replace(node, next_attempt_at=event.next_attempt_at)
            case NodeWaiting():
                node = replace(node, status=NodeRunStatus.WAITING)
            case _:
                failure = event.failure if isinstance(event, NodeFailed | NodeReused) else None
                origin = RunId(event.from_run) if isinstance(event, NodeReused) else None
                status = _STATUS[type(event)]
                node = replace(node, status=status, finished_at=at, failure=failure, reused_from=origin)
        self.nodes[place] = node
        given, output = getattr(event, "input", None), getattr(event, "output", None)
        self.payloads[place] = NodePayloads(given or kept.input, output or kept.output)


def dressed(event: Event, chance: random.Random) -> list[Event]:
    """Give an event of the schedule what an engine adds to it: payloads, usage, deltas before it."""
    before: list[Event] = []
    if isinstance(event, NodeSucceeded | NodeFailed | NodeRetrying | NodeCanceled):
        if not isinstance(event, NodeCanceled) and chance.random() < 0.3:
            text = "é😀"[: chance.randint(1, 2)]
            before.append(
                NodeOutputDelta(event.node_key, event.item_index, event.execution, DeltaChannel.TEXT, text, 0)
            )
        if chance.random() < 0.5:
            cost = Decimal(chance.randint(1, 999)).scaleb(-6) if chance.random() < 0.5 else None
            event.usage = Usage(chance.randint(0, 9), 1, chance.randint(1, 99), cost, "USD" if cost else None)
        if chance.random() < 0.5:
            event.input = b'{"given": %d}' % chance.randint(0, 9)
    if isinstance(event, NodeSucceeded) or (isinstance(event, NodeFailed) and event.ports == ("out",)):
        event.output = b'{"x": %d.0}' % chance.randint(0, 9)
    return [*before, event]


def split(events: Sequence[Event], chance: random.Random) -> list[list[Event]]:
    """Cut a sequence into pieces of up to six."""
    pieces: list[list[Event]] = []
    rest = list(events)
    while rest:
        size = chance.randint(1, 6)
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def recovered_once(case: Case, chance: random.Random) -> list[Event]:
    """Return the events of a run that may lose its process somewhere."""
    whole = Stepper(case, random.Random(case.seed)).run()
    if chance.random() < 0.5:
        return in_memory(whole.log)
    calm = replace(case, cancel_after=None)
    prefix = whole.log[: chance.randint(2, len(whole.log) - 1)]
    return in_memory(Stepper(calm, chance).recover(prefix).log)


def in_memory(log: Sequence[LoggedEvent]) -> list[Event]:
    """Return the events without departures: those give the lease away, and have tests of their own."""
    return [logged.event for logged in log if not isinstance(logged.event, RunWaiting)]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases(has_lists=True), seed=st.integers(0, 2**16))
async def test_what_queries_show_is_the_fold_of_the_log_at_every_point(
    database: Database, case: Case, seed: int
) -> None:
    chance = random.Random(seed)
    events = [one for event in recovered_once(case, chance)[1:] for one in dressed(event, chance)]
    w = bare_world(database)
    run_id = await w.owned(await w.add(case.definition))
    async with writing(w):
        answers = Answers(w.log)
        (run,) = await w.reader.find_many(frozenset({w.workspace_id}), [run_id])
        shown, seq = Shown(run, {}, {}), 1
        for batch in split(events, chance):
            for group in split(batch, chance):
                made = answers.append(run_id, *group)
                numbered = [LoggedEvent(run_id, seq + place, made.at, e) for place, e in enumerate(group, 1)]
                seq += len(group)
                shown.fold(numbered)
            await answers.drained()
            await check(w, shown)
    stored = await w.log_rows(run_id)
    assert [event_key(logged.event) for logged in stored][1:] == [event_key(event) for event in events]
    assert len({event_key(logged.event) for logged in stored}) == len(stored)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases(), seed=st.integers(0, 2**16))
async def test_what_queries_show_of_a_rerun_is_the_fold_of_its_log_at_every_point(
    database: Database, case: Case, seed: int
) -> None:
    chance = random.Random(seed)
    w = bare_world(database)
    place = await w.add(case.definition)
    before = await w.owned(place)
    async with writing(w):
        answers = Answers(w.log)
        first = Stepper(case, chance).run()
        told = [one for event in in_memory(first.log[1:]) for one in dressed(event, chance)]
        answers.append(before, *told)
        await answers.drained()
        record = await w.reruns.record(before)
        from_ = chance.choice([RerunFrom.FAILED, RerunFrom.NODES])
        keys = frozenset(key for key in first.plan.index if chance.random() < 0.2)
        rerun = plan_rerun(Origin(before, case.definition, record.ends), case.definition, from_, keys)
        new = replace(w.new_run(place), rerun_of=before)
        await w.reruns.add(new, rerun.kept)
        queued = Run(
            new.id, new.workspace_id, new.workflow_id, new.graph_id, RunStatus.QUEUED, 1, new.node_count, 0,
            new.trigger, None, new.priority, (), new.created_at, rerun_of=before,
        )  # fmt: skip
        shown = Shown(queued, {}, {})
        outputs = {one.node_key: one for one in told if isinstance(one, NodeSucceeded | NodeFailed)}
        inputs = {
            key: payload.input
            for (_, key, _), payload in (
                await w.reader.node_payloads([(before, key, None) for key in first.plan.index], None)
            ).items()
        }
        numbered = [LoggedEvent(new.id, seq, new.created_at, event) for seq, event in enumerate(rerun.kept, 2)]
        shown.fold(numbered)
        for key in rerun.reused:
            shown.payloads[key, None] = NodePayloads(inputs[key], outputs[key].output)
        await check(w, shown)
        (claimed,) = await w.queue.claim(w.executor, 1)
        assert claimed.last_seq == 1 + len(rerun.kept)
        events = in_memory(Stepper(replace(case, cancel_after=None), chance).rerun(rerun.kept).log)
        rest = [one for event in events[1 + len(rerun.kept) :] for one in dressed(event, chance)]
        for group in split(rest, chance):
            made = answers.append(new.id, *group, epoch=claimed.epoch)
            shown.fold([LoggedEvent(new.id, shown.run.last_seq + n, made.at, e) for n, e in enumerate(group, 1)])
            await answers.drained()
            await check(w, shown)
    stored = await w.log_rows(new.id)
    assert [event_key(logged.event) for logged in stored] == [
        event_key(event) for event in [events[0], *rerun.kept, *rest]
    ]
    assert [logged.event for logged in stored][1 : 1 + len(rerun.kept)] == list(rerun.kept)


async def check(w: World, shown: Shown) -> None:
    """Compare the read model with what the database shows."""
    run_id = shown.run.id
    assert await w.reader.find_many(frozenset({w.workspace_id}), [run_id]) == [shown.run]
    page = await sole(w.reader.node_runs([run_id], NodeRunQuery(), PageRequest(100)))
    assert list(page.items) == shown.seen()
    payloads = await w.reader.node_payloads([(run_id, *place) for place in shown.nodes], None)
    assert {(key, item): payload for (_, key, item), payload in payloads.items()} == shown.payloads
    snapshot = await w.reader.snapshot(run_id)
    assert (snapshot.seq, snapshot.status) == (shown.run.last_seq, shown.run.status)
    assert [state.node_run for state in snapshot.nodes] == [one for one in shown.seen() if one.item_index is None]


def test_an_id_as_the_driver_gives_it_is_written_like_any_other() -> None:
    by = UserId(uuid7())
    assert facts(RunPaused(1, UserId(DriverUuid(str(by))))) == facts(RunPaused(1, by))
