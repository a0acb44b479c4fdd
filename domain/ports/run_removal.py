"""What deletes runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.audit import Deed
    from domain.ids import RunId, WorkspaceId


class RunRemoval(Protocol):
    """Deletes runs; that one is gone is in the audit log with it, or neither is."""

    async def remove(self, workspace_id: WorkspaceId, run_id: RunId, deed: Deed) -> Sequence[RunId]:
        """Delete a run and all that it called, with their logs, inputs and outputs; return which they were.

        What models were used for, and rows that were written to tables, stay; what was made from it with `rerunRun` has
        copies of its outputs.

        Raises:
            NotFound: there is no such run in the workspace.
            Conflict: it, or a run that it called, has not ended; or somebody holds it for long.
            InUse: the run that called it is kept.
        """
        ...
