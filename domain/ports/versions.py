"""What remembers versions and what nodes use by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from domain.audit import Deed
    from domain.ids import UserId, VersionId, WorkflowId, WorkspaceId
    from domain.ports.paging import Page, PageRequest
    from domain.uses import NodeUse, Usable
    from domain.versions import WorkflowVersion
    from domain.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Publication:
    """What is said of a version when it is made."""

    id: VersionId
    note: str | None
    at: datetime
    by: UserId


class Versions(Protocol):
    """Published versions; none is ever changed, or deleted but with its workflow."""

    async def publish(
        self, workflow: Workflow, publication: Publication, *, deed: Deed | None = None
    ) -> WorkflowVersion:
        """Make the draft, as it was read, the next version; one that is published already is not published again.

        Raises:
            Conflict: the draft changed since it was read, or something that it uses is gone.
            NotFound: the workflow is gone.
        """
        ...

    async def list_by_id(
        self, within: frozenset[WorkspaceId], version_ids: Sequence[VersionId]
    ) -> Sequence[WorkflowVersion]:
        """List those of the versions that are within, in any order."""
        ...

    async def list_by_number(
        self, within: frozenset[WorkspaceId], places: Sequence[tuple[WorkflowId, int]]
    ) -> Sequence[WorkflowVersion]:
        """List those of the versions, named by workflow and number, that are within, in any order."""
        ...

    async def page_by_workflow(
        self, workflow_ids: Sequence[WorkflowId], request: PageRequest
    ) -> Mapping[WorkflowId, Page[WorkflowVersion]]:
        """Read the same page of the versions of each of the workflows, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_by_workflow(self, workflow_ids: Sequence[WorkflowId]) -> Mapping[WorkflowId, int]:
        """Count the versions of each of the workflows."""
        ...

    async def uses(self, things: Sequence[Usable]) -> Mapping[Usable, Sequence[NodeUse]]:
        """Find the nodes that use things, at most 100 of each, by workflow and key."""
        ...
