"""The events that attempts of nodes, and the run itself, end with."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from domain.errors import NodeFault
from domain.events import (
    NodeFailed,
    NodeRetrying,
    NodeSucceeded,
    RunCanceled,
    RunCrashed,
    RunFailed,
    RunRecovered,
    RunResumed,
    RunSucceeded,
)
from domain.json_codec import encode
from domain.run import NO_USAGE, Failure, RunStatus
from domain.schedule import break_off
from domain.settlement import failed_list, settle_failure
from domain.workflow import ItemErrorPolicy
from runtime.execute import Failed, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from domain.events import Event
    from domain.schedule import State
    from runtime.compiled import CompiledRun
    from runtime.run_values import RunValues


class NodeEnds:
    """Makes the ends of one run's nodes, and keeps what other nodes will read of them."""

    __slots__ = ("_now", "_state", "_values")

    def __init__(self, state: State, values: RunValues, now: Callable[[], datetime]) -> None:
        self._state = state
        self._values = values
        self._now = now

    def of(self, slot: int, execution: int, outcome: Succeeded | Failed) -> NodeSucceeded | NodeRetrying | NodeFailed:
        """Return the end of an attempt; a failure may be tried again."""
        if isinstance(outcome, Failed):
            return self._failed(slot, outcome)
        self.keep(slot, outcome.output)
        return self.succeeded(slot, execution, outcome)

    def of_items(self, index: int, failure: Failure | None) -> NodeSucceeded | NodeFailed:
        """Return the end of a node whose items have ended."""
        state, plan_node = self._state, self._state.plan.nodes[index]
        execution, each = state.nodes[index].execution, plan_node.node.for_each
        output = b"[]"
        if failure is None:
            try:
                output = self._values.lists[index].joined(each.on_item_error if each else ItemErrorPolicy.FAIL)
            except NodeFault as fault:
                failure = Failure(fault.code, fault.message, node_key=plan_node.key, attempt=execution)
        del self._values.lists[index]
        if failure is not None:
            return self._stood_in(index, failed_list(state, index, failure))
        self._values.keep(index, output)
        return NodeSucceeded(plan_node.key, None, execution, ("out",), self._duration(index), NO_USAGE, output)

    def succeeded(self, slot: int, execution: int, outcome: Succeeded) -> NodeSucceeded:
        """Return the end of an attempt that went well, without keeping its output."""
        index, item = self._state.plan.place(slot)
        key, duration_ms = self._state.plan.nodes[index].key, self._duration(slot)
        return NodeSucceeded(
            key, item, execution, outcome.ports, duration_ms, outcome.usage, outcome.output, outcome.input
        )

    def keep(self, slot: int, output: bytes) -> None:
        """Keep an output; items that have returned more than their node may are broken off."""
        self._values.keep(slot, output)
        index, item = self._state.plan.place(slot)
        if item is not None:
            self.check(index)

    def check(self, index: int) -> None:
        """Break a list off that can come to no good end, since it is too large or not what it was."""
        values = self._values.lists[index]
        try:
            values.check()
        except NodeFault as fault:
            key, execution = self._state.plan.nodes[index].key, self._state.nodes[index].execution
            break_off(self._state, index, Failure(fault.code, fault.message, node_key=key, attempt=execution))

    def _duration(self, slot: int) -> int:
        now = self._now()
        return milliseconds(now - (self._state.attempts(slot).first_started_at or now))

    def _failed(self, slot: int, outcome: Failed) -> NodeRetrying | NodeFailed:
        event = settle_failure(self._state, slot, outcome.fault, random.random(), self._now())
        event.input, event.usage = outcome.input, outcome.usage
        return self._stood_in(slot, event) if isinstance(event, NodeFailed) else event

    def _stood_in(self, slot: int, event: NodeFailed) -> NodeFailed:
        """Let the default output stand in for that of a node that failed, where its policy says so."""
        if event.ports == ("out",):
            event.output = encode(self._state.plan.nodes[slot].node.on_error.default_output)
            self._values.keep(slot, event.output)
        return event


def comeback(state: State) -> RunResumed | RunRecovered | None:
    """Return what a process logs first that goes on with a run of which others have logged something."""
    if state.is_paused and not state.running:
        return None  # nothing was at work and nothing begins, whether it was lost or had left memory
    if state.is_away:
        return RunResumed(state.resumptions + 1)
    restarted = dict.fromkeys(state.plan.nodes[state.plan.place(slot)[0]].key for slot in state.running)
    return RunRecovered(state.recoveries + 1, list(restarted))


def run_end(state: State, compiled: CompiledRun, values: RunValues, status: RunStatus, at: datetime) -> Event:
    """Return the event that a run ends with."""
    if status is RunStatus.CANCELED:
        return RunCanceled(state.usage)
    if status is RunStatus.FAILED:
        return RunFailed(state.failure or Failure("INTERNAL_ERROR", "The run failed."), state.usage)
    try:
        output = compiled.run_output(values.scope(state, None))
    except NodeFault as fault:
        return RunFailed(Failure(fault.code, fault.message), state.usage)
    return RunSucceeded(milliseconds(at - (state.started_at or at)), state.usage, output)


def crash_end(state: State) -> RunCrashed:
    """Return the event that a run ends with that loses every process that executes it."""
    times = state.idle_recoveries
    text = f"The run lost its process {times} times without any node succeeding in between."
    return RunCrashed(Failure("CRASHED", text), state.usage)


def milliseconds(span: timedelta) -> int:
    """Return whole milliseconds, 0 for what a clock that was set back makes negative."""
    return max(int(span.total_seconds() * 1_000), 0)
