"""Templates tried out: what one would give at its place in a draft, on the data of an earlier run. Nothing is done."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from domain.configs import MASK
from domain.errors import NodeFault, NotFound, TemplateFault
from domain.expressions import compile_items, compile_template
from domain.ids import Prefix, to_global
from domain.json_codec import decode, encode
from domain.ports.paging import PageRequest
from domain.problems import Problem
from domain.references import Scope, check_reference
from domain.run import RunQuery, TriggerKind
from domain.template_data import MAX_TEXT_BYTES
from domain.template_syntax import Reference
from domain.validation import surroundings_of
from domain.wiring import ERROR_PORT
from runtime.run_values import error_of, rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.expressions import Template
    from domain.identity import Principal
    from domain.ids import RunId, WorkflowId
    from domain.json_value import Json
    from domain.kinds import NodeKind
    from domain.run import Run
    from domain.workflow import GraphNode, Workflow
    from runtime.drafts import HasNames
    from runtime.runs import RunService
    from runtime.workflows import WorkflowService

MAX_REFERENCES: Final = 100
_MAX_RENDERINGS: Final = 2
_MAX_READ: Final = 32
_ITEM_NAMES: Final = frozenset({"item", "index"})

_WHOLE: Final = RunQuery(triggers=tuple(kind for kind in TriggerKind if kind is not TriggerKind.TRY_NODE))
"""A trial has one node's output only."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a template gives: a value, or why it gives none; and what it reads."""

    value: Json = None
    problem: Problem | None = None
    references: tuple[str, ...] = field(default=())


