from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.events import (
    LoggedEvent,
    NodeCanceled,
    NodeFailed,
    NodeOutputDelta,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    RunCanceled,
    RunCancelRequested,
    RunFailed,
    RunStarted,
    RunSucceeded,
)
from domain.ids import NodeKey
from domain.ports.paging import PageRequest
from domain.run import NO_USAGE, DeltaChannel, NodePayloads, NodeRun, NodeRunStatus, Run, RunStatus, Usage
from persistence.run_rows import event_key
from tests.domain.stepper import Case, Stepper, cases
from tests.support.engines import bare_world, writing
from tests.support.groups import Answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.events import Event
    from persistence.database import Database
    from tests.support.engines import World

_STATUS: dict[type[Event], NodeRunStatus] = {
    NodeSucceeded: NodeRunStatus.SUCCEEDED,
    NodeFailed: NodeRunStatus.FAILED,
    NodeSkipped: NodeRunStatus.SKIPPED,
    NodeCanceled: NodeRunStatus.CANCELED,
}


@dataclass
class Shown:
    """The read model, written from what the events mean: no batches, no SQL."""

    run: Run
    nodes: dict[str, NodeRun]
    """In the order of their first events."""
    payloads: dict[str, NodePayloads]

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
            case NodeSucceeded() | NodeFailed() | NodeSkipped() | NodeCanceled():
                self.run = replace(run, nodes_done=run.nodes_done + 1)
            case _:
                pass

    def _fold_node(self, logged: LoggedEvent) -> None:
        event, at = logged.event, logged.at
        key = getattr(event, "node_key", None)
        if key is None or isinstance(event, NodeOutputDelta):
            return
        node = self.nodes.get(key) or NodeRun(self.run.id, NodeKey(key), None, NodeRunStatus.PENDING, 0)
        kept = self.payloads.get(key, NodePayloads(None, None))
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
            case _:
                failure = event.failure if isinstance(event, NodeFailed) else None
                node = replace(node, status=_STATUS[type(event)], finished_at=at, failure=failure)
        self.nodes[key] = node
        given, output = getattr(event, "input", None), getattr(event, "output", None)
        self.payloads[key] = NodePayloads(given or kept.input, output or kept.output)


def dressed(event: Event, chance: random.Random) -> list[Event]:
    """Give an event of the schedule what an engine adds to it: payloads, usage, deltas before it."""
    before: list[Event] = []
    if isinstance(event, NodeSucceeded | NodeFailed | NodeRetrying | NodeCanceled):
        if not isinstance(event, NodeCanceled) and chance.random() < 0.3:
            text = "é😀"[: chance.randint(1, 2)]
            before.append(NodeOutputDelta(event.node_key, None, event.execution, DeltaChannel.TEXT, text, 0))
        if chance.random() < 0.5:
            event.usage = Usage(chance.randint(0, 9), 1, chance.randint(1, 99))
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
        return [logged.event for logged in whole.log]
    calm = replace(case, cancel_after=None)
    prefix = whole.log[: chance.randint(2, len(whole.log) - 1)]
    return [logged.event for logged in Stepper(calm, chance).recover(prefix).log]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases(), seed=st.integers(0, 2**16))
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


async def check(w: World, shown: Shown) -> None:
    """Compare the read model with what the database shows."""
    run_id = shown.run.id
    assert await w.reader.find_many(frozenset({w.workspace_id}), [run_id]) == [shown.run]
    page = await w.reader.node_runs(run_id, PageRequest(100))
    assert list(page.items) == list(shown.nodes.values())
    payloads = await w.reader.node_payloads([(run_id, key, None) for key in shown.nodes], None)
    assert {key: payload for (_, key, _), payload in payloads.items()} == shown.payloads
    snapshot = await w.reader.snapshot(run_id)
    assert (snapshot.seq, snapshot.status) == (shown.run.last_seq, shown.run.status)
    assert [state.node_run for state in snapshot.nodes] == list(shown.nodes.values())
