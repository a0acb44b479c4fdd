"""What the fields of the small API for tests give, and what happened inside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence  # noqa: TC003
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import strawberry

from domain.ids import Prefix
from gql.context import Context, Info  # noqa: TC001 - Strawberry reads annotations at run time
from gql.ids import to_id
from gql.nodes import Node


@dataclass
class Witness:
    """What happened inside the resolvers."""

    started: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    counted: int = 0
    batches: list[list[str]] = field(default_factory=list[list[str]])
    values: dict[str, str] = field(default_factory=dict[str, str])
    unready: list[str] = field(default_factory=list[str])


def witness_of(info: Info) -> Witness:
    return cast("Any", info.context.services).witness


@strawberry.type(description="A thing.")
class Thing(Node):
    """A thing."""

    name: str = strawberry.field(description="Its name.")

    @strawberry.field(description="Its value, through a loader.")
    async def value(self, info: Info) -> str:
        return await info.context.loaders.load(load_values, self.name)


async def load_values(context: Context, names: list[str]) -> Sequence[str]:
    witness: Witness = cast("Any", context.services).witness
    witness.batches.append(names)
    return [witness.values.get(name, "-") for name in names]


def thing(name: str) -> Thing:
    return Thing(id=to_id(Prefix.RUN, UUID(int=1)), name=name)
