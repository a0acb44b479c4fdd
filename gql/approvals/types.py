"""Questions that runs ask people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import approvals as domain
from domain.approvals import ApprovalStatus
from domain.ids import ApprovalId, Prefix, RunId, to_global
from gql.absent import ABSENT
from gql.context import Context, Info
from gql.enums import expose
from gql.ids import to_id
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.users import User, load_users

expose(
    ApprovalStatus,
    description="Where a question is.",
    values={
        ApprovalStatus.OPEN: "Waits for an answer.",
        ApprovalStatus.ANSWERED: "Was answered.",
        ApprovalStatus.TIMED_OUT: "Ran out.",
        ApprovalStatus.CANCELED: "Its run ended first.",
    },
)


@strawberry.type(description="A question that a run asks a person.")
class Approval(Node):
    """A question that a run asks a person."""

    approval: strawberry.Private[domain.Approval]
    id: strawberry.ID = strawberry.field(description="Its id.")
    node_key: str = strawberry.field(description="Key of the node that asks.")
    item_index: int | None = strawberry.field(description="Place of the item under `forEach`.")
    title: str = strawberry.field(description="The question in one line.")
    message: str | None = strawberry.field(description="What the person should know, in Markdown.")
    form: JSON | None = strawberry.field(description="JSON Schema of the values to fill in; null = none.")
    actions: list[str] = strawberry.field(description="The possible answers; at most 10.")
    assignees: list[str] = strawberry.field(
        description="E-mail addresses of who may answer, 100 at most; empty = every EDITOR and above."
    )
    status: ApprovalStatus = strawberry.field(description="Where it is.")
    action: str | None = strawberry.field(description="The answer that was given.")
    values: JSON | None = strawberry.field(description="The values that were given.")
    answered_at: datetime | None = strawberry.field(description="When it was answered.")
    expires_at: datetime = strawberry.field(description="When it runs out.")
    created_at: datetime = strawberry.field(description="When it was asked.")

    @strawberry.field(description="The run that waits.", graphql_type=LazyType[Any, Any]("Run", "gql.runs.types"))
    async def run(self, info: Info) -> object:
        """Load the run."""
        return await find_node(info, to_global(Prefix.RUN, self.approval.run_id))

    @strawberry.field(description="Whether the caller may answer it now.")
    def is_answerable(self, info: Info) -> bool:
        """Ask the service."""
        return info.context.services.approvals.is_answerable(info.context.principal, self.approval)

    @strawberry.field(description="Who answered.")
    async def answered_by(self, info: Info) -> User | None:
        """Load the person."""
        by = self.approval.answered_by
        return None if by is None else await info.context.loaders.load(load_users, by)

    @classmethod
    def of(cls, approval: domain.Approval) -> Approval:
        """Convert a question of the domain."""
        question = approval.question
        return cls(
            approval=approval,
            id=to_id(Prefix.APPROVAL, approval.id),
            node_key=approval.node_key,
            item_index=approval.item_index,
            title=question.title,
            message=question.message,
            form=cast("JSON | None", question.form),
            actions=list(question.actions),
            assignees=list(question.assignees),
            status=approval.status,
            action=approval.action,
            values=cast("JSON | None", approval.values),
            answered_at=approval.answered_at,
            expires_at=question.until,
            created_at=approval.created_at,
        )


@strawberry.type(description="An approval on a page.")
class ApprovalEdge(Edge[Approval]):
    """An approval on a page."""

    node: Approval = strawberry.field(description="The approval.")


@strawberry.type(description="Approvals, page by page.")
class ApprovalConnection(Connection[Approval, ApprovalEdge]):
    """Approvals, page by page."""


@strawberry.type
class ApprovalsOfRun:
    """What `Run` shows of this feature."""

    run_id: strawberry.Private[RunId]

    @strawberry.field(description="The questions it asked, open ones first.")
    async def approvals(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> ApprovalConnection:
        """List the questions."""
        service, loaders, owner = info.context.services.approvals, info.context.loaders, self.run_id
        page = await loaders.load_for(service.page_by_run, owner, page_request(first, after, last, before))
        return ApprovalConnection.of(page, Approval.of, lambda: loaders.load_for(service.count_by_run, owner))


async def load_approvals(context: Context, approval_ids: list[ApprovalId]) -> Sequence[Approval | None]:
    """Load questions as the caller sees them now; None for those that are gone."""
    found = await context.services.approvals.list_by_id(context.principal, approval_ids)
    return [Approval.of(found[key]) if key in found else None for key in approval_ids]


async def _find(info: Info, approval_id: UUID) -> Approval | None:
    return await info.context.loaders.load(load_approvals, ApprovalId(approval_id))


register_node(Prefix.APPROVAL, _find)
