from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from domain.errors import NodeFault
from domain.events import (
    NodeCanceled,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCancelRequested,
    RunFailed,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
)
from domain.plan import compile_plan
from domain.run import NodeRunStatus, RunStatus, SkipReason, WaitReason
from domain.schedule import (
    Finish,
    SkipNode,
    StartNode,
    State,
    StopNode,
    begin,
    decide,
    evolve,
    expire,
    told_to_stop,
    wake,
)
from domain.settlement import deadline, settle_failure
from domain.workflow import Definition

if TYPE_CHECKING:
    from domain.events import Event
    from domain.plan import Plan

AT = datetime(2026, 1, 1, tzinfo=UTC)


def definition(nodes: dict[str, dict[str, Any]], *edges: str, **options: object) -> Definition:
    """Make a definition of nodes by key and edges such as `a>b` or `a.error>b`."""
    made: list[dict[str, str]] = []
    for edge in edges:
        source, _, target = edge.partition(">")
        source, _, port = source.partition(".")
        made.append({"source": source, "sourcePort": port or "out", "target": target})
    written: list[dict[str, Any]] = [{"key": key, "config": {"test": {}}, **more} for key, more in nodes.items()]
    return Definition.model_validate({"graph": {"nodes": written, "edges": made}, "settings": options})


def after(made: Definition, *events: Event) -> State:
    state = begin(compile_plan(made))
    for number, event in enumerate((RunStarted(), *events)):
        evolve(state, event, AT + timedelta(seconds=number))
    return state


def started(key: str, execution: int = 1) -> NodeStarted:
    return NodeStarted(key, None, execution)


def succeeded(key: str, execution: int = 1) -> NodeSucceeded:
    return NodeSucceeded(key, None, execution, ("out",), 1)


def failed(state: State, index: int, *, is_retryable: bool = False) -> NodeRetrying | NodeFailed:
    return settle_failure(state, index, NodeFault("NO", "no", is_retryable=is_retryable), 0.0, AT)


def test_nothing_begins_before_the_run_was_started() -> None:
    state = begin(compile_plan(definition({"a": {}})))
    assert decide(state) == []


def test_a_run_without_nodes_succeeds_at_once() -> None:
    assert decide(after(definition({}))) == [Finish(RunStatus.SUCCEEDED)]


def test_a_run_cancelled_before_its_start_ends_without_starting_anything() -> None:
    state = begin(compile_plan(definition({"a": {}})))
    evolve(state, RunCancelRequested(), AT)
    evolve(state, RunStarted(), AT)
    assert decide(state) == [Finish(RunStatus.CANCELED)]


def test_a_node_behind_the_error_port_waits_for_its_failure() -> None:
    made = definition({"a": {"onError": {"mode": "BRANCH"}}, "b": {}, "c": {}}, "a.error>b", "a>c")
    state = after(made, started("a"))
    assert decide(state) == []
    evolve(state, failed(state, 0), AT)
    assert decide(state) == [SkipNode(2, SkipReason.NO_EDGE_TAKEN), StartNode(1, 1)]


def test_a_join_of_any_starts_at_the_first_edge_taken_and_only_then() -> None:
    made = definition({"a": {"when": "false"}, "b": {}, "c": {}, "d": {"join": "ANY"}}, "a>d", "b>d", "c>d")
    state = after(made, started("b"), started("c"))
    evolve(state, NodeSkipped("a", None, 0, SkipReason.CONDITION_FALSE), AT)
    assert decide(state) == []
    evolve(state, succeeded("c"), AT)
    assert decide(state) == [StartNode(3, 1)]
    evolve(state, started("d"), AT)
    evolve(state, succeeded("d"), AT)
    evolve(state, succeeded("b"), AT)
    assert decide(state) == [Finish(RunStatus.SUCCEEDED)]


