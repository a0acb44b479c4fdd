"""What is wrong with a workflow, found without running it: `check(definition, kinds, names)`.

Structural problems keep a graph from being saved, other errors from being run, warnings from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from domain.calls import check_calls
from domain.configs import CompiledConfig, compile_config
from domain.errors import TemplateFault
from domain.expressions import compile_expression, compile_items, compile_template, compile_value, why_no_list
from domain.named_objects import unknown_name
from domain.problems import MAX_STEPS, UNKNOWN_KIND, Problem, did_you_mean, shown, worst_first
from domain.references import ANY_NAMES, Scope, Surroundings, WorkspaceNames, check_reference, input_names
from domain.wiring import (
    ERROR_PORT,
    ancestors,
    check_edges,
    check_keys,
    cycle_problem,
    find_cycle,
    in_order,
    with_error_port,
)
from domain.workflow import MAX_EDGES, MAX_NODES, Definition, ErrorMode, Graph, GraphNode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.expressions import CompiledValue
    from domain.kinds import NodeKind

__all__ = ["ANY_NAMES", "Problem", "WorkspaceNames", "check", "ports_of", "surroundings_of"]

_STRUCTURAL: Final = frozenset({"TEMPLATE_SYNTAX", "INVALID_CONFIG", "UNKNOWN_CONFIG_FIELD"})


def check(definition: Definition, kinds: Mapping[str, NodeKind], names: WorkspaceNames) -> list[Problem]:
    """Return the problems of a workflow, worst first, at most 1,000.

    Args:
        definition: the workflow; its nodes' configurations may be anything.
        kinds: the kinds that are there, by their names in `NodeConfigInput`.
        names: what exists in the workspace; `ANY_NAMES` where that is not known.
    """
    graph = definition.graph
    for what, count, limit in (("nodes", len(graph.nodes), MAX_NODES), ("edges", len(graph.edges), MAX_EDGES)):
        if count > limit:
            # Nothing else is looked at: whoever sends ten thousand nodes gets one answer, at once.
            message = f"A graph has at most {limit:,} {what}; this one has {count:,}."
            return [Problem(f"TOO_MANY_{what.upper()}", message, is_structural=True)]
    checker = _Checker(definition, kinds, names)
    checker.check()
    return worst_first(checker.problems)


def ports_of(node: GraphNode, kind: NodeKind | None) -> tuple[str, ...]:
    """Return the ports that edges can leave a node from, in order; `out` alone for a kind that is not there."""
    ports = _ports(node, kind)
    return with_error_port(node, ("out",)) if ports is None else ports


def surroundings_of(
    definition: Definition, kinds: Mapping[str, NodeKind], secrets: frozenset[str] | None
) -> Surroundings:
    """Return all that templates of a workflow may name; of nodes with the same key, the first counts."""
    nodes: dict[str, GraphNode] = {}
    for node in definition.graph.nodes:
        nodes.setdefault(node.key, node)
    order = in_order(list(nodes), definition.graph.edges)
    return Surroundings(
        nodes=nodes,
        kinds=kinds,
        bits={key: 1 << place for place, key in enumerate(order)},
        above=ancestors(order, definition.graph.edges),
        secrets=secrets,
        input_names=input_names(definition.input_schema),
    )


def _ports(node: GraphNode, kind: NodeKind | None) -> tuple[str, ...] | None:
    """Return the ports of a node; None where its kind, or a configuration that makes ports, is not sound."""
    if kind is None:
        return None
    if node.for_each is not None:  # each item may take another way, but the node ends once, with a list
        return with_error_port(node, ("out",))
    if kind.ports_of is None:
        return with_error_port(node, kind.ports)
    try:
        config = kind.config.model_validate(node.values)
    except ValidationError:
        return None
    return with_error_port(node, (*kind.ports_of(config), *kind.ports))


@dataclass(slots=True)
class _Checker:
    definition: Definition
    kinds: Mapping[str, NodeKind]
    names: WorkspaceNames
    problems: list[Problem] = field(default_factory=list[Problem])
    behind_error: set[str] = field(default_factory=set[str])
    """Nodes to which an edge leads from a port `error`."""
    before_error: set[str] = field(default_factory=set[str])
    """Nodes that such an edge leaves."""

    @property
    def graph(self) -> Graph:
        return self.definition.graph

    def check(self) -> None:
        self.problems.extend(check_keys(self.graph.nodes))
        nodes: dict[str, GraphNode] = {}
        for node in self.graph.nodes:
            nodes.setdefault(node.key, node)
        configs = {key: self._compile(node) for key, node in nodes.items()}
        ports = {key: _ports(node, self.kinds.get(node.kind)) for key, node in nodes.items()}
        lists = {key for key, node in nodes.items() if node.for_each is not None}
        self.problems.extend(check_edges(self.graph.edges, ports, lists))
        keys = list(nodes)
        if (cycle := find_cycle(keys, self.graph.edges)) is not None:
            self.problems.append(cycle_problem(cycle))
        order = in_order(keys, self.graph.edges)
        around = surroundings_of(self.definition, self.kinds, self.names.secrets)
        by_error = [edge for edge in self.graph.edges if edge.source_port == ERROR_PORT]
        self.behind_error = {edge.target for edge in by_error}
        self.before_error = {edge.source for edge in by_error}
        never: set[str] = set()
        for key in keys:
            self._check_config(nodes[key], configs[key], around)
            if self._check_policies(nodes[key], around):
                never.add(key)
        self._check_reach(order, never)
        in_turn = [nodes[key] for key in order]
        self.problems.extend(check_calls(in_turn, self.graph.edges, configs, self.kinds, self.names))
        self._check_workflow(around)

    def _compile(self, node: GraphNode) -> CompiledConfig | None:
        kind = self.kinds.get(node.kind)
        if kind is None:
            known = ", ".join(shown(name) for name in self.kinds)
            self._structural(
                UNKNOWN_KIND,
                f"There is no node kind {shown(node.kind)}.",
                node,
                ("config", node.kind),
                did_you_mean(node.kind, self.kinds) or f"The kinds are {known}.",
            )
            return None
        config = compile_config(kind, node.values)
        for problem in config.problems:
            hint = _field_hint(kind, problem.path) if problem.code == "UNKNOWN_CONFIG_FIELD" else None
            path = ("config", node.kind, *problem.path)[:MAX_STEPS]
            is_structural = problem.code in _STRUCTURAL
            self.problems.append(
                Problem(
                    problem.code, problem.message, node_key=node.key, path=path, hint=hint, is_structural=is_structural
                )
            )
        return config

    def _check_config(self, node: GraphNode, config: CompiledConfig | None, around: Surroundings) -> None:
        if config is None:
            return
        scope = Scope(
            node, has_secrets=True, has_item=node.for_each is not None, has_error=node.key in self.behind_error
        )
        above = ("config", node.kind)
        for use in config.uses:
            self._check_reference(use.reference, scope, around, (*above, *use.path))
        for named in config.named_objects:
            if (found := unknown_name(named, config.named_objects, self.names)) is not None:
                code, message, hint = found
                self.problems.append(
                    Problem(code, message, node_key=node.key, path=(*above, *named.path)[:MAX_STEPS], hint=hint)
                )

    def _check_policies(self, node: GraphNode, around: Surroundings) -> bool:
        """Check what stands beside the configuration; tell whether the node can never run."""
        scope = Scope(node, has_error=node.key in self.behind_error)
        is_never = False
        if node.when is not None:
            condition = self._template(compile_expression, node.when, scope, around, ("when",))
            is_never = condition is not None and _is_false(condition)
        if node.for_each is not None:
            self._check_items(node, node.for_each.items, scope, around)
        if node.on_error.mode is ErrorMode.BRANCH and node.key not in self.before_error:
            message = f"No edge leaves {shown(node.key)} from its port `error`: a failure would end silently here."
            hint = f"Add an edge such as {shown(f'{node.key}.error -> …')}, or let it STOP or CONTINUE."
            self._warn("UNUSED_ERROR_PORT", message, node, ("onError", "mode"), hint)
        return is_never

    def _check_items(self, node: GraphNode, source: str, scope: Scope, around: Surroundings) -> None:
        path = ("forEach", "items")
        items = self._template(compile_items, source, scope, around, path)
        if items is not None and (told := why_no_list(items)) is not None:
            hint = f"Write one expression that gives a list, such as {shown('input.places')}, with nothing beside it."
            self.problems.append(Problem("INVALID_ITEMS", told, node_key=node.key, path=path, hint=hint))

    def _check_reach(self, order: list[str], never: set[str]) -> None:
        """Warn of nodes to which every way leads through a node that never runs."""
        incoming: dict[str, list[str]] = {key: [] for key in order}
        for edge in self.graph.edges:
            if edge.source in incoming and edge.target in incoming:
                incoming[edge.target].append(edge.source)
        unreached = set(never)
        nodes = {node.key: node for node in self.graph.nodes}
        for key in order:
            if incoming[key] and unreached.issuperset(incoming[key]):
                unreached.add(key)
            if key in unreached:
                why = "its `when` is always false" if key in never else "no way that is ever taken leads to it"
                self._warn("UNREACHABLE_NODE", f"The node {shown(key)} never runs: {why}.", nodes[key], (), None)

    def _check_workflow(self, around: Surroundings) -> None:
        for output in self.definition.output:
            self._template(compile_value, output.value, Scope(None), around, ("output", output.name))
        settings = self.definition.settings
        if settings.concurrency is not None and settings.concurrency.key is not None:
            scope = Scope(None, has_nodes=False)
            self._template(
                compile_template, settings.concurrency.key, scope, around, ("settings", "concurrency", "key")
            )

    def _template(
        self,
        compile_: Callable[[Any], CompiledValue],
        source: Any,
        scope: Scope,
        around: Surroundings,
        path: tuple[str, ...],
    ) -> CompiledValue | None:
        try:
            template = compile_(source)
        except TemplateFault as fault:
            hint = "Write the expression alone, without `{{ }}`." if path == ("when",) and "{{" in source else None
            self._structural("TEMPLATE_SYNTAX", fault.message, scope.node, path, hint)
            return None
        for reference in sorted(template.references):
            self._check_reference(reference, scope, around, path)
        return template

    def _check_reference(
        self, reference: tuple[str, ...], scope: Scope, around: Surroundings, path: tuple[str, ...]
    ) -> None:
        if (problem := check_reference(reference, scope, around, path[:MAX_STEPS])) is not None:
            self.problems.append(problem)

    def _structural(
        self, code: str, message: str, node: GraphNode | None, path: tuple[str, ...], hint: str | None
    ) -> None:
        key = None if node is None else node.key
        self.problems.append(Problem(code, message, node_key=key, path=path, hint=hint, is_structural=True))

    def _warn(self, code: str, message: str, node: GraphNode, path: tuple[str, ...], hint: str | None) -> None:
        self.problems.append(Problem(code, message, is_error=False, node_key=node.key, path=path, hint=hint))


def _is_false(condition: CompiledValue) -> bool:
    if condition.references:
        return False
    try:
        return condition.render({}) is False
    except TemplateFault:
        return False


def _field_hint(kind: NodeKind, path: tuple[str, ...]) -> str | None:
    """Name the field that was probably meant."""
    known = {
        info.alias or name
        for model in (kind.config, *kind.nested)
        for name, info in model.model_fields.items()
        if len(path) > 1 or model is kind.config
    }
    return did_you_mean("".join(path[-1:]), known)
