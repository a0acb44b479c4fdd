from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from domain.bounds import STORED
from domain.drafts import canonical_json, read_graph, read_output, read_settings
from domain.errors import GraphHasProblems, InvalidInput, LimitExceeded
from domain.workflow import Definition, Graph, GraphNode, JoinPolicy, OutputField

if TYPE_CHECKING:
    from domain.problems import Problem


def node(**more: Any) -> dict[str, Any]:
    return {"key": "a", "config": {"set": {}}, **more}


def refused(*nodes: Any, edges: tuple[Any, ...] = ()) -> list[Problem]:
    with pytest.raises(GraphHasProblems) as caught:
        read_graph(nodes, edges)
    assert all(problem.is_structural and problem.is_error for problem in caught.value.problems)
    return caught.value.problems


def test_a_graph_is_read_as_it_is_written() -> None:
    graph = read_graph([node(join="ANY", forEach={"items": "input.x"})], [{"source": "a", "target": "b"}])
    assert graph.nodes[0].join is JoinPolicy.ANY
    assert (graph.edges[0].source_port, graph.edges[0].target) == ("out", "b")


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        (node(key="1a"), "INVALID_KEY", ("key",)),
        (node(key="a" * 65), "INVALID_KEY", ("key",)),
        (node(config={}), "INVALID_VALUE", ("config",)),
        (node(config={"a": {}, "b": {}}), "INVALID_VALUE", ("config",)),
        (node(forEach={}), "INVALID_VALUE", ("forEach", "items")),
        (node(forEach={"items": "x", "maxParallelItems": 101}), "INVALID_VALUE", ("forEach", "maxParallelItems")),
        (node(retry={"initialIntervalMs": 9, "maximumIntervalMs": 3}), "INVALID_VALUE", ("retry",)),
        (node(timeouts={"idleMs": 0}), "INVALID_VALUE", ("timeouts", "idleMs")),
        (node(timeouts={"startToCloseMs": 2**31}), "INVALID_VALUE", ("timeouts", "startToCloseMs")),
        (node(timeouts={"scheduleToCloseMs": 10**15}), "INVALID_VALUE", ("timeouts", "scheduleToCloseMs")),
        (node(timeouts={"idleMs": 2**31}), "INVALID_VALUE", ("timeouts", "idleMs")),
        (node(retry={"maximumIntervalMs": 2**31}), "INVALID_VALUE", ("retry", "maximumIntervalMs")),
        (node(wen="x"), "UNKNOWN_FIELD", ("wen",)),
    ],
)
def test_a_value_that_no_node_can_have_is_a_problem_with_its_path(given: Any, code: str, path: tuple[str, ...]) -> None:
    problem = refused(node(key="other"), given)[0]
    assert (problem.code, problem.node_key, problem.path) == (code, given["key"], path)


def test_a_misspelt_field_is_hinted_at() -> None:
    assert refused(node(wen="x"))[0].hint == "Did you mean `when`?"


def test_what_is_wrong_with_an_edge_is_told_with_its_place() -> None:
    (problem,) = refused(node(), edges=({"source": "a"},))
    assert (problem.message, problem.path) == ("The field `target` is missing.", ("edges", "0", "target"))


def test_values_nested_without_end_are_refused() -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    (problem,) = refused(node(config={"set": {"value": deep}}))
    assert (problem.code, problem.path) == ("INVALID_VALUE", ("config", "set"))
    with pytest.raises(InvalidInput):
        read_output([{"name": "x", "value": deep}])


@pytest.mark.parametrize(("nodes", "edges", "limit"), [(501, 0, 500), (1, 2_001, 2_000)])
def test_graphs_that_are_too_large_are_refused_unread(nodes: int, edges: int, limit: int) -> None:
    with pytest.raises(LimitExceeded) as caught:
        read_graph([node()] * nodes, [node()] * edges)
    assert caught.value.limit == limit


def test_settings_and_outputs_out_of_bounds_are_refused_with_their_paths() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_settings({"timeoutMs": 0})
    assert caught.value.path == ["input", "settings", "timeoutMs"]
    with pytest.raises(InvalidInput, match="Two output fields have the same name"):
        read_output([{"name": "x"}, {"name": "x"}])
    with pytest.raises(LimitExceeded):
        read_output([{"name": str(number)} for number in range(101)])


@pytest.mark.parametrize("name", ["timeoutMs", "maxTokens"])
def test_settings_beyond_what_the_api_can_tell_are_refused(name: str) -> None:
    assert read_settings({name: 2**31 - 1})
    with pytest.raises(InvalidInput) as caught:
        read_settings({name: 2**31})
    assert caught.value.path == ["input", "settings", name]


def test_times_that_were_stored_before_they_had_a_bound_are_read_as_the_longest() -> None:
    raw = """{"settings": {"timeoutMs": 1000000000000000}, "graph": {"nodes": [{"key": "a", "config": {"set": {}},
        "timeouts": {"scheduleToCloseMs": 1000000000000000}, "retry": {"maximumIntervalMs": 9000000000}}]}}"""
    read = Definition.model_validate_json(raw, context=STORED)
    one = read.graph.nodes[0]
    assert read.settings.timeout_ms == one.timeouts.schedule_to_close_ms == one.retry.maximum_interval_ms == 2**31 - 1
    with pytest.raises(ValidationError):
        Definition.model_validate_json(raw)


def test_a_definition_is_stored_without_defaults_and_in_the_order_of_its_making() -> None:
    graph = Graph(nodes=(GraphNode(key="a", config={"set": {"z": 1, "a": {"y": 1, "b": None}}}),))
    definition = Definition(graph=graph, output=(OutputField(name="o", value="x"),))
    assert canonical_json(definition) == (
        b'{"graph":{"nodes":[{"key":"a","config":{"set":{"z":1,"a":{"y":1,"b":null}}}}]},'
        b'"output":[{"name":"o","value":"x"}]}'
    )
    assert Definition.model_validate_json(canonical_json(definition)) == definition


@pytest.mark.parametrize("value", ["\0", "\ud800", float("nan"), float("inf"), 2**64])
def test_a_value_that_the_database_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"In the workflow|A text of the workflow"):
        canonical_json(Definition(output=(OutputField(name="o", value=[value]),)))
