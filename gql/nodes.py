"""Relay's `Node`: any object again by its id."""

from __future__ import annotations

from asyncio import gather
from typing import Annotated, cast

import strawberry

from domain.errors import LimitExceeded
from domain.identity import Permission
from gql.context import Info
from gql.fields import query
from gql.lookup import find_node

MAX_IDS = 100


@strawberry.interface(
    description="An object that can be fetched again by its id (Relay); a step of a workflow is a `GraphNode`."
)
class Node:
    """An object that can be fetched again by its id."""

    id: strawberry.ID = strawberry.field(
        description="Opaque, stable and unique across all types; a readable prefix and a sortable suffix, such as "
        "`run_01jd4v…`."
    )


@strawberry.type
class NodesQuery:
    """Objects by their ids."""

    @query(Permission.PUBLIC, description="Any object by its id; null if it does not exist for the caller.")
    async def node(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="The id.")],  # noqa: A002
    ) -> Node | None:
        """Find one object; nobody sees anything who is not signed in."""
        if info.context.maybe_principal is None:
            return None
        return cast("Node | None", await find_node(info, id))

    @query(
        Permission.READ,
        description="Objects by their ids in the order asked, null where there is none; 100 at most.",
    )
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description="The ids.")]
    ) -> list[Node | None]:
        """Find several objects."""
        if len(ids) > MAX_IDS:
            raise LimitExceeded(f"At most {MAX_IDS} ids at once, not {len(ids)}.", limit=MAX_IDS, actual=len(ids))
        return cast("list[Node | None]", await gather(*(find_node(info, text) for text in ids)))
