from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.events import (
    NodeCanceled,
    NodeExpanded,
    NodeFailed,
    NodeReused,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCancelRequested,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunStarted,
)
from domain.items import ItemList
from domain.plan import compile_plan
from domain.run import Failure, RunStatus, WaitReason
from domain.schedule import EndItems, Finish, StartNode, State, StopNode, begin, break_off, decide, evolve, told_to_stop
from tests.domain.test_schedule import definition

AT = datetime(2026, 1, 1, tzinfo=UTC)
NO = Failure("NO", "no", node_key="each", item_index=0)


def expanded(count: int, **each: object) -> State:
    """Return the state of a run whose first of two nodes has so many items."""
    plan = compile_plan(definition({"each": {"forEach": {"items": "input", **each}}, "then": {}}, "each>then"))
    state = begin(plan)
    for event in (RunStarted(), NodeStarted("each", None, 1), NodeExpanded("each", None, 1, count)):
        evolve(state, event, AT)
    return state


def start(state: State, *items: int) -> None:
    for item in items:
        evolve(state, NodeStarted("each", item, 1), AT)


def succeed(state: State, *items: int) -> None:
    for item in items:
        evolve(state, NodeSucceeded("each", item, 1, ("out",), 1), AT)


def slots(state: State, *items: int) -> list[int]:
    return [state.plan.slot(0, item) for item in items]


def test_a_slot_is_one_number_for_a_node_and_an_item() -> None:
    plan = expanded(1).plan
    assert [plan.slot(1, item) for item in (None, 0, 1)] == [1, 3, 5]
    assert [plan.place(slot) for slot in (1, 3, 5)] == [(1, None), (1, 0), (1, 1)]
    assert plan.slot_of(NodeStarted("then", 1, 1)) == 5


def test_items_start_in_their_order_as_far_as_there_is_room() -> None:
    state = expanded(4, maxParallelItems=2)
    assert decide(state) == [StartNode(slot, 1) for slot in slots(state, 0, 1)]
    start(state, 0, 1)
    assert decide(state) == []
    succeed(state, 1)
    assert decide(state) == [StartNode(slot, 1) for slot in slots(state, 2)]


def test_a_list_ends_when_all_its_items_have_and_an_empty_one_at_once() -> None:
    assert decide(expanded(0)) == [EndItems(0, None)]
    state = expanded(2)
    start(state, 0, 1)
    succeed(state, 1, 0)
    assert decide(state) == [EndItems(0, None)]
    evolve(state, NodeSucceeded("each", None, 1, ("out",), 1), AT)
    assert decide(state) == [StartNode(1, 1)]
    assert not state.lists


@pytest.mark.parametrize("policy", ["NULL", "DROP"])
def test_an_item_that_may_fail_makes_room_for_the_next(policy: str) -> None:
    state = expanded(2, maxParallelItems=1, onItemError=policy)
    start(state, 0)
    evolve(state, NodeFailed("each", 0, 1, NO), AT)
    assert decide(state) == [StartNode(slot, 1) for slot in slots(state, 1)]


def test_an_item_that_may_not_fail_stops_the_others_and_none_begins_any_more() -> None:
    state = expanded(9, maxParallelItems=2)
    start(state, 0, 1)
    evolve(state, NodeFailed("each", 0, 1, NO), AT)
    assert decide(state) == [StopNode(slot) for slot in slots(state, 1)]
    evolve(state, NodeCanceled("each", 1, 1), AT)
    assert decide(state) == [EndItems(0, NO)]


def test_the_items_of_a_list_that_fails_are_told_once_to_stop_and_again_when_they_wait_instead() -> None:
    state = expanded(9, maxParallelItems=4)
    start(state, 0, 1, 2, 3)
    evolve(state, NodeFailed("each", 0, 1, NO), AT)
    for slot in slots(state, 1, 2, 3):
        told_to_stop(state, slot)
    assert decide(state) == []
    assert not state.due
    evolve(state, NodeWaiting("each", 1, 1, WaitReason.APPROVAL, None), AT)
    assert decide(state) == [StopNode(slot) for slot in slots(state, 1)]
    evolve(state, NodeCanceled("each", 1, 1), AT)
    assert decide(state) == []
    succeed(state, 2, 3)
    assert decide(state) == [EndItems(0, NO)]


