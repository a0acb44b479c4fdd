"""The event that an attempt of a node ends with, made out of its outcome."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from domain.events import NodeFailed, NodeRetrying, NodeSucceeded
from domain.json_codec import encode
from domain.schedule import settle_failure
from runtime.execute import Failed, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from domain.schedule import State
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
        key = self._state.plan.nodes[index].key
        self._values.keep(key, outcome.output)
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


def milliseconds(span: timedelta) -> int:
    """Return whole milliseconds, 0 for what a clock that was set back makes negative."""
    return max(int(span.total_seconds() * 1_000), 0)
