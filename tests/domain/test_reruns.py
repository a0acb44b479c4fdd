from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.events import NodeCanceled, NodeFailed, NodeReused, NodeSkipped, NodeStarted, NodeSucceeded
from domain.reruns import Origin, RerunFrom, changed_nodes, check_selection, is_same, open_lists, plan_rerun, standing
from domain.run import Failure, SkipReason
from domain.schedule import begin, evolve
from tests.domain.oracle import foresee
from tests.domain.rerun_oracle import foresee_items, foresee_kept
from tests.domain.stepper import END_OF, Case, Stepper, cases
from tests.support.kinds import graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.reruns import ItemEnd, NodeEnd, Rerun
    from domain.workflow import Graph

RUN, OTHER = UUID(int=1), UUID(int=2)
FAILED, START, NODES = RerunFrom.FAILED, RerunFrom.START, RerunFrom.NODES

some = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def origin_of(stepper: Stepper) -> Origin:
    ends: dict[str, NodeEnd] = {}
    items: dict[str, list[ItemEnd]] = {}
    for logged in stepper.log:
        event = logged.event
        if isinstance(event, NodeSucceeded | NodeFailed | NodeSkipped | NodeReused | NodeCanceled):
            if event.item_index is None:
                ends[event.node_key] = event
            elif isinstance(event, NodeSucceeded | NodeReused):
                items.setdefault(event.node_key, []).append(event)
    lists = open_lists(stepper.case.definition, ends)
    return Origin(RUN, stepper.case.definition, ends, {key: items[key] for key in lists if key in items})


def mended(case: Case, rerun: Rerun) -> Case:
    """Return the same case, in which what failed before succeeds if it is executed again."""
    executed = set(rerun.executed)
    steps = [
        replace(step, will_fail=False, items=step.items and [False] * len(step.items))
        if f"n{index}" in executed
        else step
        for index, step in enumerate(case.steps)
    ]
    return replace(case, steps=steps, cancel_after=None)


@some
@given(case=cases(has_lists=True), from_=st.sampled_from(RerunFrom), data=st.data())
def test_a_rerun_keeps_and_ends_as_the_oracles_say(case: Case, from_: RerunFrom, data: st.DataObject) -> None:
    first = Stepper(case, random.Random(case.seed)).run()
    chosen = data.draw(st.sets(st.integers(0, len(case.steps) - 1)))
    again = chosen if from_ is NODES else set[int]()
    rerun = plan_rerun(origin_of(first), case.definition, from_, frozenset(f"n{index}" for index in again))
    kept = foresee_kept(case.steps, first.ends(), from_.value, again)
    told = {event.node_key: END_OF[type(event)] for event in rerun.kept if event.item_index is None}
    assert [told.get(f"n{index}") for index in range(len(kept))] == kept
    assert sorted(rerun.executed) == sorted(f"n{index}" for index, end in enumerate(kept) if end is None)

    items = {(event.node_key, event.item_index) for event in rerun.kept if event.item_index is not None}
    well = [slot for slot, end in first.slot_ends().items() if end == "SUCCEEDED"]
    assert items == {
        (f"n{index}", item)
        for index, item in foresee_items(case.steps, kept, map(first.plan.place, well), from_.value, again)
    }

    second = Stepper(mended(case, rerun), random.Random(case.seed + 1)).rerun(rerun.kept)
    foreseen = foresee(second.case.steps)
    assert second.status == "SUCCEEDED" == foreseen.run
    assert second.ends() == [end or foreseen.nodes[index] for index, end in enumerate(kept)]
    started = {(e.event.node_key, e.event.item_index) for e in second.log if isinstance(e.event, NodeStarted)}
    assert {key for key, _ in started}.isdisjoint(told), "what stands is not done again"
    assert started.isdisjoint(items), "nor is an item"


@settings(some, max_examples=50)
@given(case=cases(has_lists=True))
def test_a_rerun_recovered_behind_any_event_ends_as_if_nothing_had_happened(case: Case) -> None:
    check_recoveries(case)


@pytest.mark.long
@pytest.mark.timeout(300)
@settings(some, max_examples=500)
@given(case=cases(has_lists=True))
def test_five_hundred_reruns_recovered_behind_any_event_end_as_if_nothing_had_happened(case: Case) -> None:
    check_recoveries(case)


def check_recoveries(case: Case) -> None:
    first = Stepper(case, random.Random(case.seed)).run()
    rerun = plan_rerun(origin_of(first), case.definition, FAILED, frozenset())
    case = mended(case, rerun)
    whole = Stepper(case, random.Random(case.seed + 1)).rerun(rerun.kept)
    folded = begin(whole.plan)
    for logged in whole.log:
        evolve(folded, logged.event, logged.at)
    assert folded == whole.state
    for length in range(1 + len(rerun.kept), len(whole.log)):
        recovered = Stepper(case, random.Random(case.seed + length)).recover(whole.log[:length])
        assert (recovered.status, recovered.ends()) == (whole.status, whole.ends())


