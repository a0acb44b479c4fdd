from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.wiring import ancestors, cycle_problem, find_cycle, in_order
from domain.workflow import GraphEdge

KEYS = [f"n{number}" for number in range(9)]
ends = st.integers(0, len(KEYS) - 1).map(KEYS.__getitem__)
wirings = st.lists(st.tuples(ends, ends), max_size=16)
# Edges from lower to higher numbers never close a cycle: without them most random graphs would have one.
forward = st.lists(st.tuples(ends, ends).filter(lambda pair: pair[0] < pair[1]), max_size=24)


def edges_of(pairs: list[tuple[str, str]]) -> list[GraphEdge]:
    return [GraphEdge(source=source, target=target) for source, target in pairs]


def has_cycle(pairs: list[tuple[str, str]]) -> bool:
    sorter = TopologicalSorter[str](dict.fromkeys(KEYS, ()))
    for source, target in pairs:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError:
        return True
    return False


@given(pairs=wirings | forward)
@settings(max_examples=500, deadline=None)
def test_a_cycle_is_found_exactly_where_the_standard_library_finds_one(pairs: list[tuple[str, str]]) -> None:
    cycle = find_cycle(KEYS, edges_of(pairs))
    assert (cycle is not None) == has_cycle(pairs)
    if cycle is not None:
        assert len(set(cycle)) == len(cycle)
        steps = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        assert all(step in pairs for step in steps)


@given(pairs=forward)
@settings(max_examples=200, deadline=None)
def test_the_ancestors_of_a_node_are_all_from_which_a_way_leads_to_it(pairs: list[tuple[str, str]]) -> None:
    order = in_order(KEYS, edges_of(pairs))
    assert sorted(order) == sorted(KEYS)
    above = ancestors(order, edges_of(pairs))
    for key in KEYS:
        reached, ways = set[str](), [source for source, target in pairs if target == key]
        while ways:
            reached.add(source := ways.pop())
            ways += [before for before, target in pairs if target == source and before not in reached]
        assert {one for place, one in enumerate(order) if above[key] >> place & 1} == reached


def test_a_cycle_is_told_in_the_order_of_its_edges() -> None:
    cycle = find_cycle(["a", "b", "c", "d"], edges_of([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]))
    assert cycle is not None
    assert cycle_problem(cycle).message == "These nodes wait for each other: a → b → c → a."


def test_a_node_may_not_wait_for_itself() -> None:
    assert find_cycle(["a"], edges_of([("a", "a")])) == ["a"]
