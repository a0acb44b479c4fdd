"""What a run has used of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry

from domain import run as domain
from gql.context import Info
from gql.runs.values import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ids import RunId
    from gql.context import Context


@strawberry.type
class UsageOfRun:
    """What `Run` shows of this feature."""

    run: strawberry.Private[domain.Run]

    @strawberry.field(description="Tokens and money, sub-runs included.")
    async def usage(self, info: Info) -> Usage:
        """Sum what the runs of its tree have used; it told that at its end, but for runs that it did not wait for."""
        found = await info.context.loaders.load(load_usage, self.run.id)
        # Of runs that were deleted since, only what it told is left.
        if found is None or found.total_tokens < self.run.usage.total_tokens:
            found = self.run.usage
        return Usage.of(found)


async def load_usage(context: Context, run_ids: list[RunId]) -> Sequence[domain.Usage | None]:
    """Load what runs that the caller was shown have used so far; None for those that nothing is kept of."""
    found = await context.services.usage.of_runs(run_ids)
    return [found.get(run_id) for run_id in run_ids]