@some
@given(case=cases(has_lists=True))
def test_a_rerun_of_a_rerun_goes_by_the_ends_of_both(case: Case) -> None:
    first = Stepper(case, random.Random(case.seed)).run()
    rerun = plan_rerun(origin_of(first), case.definition, FAILED, frozenset())
    second = Stepper(mended(case, rerun), random.Random(case.seed + 1)).rerun(rerun.kept)
    again = plan_rerun(replace(origin_of(second), run_id=OTHER), case.definition, FAILED, frozenset())
    assert again.executed == tuple(
        event.node_key for event in origin_of(second).ends.values() if isinstance(event, NodeFailed)
    )
    by_place = {(one.node_key, one.item_index): one for one in again.kept if isinstance(one, NodeReused)}
    for event in rerun.kept:
        if isinstance(event, NodeReused) and (again_kept := by_place.get((event.node_key, event.item_index))):
            assert again_kept.from_run == RUN, "whoever made the output is named"


# ── what stands ──


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (NodeSucceeded("a", None, 2, ("left",), 1), NodeReused("a", None, 0, RUN, ("left",))),
        (NodeFailed("a", None, 1, Failure("NO", "no")), None),
        (
            NodeFailed("a", None, 1, Failure("NO", "no"), ("error",)),
            NodeReused("a", None, 0, RUN, ("error",), Failure("NO", "no")),
        ),
        (NodeReused("a", None, 0, OTHER, ("out",)), NodeReused("a", None, 0, OTHER, ("out",))),
        (NodeSkipped("a", None, 0, SkipReason.CONDITION_FALSE), NodeSkipped("a", None, 0, SkipReason.CONDITION_FALSE)),
        (NodeCanceled("a", None, 1), None),
        (None, None),
    ],
)
def test_an_end_stands_with_its_ports_and_names_whoever_made_it(end: NodeEnd | None, kept: object) -> None:
    assert standing(RUN, end) == kept


def test_an_output_stands_unless_the_failure_took_another_way() -> None:
    failure = Failure("NO", "no")
    assert NodeReused("a", None, 0, RUN, ("left",)).has_output
    assert NodeReused("a", None, 0, RUN, ("out",), failure).has_output
    assert not NodeReused("a", None, 0, RUN, ("error",), failure).has_output


# ── what is changed ──

BEFORE = {"a": {"value": 1}, "b": {"value": {"x": 1, "y": 2}}, "c": {}}
EDGES = ("a>b", "b>c")


def edited(key: str, **more: Any) -> Graph:
    return graph({**BEFORE, key: {**BEFORE[key], **more}}, *EDGES).graph


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (lambda: graph(BEFORE, *EDGES).graph, set[str]()),
        (lambda: edited("a", name="Other", position={"x": 1, "y": 2}), set[str]()),
        (lambda: edited("b", value={"y": 2, "x": 1}), set[str]()),
        (lambda: edited("a", value=True), {"a"}),
        (lambda: edited("a", value=1.0), {"a"}),
        (lambda: edited("b", when="input.x"), {"b"}),
        (lambda: edited("c", join="ANY"), {"c"}),
        (lambda: edited("c", onError={"mode": "CONTINUE"}), {"c"}),
        (lambda: graph({**BEFORE, "d": {}}, *EDGES).graph, {"d"}),
        (lambda: graph(BEFORE, "b>c", "a>b").graph, set[str]()),
        (lambda: graph(BEFORE, "a>b").graph, {"c"}),
        (lambda: graph(BEFORE, *EDGES, "a>c").graph, {"c"}),
        (lambda: graph({"b": BEFORE["b"], "c": {}}, "b>c").graph, {"b"}),
    ],
)
def test_a_node_is_changed_by_what_decides_its_result_and_by_nothing_else(
    now: Callable[[], Graph], changed: set[str]
) -> None:
    assert changed_nodes(graph(BEFORE, *EDGES).graph, now()) == changed


def test_values_are_the_same_when_they_are_written_alike() -> None:
    assert is_same({"a": 1, "b": [None, "x"]}, {"b": [None, "x"], "a": 1})
    assert not is_same([1], [True])
    assert not is_same(1, 1.0)


# ── who may be named ──


@pytest.mark.parametrize(("from_", "keys"), [(FAILED, None), (START, []), (NODES, ["a"])])
def test_a_good_selection_is_taken(from_: RerunFrom, keys: list[str] | None) -> None:
    assert check_selection(from_, keys, graph("a").graph) == frozenset(keys or ())


@pytest.mark.parametrize(
    ("from_", "keys", "told"),
    [(START, ["a"], "NODES"), (NODES, None, "at least one"), (NODES, [], "at least one"), (NODES, ["a", "z"], "`z`")],
)
def test_a_bad_selection_is_refused_and_says_why(from_: RerunFrom, keys: list[str] | None, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as caught:
        check_selection(from_, keys, graph("a").graph)
    assert caught.value.path == ["input", "nodeKeys"]
