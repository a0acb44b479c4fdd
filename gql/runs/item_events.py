"""How far the items of a `forEach` are, as the log tells it."""

from __future__ import annotations

import strawberry

from gql.runs.events import NodeEvent


@strawberry.type(description="The items of a `forEach` are known; each of them then has events of its own.")
class NodeExpanded(NodeEvent):
    """The items of a `forEach` are known."""

    item_count: int | None = strawberry.field(description="Items in all.")


@strawberry.type(description="Items of a `forEach` were settled; batched.")
class NodeProgressed(NodeEvent):
    """Items of a `forEach` were settled."""

    items_done: int = strawberry.field(description="Items settled.")
    item_count: int | None = strawberry.field(description="Items in all.")
