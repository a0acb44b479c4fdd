"""What was used of models, for those who may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.usage import check_usage_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.identity import Principal
    from domain.ids import RunId, WorkspaceId
    from domain.ports.usage import UsageReader
    from domain.run import Usage
    from domain.usage import UsageBucket, UsageQuery


class UsageService:
    """Reads usage on behalf of a caller."""

    def __init__(self, reader: UsageReader) -> None:
        self._reader = reader

    async def of_runs(self, run_ids: Sequence[RunId]) -> Mapping[RunId, Usage]:
        """Return what runs have used so far, those that they called included; whoever asks may see the runs."""
        return await self._reader.of_runs(run_ids)

    async def of_workspace(
        self, actor: Principal, workspace_id: WorkspaceId, query: UsageQuery
    ) -> Sequence[UsageBucket]:
        """Return what a workspace has used in a span of time.

        Raises:
            NotFound: no such workspace.
            InvalidInput: the span ends before it begins.
            LimitExceeded: it has too many days.
        """
        return await self._reader.buckets(actor.workspace(workspace_id), check_usage_query(query))
