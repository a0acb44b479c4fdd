"""Groups of events as rows of JSON: what one append statement takes, folded to one row per run and per node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from domain.events import (
    SETTLING,
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    NodeCanceled,
    NodeEventBase,
    NodeExpanded,
    NodeFailed,
    NodeOutputDelta,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunCancelRequested,
    RunCrashed,
    RunFailed,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
    RunSucceeded,
    RunWaiting,
)
from domain.run import NO_USAGE, Usage
from domain.texts import storable
from persistence.event_facts import facts, failure_text, usage_facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.ports.runs import Group

WHOLE = -1
"""`item_index` of a node as a whole in `node_runs`."""

_WITHOUT_ROW = (NodeOutputDelta, NodeExpanded, NodeProgressed, ApprovalRequested, ApprovalAnswered)
"""Events that change nothing of `node_runs`."""

_MAX_MODEL: Final = 200

_STATUS_OF: dict[type[Event], str] = {
    RunStarted: "RUNNING",
    RunPaused: "PAUSED",
    RunResumed: "RUNNING",
    RunCancelRequested: "CANCELING",
    RunSucceeded: "SUCCEEDED",
    RunFailed: "FAILED",
    RunCanceled: "CANCELED",
    RunCrashed: "CRASHED",
}


@dataclass(slots=True)
class RunRow:
    """What a batch changes in a row of `runs`; `more` holds the fields that few appends change, as JSON."""

    run_id: UUID
    epoch: int
    place: int
    count: int = 0
    nodes_done: int = 0
    more: str = ""

    def text(self) -> str:
        """Return the row as JSON."""
        return (
            f'{{"place":{self.place},"id":"{self.run_id}","epoch":{self.epoch},"count":{self.count},'
            f'"done":{self.nodes_done}{self.more}}}'
        )


@dataclass(slots=True)
class NodeRow:
    """What a batch changes in a row of `node_runs`; None leaves a column as it is. Times and payloads are JSON."""

    place: int
    node_key: str
    item_index: int
    ordinal: int
    status: str = "PENDING"
    attempts: int = 0
    input: bytes | None = None
    output: bytes | None = None
    failure: str | None = None
    usage: Usage = NO_USAGE
    started_at: str | None = None
    finished_at: str | None = None
    next_attempt_at: str | None = None
    reused_from: UUID | None = None

    def text(self) -> str:
        """Return the row as JSON."""
        more = ""
        if self.started_at is not None:
            more = f',"startedAt":"{self.started_at}"'
        if self.finished_at is not None:
            more += f',"finishedAt":"{self.finished_at}"'
        if self.input is not None:
            more += f',"input":{self.input.decode()}'
        if self.output is not None:
            more += f',"output":{self.output.decode()}'
        if self.failure is not None:
            more += f',"failure":{self.failure}'
        if self.next_attempt_at is not None:
            more += f',"nextAttemptAt":"{self.next_attempt_at}"'
        if self.usage is not NO_USAGE:
            more += f',"usage":{_usage(self.usage)}'
        if self.reused_from is not None:
            more += f',"reusedFrom":"{self.reused_from}"'
        return (
            f'{{"place":{self.place},"node":"{self.node_key}","item":{self.item_index},"ordinal":{self.ordinal},'
            f'"status":"{self.status}","attempts":{self.attempts}{more}}}'
        )


@dataclass(slots=True)
class Batch:
    """Rows of one append; `place` numbers its runs from 1."""

    runs: list[RunRow] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    nodes: dict[tuple[int, str, int], NodeRow] = field(default_factory=dict)
    commands: list[UUID] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """What was asked of models: a row of `model_usage` each."""


def event_key(event: Event) -> str:
    """Return what makes a repeat of the event harmless: equal for equal facts, in every engine."""
    if isinstance(event, NodeEventBase):
        item = "-" if event.item_index is None else event.item_index
        key = f"{event.type}/{event.node_key}/{item}/{event.execution}"
        if isinstance(event, NodeOutputDelta):
            return f"{key}/{event.channel.value}/{event.offset}"
        return f"{key}/{event.items_done}" if isinstance(event, NodeProgressed) else key
    if isinstance(event, RunRecovered):
        return f"RunRecovered/{event.recovery_count}"
    return f"{event.type}/{event.count}" if isinstance(event, (RunWaiting, RunPaused, RunResumed)) else event.type


def fold(groups: Sequence[Group]) -> Batch:
    """Return the rows of groups, each run once, in the order of its first group."""
    batch = Batch()
    rows: dict[UUID, RunRow] = {}
    for group in groups:
        run = rows.get(group.run_id)
        if run is None:
            run = rows[group.run_id] = RunRow(group.run_id, group.epoch, len(batch.runs) + 1)
            batch.runs.append(run)
        if group.applied_commands:
            batch.commands.extend(group.applied_commands)
        at = group.at.isoformat()
        for event in group.events:
            run.count += 1
            _add(batch, run, event, at)
    return batch


def _add(batch: Batch, run: RunRow, event: Event, at: str) -> None:
    data = facts(event)
    more = "" if data is None else f',"data":{data}'
    head = f'{{"place":{run.place},"ordinal":{run.count},"key":"{event_key(event)}","type":"{event.type}","at":"{at}"{more}'
    if not isinstance(event, NodeEventBase):
        batch.events.append(head + "}")
        _change_run(run, event, at)
        return
    item = "" if event.item_index is None else f',"item":{event.item_index}'
    batch.events.append(f'{head},"node":"{event.node_key}","execution":{event.execution}{item}}}')
    if isinstance(event, _WITHOUT_ROW):
        return
    place = (run.place, event.node_key, WHOLE if event.item_index is None else event.item_index)
    row = batch.nodes.get(place)
    if row is None:
        row = batch.nodes[place] = NodeRow(*place, run.count)
    if isinstance(event, NodeStarted):
        row.status, row.attempts, row.started_at = "RUNNING", event.execution, row.started_at or at
        row.failure = row.next_attempt_at = None
        return
    _change_node(row, event, at)
    usage: Usage = getattr(event, "usage", NO_USAGE)
    if usage.model is not None:
        batch.calls.append(_call(run, usage, usage.model, at))
    if event.item_index is None and isinstance(event, SETTLING):
        run.nodes_done += 1


def _change_run(run: RunRow, event: Event, at: str) -> None:
    status = _STATUS_OF.get(type(event))
    # A later field of the same name wins in JSON, so a batch may change a run twice.
    if status is not None:
        run.more += f',"status":"{status}"'
    if isinstance(event, RunStarted):
        run.more += f',"startedAt":"{at}"'
    elif isinstance(event, RunRecovered):
        run.more += f',"recoveries":{event.recovery_count}'
    elif isinstance(event, (RunSucceeded, RunFailed, RunCanceled, RunCrashed)):
        run.more += f',"finishedAt":"{at}","usage":{_usage(event.usage)}'
        if isinstance(event, RunSucceeded) and event.output is not None:
            run.more += f',"output":{event.output.decode()}'
        elif isinstance(event, (RunFailed, RunCrashed)):
            run.more += f',"failure":{failure_text(event.failure)}'


def _change_node(row: NodeRow, event: NodeEventBase, at: str) -> None:
    row.attempts = max(row.attempts, event.execution)
    row.finished_at, row.next_attempt_at = at, None
    match event:
        case NodeSucceeded():
            row.status, row.output, row.failure = "SUCCEEDED", event.output, None
        case NodeRetrying():
            row.status, row.failure, row.finished_at = "RETRYING", failure_text(event.failure), None
            row.next_attempt_at = event.next_attempt_at.isoformat()
        case NodeWaiting():
            row.status, row.failure, row.finished_at = "WAITING", None, None
        case NodeFailed():
            row.status, row.output, row.failure = "FAILED", event.output, failure_text(event.failure)
        case NodeCanceled():
            row.status, row.failure = "CANCELED", None
        case NodeReused():
            row.status, row.reused_from = "REUSED", event.from_run
            row.failure = None if event.failure is None else failure_text(event.failure)
            return
        case _:
            row.status = "SKIPPED"
            return
    row.input = event.input if event.input is not None else row.input
    if event.usage is not NO_USAGE:
        row.usage += event.usage


def _usage(usage: Usage) -> str:
    if usage.currency is None:
        return f"[{usage.input_tokens},{usage.output_tokens},{usage.total_tokens}]"
    return orjson.dumps(usage_facts(usage)).decode()


def _call(run: RunRow, usage: Usage, model: str, at: str) -> str:
    name = orjson.dumps(storable(model)[:_MAX_MODEL]).decode()
    return f'{{"place":{run.place},"ordinal":{run.count},"at":"{at}","model":{name},"usage":{_usage(usage)}}}'