class PreviewService:
    """Tries templates on behalf of a caller; reads what runs recorded, and changes nothing."""

    def __init__(
        self, workflows: WorkflowService, runs: RunService, secrets: HasNames, kinds: Mapping[str, NodeKind]
    ) -> None:
        self._workflows = workflows
        self._runs = runs
        self._secrets = secrets
        self._kinds = kinds
        # One may take half a second of a core and parse megabytes of outputs: a few at once are enough.
        self._renderings = asyncio.Semaphore(_MAX_RENDERINGS)

    async def preview(
        self, actor: Principal, workflow_id: WorkflowId, node_key: str, source: str, run_id: RunId | None
    ) -> Preview:
        """Return what a template would give in a node of a draft, on the data of a run; None = the latest.

        The value of a secret is never read: where a template names one, it gets `•••`.

        Raises:
            NotFound: the caller sees no such workflow, node of it, or run in its workspace.
        """
        workflow = await self._workflows.find(actor, workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", "workflowId"])
        node = next((one for one in workflow.definition.graph.nodes if one.key == node_key), None)
        if node is None:
            raise NotFound(f"The draft has no node {node_key[:80]!r}.", path=["input", "nodeKey"])
        run = await self._run(actor, workflow, run_id)
        try:
            template = compile_template(source)
        except TemplateFault as fault:
            return Preview(problem=_problem("TEMPLATE_SYNTAX", node, fault))
        references = tuple(sorted(map(".".join, template.references)))[:MAX_REFERENCES]
        problem = await self._misread(workflow, node, template)
        if problem is None and run is None and template.references:
            message = "There is no run yet whose data it could be tried on."
            problem = Problem("NO_RUN", message, node_key=node.key, hint="Start one, then try again.")
        if problem is not None:
            return Preview(problem=problem, references=references)
        tried = _Trial(self._runs, workflow, node, template, run)
        async with self._renderings:
            value, problem = await tried.outcome()
        return Preview(value, problem, references)

    async def _run(self, actor: Principal, workflow: Workflow, run_id: RunId | None) -> Run | None:
        if run_id is None:
            newest = await self._runs.page_by_workflow([workflow.id], _WHOLE, PageRequest(limit=1))
            return next(iter(newest[workflow.id].items), None)
        # It may be another workflow's, such as the one that this draft was copied from.
        run = await self._runs.find(actor, run_id)
        if run is None or run.workspace_id != workflow.workspace_id:
            raise NotFound("There is no run with this id in the workflow's workspace.", path=["input", "runId"])
        return run

    async def _misread(self, workflow: Workflow, node: GraphNode, template: Template) -> Problem | None:
        """Find a name that will not be there when the node runs."""
        definition = workflow.definition
        around = surroundings_of(definition, self._kinds, await self._secrets.names(workflow.workspace_id))
        has_error = any(edge.target == node.key and edge.source_port == ERROR_PORT for edge in definition.graph.edges)
        scope = Scope(node, has_secrets=True, has_item=node.for_each is not None, has_error=has_error)
        found = (check_reference(one, scope, around, ()) for one in sorted(template.references))
        return next((problem for problem in found if problem is not None), None)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One template on the data of one run; without a run, a template that reads nothing."""

    runs: RunService
    workflow: Workflow
    node: GraphNode
    template: Template
    run: Run | None

    async def outcome(self) -> tuple[Json, Problem | None]:
        """Return the value, or what is wrong."""
        try:
            items = self._items()
            scope = await self._scope(items)
            return await asyncio.to_thread(self._rendered, scope, items), None
        except TemplateFault as fault:
            return None, _problem("TEMPLATE_ERROR", self.node, fault)

    def _items(self) -> Template | None:
        """Return what gives the list of a `forEach`, if the template reads an item of it."""
        if self.node.for_each is None or not any(one[0] in _ITEM_NAMES for one in self.template.references):
            return None
        return compile_items(self.node.for_each.items)

    async def _scope(self, items: Template | None) -> dict[str, Json | bytes]:
        references = self.template.references | (items.references if items else frozenset[Reference]())
        if self.run is None:
            return {}
        keys = sorted({one[1] for one in references if one[0] == "nodes" and len(one) > 1})
        if len(keys) > _MAX_READ:  # each output may have 4 MiB, and whoever may only read may ask
            raise TemplateFault(
                f"A preview reads the outputs of {_MAX_READ} nodes at most; this one names {len(keys)}."
            )
        places = [(self.run.id, key, None) for key in keys]
        payloads = await self.runs.node_payloads(places, is_bounded=False)
        given = (await self.runs.payloads([self.run.id])).get(self.run.id, (None, None))[0]
        outputs = {key: found.output for (_, key, _), found in payloads.items() if found.output is not None}
        started_at = rfc3339(self.run.started_at or self.run.created_at)
        scope: dict[str, Json | bytes] = {
            "input": given or b"null",
            "nodes": cast("Json", outputs),
            "run": {"id": to_global(Prefix.RUN, self.run.id), "startedAt": started_at},
            "secrets": {one[1]: MASK for one in references if one[0] == "secrets" and len(one) > 1},
        }
        if any(one[0] == "error" for one in references):
            scope["error"] = await self._error(self.run)
        return scope

    async def _error(self, run: Run) -> Json:
        """Return the failure that led here.

        Raises:
            TemplateFault: in this run none did.
        """
        edges = self.workflow.definition.graph.edges
        leading = [edge for edge in edges if edge.target == self.node.key and edge.source_port == ERROR_PORT]
        places = [(run.id, edge.source, None) for edge in leading]
        found = await self.runs.find_node_runs(places)
        for place in places:
            if (node_run := found.get(place)) is not None and (failure := node_run.failure) is not None:
                return error_of(failure)
        raise TemplateFault("In this run no failure led here, so there is no `error`.")

    def _rendered(self, stored: Mapping[str, Json | bytes], items: Template | None) -> Json:
        """Parse what was stored and render; in a thread, since both may take a while."""
        scope = {name: decode(value) if isinstance(value, bytes) else value for name, value in stored.items()}
        nodes = cast("Mapping[str, bytes]", scope.get("nodes", {}))
        scope["nodes"] = {key: {"output": decode(output)} for key, output in nodes.items()}
        if items is not None:
            scope |= {"item": _first(items.render(scope)), "index": 0}
        value = self.template.render(scope)
        try:
            encode(value, max_bytes=MAX_TEXT_BYTES)
        except NodeFault as fault:
            raise TemplateFault(f"The value cannot be shown. {fault.message}") from fault
        return value


def _first(found: Json) -> Json:
    """Return the first item of a list.

    Raises:
        TemplateFault: it is none, or has no items.
    """
    if not isinstance(found, list | tuple):
        raise TemplateFault("The `items` of `forEach` give no list.")
    listed = cast("Sequence[Json]", found)
    if not listed:
        raise TemplateFault("In this run the list of `forEach` is empty, so there is no `item`.")
    return listed[0]


def _problem(code: str, node: GraphNode, fault: TemplateFault) -> Problem:
    line = "" if fault.line in {None, 1} else f" (line {fault.line})"
    return Problem(code, f"{fault.message.rstrip('.')}{line}.", node_key=node.key)
