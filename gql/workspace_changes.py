"""Making, naming and deleting workspaces, and joining them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.errors import NotFound
from domain.identity import Permission, Role
from domain.ids import Prefix, WorkspaceId
from domain.workflow import UNSET
from gql.context import Info
from gql.fields import mutation
from gql.ids import from_id, to_id
from gql.payloads import Payload
from gql.workspaces import Workspace

if TYPE_CHECKING:
    from domain import identity as domain


@strawberry.input(description="What `createWorkspace` takes.")
class CreateWorkspaceInput:
    """What `createWorkspace` takes."""

    name: str = strawberry.field(description="The name to show.")


@strawberry.input(description="What `updateWorkspace` takes.")
class UpdateWorkspaceInput:
    """What `updateWorkspace` takes."""

    id: strawberry.ID = strawberry.field(description="Which workspace.")
    name: strawberry.Maybe[str] = strawberry.field(description="The name to show.")
    default_connection: strawberry.Maybe[str | None] = strawberry.field(
        description="Name of the connection that LLM_CALL nodes use when they name none."
    )


@strawberry.input(description="What `deleteWorkspace` takes.")
class DeleteWorkspaceInput:
    """What `deleteWorkspace` takes."""

    id: strawberry.ID = strawberry.field(description="Which workspace.")
    confirm_name: str = strawberry.field(description="Its name, typed again.")


@strawberry.input(description="What `acceptInvite` takes.")
class AcceptInviteInput:
    """What `acceptInvite` takes."""

    token: str = strawberry.field(description="The token at the end of the link.")


@strawberry.type(description="What `createWorkspace` gives.")
class CreateWorkspacePayload(Payload):
    """What `createWorkspace` gives."""

    workspace: Workspace | None = strawberry.field(default=None, description="The new workspace.")


@strawberry.type(description="What `updateWorkspace` gives.")
class UpdateWorkspacePayload(Payload):
    """What `updateWorkspace` gives."""

    workspace: Workspace | None = strawberry.field(default=None, description="The workspace.")


@strawberry.type(description="What `deleteWorkspace` gives.")
class DeleteWorkspacePayload(Payload):
    """What `deleteWorkspace` gives."""

    deleted_workspace_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the workspace that is gone."
    )


@strawberry.type(description="What `acceptInvite` gives.")
class AcceptInvitePayload(Payload):
    """What `acceptInvite` gives."""

    workspace: Workspace | None = strawberry.field(default=None, description="The workspace that the caller joined.")


async def _get(info: Info, workspace_id: WorkspaceId) -> domain.Workspace:
    found = await info.context.services.identity.list_workspaces(info.context.principal, [workspace_id])
    if workspace_id not in found:
        raise NotFound(path=["input", "id"])
    return found[workspace_id]


def _enter(info: Info, workspace_id: WorkspaceId, role: Role) -> domain.Principal:
    """Let the rest of the operation see what the caller belongs to by now."""
    actor = info.context.principal
    info.context.maybe_principal = joined = replace(actor, roles={**actor.roles, workspace_id: role})
    return joined


@strawberry.type
class WorkspaceMutation:
    """Making, naming and deleting workspaces, and joining them."""

    @mutation(Permission.SIGNED_IN, description="Makes a workspace that the caller owns.")
    async def create_workspace(
        self,
        info: Info,
        input: Annotated[CreateWorkspaceInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateWorkspacePayload:
        """Make a workspace."""
        workspace = await info.context.services.people.workspaces.create(info.context.principal, input.name)
        return CreateWorkspacePayload(workspace=Workspace.of(workspace, _enter(info, workspace.id, Role.OWNER)))

    @mutation(Permission.ADMIN, description="Changes a workspace's settings.")
    async def update_workspace(
        self,
        info: Info,
        input: Annotated[UpdateWorkspaceInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> UpdateWorkspacePayload:
        """Change a workspace."""
        actor, workspace_id = info.context.principal, WorkspaceId(from_id(Prefix.WORKSPACE, input.id, "input", "id"))
        name = input.name.value if input.name else None
        connection = input.default_connection.value if input.default_connection else UNSET
        found = await _get(info, workspace_id)
        workspace = await info.context.services.people.workspaces.update(actor, found, name, connection)
        return UpdateWorkspacePayload(workspace=Workspace.of(workspace, actor))

    @mutation(Permission.OWNER, description="Deletes a workspace with all that is in it; for owners.")
    async def delete_workspace(
        self,
        info: Info,
        input: Annotated[DeleteWorkspaceInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteWorkspacePayload:
        """Delete a workspace."""
        actor, workspace_id = info.context.principal, WorkspaceId(from_id(Prefix.WORKSPACE, input.id, "input", "id"))
        workspace = await _get(info, workspace_id)
        await info.context.services.people.workspaces.delete(actor, workspace, input.confirm_name)
        return DeleteWorkspacePayload(deleted_workspace_id=to_id(Prefix.WORKSPACE, workspace_id))

    @mutation(Permission.SIGNED_IN, description="Makes the signed-in caller a member.")
    async def accept_invite(
        self,
        info: Info,
        input: Annotated[AcceptInviteInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> AcceptInvitePayload:
        """Join a workspace."""
        accepted = await info.context.services.people.invitations.accept(info.context.principal, input.token)
        actor = _enter(info, *accepted)
        workspace = await _get(info, accepted[0])
        return AcceptInvitePayload(workspace=Workspace.of(workspace, actor))
