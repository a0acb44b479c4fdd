"""The palette: what an editor needs to offer each kind of node."""

from __future__ import annotations

from functools import cache
from typing import cast

import strawberry
from strawberry.scalars import JSON

from domain import kinds as domain
from domain.configs import config_schema, output_schema
from domain.identity import Permission
from gql.context import Info
from gql.fields import query
from gql.kinds import DERIVED, NodeKind


@strawberry.type(description="A code that a node can fail with.")
class ErrorCodeInfo:
    """A code that a node can fail with."""

    code: str = strawberry.field(description="The stable code.")
    description: str = strawberry.field(description="What it means.")
    is_retryable: bool = strawberry.field(description="Whether it is retried by default.")


@strawberry.type(description="Everything an editor needs to offer a kind of node.")
class NodeKindInfo:
    """Everything an editor needs to offer a kind of node."""

    kind: NodeKind = strawberry.field(description="The kind.")
    name: str = strawberry.field(description="Its field in `NodeConfigInput`, such as `llmCall`.")
    title: str = strawberry.field(description="The title to show.")
    description: str = strawberry.field(description="What it does and promises.")
    config_schema: JSON = strawberry.field(
        description="JSON Schema of the configuration; `x-template` and `x-secret` mark the fields that take templates "
        "and secrets."
    )
    output_schema: JSON = strawberry.field(description="JSON Schema of the output; what expressions can read.")
    ports: list[str] = strawberry.field(
        description="The ports it always has, 32 at most; `ports` of a `GraphNode` has those of its configuration as well."
    )
    is_idempotent: bool = strawberry.field(description="Whether doing it twice does no harm.")
    error_codes: list[ErrorCodeInfo] = strawberry.field(description="The codes it can fail with; at most 50.")

    @classmethod
    def of(cls, kind: domain.NodeKind) -> NodeKindInfo:
        """Convert a kind."""
        return cls(
            kind=DERIVED.kind_of(kind.name),
            name=kind.name,
            title=kind.title,
            description=kind.description,
            config_schema=cast("JSON", config_schema(kind)),
            output_schema=cast("JSON", output_schema(kind)),
            ports=list(kind.ports),
            is_idempotent=kind.is_idempotent,
            error_codes=[
                ErrorCodeInfo(code=one.code, description=one.description, is_retryable=one.is_retryable)
                for one in kind.error_codes
            ],
        )


@cache
def _kind_infos() -> list[NodeKindInfo]:
    return [NodeKindInfo.of(kind) for kind in DERIVED.kinds.values()]


@strawberry.type
class PaletteQuery:
    """The palette."""

    @query(
        Permission.PUBLIC, description="All kinds of nodes, with all that an editor needs to offer them; at most 100."
    )
    async def node_kinds(self, info: Info) -> list[NodeKindInfo]:
        """List the kinds."""
        del info
        return _kind_infos()
