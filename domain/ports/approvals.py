"""What remembers questions to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.approvals import Approval, ApprovalQuery, GivenAnswer
    from domain.ids import ApprovalId, RunId, WorkspaceId
    from domain.ports.paging import Page, PageRequest


class Approvals(Protocol):
    """Questions that runs ask; what adds and closes them is the run log."""

    async def list_by_id(
        self, within: frozenset[WorkspaceId], approval_ids: Sequence[ApprovalId]
    ) -> Sequence[Approval]:
        """Return those of the questions that exist in these workspaces, in any order."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: ApprovalQuery, request: PageRequest
    ) -> Mapping[WorkspaceId, Page[Approval]]:
        """Return the same page of the questions of each of the workspaces, open ones first, then newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def page_by_run(self, run_ids: Sequence[RunId], request: PageRequest) -> Mapping[RunId, Page[Approval]]:
        """Return the same page of the questions of several runs: open ones first, then in their order.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_run(self, run_ids: Sequence[RunId]) -> Mapping[RunId, int]:
        """Count the questions of runs."""
        ...

    async def count_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], query: ApprovalQuery
    ) -> Mapping[WorkspaceId, int]:
        """Count what `page_by_workspace` lists."""
        ...

    async def answer(self, approval_id: ApprovalId, given: GivenAnswer) -> bool:
        """Store an answer with the command to the run; False if the question takes no answer any more."""
        ...
