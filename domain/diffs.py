"""What differs between two states of a workflow, its layout apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from domain.json_changes import changes
from domain.layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.json_changes import FieldChange
    from domain.json_value import Json
    from domain.layout import Layout
    from domain.workflow import Definition, GraphEdge, GraphNode, Position


@dataclass(frozen=True, slots=True)
class NodeDiff:
    """A node that both sides have, with what differs in it."""

    node_key: str
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class NodeMove:
    """A node that both sides have and draw in different places; None = laid out by the editor."""

    node_key: str
    before: Position | None
    after: Position | None


@dataclass(frozen=True, slots=True)
class WorkflowDiff:
    """What turns one state of a workflow into another; a node is the same if its key is."""

    nodes_added: tuple[GraphNode, ...]
    nodes_removed: tuple[GraphNode, ...]
    nodes_changed: tuple[NodeDiff, ...]
    nodes_moved: tuple[NodeMove, ...]
    edges_added: tuple[GraphEdge, ...]
    edges_removed: tuple[GraphEdge, ...]
    input_schema: tuple[FieldChange, ...]
    output: tuple[FieldChange, ...]
    """By the names of the fields."""
    settings: tuple[FieldChange, ...]
    is_reordered: bool
    """Whether nodes, edges or output fields that both sides have stand in another order, or new ones not behind them."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of meaning differs; layout and order do not count."""
        parts = (
            self.nodes_added,
            self.nodes_removed,
            self.nodes_changed,
            self.edges_added,
            self.edges_removed,
            self.input_schema,
            self.output,
            self.settings,
        )
        return not any(parts)


def diff(old: Definition, new: Definition) -> WorkflowDiff:
    """Return what differs: at most 500 nodes, 2,000 edges, and 100 changes in each node and each other part.

    Both have their nodes where they are drawn, see `arranged`.
    """
    old_nodes = {node.key: node for node in old.graph.nodes}
    new_nodes = {node.key: node for node in new.graph.nodes}
    both = [key for key in old_nodes if key in new_nodes]
    differing = [NodeDiff(key, tuple(changes(_plain(old_nodes[key]), _plain(new_nodes[key])))) for key in both]
    old_edges, new_edges = dict.fromkeys(old.graph.edges), dict.fromkeys(new.graph.edges)
    old_output, new_output = _output(old), _output(new)
    orders = ((old_nodes, new_nodes), (old_edges, new_edges), (old_output, new_output))
    return WorkflowDiff(
        nodes_added=tuple(node for key, node in new_nodes.items() if key not in old_nodes),
        nodes_removed=tuple(node for key, node in old_nodes.items() if key not in new_nodes),
        nodes_changed=tuple(one for one in differing if one.changes),
        nodes_moved=_moves(both, layout_of(old.graph), layout_of(new.graph)),
        edges_added=tuple(edge for edge in new_edges if edge not in old_edges),
        edges_removed=tuple(edge for edge in old_edges if edge not in new_edges),
        input_schema=tuple(changes(old.input_schema, new.input_schema)),
        output=tuple(changes(old_output, new_output)),
        settings=tuple(changes(old.settings.model_dump(by_alias=True), new.settings.model_dump(by_alias=True))),
        is_reordered=any(_is_reordered([*one], [*other]) for one, other in orders),
    )


def _plain(node: GraphNode) -> Json:
    """Return a node as the API writes it, without what names and places it."""
    return cast("Json", node.model_dump(mode="python", by_alias=True, exclude={"key", "position"}))


def _output(definition: Definition) -> dict[str, Json]:
    return {field.name: cast("Json", field.value) for field in definition.output}


def _moves(keys: Sequence[str], before: Layout, after: Layout) -> tuple[NodeMove, ...]:
    moves = (NodeMove(key, before.get(key), after.get(key)) for key in keys)
    return tuple(move for move in moves if move.before != move.after)


def _is_reordered(before: Sequence[object], after: Sequence[object]) -> bool:
    old, new = set(before), set(after)
    expected = [one for one in before if one in new] + [one for one in after if one not in old]
    return expected != list(after)
