"""The definitions that runs and versions are pinned to, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ids import GraphId
    from domain.workflow import Definition
    from gql.context import Context


async def load_definition(context: Context, graph_ids: list[GraphId]) -> Sequence[Definition]:
    """Load definitions of what the caller was shown."""
    found = await context.services.runs.definitions(graph_ids)
    return [found[graph_id] for graph_id in graph_ids]