def test_a_list_that_is_broken_off_fails_when_what_is_at_work_has_ended() -> None:
    state = expanded(9, maxParallelItems=1)
    start(state, 0)
    break_off(state, 0, NO)
    assert decide(state) == [StopNode(slot) for slot in slots(state, 0)]
    succeed(state, 0)
    assert decide(state) == [EndItems(0, NO)]


def test_an_item_that_waits_keeps_its_place_among_the_items_and_its_node_that_among_the_nodes() -> None:
    plan = compile_plan(
        definition({"each": {"forEach": {"items": "input", "maxParallelItems": 1}}, "other": {}}, maxParallelNodes=1)
    )
    state = begin(plan)
    for event in (RunStarted(), NodeStarted("each", None, 1), NodeExpanded("each", None, 1, 2)):
        evolve(state, event, AT)
    start(state, 0)
    evolve(state, NodeWaiting("each", 0, 1, WaitReason.TIMER, AT), AT)
    assert decide(state) == []


def test_a_paused_run_starts_no_item_but_ends_a_list_whose_items_have_ended() -> None:
    state = expanded(2, maxParallelItems=1)
    start(state, 0)
    evolve(state, RunPaused(1), AT)
    succeed(state, 0)
    assert decide(state) == []
    evolve(state, RunResumed(1), AT)
    start(state, 1)
    evolve(state, RunPaused(2), AT)
    succeed(state, 1)
    assert decide(state) == [EndItems(0, None)]


def test_a_cancelled_run_stops_the_items_first_and_then_the_node() -> None:
    state = expanded(9, maxParallelItems=2)
    start(state, 0, 1)
    evolve(state, RunRecovered(1, ["each"]), AT)
    start(state, 0)
    evolve(state, RunCancelRequested(), AT)
    assert sorted(decide(state), key=str) == [StopNode(slot) for slot in slots(state, 0, 1)]
    for item in (0, 1):
        evolve(state, NodeCanceled("each", item, 1), AT)
    assert decide(state) == [StopNode(0)]
    evolve(state, NodeCanceled("each", None, 1), AT)
    assert decide(state) == [Finish(RunStatus.CANCELED)]


def test_a_lost_process_costs_items_no_try_and_the_node_no_execution() -> None:
    state = expanded(2)
    start(state, 0, 1)
    succeed(state, 0)
    evolve(state, RunRecovered(1, ["each"]), AT)
    assert decide(state) == [StartNode(slot, 2) for slot in slots(state, 1)]
    evolve(state, NodeStarted("each", 1, 2), AT)
    assert (state.attempts(slots(state, 1)[0]).tries, state.nodes[0].execution) == (1, 1)


def test_items_that_stand_as_an_earlier_run_left_them_are_not_done_again() -> None:
    plan = compile_plan(definition({"each": {"forEach": {"items": "input", "maxParallelItems": 2}}}))
    state = begin(plan)
    reused = [NodeReused("each", item, 0, UUID(int=1), ("out",)) for item in (0, 2, 3, 7)]
    for event in (*reused, RunStarted(), NodeStarted("each", None, 1), NodeExpanded("each", None, 1, 5)):
        evolve(state, event, AT)
    assert decide(state) == [StartNode(plan.slot(0, item), 1) for item in (1, 4)]
    for item in (1, 4):
        start(state, item)
        succeed(state, item)
    assert decide(state) == [EndItems(0, None)]


def test_a_list_of_which_all_items_stand_ends_at_once() -> None:
    items = ItemList(2, 8, {0, 1})
    assert (items.is_over, list(items.startable())) == (True, [])


def test_an_event_costs_the_same_in_a_long_list_as_in_a_short_one() -> None:
    def seconds_per_item(count: int) -> float:
        return min(walk(count) for _ in range(5)) / count

    def walk(count: int) -> float:
        state, running = expanded(count), deque[int]()
        begun_at = time.perf_counter()
        while True:
            for command in decide(state):
                if isinstance(command, EndItems):
                    return time.perf_counter() - begun_at
                assert isinstance(command, StartNode)
                _, item = state.plan.place(command.slot)
                assert item is not None
                running.append(item)
                start(state, item)
            succeed(state, running.popleft())

    assert seconds_per_item(4_000) < 5 * seconds_per_item(100)
