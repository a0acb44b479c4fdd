"""The subscriptions of the small API for tests: they end in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator  # noqa: TC003 - Strawberry reads annotations at run time
from contextlib import suppress
from typing import Annotated

import strawberry

from domain.errors import CursorExpired, InvalidInput
from domain.identity import Permission
from gql.context import Info  # noqa: TC001 - the same
from gql.fields import subscription
from tests.support.probe_types import Thing, thing, witness_of


@strawberry.type
class ProbeSubscription:
    """Subscriptions that end in every way."""

    @subscription(Permission.READ, description="Needs somebody to be signed in.")
    async def mine(self, info: Info) -> AsyncGenerator[str, None]:
        yield info.context.principal.user.name
        await asyncio.Event().wait()

    @subscription(Permission.PUBLIC, description="Counts, then completes.")
    async def count(
        self, to: Annotated[int, strawberry.argument(description="Up to which number.")]
    ) -> AsyncGenerator[int, None]:
        for number in range(1, to + 1):
            yield number

    @subscription(Permission.PUBLIC, description="Fails after its first event.")
    async def failing(
        self, how: Annotated[str, strawberry.argument(description="In which way.")]
    ) -> AsyncGenerator[int, None]:
        if how == "at once":
            raise InvalidInput("Not like this.", path=["how"])
        yield 1
        raise CursorExpired if how == "expired" else RuntimeError("hunter2")

    @subscription(Permission.PUBLIC, description="Never ends, and tells when it is stopped.")
    async def endless(self, info: Info) -> AsyncGenerator[int, None]:
        witness = witness_of(info)
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            witness.cancelled.set()

    @subscription(Permission.PUBLIC, description="Never ends, not even when it is stopped.")
    async def stubborn(self, info: Info) -> AsyncGenerator[int, None]:
        witness = witness_of(info)
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            witness.cancelled.set()
            for _ in range(5):
                with suppress(asyncio.CancelledError):
                    await witness.go_on.wait()
                    break
            witness.finished.set()

    @subscription(Permission.PUBLIC, description="A thing, as often as it is asked to go on.")
    async def changing(self, info: Info) -> AsyncGenerator[Thing, None]:
        witness = witness_of(info)
        for _ in range(2):
            yield thing("a")
            await witness.go_on.wait()

    @subscription(Permission.PUBLIC, description="Much, as fast as it is read.")
    async def flood(self, info: Info) -> AsyncGenerator[str, None]:
        while True:
            witness_of(info).counted += 1
            yield "x" * 65_536
            await asyncio.sleep(0)
