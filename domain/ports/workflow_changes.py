"""What remembers the changes of workflows for those who follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ids import WorkflowId
    from domain.workflow_changes import ToldChange


class WorkflowChanges(Protocol):
    """Changes of workflows, numbered 1, 2, 3 … for each; kept for a day."""

    async def find_last(self, workflow_id: WorkflowId) -> int | None:
        """Return the number of a workflow's last change, 0 before the first; None if there is no such workflow."""
        ...

    async def list(self, workflow_id: WorkflowId, after: int, limit: int) -> Sequence[ToldChange]:
        """List the changes behind a number, in their order."""
        ...
