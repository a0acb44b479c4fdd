from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.diffs import NodeMove, WorkflowDiff, diff
from domain.json_changes import ChangeKind, FieldChange
from domain.layout import arranged
from domain.workflow import (
    Definition,
    Graph,
    GraphEdge,
    GraphNode,
    OutputField,
    Position,
    WorkflowSettings,
)
from tests.domain.strategies import definitions, keys, numbers
from tests.domain.test_json_changes import applied

layouts = st.dictionaries(keys, st.builds(Position, x=numbers, y=numbers), max_size=3)


def plain(definition: Definition) -> Any:
    """The definition as JSON in which only the meaning is left: no order of nodes, edges and fields, no positions."""
    data = json.loads(json.dumps(definition.model_dump(by_alias=True)))
    for node in data["graph"]["nodes"]:
        del node["position"]
    for part in ("nodes", "edges"):
        data["graph"][part] = sorted(json.dumps(one, sort_keys=True) for one in data["graph"][part])
    data["output"] = {one["name"]: one["value"] for one in data["output"]}
    return data


def written(definition: Definition) -> str:
    return json.dumps(plain(definition), sort_keys=True)


def after_diff(before: Definition, found: WorkflowDiff) -> Definition:
    """What becomes of a definition."""
    removed = {node.key for node in found.nodes_removed}
    changed = {one.node_key: list(one.changes) for one in found.nodes_changed}
    nodes: list[GraphNode] = []
    for node in before.graph.nodes:
        if node.key not in removed:
            data = node.model_dump(by_alias=True, exclude={"key", "position"})
            nodes.append(GraphNode.model_validate({"key": node.key, **applied(data, changed.get(node.key, []))}))
    edges = [edge for edge in before.graph.edges if edge not in found.edges_removed]
    output = applied({one.name: one.value for one in before.output}, list(found.output))
    return Definition(
        graph=Graph(nodes=(*nodes, *found.nodes_added), edges=(*edges, *found.edges_added)),
        input_schema=applied(before.input_schema, list(found.input_schema)),
        output=tuple(OutputField(name=name, value=value) for name, value in output.items()),
        settings=WorkflowSettings.model_validate(
            applied(before.settings.model_dump(by_alias=True), list(found.settings))
        ),
    )


def has_twice(definition: Definition) -> bool:
    return len(set(definition.graph.edges)) < len(definition.graph.edges)


def bare(definition: Definition) -> Definition:
    return arranged(definition, {})


@given(definitions, definitions)
def test_the_diff_made_to_the_one_gives_the_other(before: Definition, after: Definition) -> None:
    assume(not has_twice(before) and not has_twice(after))
    found = diff(bare(before), bare(after))
    made = after_diff(before, found)
    assert written(made) == written(after)
    assert found.is_empty == (written(before) == written(after))
    if not found.is_reordered:
        assert [node.key for node in made.graph.nodes] == [node.key for node in after.graph.nodes]
        assert made.graph.edges == after.graph.edges
        assert [one.name for one in made.output] == [one.name for one in after.output]


@given(definitions, layouts)
def test_nothing_differs_from_itself(definition: Definition, layout: dict[str, Position]) -> None:
    found = diff(arranged(definition, layout), arranged(definition, layout))
    assert found.is_empty
    assert not found.is_reordered
    assert found.nodes_moved == ()


@given(definitions, st.data())
def test_a_difference_of_layout_is_one_of_layout_alone(definition: Definition, data: st.DataObject) -> None:
    assume(definition.graph.nodes)
    places = st.dictionaries(
        st.sampled_from([node.key for node in definition.graph.nodes]), st.builds(Position, x=numbers, y=numbers)
    )
    before, after = data.draw(places), data.draw(places)
    found = diff(arranged(definition, before), arranged(definition, after))
    assert found.is_empty
    assert not found.is_reordered
    moved = dict(before)
    for move in found.nodes_moved:
        assert moved.pop(move.node_key, None) == move.before
        if move.after is not None:
            moved[move.node_key] = move.after
    assert moved == after


def node(key: str, **more: Any) -> GraphNode:
    fields: dict[str, Any] = {"config": {"transform": {"fields": list[Any]()}}, **more}
    return GraphNode(key=key, **fields)


def test_a_diff_tells_nodes_edges_fields_and_moves_apart() -> None:
    before = Definition(
        graph=Graph(
            nodes=(node("a"), node("b", config={"httpRequest": {"url": "https://a.example"}}), node("c")),
            edges=(GraphEdge(source="a", target="b"), GraphEdge(source="b", target="c")),
        ),
        output=(OutputField(name="old", value=1),),
    )
    after = Definition(
        graph=Graph(
            nodes=(node("a"), node("b", name="B", config={"httpRequest": {"url": "https://b.example"}}), node("d")),
            edges=(GraphEdge(source="a", target="b"), GraphEdge(source="b", target="d")),
        ),
        input_schema={"type": "object"},
        output=(OutputField(name="new", value=1),),
        settings=WorkflowSettings(max_parallel_nodes=3),
    )
    found = diff(arranged(before, {"a": Position(x=0, y=0)}), arranged(after, {"a": Position(x=1, y=0)}))
    assert [one.key for one in found.nodes_added] == ["d"]
    assert [one.key for one in found.nodes_removed] == ["c"]
    [changed] = found.nodes_changed
    assert changed.node_key == "b"
    assert changed.changes == (
        FieldChange(ChangeKind.CHANGED, ("name",), None, "B"),
        FieldChange(ChangeKind.CHANGED, ("config", "httpRequest", "url"), "https://a.example", "https://b.example"),
    )
    assert found.edges_added == (GraphEdge(source="b", target="d"),)
    assert found.edges_removed == (GraphEdge(source="b", target="c"),)
    assert found.input_schema == (FieldChange(ChangeKind.CHANGED, (), None, {"type": "object"}),)
    assert [(one.kind, one.path) for one in found.output] == [
        (ChangeKind.REMOVED, ("old",)),
        (ChangeKind.ADDED, ("new",)),
    ]
    assert found.settings == (FieldChange(ChangeKind.CHANGED, ("maxParallelNodes",), 16, 3),)
    assert found.nodes_moved == (NodeMove("a", Position(x=0, y=0), Position(x=1, y=0)),)
    assert not found.is_reordered


def test_another_order_is_told_and_is_no_difference_of_meaning() -> None:
    one = Definition(graph=Graph(nodes=(node("a"), node("b"))))
    other = Definition(graph=Graph(nodes=(node("b"), node("a"))))
    found = diff(one, other)
    assert found.is_empty
    assert found.is_reordered
