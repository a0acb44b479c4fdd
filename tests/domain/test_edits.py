from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.edits import (
    Edited,
    add_node,
    check_moved,
    connect,
    disconnect,
    remove_node,
    touched_nodes,
    update_node,
)
from domain.errors import AlreadyExists, GraphHasProblems, LimitExceeded, NotFound
from domain.layout import layout_of
from domain.references import ANY_NAMES
from domain.validation import check
from domain.workflow import Definition, ErrorMode, Graph, GraphEdge, GraphNode, JoinPolicy, Position
from runtime.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = load_registry().names
HERE = Position(x=1, y=2)
A_TO_B = GraphEdge(source="a", target="b")


def node(key: str, value: Any = 1, **more: Any) -> GraphNode:
    return GraphNode(key=key, config={"transform": {"fields": [{"name": "v", "value": value}]}}, **more)


def definition(*nodes: GraphNode, edges: tuple[GraphEdge, ...] = ()) -> Definition:
    return Definition(graph=Graph(nodes=nodes, edges=edges))


CHAIN = definition(
    node("a", position=HERE), node("b", "{{ nodes.a.output.v }}"), node("c", "{{ nodes.b.output.v }}"),
    edges=(A_TO_B, GraphEdge(source="b", target="c")),
)  # fmt: skip


def update(given: Definition, key: str, new_key: str | None = None, **patch: Any) -> Edited:
    return update_node(given, key, patch, new_key, KINDS)


def keys(edited: Edited) -> list[str]:
    return [one.key for one in edited.definition.graph.nodes]


def test_a_node_is_added_behind_the_others() -> None:
    added = add_node(CHAIN, node("d", position=HERE))
    assert (keys(added), added.touched, added.layout) == (["a", "b", "c", "d"], ("d",), {"d": HERE})
    assert added.definition.graph.edges == CHAIN.graph.edges
    # A place that a node of this key had long ago is forgotten.
    assert add_node(CHAIN, node("e")).layout == {"e": None}


def test_a_key_that_is_taken_is_refused() -> None:
    with pytest.raises(AlreadyExists) as caught:
        add_node(CHAIN, node("a"))
    assert caught.value.path == ["input", "node", "key"]
    with pytest.raises(AlreadyExists) as caught:
        update(CHAIN, "a", "b")
    assert caught.value.path == ["input", "newKey"]


def test_a_full_graph_takes_no_more() -> None:
    full = definition(*(node(f"n{number}") for number in range(500)))
    with pytest.raises(LimitExceeded) as caught:
        add_node(full, node("more"))
    assert (caught.value.limit, caught.value.actual) == (500, 501)
    edges = tuple(GraphEdge(source=f"n{number}", target=f"n{other}") for number in range(5) for other in range(5, 405))
    wired = full.model_copy(update={"graph": full.graph.model_copy(update={"edges": edges})})
    with pytest.raises(LimitExceeded) as caught:
        connect(wired, GraphEdge(source="n400", target="n499"))
    assert (caught.value.limit, caught.value.actual) == (2000, 2001)


def test_what_is_absent_in_an_update_stays_and_null_sets_back() -> None:
    given = definition(
        node("a", name="A", when="input.x", join=JoinPolicy.ANY, position=HERE).model_copy(
            update={"timeouts": node("x").timeouts.model_copy(update={"start_to_close_ms": None})}
        )
    )
    changed = update(given, "a", join="ALL", onError={"mode": "CONTINUE"})
    (after,) = changed.definition.graph.nodes
    assert (changed.touched, changed.layout) == (("a",), {})
    assert (after.name, after.when, after.join, after.on_error.mode) == (
        "A",
        "input.x",
        JoinPolicy.ALL,
        ErrorMode.CONTINUE,
    )
    assert after.timeouts.start_to_close_ms is None
    assert after.config == given.graph.nodes[0].config
    bare = update(changed.definition, "a", name=None, when=None, onError=None, timeouts=None, retry=None, forEach=None)
    assert bare.definition.graph.nodes == (node("a", position=HERE),)


def test_a_node_may_become_one_of_another_kind() -> None:
    config = {"httpRequest": {"url": "https://x"}}
    changed = update(CHAIN, "a", config=config)
    assert changed.definition.graph.nodes[0].config == config
    assert changed.definition.graph.nodes[1:] == CHAIN.graph.nodes[1:]


def test_a_new_key_is_written_everywhere_with_what_else_changes() -> None:
    config = {"transform": {"fields": [{"name": "v", "value": "{{ nodes.b.output }}{{ nodes.a.output }}"}]}}
    changed = update(CHAIN, "b", "bee", config=config, name="Bee")
    a, bee, c = changed.definition.graph.nodes
    assert a == CHAIN.graph.nodes[0]
    assert (bee.key, bee.name) == ("bee", "Bee")
    # What an editor that has not heard of the new key wrote of the node itself follows too.
    assert bee.values["fields"][0]["value"] == "{{ nodes.bee.output }}{{ nodes.a.output }}"
    assert c.values["fields"][0]["value"] == "{{ nodes.bee.output.v }}"
    assert [(one.source, one.target) for one in changed.definition.graph.edges] == [("a", "bee"), ("bee", "c")]
    assert changed.touched == ("a", "bee", "c")
    assert changed.layout == {"b": None, "bee": "b"}
    assert update(CHAIN, "a", "first").layout == {"a": None, "first": "a"}
    assert update(CHAIN, "a", "a").layout == {}


