"""A definition compiled to what an engine needs: nodes by number, edges by port. Plain data.

What is at work in a run has a *slot*: one number for a node and item, so that both take the same way through the
schedule and the engine. The slot of a node as a whole is its index; those of its items follow in steps of the graph's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.events import NodeEventBase
    from domain.workflow import Definition, GraphNode, OutputField, WorkflowSettings


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node with its edges; `index` is its place in `Plan.nodes`."""

    index: int
    key: str
    node: GraphNode
    incoming_count: int
    outgoing: tuple[tuple[str, int], ...]
    """Port and target of each outgoing edge."""
    sources: frozenset[int]
    """Nodes that an edge leads from to this one."""
    error_sources: tuple[int, ...]
    """Nodes whose port `error` leads here."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph by numbers."""

    nodes: tuple[PlanNode, ...]
    index: Mapping[str, int]
    settings: WorkflowSettings
    output: tuple[OutputField, ...]
    leaves: tuple[int, ...]
    """Nodes without outgoing edges: the default output of a run."""

    def slot(self, index: int, item: int | None) -> int:
        """Return the slot of a node, or of one of its items."""
        return index if item is None else index + (item + 1) * len(self.nodes)

    def slot_of(self, event: NodeEventBase) -> int:
        """Return the slot that an event is about."""
        index = self.index[event.node_key]
        return index if event.item_index is None else self.slot(index, event.item_index)

    def place(self, slot: int) -> tuple[int, int | None]:
        """Return the node of a slot, and its item; None = the node as a whole."""
        rounds, index = divmod(slot, len(self.nodes))
        return index, rounds - 1 if rounds else None


def compile_plan(definition: Definition) -> Plan:
    """Return the plan of a definition without structural problems (see `domain.validation`).

    Raises:
        KeyError: an edge names a node that does not exist.
    """
    graph = definition.graph
    index = {node.key: place for place, node in enumerate(graph.nodes)}
    outgoing: list[list[tuple[str, int]]] = [[] for _ in graph.nodes]
    error_sources: list[list[int]] = [[] for _ in graph.nodes]
    incoming = [0] * len(graph.nodes)
    sources: list[set[int]] = [set() for _ in graph.nodes]
    for edge in graph.edges:
        source, target = index[edge.source], index[edge.target]
        outgoing[source].append((edge.source_port, target))
        incoming[target] += 1
        sources[target].add(source)
        if edge.source_port == "error":
            error_sources[target].append(source)
    nodes = tuple(
        PlanNode(
            place,
            node.key,
            node,
            incoming[place],
            tuple(outgoing[place]),
            frozenset(sources[place]),
            tuple(error_sources[place]),
        )
        for place, node in enumerate(graph.nodes)
    )
    leaves = tuple(place for place in range(len(nodes)) if not outgoing[place])
    return Plan(nodes, index, definition.settings, definition.output, leaves)
