"""Whether the workflows that nodes call can be called: the version is there, and no workflow calls itself for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from domain.problems import Problem, shown
from domain.uses import UseKind
from domain.versions import VersionTrack
from domain.workflow import ErrorMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.configs import CompiledConfig, NamedObject
    from domain.kinds import NodeKind
    from domain.references import WorkspaceNames
    from domain.workflow import GraphEdge, GraphNode

UNPUBLISHED_WORKFLOW = "UNPUBLISHED_WORKFLOW"
UNKNOWN_VERSION = "UNKNOWN_VERSION"


def check_calls(
    order: Sequence[GraphNode],
    edges: Iterable[GraphEdge],
    configs: Mapping[str, CompiledConfig | None],
    kinds: Mapping[str, NodeKind],
    names: WorkspaceNames,
) -> list[Problem]:
    """Return what is wrong with calls of workflows that exist; of others `named_objects` tells.

    Args:
        order: the nodes, those on the way to a node before it.
        edges: the edges.
        configs: the configurations of the nodes, by key.
        kinds: the kinds that are there.
        names: what exists in the workspace.
    """
    problems: list[Problem] = []
    always: set[str] | None = None
    for node in order:
        config, kind = configs[node.key], kinds.get(node.kind)
        if config is None or kind is None or "version" not in kind.config.model_fields:
            continue
        for called in (one for one in config.named_objects if one.to == UseKind.WORKFLOW):
            which = _which(node.values.get("version"))
            if called.name == names.itself and not isinstance(which, int) and _must_succeed_once(node):
                always = _always_run(order, edges, kinds) if always is None else always
                if node.key in always:
                    problems.append(_endless(node, called))
                    continue
            if (problem := _absent(node, called, which, names)) is not None:
                problems.append(problem)
    return problems


def _which(written: Any) -> int | VersionTrack:
    """Return the version that is chosen; what is no choice is told elsewhere."""
    choice: Mapping[str, Any] = cast("Mapping[str, Any]", written) if isinstance(written, Mapping) else dict[str, Any]()
    number = choice.get("number")
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    return VersionTrack.DRAFT if choice.get("track") == VersionTrack.DRAFT else VersionTrack.PUBLISHED


def _absent(node: GraphNode, called: NamedObject, which: int | VersionTrack, names: WorkspaceNames) -> Problem | None:
    """Find that the version which is called is not there."""
    is_itself = called.name == names.itself
    if names.workflows is None or which is VersionTrack.DRAFT or not (is_itself or called.name in names.workflows):
        return None
    published, above = names.workflows.get(called.name), ("config", node.kind)
    if isinstance(which, int):
        if which <= (published or 0):
            return None
        hint = f"The last one is {published}." if published else "It was never published."
        message = f"The workflow {shown(called.name)} has no version {which}."
        return Problem(UNKNOWN_VERSION, message, node_key=node.key, path=(*above, "version", "number"), hint=hint)
    if published is not None:
        return None
    message = f"The workflow {shown(called.name)} was never published."
    hint = "Publish it, or call its draft with `version: {track: DRAFT}`."
    # A workflow that calls itself is there as soon as it is published: that must remain possible.
    return Problem(
        UNPUBLISHED_WORKFLOW, message, node_key=node.key, path=(*above, *called.path), hint=hint, is_error=not is_itself
    )


def _must_succeed_once(node: GraphNode) -> bool:
    """Whether the node needs a call to succeed: it has no list, which might be empty, and no way out of a failure."""
    return node.for_each is None and node.on_error.mode is ErrorMode.STOP


def _always_run(order: Sequence[GraphNode], edges: Iterable[GraphEdge], kinds: Mapping[str, NodeKind]) -> set[str]:
    """Return the nodes that run in every run, unless it fails before."""
    incoming: dict[str, list[GraphEdge]] = {node.key: [] for node in order}
    for edge in edges:
        if edge.target in incoming:
            incoming[edge.target].append(edge)
    nodes = {node.key: node for node in order}
    always: set[str] = set()
    for node in order:
        ways = incoming[node.key]
        if node.when is None and (
            not ways or any(way.source in always and _always_takes(way, nodes[way.source], kinds) for way in ways)
        ):
            always.add(node.key)
    return always


def _always_takes(way: GraphEdge, source: GraphNode, kinds: Mapping[str, NodeKind]) -> bool:
    kind = kinds.get(source.kind)
    if way.source_port != "out" or kind is None or source.on_error.mode is ErrorMode.BRANCH:
        return False
    return source.for_each is not None or (tuple(kind.ports) == ("out",) and kind.ports_of is None)


def _endless(node: GraphNode, called: NamedObject) -> Problem:
    message = "The workflow calls itself here in every run, so that no run can ever succeed."
    hint = "Give the node a `when`, or put it behind a branch, so that the calls come to an end."
    return Problem("ENDLESS_CALLS", message, node_key=node.key, path=("config", node.kind, *called.path), hint=hint)
