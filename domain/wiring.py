"""How the nodes of a graph hang together: edges, ports, cycles, ancestors."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from domain.problems import Problem, did_you_mean, shown
from domain.workflow import ErrorMode, GraphEdge

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from domain.workflow import GraphNode

ERROR_PORT = "error"
_NAMED_IN_CYCLE = 20


def with_error_port(node: GraphNode, ports: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ports of a node: its kind's, and `error` if its failure is a branch."""
    return (*ports, ERROR_PORT) if node.on_error.mode is ErrorMode.BRANCH and ERROR_PORT not in ports else ports


def check_keys(nodes: Sequence[GraphNode]) -> Iterator[Problem]:
    """Yield a problem for each node whose key another node has."""
    seen: set[str] = set()
    for node in nodes:
        if node.key in seen:
            yield Problem(
                "DUPLICATE_KEY",
                f"Two nodes have the key {shown(node.key)}.",
                node_key=node.key,
                path=("key",),
                hint="Give one of them another key.",
                is_structural=True,
            )
        seen.add(node.key)


def check_edges(
    edges: Sequence[GraphEdge], ports: Mapping[str, tuple[str, ...] | None], lists: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield the problems of edges.

    Args:
        edges: all of the graph.
        ports: every node's ports, None where they cannot be told.
        lists: the nodes with `forEach`.
    """
    seen: set[tuple[str, str, str]] = set()
    for edge in edges:
        triple = (edge.source, edge.source_port, edge.target)
        if triple in seen:
            yield _of_edge("DUPLICATE_EDGE", f"The edge {told(edge)} is there twice.", edge)
        seen.add(triple)
        for end in dict.fromkeys((edge.source, edge.target)):
            if end not in ports:
                message = f"The edge {told(edge)} names the node {shown(end)}, which does not exist."
                yield _of_edge("DANGLING_EDGE", message, edge, did_you_mean(end, ports))
        offered = ports.get(edge.source)
        if offered is not None and edge.source_port not in offered:
            yield _unknown_port(edge, offered, is_list=edge.source in lists)


def find_cycle(keys: Sequence[str], edges: Sequence[GraphEdge]) -> list[str] | None:
    """Return the nodes of one cycle in the order of its edges, or None; edges to unknown nodes are left out."""
    known = set(keys)
    targets: dict[str, list[str]] = {key: [] for key in keys}
    for edge in edges:
        if edge.source in known and edge.target in known:
            targets[edge.source].append(edge.target)
    left = known.difference(in_order(keys, edges))
    if not left:
        return None
    # What is left lies on a cycle or behind one; backwards from any such node, every step stays within what is left.
    sources = {target: source for source in keys if source in left for target in targets[source]}
    node, seen = next(key for key in keys if key in left), dict[str, int]()
    while node not in seen:
        seen[node] = len(seen)
        node = sources[node]
    cycle = [key for key, place in seen.items() if place >= seen[node]]
    return [cycle[0], *reversed(cycle[1:])]


def in_order(keys: Sequence[str], edges: Sequence[GraphEdge]) -> list[str]:
    """Return the nodes so that each comes after its sources; nodes on and behind cycles are missing."""
    waits: dict[str, int] = dict.fromkeys(keys, 0)
    targets: dict[str, list[str]] = {key: [] for key in keys}
    for edge in edges:
        if edge.source in waits and edge.target in waits:
            waits[edge.target] += 1
            targets[edge.source].append(edge.target)
    ready = deque(key for key, count in waits.items() if count == 0)
    order: list[str] = []
    while ready:
        order.append(ready.popleft())
        for target in targets[order[-1]]:
            waits[target] -= 1
            if waits[target] == 0:
                ready.append(target)
    return order


def ancestors(order: Sequence[str], edges: Sequence[GraphEdge]) -> dict[str, int]:
    """Return for each node the set of its ancestors as a bit mask over `order`."""
    bit = {key: 1 << place for place, key in enumerate(order)}
    above: dict[str, int] = dict.fromkeys(order, 0)
    incoming: dict[str, list[str]] = {key: [] for key in order}
    for edge in edges:
        if edge.source in bit and edge.target in bit:
            incoming[edge.target].append(edge.source)
    for key in order:
        for source in incoming[key]:
            above[key] |= above[source] | bit[source]
    return above


def cycle_problem(cycle: Sequence[str]) -> Problem:
    """Return the problem that names a cycle."""
    named = [*cycle[:_NAMED_IN_CYCLE], *(["…"] if len(cycle) > _NAMED_IN_CYCLE else []), cycle[0]]
    return Problem(
        "CYCLE",
        f"These nodes wait for each other: {' → '.join(named)}.",
        node_key=cycle[0],
        hint="Remove one of these edges; a graph runs from its beginning to its ends.",
        is_structural=True,
    )


def _unknown_port(edge: GraphEdge, offered: tuple[str, ...], *, is_list: bool) -> Problem:
    listed = ", ".join(shown(port) for port in offered) or "none"
    message = f"The node {shown(edge.source)} has no port {shown(edge.source_port)}; its ports are {listed}."
    if edge.source_port == ERROR_PORT:
        hint = f"Set `onError.mode` of {shown(edge.source)} to BRANCH: then it has an `error` port."
    elif is_list:
        hint = (
            "A node with `forEach` ends once, with the list of what its items returned: read there which way each took."
        )
    else:
        hint = did_you_mean(edge.source_port, offered)
    return _of_edge("UNKNOWN_PORT", message, edge, hint)


def _of_edge(code: str, message: str, edge: GraphEdge, hint: str | None = None) -> Problem:
    triple = (edge.source, edge.source_port, edge.target)
    return Problem(code, message, edge=triple, hint=hint, is_structural=True)


def told(edge: GraphEdge) -> str:
    """Return an edge as a message shows it."""
    port = "" if edge.source_port == "out" else f".{edge.source_port}"
    return shown(f"{edge.source}{port} -> {edge.target}")
