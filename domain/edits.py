"""Edits of a draft, one node or edge at a time: each takes a definition and gives the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from domain.drafts import read_node
from domain.errors import AlreadyExists, LimitExceeded, NotFound
from domain.problems import did_you_mean, shown
from domain.renames import renamed
from domain.wiring import told
from domain.workflow import MAX_EDGES, MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from domain.kinds import NodeKind
    from domain.layout import LayoutPatch
    from domain.workflow import Definition, Graph, GraphEdge, GraphNode, Position

MAX_TOUCHED: Final = 500


@dataclass(frozen=True, slots=True)
class Edited:
    """A definition after an edit."""

    definition: Definition
    touched: tuple[str, ...]
    """Keys of the nodes that it touched, as they are called after it; at most 500."""
    layout: LayoutPatch
    """What changes in the layout."""


def add_node(definition: Definition, node: GraphNode) -> Edited:
    """Add a node.

    Raises:
        AlreadyExists: another node has its key.
        LimitExceeded: the graph is full.
    """
    graph = definition.graph
    _refuse_taken(graph, node.key, ["input", "node", "key"])
    if len(graph.nodes) >= MAX_NODES:
        raise _full("nodes", MAX_NODES)
    after = _with(definition, nodes=(*graph.nodes, node))
    return Edited(after, (node.key,), {node.key: node.position})


def update_node(
    definition: Definition, key: str, patch: Mapping[str, Any], new_key: str | None, kinds: Mapping[str, NodeKind]
) -> Edited:
    """Change a node, and its key everywhere if it gets another one.

    Args:
        definition: the workflow.
        key: which node.
        patch: fields as `GraphNodeInput` writes them; None sets one back to its default, absent ones stay.
        new_key: its key from now on; None = as it was.
        kinds: the kinds that are there: their models tell where templates stand.

    Raises:
        NotFound: there is no such node.
        AlreadyExists: another node has the new key.
        GraphHasProblems: a value that no node can hold.
    """
    graph = definition.graph
    node = _get(graph, key, ["input", "key"])
    target = key if new_key is None else new_key
    if target != key:
        _refuse_taken(graph, target, ["input", "newKey"])
    written = node.model_dump(by_alias=True, exclude_defaults=True) | dict(patch) | {"key": target}
    changed = read_node({name: value for name, value in written.items() if value is not None}, ["input"])
    # Under its old key first, so that its own expressions are renamed with all the others.
    after = _with(
        definition,
        nodes=tuple(changed.model_copy(update={"key": key}) if other.key == key else other for other in graph.nodes),
    )
    if target == key:
        return Edited(after, (key,), {})
    after = renamed(after, key, target, kinds)
    touched = [other for other in touched_nodes(graph, after.graph) if other != key]
    return Edited(after, tuple(touched), {key: None, target: key})


def remove_node(definition: Definition, key: str) -> Edited:
    """Remove a node with its edges; references to it stay and become problems.

    Raises:
        NotFound: there is no such node.
    """
    graph = definition.graph
    _get(graph, key, ["input", "key"])
    after = _with(
        definition,
        nodes=tuple(node for node in graph.nodes if node.key != key),
        edges=tuple(edge for edge in graph.edges if key not in {edge.source, edge.target}),
    )
    return Edited(after, touched_nodes(graph, after.graph), {key: None})


def connect(definition: Definition, edge: GraphEdge) -> Edited:
    """Add an edge.

    Raises:
        NotFound: one of its ends does not exist.
        AlreadyExists: it is there.
        LimitExceeded: the graph is full.
    """
    graph = definition.graph
    _get(graph, edge.source, ["input", "source"])
    _get(graph, edge.target, ["input", "target"])
    if edge in graph.edges:
        raise AlreadyExists(f"The edge {told(edge)} is there already.", path=["input"])
    if len(graph.edges) >= MAX_EDGES:
        raise _full("edges", MAX_EDGES)
    return Edited(_with(definition, edges=(*graph.edges, edge)), _ends(edge), {})


def disconnect(definition: Definition, edge: GraphEdge) -> Edited:
    """Remove an edge.

    Raises:
        NotFound: it, or one of its ends, does not exist.
    """
    graph = definition.graph
    _get(graph, edge.source, ["input", "source"])
    _get(graph, edge.target, ["input", "target"])
    if edge not in graph.edges:
        others = [told(one) for one in graph.edges if edge.source == one.source and edge.target == one.target]
        hint = f" There is {', '.join(others)}." if others else ""
        raise NotFound(f"There is no edge {told(edge)}.{hint}", path=["input"])
    after = _with(definition, edges=tuple(other for other in graph.edges if other != edge))
    return Edited(after, _ends(edge), {})


def check_moved(graph: Graph, positions: Mapping[str, Position]) -> None:
    """Make sure that all nodes that are moved exist.

    Raises:
        NotFound: one of them does not.
    """
    known = {node.key for node in graph.nodes}
    for place, key in enumerate(positions):
        if key not in known:
            raise _unknown(known, key, ["input", "positions", str(place), "key"])


def touched_nodes(before: Graph, after: Graph) -> tuple[str, ...]:
    """Return the keys of the nodes that came, changed, got or lost edges, or went; at most 500."""
    old = {node.key: node for node in before.nodes}
    new = {node.key: node for node in after.nodes}
    rewired = {end for edge in set(before.edges) ^ set(after.edges) for end in _ends(edge)}
    touched = [key for key, node in new.items() if old.get(key) != node or key in rewired]
    gone = [key for key in old if key not in new]
    return tuple([*touched, *gone][:MAX_TOUCHED])


def _with(
    definition: Definition, *, nodes: Sequence[GraphNode] | None = None, edges: Sequence[GraphEdge] | None = None
) -> Definition:
    parts = {name: value for name, value in (("nodes", nodes), ("edges", edges)) if value is not None}
    return definition.model_copy(update={"graph": definition.graph.model_copy(update=parts)})


def _get(graph: Graph, key: str, path: list[str]) -> GraphNode:
    node = next((node for node in graph.nodes if node.key == key), None)
    if node is None:
        raise _unknown((node.key for node in graph.nodes), key, path)
    return node


def _refuse_taken(graph: Graph, key: str, path: list[str]) -> None:
    if any(node.key == key for node in graph.nodes):
        raise AlreadyExists(f"There is a node {shown(key)} already; give this one another key.", path=path)


def _unknown(known: Iterable[str], key: str, path: list[str]) -> NotFound:
    hint = did_you_mean(key, known)
    return NotFound(f"There is no node {shown(key)}.{'' if hint is None else f' {hint}'}", path=path)


def _full(what: str, limit: int) -> LimitExceeded:
    return LimitExceeded(f"A graph has at most {limit:,} {what}.", limit=limit, actual=limit + 1, path=["input"])


def _ends(edge: GraphEdge) -> tuple[str, ...]:
    return tuple(dict.fromkeys((edge.source, edge.target)))
