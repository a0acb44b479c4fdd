"""Workspaces."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from domain import identity as domain
from domain.identity import Permission, Role
from domain.ids import Prefix, WorkspaceId
from gql.api_keys import ApiKeysOfWorkspace
from gql.approvals.fields import ApprovalsOfWorkspace
from gql.audit import AuditOfWorkspace
from gql.collections.types import CollectionsOfWorkspace
from gql.connections import ConnectionsOfWorkspace
from gql.context import Context, Info
from gql.data_tables import DataTablesOfWorkspace
from gql.fields import query
from gql.ids import find_id, to_id
from gql.lookup import register_node
from gql.members import MembersOfWorkspace
from gql.nodes import Node
from gql.paging import Connection, Edge
from gql.runs.fields import RunsOfWorkspace
from gql.secrets import SecretsOfWorkspace
from gql.usage import UsageOfWorkspace
from gql.webhooks import WebhooksOfWorkspace
from gql.workflows import WorkflowsOfWorkspace

if TYPE_CHECKING:
    from collections.abc import Sequence


@strawberry.type(description="A tenant: everything below belongs to exactly one workspace, and names are unique in it.")
class Workspace(
    Node,
    WorkflowsOfWorkspace,
    RunsOfWorkspace,
    SecretsOfWorkspace,
    ConnectionsOfWorkspace,
    DataTablesOfWorkspace,
    CollectionsOfWorkspace,
    ApprovalsOfWorkspace,
    UsageOfWorkspace,
    MembersOfWorkspace,
    ApiKeysOfWorkspace,
    AuditOfWorkspace,
    WebhooksOfWorkspace,
):
    """A tenant; each feature adds what it keeps there."""

    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="The name to show.")
    role: Role = strawberry.field(description="The caller's role.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, workspace: domain.Workspace, actor: domain.Principal) -> Workspace:
        """Convert a workspace that the caller is a member of."""
        return cls(
            workspace_id=workspace.id,
            id=to_id(Prefix.WORKSPACE, workspace.id),
            name=workspace.name,
            role=actor.roles[workspace.id],
            created_at=workspace.created_at,
        )


@strawberry.type(description="A workspace on a page.")
class WorkspaceEdge(Edge[Workspace]):
    """A workspace on a page."""

    node: Workspace = strawberry.field(description="The workspace.")


@strawberry.type(description="Workspaces, page by page.")
class WorkspaceConnection(Connection[Workspace, WorkspaceEdge]):
    """Workspaces, page by page."""


async def load_workspaces(context: Context, workspace_ids: list[WorkspaceId]) -> Sequence[Workspace | None]:
    """Load workspaces by id; None for those that the caller is no member of."""
    actor = context.principal
    found = await context.services.identity.list_workspaces(actor, workspace_ids)
    return [Workspace.of(found[key], actor) if key in found else None for key in workspace_ids]


async def _find_workspace(info: Info, workspace_id: UUID) -> Workspace | None:
    return await info.context.loaders.load(load_workspaces, WorkspaceId(workspace_id))


register_node(Prefix.WORKSPACE, _find_workspace)


@strawberry.type
class WorkspaceQuery:
    """Workspaces by their ids."""

    @query(Permission.READ, description="One workspace; null if the caller is not a member.")
    async def workspace(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> Workspace | None:
        """Find a workspace."""
        workspace_id = find_id(Prefix.WORKSPACE, id)
        return await _find_workspace(info, workspace_id) if workspace_id else None
