"""Whether what a template names exists, and is known by the time when it is rendered."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from domain.problems import Problem, did_you_mean, shown
from domain.workflow import ErrorMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.kinds import NodeKind, Output
    from domain.workflow import GraphNode

_FIELDS: Final = {
    "run": frozenset({"id", "startedAt"}),
    "error": frozenset({"code", "message", "attempt", "itemIndex"}),
}
"""What is always there behind a root, and all there is."""
_KEPT_OPEN: Final = frozenset({"patternProperties", "allOf", "anyOf", "oneOf", "$ref", "if"})
_OUTPUT_PLACE: Final = 3


@dataclass(frozen=True, slots=True)
class WorkspaceNames:
    """What exists in a workspace, by name; None = not known here, so nothing is said about it."""

    connections: frozenset[str] | None = frozenset()
    secrets: frozenset[str] | None = frozenset()
    data_tables: Mapping[str, frozenset[str]] | None = field(default_factory=dict[str, "frozenset[str]"])
    """The columns of each table."""
    collections: frozenset[str] | None = frozenset()
    workflows: Mapping[str, int | None] | None = field(default_factory=dict[str, "int | None"])
    """The number of the published version of each, by its slug; None = never published."""
    itself: str | None = None
    """The slug of the workflow that is looked at, where it has one."""


ANY_NAMES: Final = WorkspaceNames(connections=None, secrets=None, data_tables=None, collections=None, workflows=None)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that templates of one workflow may name."""

    nodes: Mapping[str, GraphNode]
    kinds: Mapping[str, NodeKind]
    bits: Mapping[str, int]
    """A bit for each node in topological order; nodes on or behind a cycle have none."""
    above: Mapping[str, int]
    """The ancestors of each node that has a bit."""
    secrets: frozenset[str] | None
    input_names: frozenset[str] | None
    """The fields of the input; None = any."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The place where a template stands: in a node, or outside of all, behind the last node."""

    node: GraphNode | None
    has_nodes: bool = True
    has_secrets: bool = False
    has_item: bool = False
    has_error: bool = False

    @property
    def names(self) -> dict[str, None]:
        """The top-level names, in the order in which a message lists them."""
        flags = {
            "input": True,
            "nodes": self.has_nodes,
            "run": True,
            "secrets": self.has_secrets,
            "item": self.has_item,
            "index": self.has_item,
            "error": self.has_error,
        }
        return {name: None for name, is_here in flags.items() if is_here}


_NAMED: Final = {"nodes": "nodes.<key>.output", "secrets": "secrets.<NAME>"}


def check_reference(  # noqa: PLR0911 -- one way out for each root
    reference: tuple[str, ...], scope: Scope, around: Surroundings, path: tuple[str, ...]
) -> Problem | None:
    """Return what is wrong with a reference such as `("nodes", "find", "output", "matches")`; None if it will be there."""
    root, *rest = reference
    if root not in scope.names:
        return _absent_root(root, scope, path)
    if root in _NAMED and not rest:
        # Which nodes (or secrets) are meant must be known before the run: order and secrecy hang on it.
        message = f"{shown(root)} cannot be read as a whole or with a computed name."
        return _unknown(scope, path, message, f"Write {shown(_NAMED[root])}.")
    if root == "nodes" and rest:
        return _check_node(reference, scope, around, path)
    if root in _FIELDS and rest and rest[0] not in _FIELDS[root]:
        message = f"There is no {shown(f'{root}.{rest[0]}')}."
        return _unknown(scope, path, message, did_you_mean(rest[0], _FIELDS[root]))
    if root == "input" and rest and around.input_names is not None and rest[0] not in around.input_names:
        message = f"The input schema has no field {shown(rest[0])}."
        return _unknown(scope, path, message, did_you_mean(rest[0], around.input_names))
    if root == "secrets" and rest and around.secrets is not None and rest[0] not in around.secrets:
        message = f"There is no secret {shown(rest[0])}."
        hint = did_you_mean(rest[0], around.secrets) or "Make it with `createSecret`."
        return _problem("UNKNOWN_SECRET", scope, path, message, hint)
    return None