@pytest.mark.parametrize("new_key", ["", "1a", "a b", "x" * 65])
def test_a_key_that_is_none_is_refused(new_key: str) -> None:
    with pytest.raises(GraphHasProblems) as caught:
        update(CHAIN, "a", new_key)
    assert [(one.code, one.path) for one in caught.value.problems] == [("INVALID_KEY", ("key",))]


def test_with_a_node_go_its_edges_and_its_place() -> None:
    removed = remove_node(CHAIN, "b")
    assert (keys(removed), removed.definition.graph.edges) == (["a", "c"], ())
    assert (removed.touched, removed.layout) == (("a", "c", "b"), {"b": None})
    # References to it stay, and are told.
    assert removed.definition.graph.nodes[1] == CHAIN.graph.nodes[2]
    assert [one.code for one in check(removed.definition, KINDS, ANY_NAMES)] == ["UNKNOWN_REFERENCE"]


def test_edges_come_and_go() -> None:
    edge = GraphEdge(source="a", target="c")
    added = connect(CHAIN, edge)
    assert added.definition.graph.edges == (*CHAIN.graph.edges, edge)
    assert (added.touched, added.layout) == (("a", "c"), {})
    taken = disconnect(added.definition, edge)
    assert (taken.definition, taken.touched) == (CHAIN, ("a", "c"))


@pytest.mark.parametrize(
    ("edit", "kind", "path", "message"),
    [
        (lambda: update(CHAIN, "bb"), NotFound, ["input", "key"], "There is no node `bb`."),
        (lambda: remove_node(CHAIN, "x"), NotFound, ["input", "key"], "There is no node `x`."),
        (lambda: connect(CHAIN, GraphEdge(source="x", target="a")), NotFound, ["input", "source"], "`x`"),
        (lambda: connect(CHAIN, GraphEdge(source="a", target="x")), NotFound, ["input", "target"], "`x`"),
        (lambda: connect(CHAIN, A_TO_B), AlreadyExists, ["input"], "The edge `a -> b` is there already."),
        (lambda: disconnect(CHAIN, GraphEdge(source="x", target="a")), NotFound, ["input", "source"], "`x`"),
        (
            lambda: disconnect(CHAIN, GraphEdge(source="a", source_port="error", target="b")), NotFound, ["input"],
            "There is no edge `a.error -> b`. There is `a -> b`.",
        ),
        (lambda: check_moved(CHAIN.graph, {"a": HERE, "x": HERE}), NotFound, ["input", "positions", "1", "key"], "`x`"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_with_its_place(
    edit: Callable[[], object], kind: type[NotFound | AlreadyExists], path: list[str], message: str
) -> None:
    with pytest.raises(kind) as caught:
        edit()
    assert caught.value.path == path
    assert message in caught.value.message


def test_a_key_that_was_probably_meant_is_named() -> None:
    given = definition(node("summarise"))
    with pytest.raises(NotFound, match=r"There is no node `summarize`\. Did you mean `summarise`\?"):
        remove_node(given, "summarize")


def test_what_a_change_touched_is_what_differs() -> None:
    after = Graph(nodes=(node("a", 2), CHAIN.graph.nodes[1], node("new")), edges=(A_TO_B,))
    assert touched_nodes(CHAIN.graph, after) == ("a", "b", "new", "c")
    assert touched_nodes(CHAIN.graph, CHAIN.graph) == ()
    old, new = (Graph(nodes=tuple(node(f"{name}{number}") for number in range(300))) for name in ("old", "new"))
    assert touched_nodes(old, new) == tuple([one.key for one in (*new.nodes, *old.nodes)][:500])


KEYS = ("a", "b", "c", "d")
_edits = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(KEYS)),
        st.tuples(st.just("remove"), st.sampled_from(KEYS)),
        st.tuples(st.just("rename"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
        st.tuples(st.just("connect"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
        st.tuples(st.just("disconnect"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
    ),
    max_size=20,
)


def _apply(given: Definition, what: str, first: str, second: str) -> Edited:
    match what:
        case "add":
            return add_node(given, node(first, position=Position(x=ord(first), y=0)))
        case "remove":
            return remove_node(given, first)
        case "rename":
            return update(given, first, second)
        case "connect":
            return connect(given, GraphEdge(source=first, target=second))
        case _:
            return disconnect(given, GraphEdge(source=first, target=second))


@given(_edits)
def test_whatever_is_edited_edges_have_ends_keys_are_unique_and_the_layout_follows(
    edits: list[tuple[str, ...]],
) -> None:
    current, layout = Definition(), dict[str, Position]()
    for what, first, *second in edits:
        try:
            edited = _apply(current, what, first, "".join(second))
        except (NotFound, AlreadyExists):
            continue
        before, current = current.graph, edited.definition
        patch = {key: layout.get(at) if isinstance(at, str) else at for key, at in edited.layout.items()}
        layout = {key: at for key, at in (layout | patch).items() if at is not None}
        known = [one.key for one in current.graph.nodes]
        assert len(set(known)) == len(known)
        assert len(set(current.graph.edges)) == len(current.graph.edges)
        assert {end for edge in current.graph.edges for end in (edge.source, edge.target)} <= set(known)
        assert layout == layout_of(current.graph)
        # What is not told as touched is as it was.
        rest = {one.key: one for one in before.nodes if one.key not in edited.touched}
        rest = {key: one for key, one in rest.items() if not (what == "rename" and key == first)}
        assert rest == {one.key: one for one in current.graph.nodes if one.key not in edited.touched}
