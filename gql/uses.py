"""Which nodes use a thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import strawberry
from strawberry.types.lazy_type import LazyType

from domain import uses as domain
from domain.ids import Prefix, to_global
from gql.context import Context, Info
from gql.lookup import find_node


@strawberry.type(description="A node that uses something by its name.")
class NodeUse:
    """A node that uses something by its name."""

    use: strawberry.Private[domain.NodeUse]
    node_key: str = strawberry.field(description="Key of the node in the draft or in the published version.")
    is_published: bool = strawberry.field(description="Whether the published version uses it, not only the draft.")

    @strawberry.field(description="The workflow.", graphql_type=LazyType[Any, Any]("Workflow", "gql.workflows"))
    async def workflow(self, info: Info) -> object:
        """Load the workflow."""
        return await find_node(info, to_global(Prefix.WORKFLOW, self.use.workflow_id))

    @classmethod
    def of(cls, use: domain.NodeUse) -> NodeUse:
        """Convert a use of the domain."""
        return cls(use=use, node_key=use.node_key, is_published=use.is_published)


async def load_uses(context: Context, things: list[domain.Usable]) -> Sequence[list[NodeUse]]:
    """Load the nodes that use things which the caller was shown."""
    found = await context.services.versions.uses(things)
    return [[NodeUse.of(use) for use in found[thing]] for thing in things]
