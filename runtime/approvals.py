"""Questions that runs ask, for those who look at them and answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from domain.approvals import Answerable, GivenAnswer
from domain.errors import Forbidden, InvalidInput, LimitExceeded, NodeFault, NotFound
from domain.identity import Permission
from domain.json_codec import encode
from runtime.identity import utc_now
from runtime.input_schema import check_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from domain.approvals import Approval, ApprovalQuery
    from domain.identity import Principal
    from domain.ids import ApprovalId, RunId, WorkspaceId
    from domain.json_value import Json
    from domain.ports.approvals import Approvals
    from domain.ports.paging import Page, PageRequest

MAX_VALUES_BYTES: Final = 65_536


class ApprovalService:
    """Finds questions and takes answers on behalf of a caller."""

    def __init__(
        self, approvals: Approvals, look: Callable[[], None], *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._approvals = approvals
        self._look = look
        self._clock = clock

    async def answer(self, actor: Principal, approval_id: ApprovalId, action: str, values: Json) -> Approval:
        """Answer a question; the first answer counts, whoever gives it.

        Raises:
            NotFound: the caller sees no such question.
            Forbidden: the caller may see it, but is not asked.
            Conflict: it was answered, ran out, or its run ended first.
            InvalidInput: it does not offer the action, or the values do not satisfy its form.
            LimitExceeded: the values are larger than 64 KiB.
        """
        path = ["input", "approvalId"]
        approval = await self.find(actor, approval_id)
        if approval is None:
            raise NotFound("There is no question with this id.", path=path)
        if approval.workspace_id not in actor.within(Permission.EXECUTE):
            raise Forbidden("Answering questions needs the role EDITOR.")
        if not approval.is_asked(actor.user.email):
            raise Forbidden("Only those who are named in the question may answer it.", path=path)
        now = self._clock()
        approval.check_open(now)
        approval.check_action(action)
        if values is None and approval.question.form is not None:
            values = {}  # nothing was filled in
        _check_values(approval.question.form, values)
        if not await self._approvals.answer(
            approval_id, GivenAnswer(action, values, actor.user.id, actor.user.email, now)
        ):
            await self._refuse(actor, approval_id)
        self._look()
        return await self._get(actor, approval_id)

    def is_answerable(self, actor: Principal, approval: Approval) -> bool:
        """Whether the caller may answer the question now."""
        is_allowed = approval.workspace_id in actor.within(Permission.EXECUTE)
        return is_allowed and approval.is_asked(actor.user.email) and approval.is_open(self._clock())

    async def find(self, actor: Principal, approval_id: ApprovalId) -> Approval | None:
        """Return a question; None where the caller sees none."""
        return (await self.list_by_id(actor, [approval_id])).get(approval_id)

    async def list_by_id(self, actor: Principal, approval_ids: Sequence[ApprovalId]) -> Mapping[ApprovalId, Approval]:
        """Return those of the questions that the caller sees."""
        found = await self._approvals.list_by_id(actor.within(Permission.READ), approval_ids)
        return {approval.id: approval for approval in found}

    async def page_by_workspace(
        self,
        workspace_ids: Sequence[WorkspaceId],
        request: PageRequest,
        actor: Principal,
        query: ApprovalQuery,
        is_answerable: bool | None = None,
    ) -> Mapping[WorkspaceId, Page[Approval]]:
        """Return the same page of the questions of each of the workspaces, which the caller was shown, open ones first.

        `is_answerable` picks what the caller may answer now, or what not.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        pages: dict[WorkspaceId, Page[Approval]] = {}
        for chosen, its in self._by_right(actor, workspace_ids, query, is_answerable):
            pages |= await self._approvals.page_by_workspace(its, chosen, request)
        return pages

    async def count_by_workspace(
        self,
        workspace_ids: Sequence[WorkspaceId],
        actor: Principal,
        query: ApprovalQuery,
        is_answerable: bool | None = None,
    ) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        counts: dict[WorkspaceId, int] = {}
        for chosen, its in self._by_right(actor, workspace_ids, query, is_answerable):
            counts |= await self._approvals.count_by_workspace(its, chosen)
        return counts

    async def page_by_run(self, run_ids: Sequence[RunId], request: PageRequest) -> Mapping[RunId, Page[Approval]]:
        """Return the same page of the questions of each of several runs that the caller was shown, open ones first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._approvals.page_by_run(run_ids, request)

    async def count_by_run(self, run_ids: Sequence[RunId]) -> Mapping[RunId, int]:
        """Count the questions of runs that the caller was shown."""
        return await self._approvals.count_by_run(run_ids)

    def _by_right(
        self,
        actor: Principal,
        workspace_ids: Sequence[WorkspaceId],
        query: ApprovalQuery,
        is_wanted: bool | None,
    ) -> Iterator[tuple[ApprovalQuery, Sequence[WorkspaceId]]]:
        """Yield the workspaces of which the same is asked: those in which the caller may answer, and the others."""
        if is_wanted is None:
            yield query, workspace_ids
            return
        allowed, now = actor.within(Permission.EXECUTE), self._clock()
        for email, its in (
            (actor.user.email, [one for one in workspace_ids if one in allowed]),
            (None, [one for one in workspace_ids if one not in allowed]),
        ):
            if its:
                yield replace(query, answerable=Answerable(is_wanted, email, now)), its

    async def _get(self, actor: Principal, approval_id: ApprovalId) -> Approval:
        approval = await self.find(actor, approval_id)
        if approval is None:
            raise NotFound("There is no question with this id.", path=["input", "approvalId"])
        return approval

    async def _refuse(self, actor: Principal, approval_id: ApprovalId) -> None:
        """Tell who was first."""
        approval = await self._get(actor, approval_id)
        approval.check_open(approval.question.until)


def _check_values(form: Json, values: Json) -> None:
    path = ["input", "values"]
    if form is None:
        if values is not None:
            raise InvalidInput("The question has no form, so it takes no values.", path=path)
        return
    try:
        size = len(encode(values))
    except NodeFault as fault:
        raise InvalidInput(fault.message.replace("output", "value"), path=path) from fault
    if size > MAX_VALUES_BYTES:
        message = f"The values of an answer have at most {MAX_VALUES_BYTES:,} bytes of JSON."
        raise LimitExceeded(message, limit=MAX_VALUES_BYTES, actual=size, path=path)
    check_values(form, values)
