"""Watching a workflow that is open in an editor."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Annotated

import strawberry

from domain.identity import Permission
from domain.ids import Prefix, WorkflowId
from domain.workflow_changes import ToldChange, WorkflowChangeKind
from gql.context import Info
from gql.enums import expose
from gql.fields import subscription
from gql.ids import from_id
from gql.users import User, load_users
from gql.workflows import Workflow, load_workflows

expose(
    WorkflowChangeKind,
    description="What changed in a workflow.",
    values={
        WorkflowChangeKind.EDITED: "Its draft or its settings.",
        WorkflowChangeKind.MOVED: "Its layout.",
        WorkflowChangeKind.PUBLISHED: "It was published.",
        WorkflowChangeKind.DELETED: "It was deleted.",
    },
)


@strawberry.type(description="What changed in a workflow that is open in an editor.")
class WorkflowChange:
    """What changed in a workflow."""

    change: strawberry.Private[ToldChange]
    kind: WorkflowChangeKind = strawberry.field(description="What kind of change it was.")
    revision: int = strawberry.field(description="The draft's revision after it; layout leaves it as it was.")
    node_keys: list[str] = strawberry.field(
        description="Keys of the nodes it touched, as they are called after it; at most 500."
    )
    at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(
        description="The workflow after it, as it is now: its `revision` may be a later one already, of which further "
        "changes tell; null when it was deleted."
    )
    async def workflow(self, info: Info) -> Workflow | None:
        """Load the workflow."""
        return await info.context.loaders.load(load_workflows, self.change.workflow_id)

    @strawberry.field(description="Who made it; null for the system.")
    async def changed_by(self, info: Info) -> User | None:
        """Load the person."""
        user_id = self.change.changed_by
        return None if user_id is None else await info.context.loaders.load(load_users, user_id)

    @classmethod
    def of(cls, change: ToldChange) -> WorkflowChange:
        """Convert a change of the domain."""
        return cls(
            change=change,
            kind=change.kind,
            revision=change.revision,
            node_keys=list(change.node_keys),
            at=change.at,
        )


@strawberry.type
class WorkflowSubscription:
    """Watching workflows."""

    @subscription(
        Permission.READ,
        description="Changes of a workflow as they are saved, for editors that are open at once; completes when it is "
        "deleted.",
    )
    async def workflow_changed(
        self,
        info: Info,
        workflow_id: Annotated[strawberry.ID, strawberry.argument(description="The workflow.")],
    ) -> AsyncGenerator[WorkflowChange]:
        """Follow a workflow."""
        id_ = WorkflowId(from_id(Prefix.WORKFLOW, workflow_id, "workflowId"))
        async with aclosing(info.context.services.workflow_followers.follow(info.context.principal, id_)) as changes:
            async for change in changes:
                yield WorkflowChange.of(change)
