"""Which nodes of a rerun stand as they were recorded, and which are executed again: `plan_rerun`.

A node with `forEach` that is executed although nothing before it has changed does only the items that have not ended well.
A node stands when it has an end that can stand, is neither selected nor changed, and everything before it stands too.
What can stand: a success; with NODES also a failure behind which an edge was taken, with its port; and a node that was
left out, which is left out again. What was cut off, was never reached, or failed for good is always executed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from domain.errors import InvalidInput
from domain.events import NodeCanceled, NodeFailed, NodeReused, NodeSkipped, NodeSucceeded
from domain.problems import shown
from domain.wiring import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from domain.json_value import Json
    from domain.workflow import Definition, Graph, GraphNode

NodeEnd: TypeAlias = NodeSucceeded | NodeFailed | NodeSkipped | NodeReused | NodeCanceled
ItemEnd: TypeAlias = NodeSucceeded | NodeReused
Kept: TypeAlias = NodeReused | NodeSkipped


class RerunFrom(StrEnum):
    """Which nodes a rerun selects."""

    FAILED = "FAILED"
    START = "START"
    NODES = "NODES"


@dataclass(frozen=True, slots=True)
class Origin:
    """A finished run, as far as another goes by it."""

    run_id: UUID
    definition: Definition
    ends: Mapping[str, NodeEnd]
    """How its nodes ended, by its log; a node that never ended is missing."""
    items: Mapping[str, Sequence[ItemEnd]] = field(default_factory=dict[str, "Sequence[ItemEnd]"])
    """Items that ended well and whose outputs are kept, of nodes with `forEach` that may be executed again."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a rerun does, each in the order of the graph."""

    kept: tuple[Kept, ...]
    """How its log begins, behind RunQueued."""
    executed: tuple[str, ...]
    """Keys of the nodes that are reached again, or may be left out then."""

    @property
    def reused(self) -> tuple[str, ...]:
        """Keys of the nodes whose outputs are reused; one of which only items are is executed."""
        return tuple(
            event.node_key for event in self.kept if isinstance(event, NodeReused) and event.item_index is None
        )


def plan_rerun(
    origin: Origin, definition: Definition, from_: RerunFrom, keys: frozenset[str], moved: frozenset[str] = frozenset()
) -> Rerun:
    """Return what a rerun with this definition keeps and executes.

    Args:
        origin: the run to go by.
        definition: what is run now; its graph has no cycle.
        from_: which nodes are selected.
        keys: those that are selected with NODES.
        moved: keys of nodes that read something new although they are as they were, such as another input.
    """
    again = changed_nodes(origin.definition.graph, definition.graph) | moved
    if from_ is RerunFrom.NODES:
        again |= keys
    sources: dict[str, list[str]] = {node.key: [] for node in definition.graph.nodes}
    for edge in definition.graph.edges:
        sources[edge.target].append(edge.source)
    kept: dict[str, Kept] = {}
    items: list[Kept] = []
    executed: list[str] = []
    for key in in_order(list(sources), definition.graph.edges):
        is_as_before = from_ is not RerunFrom.START and key not in again and all(one in kept for one in sources[key])
        end = standing(origin.run_id, origin.ends.get(key)) if is_as_before else None
        if end is None or (from_ is RerunFrom.FAILED and isinstance(end, NodeReused) and end.failure is not None):
            executed.append(key)
            # All that gave the list is as it was, so the list is, and each of its items by itself can stand.
            items += [_standing_item(origin.run_id, item) for item in origin.items.get(key, ()) if is_as_before]
        else:
            kept[key] = end
    return Rerun((*kept.values(), *items), tuple(executed))


def _standing_item(run_id: UUID, end: ItemEnd) -> NodeReused:
    from_run = end.from_run if isinstance(end, NodeReused) else run_id
    return NodeReused(end.node_key, end.item_index, 0, from_run, end.ports)


def open_lists(definition: Definition, ends: Mapping[str, NodeEnd]) -> list[str]:
    """Return the keys of nodes with `forEach` that a rerun may execute again although they are as they were."""
    done = {key for key, end in ends.items() if isinstance(end, (NodeSucceeded, NodeSkipped))}
    return [node.key for node in definition.graph.nodes if node.for_each is not None and node.key not in done]


def standing(run_id: UUID, end: NodeEnd | None) -> Kept | None:
    """Return the event by which another run takes over how a node ended; None where nothing can be taken over."""
    match end:
        case NodeSucceeded():
            return NodeReused(end.node_key, None, 0, run_id, end.ports)
        case NodeFailed() if end.ports:
            return NodeReused(end.node_key, None, 0, run_id, end.ports, end.failure)
        case NodeReused():
            # Whoever made the output is named, not everybody who passed it on.
            return NodeReused(end.node_key, None, 0, end.from_run, end.ports, end.failure)
        case NodeSkipped():
            return NodeSkipped(end.node_key, None, 0, end.reason)
        case _:
            return None


def changed_nodes(before: Graph, now: Graph) -> frozenset[str]:
    """Return keys of nodes that are new, or whose configuration, policies or incoming edges are others than before.

    Names and places on a canvas decide nothing, nor does the order of fields.
    """
    if before is now:
        return frozenset()
    known = {node.key: (_meaning(node), edges) for node, edges in _with_edges(before)}
    return frozenset(node.key for node, edges in _with_edges(now) if known.get(node.key) != (_meaning(node), edges))


def is_same(one: Json, other: Json) -> bool:
    """Whether two values are written alike; the order of fields counts for nothing, but 1, 1.0 and true differ."""
    return _written(one) == _written(other)


def check_selection(from_: RerunFrom, keys: Iterable[str] | None, graph: Graph) -> frozenset[str]:
    """Return the keys that are selected by name.

    Raises:
        InvalidInput: keys without NODES, NODES without keys, or a key that the graph does not have.
    """
    path = ["input", "nodeKeys"]
    named = frozenset(keys or ())
    if from_ is not RerunFrom.NODES:
        if named:
            raise InvalidInput("`nodeKeys` goes with `from: NODES` only; leave it out.", path=path)
        return named
    if not named:
        raise InvalidInput("With `from: NODES`, name at least one node in `nodeKeys`.", path=path)
    unknown = sorted(named.difference(node.key for node in graph.nodes))
    if unknown:
        listed = ", ".join(shown(key) for key in unknown[:10])
        raise InvalidInput(f"The graph that is run has no node {listed}.", path=path)
    return named


def _with_edges(graph: Graph) -> list[tuple[GraphNode, frozenset[tuple[str, str]]]]:
    edges: dict[str, set[tuple[str, str]]] = {node.key: set() for node in graph.nodes}
    for edge in graph.edges:
        edges[edge.target].add((edge.source, edge.source_port))
    return [(node, frozenset(edges[node.key])) for node in graph.nodes]


def _meaning(node: GraphNode) -> str:
    return _written(node.model_dump(mode="json", exclude={"name", "position"}))


def _written(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
