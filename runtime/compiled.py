"""A definition compiled for this process: the plan, every node's configuration, the output mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from domain.errors import NodeFault, NotFound, TemplateFault
from domain.expressions import CompiledValue, compile_value
from domain.json_codec import encode
from domain.plan import Plan, compile_plan
from runtime.execute import ExecutableNode, executable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.json_value import Json
    from domain.workflow import Definition
    from runtime.registry import Registry


@dataclass(frozen=True, slots=True)
class CompiledRun:
    """All that is equal in every run of one graph."""

    plan: Plan
    nodes: tuple[ExecutableNode, ...]
    output: tuple[tuple[str, CompiledValue], ...]
    kept: frozenset[str]
    """Keys of the nodes whose outputs somebody reads: the others' are not kept in memory."""
    lists: frozenset[str]
    """Keys of the nodes with `forEach`: the outputs of their items are kept until they end."""

    def run_output(self, scope: Mapping[str, Json]) -> bytes:
        """Return the run's output: the mapping's fields, or the outputs of the leaves by key.

        Raises:
            NodeFault: a template cannot be rendered, or the output cannot be stored.
        """
        nodes = cast("Mapping[str, Mapping[str, Json]]", scope["nodes"])
        if not self.output:
            leaves = (self.plan.nodes[index].key for index in self.plan.leaves)
            return encode({key: nodes[key]["output"] for key in leaves if key in nodes})
        try:
            return encode({name: value.render(scope) for name, value in self.output})
        except TemplateFault as fault:
            raise NodeFault("OUTPUT_FAILED", f"The run's output cannot be rendered: {fault.message}") from fault


def compile_run(definition: Definition, registry: Registry) -> CompiledRun:
    """Compile a definition that has no problem of severity ERROR.

    Raises:
        NotFound: a kind that is not installed.
    """
    plan = compile_plan(definition)
    nodes: list[ExecutableNode] = []
    for plan_node in plan.nodes:
        kind = registry.by_name(plan_node.node.kind)
        if kind is None:
            raise NotFound(f"The node kind {plan_node.node.kind!r} is not installed.")
        nodes.append(executable(plan_node, kind))
    output = tuple((field.name, compile_value(field.value)) for field in definition.output)
    read = {key for node in nodes for key in node.reads}
    read.update(parts[1] for _, value in output for parts in value.references if parts[0] == "nodes" and len(parts) > 1)
    if not output:
        read.update(plan.nodes[index].key for index in plan.leaves)
    lists = frozenset(node.key for node in nodes if node.items is not None)
    return CompiledRun(plan, tuple(nodes), output, frozenset(read), lists)
