"""What is checked of nodes with `forEach`."""

from __future__ import annotations

import pytest

from tests.domain.test_validation import node, only, problems


def test_a_node_with_a_list_has_the_port_out_and_not_those_of_its_items() -> None:
    each = {"key": "pick", "config": {"choose": {"ways": ["left", "right"]}}, "forEach": {"items": "input"}}
    assert problems(each, node("b"), edges=("pick -> b",)) == []
    problem = only(problems(each, node("b"), edges=("pick.left -> b",)))
    assert (problem.code, problem.message) == (
        "UNKNOWN_PORT",
        "The node `pick` has no port `left`; its ports are `out`.",
    )
    assert problem.hint is not None
    assert "the list of what its items returned" in problem.hint
    branched = {**each, "onError": {"mode": "BRANCH"}}
    assert problems(branched, node("b"), edges=("pick.error -> b",)) == []


def test_an_item_is_there_only_with_a_list() -> None:
    assert (
        only(problems(node("a", "{{ item }}"))).hint == "`item` is there in the configuration of a node with `forEach`."
    )
    assert problems(node("a", "{{ item }} {{ index }}", forEach={"items": "{{ input.list }}"})) == []
    early = problems(node("a", when="item > 1", forEach={"items": "[item, index, secrets.API_KEY]"}))
    assert sorted((one.code, one.path[-1]) for one in early) == [
        ("SECRET_NOT_ALLOWED", "items"),
        ("UNKNOWN_REFERENCE", "items"),
        ("UNKNOWN_REFERENCE", "items"),
        ("UNKNOWN_REFERENCE", "when"),
    ]


@pytest.mark.parametrize(
    "items", ["{{ input.list }} and more", "{{ input.a }}{{ input.b }}", " {{ input.list }}", "3", "'a'"]
)
def test_what_can_never_give_a_list_is_a_problem(items: str) -> None:
    problem = only(problems(node("a", "{{ item }}", forEach={"items": items})))
    assert (problem.code, problem.node_key, problem.path) == ("INVALID_ITEMS", "a", ("forEach", "items"))
    assert problem.is_error
    assert not problem.is_structural


@pytest.mark.parametrize("items", ["input.list", "{{ input.list }}", "[1, 2]", "{{ range(3) }}", "[]", "input.a or []"])
def test_what_may_give_a_list_is_none(items: str) -> None:
    assert problems(node("a", "{{ item }}", forEach={"items": items})) == []
