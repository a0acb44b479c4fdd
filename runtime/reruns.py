"""Runs made from earlier ones: reruns, and trials of single nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.errors import Conflict, Forbidden, GraphHasProblems, InvalidInput, NotFound, OutputExpired
from domain.events import NodeReused
from domain.identity import Permission
from domain.ids import RunId
from domain.json_codec import decode
from domain.ports.new_runs import NewRun
from domain.problems import did_you_mean, shown
from domain.reruns import Origin, Rerun, RerunFrom, check_selection, is_same, open_lists, plan_rerun
from domain.run import TriggerKind
from domain.trials import plan_trial
from runtime.compiled import compile_run
from runtime.input_schema import check_input
from runtime.run_room import UNLIMITED
from runtime.run_starts import as_queued, computed_key, encoded_input, refuse_problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.identity import Principal
    from domain.ids import GraphId, WorkflowId
    from domain.json_value import Json
    from domain.ports.reruns import Reruns, RunRecord
    from domain.ports.runs import RunReader
    from domain.reruns import ItemEnd, Kept
    from domain.run import Run
    from domain.workflow import Definition, Workflow
    from runtime.local import LocalEngine
    from runtime.progress import Progress
    from runtime.registry import Registry
    from runtime.run_room import RunRoom
    from runtime.run_starts import Workflows

_NAMED_KEYS = 10


class RerunGraph(StrEnum):
    """Which graph a rerun uses."""

    SAME = "SAME"
    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"


@dataclass(frozen=True, slots=True)
class RerunRequest:
    """What is asked of a rerun."""

    run_id: RunId
    from_: RerunFrom
    node_keys: Sequence[str] | None = None
    """The selected nodes; with NODES only."""
    given: Json = None
    """Another input; None = the same."""
    graph: RerunGraph = RerunGraph.SAME
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Reran:
    """What a rerun reuses and executes, and the run itself, unless that was only asked."""

    run: Run | None
    reused: tuple[str, ...]
    executed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Pinned:
    """What a run is made of; `version` None for a draft."""

    graph_id: GraphId
    definition: Definition
    version: int | None = None


class RerunService:
    """Makes runs that take over what earlier ones recorded."""

    def __init__(  # noqa: PLR0917 -- the composition root names them all
        self,
        workflows: Workflows,
        reruns: Reruns,
        reader: RunReader,
        registry: Registry,
        engine: LocalEngine,
        progress: Progress,
        room: RunRoom = UNLIMITED,
    ) -> None:
        self._workflows = workflows
        self._reruns = reruns
        self._reader = reader
        self._registry = registry
        self._engine = engine
        self._progress = progress
        self._room = room

    async def rerun(self, actor: Principal, request: RerunRequest) -> Reran:
        """Make a run that reuses what is neither selected, nor changed, nor behind what is; or tell what it would do.

        Raises:
            NotFound: the caller sees no such run, or its workflow or a node kind is gone.
            Forbidden: the caller may see it but start nothing there.
            Conflict: it has not ended.
            GraphHasProblems: the draft has a problem of severity ERROR.
            InvalidInput: nothing is published, the keys do not fit, or the input does not satisfy the graph's schema or cannot be stored.
            LimitExceeded: the input is larger than 1 MiB, or the workspace has too many runs.
            OutputExpired: an output that would be reused is no longer kept.
        """
        before = await self._ended(actor, request.run_id)
        pinned = await self._graph(actor, before, request.graph)
        definition = pinned.definition
        keys = check_selection(request.from_, request.node_keys, definition.graph)
        recorded = await self._input(before)
        given = recorded if request.given is None else encoded_input(request.given)
        check_input(definition.input_schema, decode(given))
        compiled = compile_run(definition, self._registry)
        is_moved = not is_same(decode(recorded), decode(given))
        moved = frozenset(node.key for node in compiled.nodes if is_moved and node.reads_input)
        if request.from_ is RerunFrom.START:
            rerun = Rerun((), tuple(node.key for node in definition.graph.nodes))
        else:
            record = await self._record(before)
            lists = open_lists(definition, record.ends)
            items: Mapping[str, Sequence[ItemEnd]] = await self._reruns.item_ends(before.id, lists) if lists else {}
            origin = Origin(before.id, await self._workflows.definition(before.graph_id), record.ends, items)
            rerun = plan_rerun(origin, definition, request.from_, keys, moved)
            _refuse_expired(rerun.kept, record)
        if request.is_dry_run:
            return Reran(None, rerun.reused, rerun.executed)
        run = _new_run(actor, before, TriggerKind.RERUN, pinned, given)
        # Of the same input the key is the same, also where the start had given it.
        key = None if is_moved else before.concurrency_key
        key = computed_key(definition, decode(given)) if key is None else key
        run = replace(run, concurrency_key=key, turns=definition.settings.concurrency)
        return Reran(await self._add(run, rerun.kept), rerun.reused, rerun.executed)

    async def try_node(self, actor: Principal, workflow_id: WorkflowId, key: str, run_id: RunId | None) -> Run:
        """Run one node of a draft on the input and the outputs that an earlier run recorded.

        Raises:
            NotFound: the caller sees no such workflow, or no such run in its workspace, or none has ended yet.
            Forbidden: the caller may see it but start nothing there.
            Conflict: the run has not ended.
            GraphHasProblems: the node has a problem of severity ERROR.
            InvalidInput: there is no such node, or outputs that it reads are missing.
            OutputExpired: what the run recorded is no longer kept.
        """
        workflow = await self._workflow(actor, workflow_id, ["input", "workflowId"])
        if workflow.workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Trying nodes needs the role EDITOR.")
        _refuse_node(workflow, key)
        before = await self._ended(actor, run_id or await self._latest(workflow))
        # It may be another workflow's, such as the one that this draft was copied from.
        if before.workspace_id != workflow.workspace_id:
            raise NotFound("There is no run with this id in the workflow's workspace.", path=["input", "runId"])
        record = await self._record(before)
        origin = Origin(before.id, workflow.definition, record.ends)
        compiled = compile_run(workflow.definition, self._registry)
        node = compiled.nodes[compiled.plan.index[key]]
        trial = plan_trial(workflow.definition, key, node.reads, origin)
        _refuse_expired(trial.kept, record)
        pinned = _Pinned(await self._reruns.pin(workflow.workspace_id, trial.definition), trial.definition)
        run = _new_run(actor, before, TriggerKind.TRY_NODE, pinned, await self._input(before))
        run = replace(run, workflow_id=workflow.id)
        return await self._add(run, trial.kept)

    async def _ended(self, actor: Principal, run_id: RunId) -> Run:
        path = ["input", "runId"]
        found = await self._reader.find_many(actor.within(Permission.READ), [run_id])
        if not found:
            raise NotFound("There is no run with this id.", path=path)
        if found[0].workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Starting runs needs the role EDITOR.")
        if not found[0].status.is_finished:
            message = f"The run has not ended ({found[0].status.value}); wait for it or cancel it."
            raise Conflict(message, path=path)
        return found[0]

    async def _latest(self, workflow: Workflow) -> RunId:
        latest = await self._reruns.latest(workflow.workspace_id, workflow.id)
        if latest is None:
            message = "No run of this workflow has ended yet whose outputs the node could see; run the workflow first."
            raise NotFound(message, path=["input", "runId"])
        return latest

    async def _workflow(self, actor: Principal, workflow_id: WorkflowId, path: Sequence[str]) -> Workflow:
        workflow = await self._workflows.find(actor.within(Permission.READ), workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=path)
        return workflow

    async def _graph(self, actor: Principal, before: Run, graph: RerunGraph) -> _Pinned:
        if graph is RerunGraph.SAME:
            return _Pinned(before.graph_id, await self._workflows.definition(before.graph_id), before.version)
        workflow = await self._workflow(actor, before.workflow_id, ["input", "runId"])
        if graph is RerunGraph.DRAFT:
            refuse_problems(workflow)
            return _Pinned(workflow.graph_id, workflow.definition)
        if (published := workflow.published) is None:
            message = f"The workflow {workflow.slug} was never published; publish it, or rerun with its draft."
            raise InvalidInput(message, path=["input", "graph"])
        definition = await self._workflows.definition(published.graph_id)
        return _Pinned(published.graph_id, definition, published.number)

    async def _input(self, run: Run) -> bytes:
        payloads = (await self._reader.payloads([run.id])).get(run.id)
        if payloads is None:
            raise NotFound("The run was deleted.", path=["input", "runId"])
        return payloads[0] or b"null"

    async def _record(self, run: Run) -> RunRecord:
        record = await self._reruns.record(run.id)
        if len(record.ends) < run.nodes_done:
            message = "What the nodes of the run did is no longer kept; rerun it from START."
            raise OutputExpired(message, path=["input", "runId"])
        return record

    async def _add(self, run: NewRun, kept: Sequence[Kept]) -> Run:
        await self._room.demand(run.workspace_id)
        await self._reruns.add(run, kept)
        self._engine.look()
        self._progress.woken([run.id])
        return as_queued(run, sum(event.item_index is None for event in kept), len(kept))


def _new_run(actor: Principal, before: Run, trigger: TriggerKind, pinned: _Pinned, given: bytes) -> NewRun:
    return NewRun(
        RunId(uuid7()),
        before.workspace_id,
        before.workflow_id,
        pinned.graph_id,
        len(pinned.definition.graph.nodes),
        trigger,
        actor.user.id,
        given,
        datetime.now(UTC),
        before.priority,
        before.labels,
        rerun_of=before.id,
        version=pinned.version,
        api_key_id=actor.api_key_id,
    )


def _refuse_expired(kept: Sequence[Kept], record: RunRecord) -> None:
    reused = [event for event in kept if isinstance(event, NodeReused) and event.has_output]
    # Items are among what is kept only with their outputs.
    if gone := [one.node_key for one in reused if one.item_index is None and one.node_key not in record.outputs]:
        listed = ", ".join(shown(key) for key in gone[:_NAMED_KEYS])
        message = f"No output of {listed} is kept any more; name those nodes in `nodeKeys` too, or rerun from START."
        raise OutputExpired(message, path=["input", "runId"])


def _refuse_node(workflow: Workflow, key: str) -> None:
    keys = [node.key for node in workflow.definition.graph.nodes]
    if key not in keys:
        hint = did_you_mean(key, keys)
        message = f"The draft has no node {shown(key)}.{f' {hint}' if hint else ''}"
        raise InvalidInput(message, path=["input", "nodeKey"])
    errors = [problem for problem in workflow.problems if problem.is_error and problem.node_key == key]
    if errors:
        raise GraphHasProblems(errors, f"The node {shown(key)} has errors.", path=["input", "nodeKey"])
