"""The events that attempts of nodes, and the run itself, end with."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from domain.errors import NodeFault
from domain.events import NodeFailed, NodeRetrying, NodeSucceeded, RunCanceled, RunCrashed, RunFailed, RunSucceeded
from domain.json_codec import encode
from domain.run import Failure, RunStatus
from domain.schedule import settle_failure
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

    def of(self, index: int, execution: int, outcome: Succeeded | Failed) -> NodeSucceeded | NodeRetrying | NodeFailed:
        """Return the end of an attempt; a failure may be tried again."""
        if isinstance(outcome, Failed):
            return self._failed(index, outcome)
        self._values.keep(self._state.plan.nodes[index].key, outcome.output)
        return self.succeeded(index, execution, outcome)

    def succeeded(self, index: int, execution: int, outcome: Succeeded) -> NodeSucceeded:
        """Return the end of an attempt that went well, without keeping its output."""
        key = self._state.plan.nodes[index].key
        now = self._now()
        duration_ms = milliseconds(now - (self._state.nodes[index].first_started_at or now))
        return NodeSucceeded(
            key, None, execution, outcome.ports, duration_ms, outcome.usage, outcome.output, outcome.input
        )

    def _failed(self, index: int, outcome: Failed) -> NodeRetrying | NodeFailed:
        event = settle_failure(self._state, index, outcome.fault, random.random(), self._now())
        event.input, event.usage = outcome.input, outcome.usage
        if isinstance(event, NodeFailed) and event.ports == ("out",):
            event.output = encode(self._state.plan.nodes[index].node.on_error.default_output)
            self._values.keep(event.node_key, event.output)
        return event


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
