"""What a client may know before anyone is signed in, and the server's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import strawberry

from domain.errors import InvalidInput
from domain.identity import Permission
from gql.context import Info
from gql.fields import query, subscription

_SHORTEST_MS = 100
_LONGEST_MS = 60_000


def _installed_version() -> str:
    try:
        return version("anabranch")
    except PackageNotFoundError:
        return "0"


# Read once: it is a file, and a resolver must not wait for a disk.
VERSION = _installed_version()


@strawberry.type(description="What a client may want to know before anyone is signed in.")
class ServerInfo:
    """What a client may want to know before anyone is signed in."""

    version: str = strawberry.field(description="The server's version.")
    is_setup_needed: bool = strawberry.field(description="Whether it has no account yet and waits for its owner.")
    is_sign_up_open: bool = strawberry.field(description="Whether anyone may sign up without an invitation.")


@strawberry.type
class ServerQuery:
    """The server."""

    @query(Permission.PUBLIC, description="What a client may want to know before anyone is signed in.")
    async def server(self, info: Info) -> ServerInfo:
        """Describe the server."""
        identity = info.context.services.identity
        return ServerInfo(
            version=VERSION,
            is_setup_needed=await identity.is_setup_needed(),
            is_sign_up_open=identity.is_sign_up_open,
        )


@strawberry.type
class ServerSubscription:
    """The server's clock."""

    @subscription(
        Permission.PUBLIC,
        description="The server's clock; has no side effects, for trying subscriptions out and for probes.",
    )
    async def server_time(
        self,
        every_ms: Annotated[int, strawberry.argument(description="The time between two ticks, 100 to 60,000.")] = 1_000,
    ) -> AsyncGenerator[datetime, None]:
        """Tick."""
        if not _SHORTEST_MS <= every_ms <= _LONGEST_MS:
            raise InvalidInput(f"`everyMs` must be {_SHORTEST_MS} to {_LONGEST_MS:,}.", path=["everyMs"])
        while True:
            yield datetime.now(UTC)
            await asyncio.sleep(every_ms / 1_000)
