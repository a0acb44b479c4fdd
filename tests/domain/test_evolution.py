from __future__ import annotations

import pytest

from domain import evolution
from domain.events import DeltaChannel, NodeCanceled, NodeOutputDelta
from domain.run import RunStatus
from domain.schedule import Finish, StartNode, StopNode, decide, evolve
from tests.domain.test_schedule import AT, after, definition, started, succeeded


@pytest.fixture(autouse=True)
def few_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evolution, "MAX_EVENTS", 4)


def test_a_run_may_log_as_many_events_as_are_allowed_and_deltas_do_not_count() -> None:
    state = after(definition({"a": {}, "b": {}}, "a>b"), started("a"))
    for offset in range(9):
        evolve(state, NodeOutputDelta("a", None, 1, DeltaChannel.TEXT, "x", offset), AT)
    evolve(state, succeeded("a"), AT)
    evolve(state, started("b"), AT)
    assert (state.events, state.failure, decide(state)) == (4, None, [])


def test_a_run_that_logs_one_event_more_stops_what_is_at_work_and_fails() -> None:
    state = after(definition({"a": {}, "b": {}, "c": {}}, "a>b"), started("a"), started("c"), succeeded("a"))
    assert decide(state) == [StartNode(1, 1)]
    evolve(state, started("b"), AT)
    assert state.failure is not None
    assert state.failure.code == "TOO_MANY_EVENTS"
    assert decide(state) == [StopNode(2), StopNode(1)]
    for key in ("b", "c"):
        evolve(state, NodeCanceled(key, None, 1), AT)
    assert decide(state) == [Finish(RunStatus.FAILED)]


def test_the_last_event_of_a_run_may_be_the_one_too_many() -> None:
    state = after(definition({"a": {}, "b": {}}), started("a"), succeeded("a"), started("b"))
    evolve(state, succeeded("b"), AT)
    assert state.failure is not None, "no room was left for it"
    state = after(definition({"a": {}}), started("a"), succeeded("a"))
    assert (decide(state), state.failure) == ([Finish(RunStatus.SUCCEEDED)], None)