def test_finish_branches_skips_what_stands_behind_a_failure_and_then_fails() -> None:
    made = definition({"a": {}, "b": {}, "c": {}}, "a>c", "b>c", failurePolicy="FINISH_BRANCHES")
    state = after(made, started("a"), started("b"), succeeded("b"))
    evolve(state, failed(state, 0), AT)
    assert decide(state) == [SkipNode(2, SkipReason.UPSTREAM_FAILED)]
    evolve(state, NodeCanceled("c", None, 0), AT)
    assert decide(state) == [Finish(RunStatus.FAILED)]


def test_fail_fast_stops_what_runs_and_forgets_what_has_not_begun() -> None:
    state = after(definition({"a": {}, "b": {}, "c": {}}, "b>c"), started("a"), started("b"))
    evolve(state, failed(state, 0), AT)
    assert decide(state) == [StopNode(1)]
    evolve(state, NodeCanceled("b", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.FAILED)]
    assert state.failure is not None
    assert (state.failure.code, state.failure.node_key, state.failure.attempt) == ("NO", "a", 1)


def test_a_node_that_is_woken_begins_before_those_that_have_never_begun() -> None:
    state = after(definition({"a": {}, "b": {}, "c": {}}, maxParallelNodes=1), started("a"))
    evolve(state, NodeWaiting("a", None, 1, WaitReason.RATE_LIMIT, None), AT)
    wake(state, 0)
    assert decide(state) == [StartNode(0, 2)]
    evolve(state, started("a", 2), AT)
    evolve(state, succeeded("a", 2), AT)
    assert decide(state) == [StartNode(1, 1)]


@pytest.mark.parametrize("count", [50, 500])
def test_a_cancelled_run_tells_each_node_once_to_stop_however_many_are_at_work(count: int) -> None:
    state = after(definition({f"n{index}": {} for index in range(count)}))
    for index in range(count):
        evolve(state, started(f"n{index}"), AT)
    evolve(state, RunCancelRequested(), AT)
    told = decide(state)
    assert told == [StopNode(index) for index in range(count)]
    for index in range(count):
        told_to_stop(state, index)
    for index in range(count):
        assert decide(state) == []
        evolve(state, NodeCanceled(f"n{index}", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.CANCELED)]


def test_what_was_told_to_stop_and_waits_or_is_begun_again_instead_is_stopped_once_more() -> None:
    state = after(definition({"a": {"retry": {"maximumAttempts": 2}}, "b": {}}), started("a"), started("b"))
    evolve(state, RunCancelRequested(), AT)
    told_to_stop(state, 0)
    told_to_stop(state, 1)
    evolve(state, failed(state, 0, is_retryable=True), AT)
    evolve(state, NodeWaiting("b", None, 1, WaitReason.APPROVAL, None), AT)
    assert decide(state) == [StopNode(0), StopNode(1)]
    told_to_stop(state, 1)
    assert decide(state) == [StopNode(0), StopNode(1)], "what does not work has no end of its own"


def test_a_cancelled_run_that_lost_its_process_starts_nothing_again() -> None:
    state = after(definition({"a": {}}), started("a"), RunCancelRequested(), RunRecovered(1, ["a"]))
    assert decide(state) == [StopNode(0)]
    evolve(state, NodeCanceled("a", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.CANCELED)]


def test_a_run_that_takes_too_long_stops_everything_and_fails() -> None:
    state = after(definition({"a": {}, "b": {}}, "a>b"), started("a"))
    expire(state)
    assert decide(state) == [StopNode(0)]
    evolve(state, NodeCanceled("a", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.FAILED)]
    assert state.failure is not None
    assert state.failure.code == "TIMED_OUT"


def test_time_that_is_over_changes_nothing_of_a_run_that_already_stops() -> None:
    state = after(definition({"a": {}}), started("a"), RunCancelRequested())
    expire(state)
    evolve(state, NodeCanceled("a", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.CANCELED)]


