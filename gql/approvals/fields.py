"""Looking at questions to people, and answering them."""

from __future__ import annotations

from typing import Annotated, Any, cast

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import approvals as domain
from domain.approvals import ApprovalStatus
from domain.errors import InvalidInput
from domain.identity import Permission
from domain.ids import ApprovalId, Prefix, RunId, WorkflowId, WorkspaceId, to_global
from domain.json_value import Json
from gql.absent import ABSENT, or_none
from gql.approvals.types import Approval, ApprovalConnection
from gql.context import Info
from gql.fields import mutation, query
from gql.ids import find_id, from_id
from gql.lookup import find_node
from gql.paging import After, Before, First, Last, page_request
from gql.payloads import Payload

_RUN: Any = LazyType[Any, Any]("Run", "gql.runs.types")
_MAX_NAMED = 100


@strawberry.input(description="Which approvals.")
class ApprovalFilter:
    """Which approvals."""

    statuses: list[ApprovalStatus] | None = strawberry.field(default=ABSENT, description="In one of these states.")
    workflow_ids: list[strawberry.ID] | None = strawberry.field(
        default=ABSENT, description="Of one of these workflows, 100 at most."
    )
    is_answerable: bool | None = strawberry.field(default=ABSENT, description="Whether the caller may answer it now.")

    def of_domain(self) -> domain.ApprovalQuery:
        """Convert to the domain's, but for what depends on who asks.

        Raises:
            InvalidInput: more than 100 workflows.
            InvalidId: no id of a workflow.
        """
        named = self.workflow_ids or ()
        if len(named) > _MAX_NAMED:
            raise InvalidInput(f"At most {_MAX_NAMED} of them at once.", path=["filter", "workflowIds"])
        return domain.ApprovalQuery(
            tuple(dict.fromkeys(self.statuses or ())),
            tuple(WorkflowId(from_id(Prefix.WORKFLOW, text, "filter", "workflowIds")) for text in named),
        )


@strawberry.type
class ApprovalsOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Approvals, open ones first: the inbox of people.")
    async def approvals(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: Annotated[ApprovalFilter | None, strawberry.argument(description="Which of them.")] = ABSENT,  # noqa: A002
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> ApprovalConnection:
        """List the questions."""
        service, loaders, owner = info.context.services.approvals, info.context.loaders, self.workspace_id
        chosen = filter.of_domain() if filter else domain.ApprovalQuery()
        asked = (info.context.principal, chosen, or_none(filter.is_answerable) if filter else None)
        page = await loaders.load_for(
            service.page_by_workspace, owner, page_request(first, after, last, before), *asked
        )
        return ApprovalConnection.of(
            page, Approval.of, lambda: loaders.load_for(service.count_by_workspace, owner, *asked)
        )


@strawberry.input(description="What `answerApproval` takes.")
class AnswerApprovalInput:
    """What `answerApproval` takes."""

    approval_id: strawberry.ID = strawberry.field(description="Which question.")
    action: str = strawberry.field(description="One of its actions.")
    values: JSON | None = strawberry.field(default=ABSENT, description="Values that satisfy its form.")


@strawberry.type(description="What `answerApproval` gives.")
class AnswerApprovalPayload(Payload):
    """What `answerApproval` gives."""

    run_id: strawberry.Private[RunId | None] = None
    approval: Approval | None = strawberry.field(default=None, description="The question with its answer.")

    @strawberry.field(
        description="The run, which goes on.",
        graphql_type=cast("Any", LazyType[Any, Any]("Run", "gql.runs.types") | None),
    )
    async def run(self, info: Info) -> object | None:
        """Load the run."""
        return None if self.run_id is None else await find_node(info, to_global(Prefix.RUN, self.run_id))


@strawberry.type
class ApprovalQueries:
    """Reading questions."""

    @query(Permission.READ, description="One question to a person; null where there is none.")
    async def approval(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> Approval | None:
        """Find a question."""
        approval_id = find_id(Prefix.APPROVAL, id)
        service, actor = info.context.services.approvals, info.context.principal
        found = None if approval_id is None else await service.find(actor, ApprovalId(approval_id))
        return None if found is None else Approval.of(found)


@strawberry.type
class ApprovalMutation:
    """Answering questions."""

    @mutation(Permission.EXECUTE, description="Answers a question; the second answer gets a ConflictError.")
    async def answer_approval(
        self,
        info: Info,
        input: Annotated[AnswerApprovalInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> AnswerApprovalPayload:
        """Answer a question."""
        approval_id = ApprovalId(from_id(Prefix.APPROVAL, input.approval_id, "input", "approvalId"))
        approval = await info.context.services.approvals.answer(
            info.context.principal, approval_id, input.action, cast("Json", or_none(input.values))
        )
        return AnswerApprovalPayload(run_id=approval.run_id, approval=Approval.of(approval))
