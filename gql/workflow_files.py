"""Workflow files over the API: `importWorkflow`; `Workflow.document` is what it takes back."""

from __future__ import annotations

from typing import Annotated

import strawberry

from domain.identity import Permission
from domain.imports import ImportMode
from gql.absent import ABSENT, or_none
from gql.context import Info
from gql.enums import expose
from gql.fields import mutation
from gql.ids import workspace_id_of
from gql.payloads import Payload
from gql.workflows import Workflow

expose(
    ImportMode,
    description="Whether an import may change what exists.",
    values={
        ImportMode.CREATE: "Makes a workflow; a taken slug is an error.",
        ImportMode.UPSERT: "Makes it, or changes the draft of the one with that slug.",
    },
)


@strawberry.input(description="What `importWorkflow` takes.")
class ImportWorkflowInput:
    """What `importWorkflow` takes."""

    workspace_id: strawberry.ID | None = strawberry.field(
        default=ABSENT, description="The workspace; the caller's only one if absent."
    )
    document: str = strawberry.field(description="The YAML document.")
    mode: ImportMode = strawberry.field(
        default=ImportMode.CREATE, description="Whether a workflow with the same slug may be changed."
    )
    expected_revision: int | None = strawberry.field(
        default=ABSENT,
        description="With UPSERT: refuse if the draft is at another revision; null = change it whatever it is.",
    )


@strawberry.type(description="What `importWorkflow` gives.")
class ImportWorkflowPayload(Payload):
    """What `importWorkflow` gives."""

    workflow: Workflow | None = strawberry.field(
        default=None, description="The workflow with its new revision and problems."
    )
    is_created: bool | None = strawberry.field(default=None, description="Whether it was made rather than changed.")


@strawberry.type
class WorkflowFileMutation:
    """Workflow files."""

    @mutation(
        Permission.WRITE,
        description="Makes or changes a workflow from a YAML document, as `Workflow.document` gives it.",
    )
    async def import_workflow(
        self,
        info: Info,
        input: Annotated[ImportWorkflowInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> ImportWorkflowPayload:
        """Take a file in."""
        workspace, expected = (
            workspace_id_of(input.workspace_id, "input", "workspaceId"),
            or_none(input.expected_revision),
        )
        files = info.context.services.workflow_files
        imported = await files.take_in(info.context.principal, workspace, input.document, input.mode, expected)
        return ImportWorkflowPayload(workflow=Workflow.of(imported.workflow), is_created=imported.is_created)