def test_an_interrupted_attempt_costs_no_try_but_counts_as_an_execution() -> None:
    made = definition({"a": {"retry": {"maximumAttempts": 2}}})
    state = after(made, started("a"), RunRecovered(1, ["a"]))
    assert decide(state) == [StartNode(0, 2)]
    evolve(state, started("a", 2), AT)
    assert isinstance(failed(state, 0, is_retryable=True), NodeRetrying)
    evolve(state, failed(state, 0, is_retryable=True), AT)
    wake(state, 0)
    evolve(state, started("a", 3), AT)
    assert isinstance(failed(state, 0, is_retryable=True), NodeFailed)


def test_a_node_that_waits_for_its_next_attempt_starts_when_it_is_woken_and_only_once() -> None:
    state = after(definition({"a": {}}), started("a"))
    evolve(state, failed(state, 0, is_retryable=True), AT)
    assert decide(state) == []
    wake(state, 0)
    wake(state, 0)
    assert decide(state) == [StartNode(0, 2)]


def test_a_retry_beyond_schedule_to_close_is_a_failure() -> None:
    made = definition(
        {"a": {"timeouts": {"scheduleToCloseMs": 5_000}, "retry": {"initialIntervalMs": 4_000, "hasJitter": False}}}
    )
    state = after(made, started("a"))
    assert deadline(state, 0) == AT + timedelta(seconds=6)
    fault = NodeFault("NO", "no", is_retryable=True)
    soon = settle_failure(state, 0, fault, 0.0, AT + timedelta(seconds=1.9))
    assert isinstance(soon, NodeRetrying)
    assert soon.next_attempt_at == AT + timedelta(seconds=5.9)
    late = settle_failure(state, 0, fault, 0.0, AT + timedelta(seconds=2))
    assert isinstance(late, NodeFailed)
    assert late.failure.code == "NO"


def waiting(key: str) -> NodeWaiting:
    return NodeWaiting(key, None, 1, WaitReason.TIMER, AT)


def test_a_node_that_waits_takes_no_room_and_its_run_does_not_end() -> None:
    state = after(definition({"a": {}, "b": {}}, maxParallelNodes=1), started("a"))
    assert decide(state) == []
    evolve(state, waiting("a"), AT)
    assert state.nodes[0].status is NodeRunStatus.WAITING
    assert decide(state) == [StartNode(1, 1)]
    evolve(state, started("b"), AT)
    evolve(state, succeeded("b"), AT)
    assert decide(state) == []
    evolve(state, succeeded("a"), AT)
    assert decide(state) == [Finish(RunStatus.SUCCEEDED)]


def test_a_node_that_waits_is_stopped_with_its_run_and_survives_a_lost_process() -> None:
    state = after(definition({"a": {}}), started("a"), waiting("a"), RunRecovered(1, []))
    assert decide(state) == []
    assert state.waiting == {0: waiting("a")}
    evolve(state, RunCancelRequested(), AT)
    assert decide(state) == [StopNode(0)]
    evolve(state, NodeCanceled("a", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.CANCELED)]


def test_a_wait_that_ends_in_a_failure_may_be_tried_again() -> None:
    state = after(definition({"a": {}}), started("a"), waiting("a"))
    evolve(state, failed(state, 0, is_retryable=True), AT)
    assert not state.waiting
    wake(state, 0)
    assert decide(state) == [StartNode(0, 2)]


def test_a_paused_run_starts_nothing_until_it_goes_on_and_what_is_in_flight_ends() -> None:
    state = after(definition({"a": {}, "b": {}, "c": {}}, "a>b", "a.error>c"), started("a"), RunPaused(1))
    assert decide(state) == []
    evolve(state, succeeded("a"), AT)
    assert decide(state) == [SkipNode(2, SkipReason.NO_EDGE_TAKEN)], "what is left out is told at once"
    evolve(state, NodeSkipped("c", None, 0, SkipReason.NO_EDGE_TAKEN), AT)
    assert decide(state) == []
    evolve(state, RunResumed(1), AT)
    assert decide(state) == [StartNode(1, 1)]


