"""Starting runs: what is run, under which keys, and what a repeated call gives."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from uuid_utils.compat import uuid7

from domain.concurrency import MAX_KEY, concurrency_key
from domain.errors import (
    Conflict,
    Forbidden,
    GraphHasProblems,
    InvalidInput,
    KeyTaken,
    LimitExceeded,
    NodeFault,
    NotFound,
    TemplateFault,
)
from domain.identity import Permission
from domain.ids import Prefix, RunId, to_global
from domain.json_codec import decode, encode_as
from domain.ports.new_runs import NewRun
from domain.problems import shown
from domain.run import Run, RunStatus, TriggerKind
from domain.texts import check_text
from runtime.input_schema import settled_input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.identity import Principal
    from domain.ids import GraphId, WorkflowId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.new_runs import KeyHolder
    from domain.ports.runs import RunQueue, RunReader
    from domain.workflow import Definition, Workflow
    from runtime.local import LocalEngine
    from runtime.progress import Progress
    from runtime.run_room import RunRoom

MAX_INPUT_BYTES: Final = 1_048_576
MAX_LABELS: Final = 50
MAX_LABEL: Final = 256
FIRST_PRIORITY: Final = 1
LAST_PRIORITY: Final = 5
_KEY_PATH: Final = ("input", "idempotencyKey")
_TRIES: Final = 100
"""Each time, another call took the key over in between."""


class RunConflictPolicy(StrEnum):
    """What a second call with the same idempotency key does."""

    USE_EXISTING = "USE_EXISTING"
    FAIL = "FAIL"
    CANCEL_EXISTING = "CANCEL_EXISTING"


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What is asked of a start."""

    workflow_id: WorkflowId
    given: Json = None
    is_draft: bool = False
    """Whether the draft is run though a version is published."""
    idempotency_key: str | None = None
    on_conflict: RunConflictPolicy = RunConflictPolicy.USE_EXISTING
    priority: int = 3
    concurrency_key: str | None = None
    """Instead of the key that the workflow computes."""
    labels: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The run that a start gives."""

    run: Run
    is_existing: bool = False
    """Whether an earlier call with the same key had started it."""


class Workflows(Protocol):
    """What starting a run reads of workflows."""

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> Workflow | None:
        """Return a workflow; None where there is none in these workspaces."""
        ...

    async def definition(self, graph_id: GraphId) -> Definition:
        """Return a stored definition."""
        ...

    async def definitions(self, graph_ids: Sequence[GraphId]) -> Mapping[GraphId, Definition]:
        """Return stored definitions."""
        ...


class RunStarter:
    """Starts runs on behalf of a caller."""

    def __init__(  # noqa: PLR0917 -- made by `RunService` alone
        self,
        workflows: Workflows,
        queue: RunQueue,
        reader: RunReader,
        engine: LocalEngine,
        progress: Progress,
        room: RunRoom,
    ) -> None:
        self._workflows = workflows
        self._queue = queue
        self._reader = reader
        self._engine = engine
        self._progress = progress
        self._room = room

    async def start(self, actor: Principal, request: StartRequest) -> Started:
        """Start a run of a workflow's published version, or of its draft where that is asked for or nothing is published.

        Raises:
            NotFound: the caller sees no such workflow.
            Forbidden: the caller may see it but start nothing there.
            GraphHasProblems: it is the draft, and that has a problem of severity ERROR.
            InvalidInput: the input does not satisfy the schema of what is run or gives no concurrency key, or it, a key, a
                label or the priority is not acceptable.
            LimitExceeded: the input is larger than 1 MiB, there are more than 50 labels, or the workspace has too many runs.
            Conflict: the idempotency key stands for a run of another workflow or input, or for any run with FAIL.
        """
        workflow = await self._workflow(actor, request.workflow_id)
        _check(request)
        encoded = encoded_input(request.given)
        if request.idempotency_key is None:
            return await self._begin(await self._new_run(actor, workflow, request, encoded))
        return await self._begin_once(actor, workflow, request, request.idempotency_key, encoded)

    async def _workflow(self, actor: Principal, workflow_id: WorkflowId) -> Workflow:
        workflow = await self._workflows.find(actor.within(Permission.READ), workflow_id)
        if workflow is None:
            raise NotFound("There is no workflow with this id.", path=["input", "workflowId"])
        if workflow.workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Starting runs needs the role EDITOR.")
        return workflow

    async def _new_run(self, actor: Principal, workflow: Workflow, request: StartRequest, encoded: bytes) -> NewRun:
        published = None if request.is_draft else workflow.published
        if published is None:
            refuse_problems(workflow)
        definition = workflow.definition if published is None else await self._workflows.definition(published.graph_id)
        given = settled_input(definition.input_schema, request.given)
        key = request.concurrency_key
        return NewRun(
            RunId(uuid7()),
            workflow.workspace_id,
            workflow.id,
            workflow.graph_id if published is None else published.graph_id,
            len(definition.graph.nodes),
            TriggerKind.MANUAL if actor.api_key_id is None else TriggerKind.API_KEY,
            actor.user.id,
            encoded if given is request.given else encoded_input(given),
            datetime.now(UTC),
            request.priority,
            tuple(request.labels),
            computed_key(definition, given) if key is None else key,
            definition.settings.concurrency,
            version=None if published is None else published.number,
            api_key_id=actor.api_key_id,
        )

    async def _begin(self, run: NewRun) -> Started:
        await self._room.demand(run.workspace_id)
        await self._engine.start(run)
        self._progress.woken([run.id])
        return Started(as_queued(run))

    async def _begin_once(
        self, actor: Principal, workflow: Workflow, request: StartRequest, key: str, encoded: bytes
    ) -> Started:
        """Start a run unless its key stands for one already; others may take the key over or give it up at any time."""
        request_hash = _request_hash(workflow.id, encoded)
        for _ in range(_TRIES):
            holder = await self._queue.find_key(workflow.workspace_id, key)
            if holder is not None:
                _refuse_conflict(request, holder, request_hash)
                if request.on_conflict is not RunConflictPolicy.CANCEL_EXISTING:
                    found = await self._reader.find_many(frozenset({workflow.workspace_id}), [holder.run_id])
                    if found:
                        return Started(found[0], is_existing=True)
                    continue  # deleted meanwhile
            run = await self._new_run(actor, workflow, request, encoded)
            replaces = None if holder is None else holder.run_id
            try:
                return await self._begin(
                    replace(run, idempotency_key=key, request_hash=request_hash, replaces=replaces)
                )
            except KeyTaken:
                continue
        raise Conflict(f"Too many calls use the key {shown(key)} at once; try again.", path=_KEY_PATH)


def as_queued(run: NewRun, kept_count: int = 0, logged_count: int = 0) -> Run:
    """Return a run as it is right after its insertion: so many nodes are settled by then, by so many events."""
    return Run(
        run.id,
        run.workspace_id,
        run.workflow_id,
        run.graph_id,
        RunStatus.QUEUED,
        1 + logged_count,
        run.node_count,
        kept_count,
        run.trigger,
        run.triggered_by,
        run.priority,
        run.labels,
        run.created_at,
        idempotency_key=run.idempotency_key,
        concurrency_key=run.concurrency_key or None,
        rerun_of=run.rerun_of,
        version=run.version,
        api_key_id=run.api_key_id,
        webhook_id=None if run.delivery is None else run.delivery.webhook_id,
    )


def refuse_problems(workflow: Workflow) -> None:
    """Refuse a draft that cannot be run.

    Raises:
        GraphHasProblems: it has a problem of severity ERROR.
    """
    if not workflow.is_runnable:
        errors = [problem for problem in workflow.problems if problem.is_error]
        raise GraphHasProblems(errors, "The draft has errors and cannot be run.", path=["input", "workflowId"])


def encoded_input(given: Json) -> bytes:
    """Return a run's input as it is stored.

    Raises:
        InvalidInput: it cannot be stored.
        LimitExceeded: it is larger than 1 MiB.
    """
    try:
        encoded = encode_as("input", "INVALID_INPUT", given, max_bytes=sys.maxsize)
    except NodeFault as fault:
        raise InvalidInput(fault.message, path=["input", "input"]) from fault
    if len(encoded) > MAX_INPUT_BYTES:
        message = f"An input has at most {MAX_INPUT_BYTES} bytes of JSON."
        raise LimitExceeded(message, limit=MAX_INPUT_BYTES, actual=len(encoded), path=["input", "input"])
    return encoded


def computed_key(definition: Definition, given: Json) -> str | None:
    """Return the concurrency key that a workflow computes from an input; None if its runs need no turn.

    Raises:
        InvalidInput: it cannot be computed from this input.
    """
    policy = definition.settings.concurrency
    if policy is None:
        return None
    try:
        return concurrency_key(policy, given)
    except TemplateFault as fault:
        message = f"The input gives no key for `settings.concurrency.key`, {shown(policy.key or '')}: {fault.message}"
        raise InvalidInput(message, path=["input", "input"]) from fault


def _check(request: StartRequest) -> None:
    if not FIRST_PRIORITY <= request.priority <= LAST_PRIORITY:
        message = f"A priority is {FIRST_PRIORITY} (first) to {LAST_PRIORITY} (last); this is {request.priority}."
        raise InvalidInput(message, path=["input", "priority"])
    for name, key in (("idempotencyKey", request.idempotency_key), ("concurrencyKey", request.concurrency_key)):
        if key is not None:
            check_text(key, ["input", name], limit=MAX_KEY)
            if not key:
                raise InvalidInput("A key is not empty; leave it out where none is meant.", path=["input", name])
    _check_labels(request.labels)


def _check_labels(labels: Sequence[tuple[str, str]]) -> None:
    path = ["input", "labels"]
    if len(labels) > MAX_LABELS:
        message = f"A run has at most {MAX_LABELS} labels."
        raise LimitExceeded(message, limit=MAX_LABELS, actual=len(labels), path=path)
    names = set[str]()
    for place, (name, value) in enumerate(labels):
        check_text(name, [*path, str(place), "name"], limit=MAX_LABEL)
        check_text(value, [*path, str(place), "value"], limit=MAX_LABEL)
        if not name:
            raise InvalidInput("A label has a name.", path=[*path, str(place), "name"])
        if name in names:
            raise InvalidInput(f"The label {shown(name)} is given twice.", path=[*path, str(place), "name"])
        names.add(name)


def _request_hash(workflow_id: WorkflowId, encoded: bytes) -> bytes:
    """Return what two calls have in common that ask for the same: the order of an object's fields means nothing."""
    return sha256(workflow_id.bytes + orjson.dumps(decode(encoded), option=orjson.OPT_SORT_KEYS)).digest()


def _refuse_conflict(request: StartRequest, holder: KeyHolder, request_hash: bytes) -> None:
    told = f"The key {shown(request.idempotency_key or '')} stands for the run {to_global(Prefix.RUN, holder.run_id)}"
    if holder.request_hash != request_hash:
        raise Conflict(f"{told}, of another workflow or input; use another key.", path=_KEY_PATH)
    if request.on_conflict is RunConflictPolicy.FAIL:
        raise Conflict(f"{told} already.", path=_KEY_PATH)
