"""Trying one node out: the graph of a run that executes this node alone, behind what an earlier run recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.errors import InvalidInput
from domain.events import NodeReused
from domain.problems import shown
from domain.reruns import Kept, standing
from domain.wiring import ancestors, in_order
from domain.workflow import Graph

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from domain.reruns import Origin
    from domain.workflow import Definition, GraphEdge


@dataclass(frozen=True, slots=True)
class Trial:
    """What is pinned for a trial, and how its log begins."""

    definition: Definition
    kept: tuple[Kept, ...]


def plan_trial(draft: Definition, key: str, reads: Collection[str], origin: Origin) -> Trial:
    """Return the trial of a node of a draft on what a run recorded.

    The graph is the node and those of its ancestors that have an end that stands. Of the edges into the node, those that
    were taken stay: so it begins, also where the recorded run went another way, and sees `error` where there was one.

    Args:
        draft: the workflow as it is edited; its graph has no cycle.
        key: the node.
        reads: keys of the nodes whose outputs its templates name.
        origin: the run whose outputs it sees.

    Raises:
        InvalidInput: outputs are missing that the node reads; it names them.
    """
    keys = [node.key for node in draft.graph.nodes]
    order = in_order(keys, draft.graph.edges)
    above = ancestors(order, draft.graph.edges)[key]
    kept: dict[str, Kept] = {}
    for place, ancestor in enumerate(order):
        if above >> place & 1 and (end := standing(origin.run_id, origin.ends.get(ancestor))) is not None:
            kept[ancestor] = end
    if missing := sorted(set(reads).difference(kept)):
        listed = ", ".join(shown(one) for one in missing)
        message = f"The run has no output of {listed}, which {shown(key)} reads; choose a run in which they ended well."
        raise InvalidInput(message, path=["input", "runId"])
    nodes = tuple(node for node in draft.graph.nodes if node.key == key or node.key in kept)
    edges = tuple(edge for edge in draft.graph.edges if _stays(edge, key, kept))
    graph = Graph(nodes=nodes, edges=edges)
    return Trial(draft.model_copy(update={"graph": graph, "input_schema": None, "output": ()}), tuple(kept.values()))


def _stays(edge: GraphEdge, key: str, kept: Mapping[str, Kept]) -> bool:
    source = kept.get(edge.source)
    if edge.target != key:
        return source is not None and edge.target in kept
    return isinstance(source, NodeReused) and edge.source_port in source.ports