def test_a_paused_run_with_nothing_left_to_start_ends() -> None:
    state = after(definition({"a": {}}), started("a"), RunPaused(1), succeeded("a"))
    assert decide(state) == [Finish(RunStatus.SUCCEEDED)]


def test_a_failure_ends_a_paused_run_too_and_so_do_a_cancellation_and_its_time() -> None:
    state = after(definition({"a": {}, "b": {}, "c": {}}, "b>c"), started("a"), started("b"), RunPaused(1))
    evolve(state, failed(state, 0), AT)
    assert decide(state) == [StopNode(1)]
    state = after(definition({"a": {}}), RunPaused(1), RunCancelRequested())
    assert decide(state) == [Finish(RunStatus.CANCELED)]
    state = after(definition({"a": {}}), RunPaused(1))
    expire(state)
    assert decide(state) == [Finish(RunStatus.FAILED)]


def test_a_node_whose_backoff_ends_during_a_pause_begins_when_the_run_goes_on() -> None:
    state = after(definition({"a": {}}), started("a"), RunPaused(1))
    evolve(state, failed(state, 0, is_retryable=True), AT)
    wake(state, 0)
    assert decide(state) == []
    evolve(state, RunResumed(1), AT)
    assert decide(state) == [StartNode(0, 2)]


def test_a_node_that_a_crash_cut_off_during_a_pause_begins_again_when_the_run_goes_on() -> None:
    state = after(definition({"a": {}}), started("a"), RunPaused(1), RunRecovered(1, ["a"]))
    assert decide(state) == []
    evolve(state, RunResumed(1), AT)
    assert decide(state) == [StartNode(0, 2)]


def test_a_run_paused_in_the_queue_begins_when_it_was_resumed_and_claimed() -> None:
    state = begin(compile_plan(definition({"a": {}})))
    evolve(state, RunPaused(1), AT)
    evolve(state, RunResumed(1), AT)
    assert decide(state) == []
    evolve(state, RunStarted(), AT)
    assert (decide(state), state.resumptions) == ([StartNode(0, 1)], 1)


def test_recoveries_are_counted_until_a_node_succeeds() -> None:
    state = after(definition({"a": {}, "b": {}}), started("a"), RunRecovered(1, ["a"]), RunRecovered(2, []))
    assert (state.recoveries, state.idle_recoveries) == (2, 2)
    evolve(state, started("a", 2), AT)
    evolve(state, succeeded("a", 2), AT)
    assert (state.recoveries, state.idle_recoveries) == (2, 0)
    assert state.nodes[0].status is NodeRunStatus.SUCCEEDED


def test_a_finished_run_has_nothing_left_to_do() -> None:
    state = after(definition({"a": {}}), started("a"))
    failure = failed(state, 0)
    evolve(state, failure, AT)
    assert isinstance(failure, NodeFailed)
    assert decide(state) == [Finish(RunStatus.FAILED)]
    evolve(state, RunFailed(failure.failure), AT)
    assert decide(state) == []


def test_an_event_costs_the_same_in_a_wide_graph_as_in_a_narrow_one() -> None:
    def seconds_per_node(width: int) -> float:
        keys = [f"n{number}" for number in range(width)]
        nodes: dict[str, dict[str, Any]] = {"first": {}, **{key: {} for key in keys}, "last": {}}
        plan = compile_plan(definition(nodes, *(f"first>{key}" for key in keys), *(f"{key}>last" for key in keys)))
        return min(walk(plan) for _ in range(5)) / width

    def walk(plan: Plan) -> float:
        begun_at = time.perf_counter()
        state, running = begin(plan), deque[str]()
        evolve(state, RunStarted(), AT)
        while True:
            for command in decide(state):
                if isinstance(command, Finish):
                    return time.perf_counter() - begun_at
                assert isinstance(command, StartNode)
                running.append(plan.nodes[command.slot].key)
                evolve(state, started(running[-1]), AT)
            evolve(state, succeeded(running.popleft()), AT)

    assert seconds_per_node(400) < 5 * seconds_per_node(40)
