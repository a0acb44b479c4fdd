"""What the nodes of a workflow name in its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.configs import compile_config
from domain.uses import Use, UseKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.kinds import NodeKind
    from domain.workflow import Definition, GraphNode

# Longer than the name of anything that can exist, and short enough for an index.
_MAX_NAME: Final = 200
_KINDS: Final = frozenset(kind.value for kind in UseKind)


def uses_of(definition: Definition, kinds: Mapping[str, NodeKind]) -> list[Use]:
    """Return what the nodes of a definition use, in a stable order, each once.

    Args:
        definition: the workflow; of nodes whose kind is not there nothing is known.
        kinds: the kinds that are there, by their names in `NodeConfigInput`.
    """
    return sorted({use for node in definition.graph.nodes for use in _uses(node, kinds)})


def _uses(node: GraphNode, kinds: Mapping[str, NodeKind]) -> set[Use]:
    kind = kinds.get(node.kind)
    if kind is None:
        return set()
    config = compile_config(kind, node.values)
    named = {(one.to, one.name) for one in config.named_objects} | {("secret", name) for name in config.secret_names}
    return {Use(UseKind(to), name, node.key) for to, name in named if to in _KINDS and len(name) <= _MAX_NAME}
