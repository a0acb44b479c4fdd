"""What remembers how much was used of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.ids import RunId, WorkspaceId
    from domain.run import Usage
    from domain.usage import UsageBucket, UsageQuery


class UsageReader(Protocol):
    """Usage as queries show it."""

    async def of_runs(self, run_ids: Sequence[RunId]) -> Mapping[RunId, Usage]:
        """Return what runs, and all that they called, have used so far; runs that used nothing are left out."""
        ...

    async def buckets(self, workspace_id: WorkspaceId, query: UsageQuery) -> Sequence[UsageBucket]:
        """Return what a workspace has used in a span of time: days in their order, else by tokens, most first."""
        ...
