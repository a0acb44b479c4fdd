"""Workflows as nodes call them: by slug and version, with an input that is checked before anything is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.concurrency import concurrency_key
from domain.errors import InvalidInput, LimitExceeded, NodeFault, TemplateFault
from domain.json_codec import encode_as
from domain.suspensions import SubRunCall
from domain.versions import VersionTrack
from runtime.input_schema import check_input
from runtime.run_room import UNLIMITED
from runtime.run_starts import MAX_INPUT_BYTES

if TYPE_CHECKING:
    from domain.ids import GraphId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.versions import Versions
    from domain.workflow import Workflow
    from runtime.drafts import Drafts
    from runtime.run_room import RunRoom


class SubWorkflows:
    """Finds what a node calls."""

    def __init__(self, drafts: Drafts, versions: Versions, room: RunRoom = UNLIMITED) -> None:
        self._drafts = drafts
        self._versions = versions
        self._room = room

    async def call(self, workspace_id: WorkspaceId, slug: str, which: int | VersionTrack, given: Json) -> SubRunCall:
        """Return the call of a workflow of the workspace.

        Raises:
            NodeFault: `WORKFLOW_NOT_FOUND`, `WORKFLOW_NOT_RUNNABLE`, `INVALID_SUB_INPUT`, `TOO_MANY_RUNS`.
        """
        workflow = await self._drafts.find_by_slug(workspace_id, slug)
        if workflow is None:
            raise NodeFault("WORKFLOW_NOT_FOUND", f"There is no workflow {slug!r} in the workspace.")
        number, graph_id = await self._pinned(workflow, which)
        definition = await self._drafts.definition(graph_id)
        try:
            check_input(definition.input_schema, given)
        except InvalidInput as fault:
            place = "/".join(fault.path[2:]) if fault.path else ""
            raise NodeFault("INVALID_SUB_INPUT", f"subInput{f'/{place}' if place else ''}: {fault.message}") from fault
        encoded = encode_as("subInput", "INVALID_SUB_INPUT", given, max_bytes=MAX_INPUT_BYTES)
        policy = definition.settings.concurrency
        try:
            key = None if policy is None else concurrency_key(policy, given)
        except TemplateFault as fault:
            message = f"subInput gives no key for the `concurrency` of {slug!r}: {fault.message}"
            raise NodeFault("INVALID_SUB_INPUT", message) from fault
        try:
            await self._room.demand(workspace_id)
        except LimitExceeded as fault:
            raise NodeFault("TOO_MANY_RUNS", fault.message, is_retryable=True) from fault
        return SubRunCall(workflow.id, graph_id, number, len(definition.graph.nodes), encoded, key, policy)

    async def _pinned(self, workflow: Workflow, which: int | VersionTrack) -> tuple[int | None, GraphId]:
        if which is VersionTrack.DRAFT:
            if not workflow.is_runnable:
                message = f"The draft of the workflow {workflow.slug!r} has errors and cannot be run."
                raise NodeFault("WORKFLOW_NOT_RUNNABLE", message)
            return None, workflow.graph_id
        if which is VersionTrack.PUBLISHED:
            if workflow.published is None:
                message = f"The workflow {workflow.slug!r} was never published; publish it, or call its draft."
                raise NodeFault("WORKFLOW_NOT_FOUND", message)
            return workflow.published.number, workflow.published.graph_id
        found = await self._versions.list_by_number(frozenset({workflow.workspace_id}), [(workflow.id, int(which))])
        if not found:
            raise NodeFault("WORKFLOW_NOT_FOUND", f"The workflow {workflow.slug!r} has no version {which}.")
        return found[0].number, found[0].graph_id
