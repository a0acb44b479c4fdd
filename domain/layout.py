"""Where editors draw nodes: kept apart from what a graph means, so that moving a node changes nothing that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.workflow import Definition, Graph, Position

    Layout: TypeAlias = Mapping[str, Position]
    """The positions of nodes by their keys; those that are absent are laid out by the editor."""
    LayoutPatch: TypeAlias = Mapping[str, Position | str | None]
    """The positions that change; None takes one away, a key is where the node of that key is when it is stored; keys that
    are absent stay where they are."""


def layout_of(graph: Graph) -> dict[str, Position]:
    """Return the positions that a graph's nodes have."""
    return {node.key: node.position for node in graph.nodes if node.position is not None}


def arranged(definition: Definition, layout: Layout) -> Definition:
    """Return the definition with its nodes where the layout has them, and nowhere if it does not know them."""
    nodes = definition.graph.nodes
    if all(node.position == layout.get(node.key) for node in nodes):
        return definition
    moved = tuple(node.model_copy(update={"position": layout.get(node.key)}) for node in nodes)
    return definition.model_copy(update={"graph": definition.graph.model_copy(update={"nodes": moved})})


def bare(definition: Definition) -> Definition:
    """Return the definition without positions: what is hashed, stored and pinned by runs."""
    return arranged(definition, {})


def replaced(before: Graph, after: Graph) -> LayoutPatch:
    """Return what changes in the layout when a whole graph takes the place of another."""
    positions = layout_of(after)
    return {node.key: positions.get(node.key) for node in (*before.nodes, *after.nodes)}