def input_names(schema: Any) -> frozenset[str] | None:
    """Return the fields of an input that can have no others; None where the schema leaves that open."""
    if not isinstance(schema, dict):
        return None
    written = cast("dict[str, Any]", schema)
    properties = written.get("properties")
    is_closed = written.get("additionalProperties") is False and not _KEPT_OPEN.intersection(written)
    return frozenset(cast("dict[str, Any]", properties)) if is_closed and isinstance(properties, dict) else None


def _check_node(
    reference: tuple[str, ...], scope: Scope, around: Surroundings, path: tuple[str, ...]
) -> Problem | None:
    key = reference[1]
    if key not in around.nodes:
        return _unknown(scope, path, f"There is no node {shown(key)}.", did_you_mean(key, around.nodes))
    if (problem := _check_order(key, scope, around, path)) is not None:
        return problem
    if len(reference) > _OUTPUT_PLACE - 1 and reference[2] != "output":
        message = f"{shown(f'nodes.{key}.{reference[2]}')} does not exist: of a node, `output` can be read."
        return _unknown(scope, path, message, f"Write {shown(f'nodes.{key}.output')}.")
    fields = _fields_of(around.nodes[key], around.kinds)
    if len(reference) > _OUTPUT_PLACE and fields is not None and reference[_OUTPUT_PLACE] not in fields:
        name = reference[_OUTPUT_PLACE]
        listed = ", ".join(shown(known) for known in sorted(fields))
        message = f"The output of {shown(key)} has no field {shown(name)}; it has {listed}."
        return _unknown(scope, path, message, did_you_mean(name, fields))
    return None


def _check_order(key: str, scope: Scope, around: Surroundings, path: tuple[str, ...]) -> Problem | None:
    """Find a node that reads what will not be there yet; on and behind cycles nothing can be said."""
    reader = scope.node
    if reader is None or reader.key not in around.bits or key not in around.bits:
        return None
    if around.above[reader.key] & around.bits[key]:
        return None
    if reader.key == key:
        message = f"The node {shown(key)} reads its own output."
        return _problem("NOT_AN_ANCESTOR", scope, path, message, "A node reads what earlier nodes returned.")
    message = f"The node {shown(reader.key)} reads {shown(key)}, which need not have run before it."
    hint = f"Add a way from {shown(key)} to {shown(reader.key)}, such as the edge {shown(f'{key} -> {reader.key}')}."
    if around.above[key] & around.bits[reader.key]:
        hint = f"{shown(key)} runs behind {shown(reader.key)}; turn their order around."
    return _problem("NOT_AN_ANCESTOR", scope, path, message, hint)


def _fields_of(node: GraphNode, kinds: Mapping[str, NodeKind]) -> frozenset[str] | None:
    """Return the fields of a node's output; None where its shape is not declared or something may stand in for it."""
    kind = kinds.get(node.kind)
    if kind is None or kind.output is None or node.for_each is not None:
        return None
    fields = _aliases(kind.output)
    if node.on_error.mode is not ErrorMode.CONTINUE:
        return fields
    other = node.on_error.default_output
    return fields | frozenset(cast("dict[str, Any]", other)) if isinstance(other, dict) else None


@cache
def _aliases(output: type[Output]) -> frozenset[str]:
    return frozenset(info.alias or name for name, info in output.model_fields.items())


def _absent_root(root: str, scope: Scope, path: tuple[str, ...]) -> Problem:
    if root == "secrets":
        message = "Secrets cannot be used here."
        hint = "Use them in fields marked `x-secret`, such as the values of headers."
        return _problem("SECRET_NOT_ALLOWED", scope, path, message, hint)
    listed = ", ".join(shown(name) for name in scope.names)
    hints = {
        "item": "`item` is there in the configuration of a node with `forEach`.",
        "index": "`index` is there in the configuration of a node with `forEach`.",
        "error": "`error` is there in nodes to which an edge leads from a port `error`.",
    }
    message = f"There is nothing called {shown(root)} here; there is {listed}."
    return _unknown(scope, path, message, hints.get(root) or did_you_mean(root, scope.names))


def _unknown(scope: Scope, path: tuple[str, ...], message: str, hint: str | None) -> Problem:
    return _problem("UNKNOWN_REFERENCE", scope, path, message, hint)


def _problem(code: str, scope: Scope, path: tuple[str, ...], message: str, hint: str | None) -> Problem:
    return Problem(code, message, node_key=scope.node.key if scope.node else None, path=path, hint=hint)
