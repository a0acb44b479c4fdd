"""What all processes that share a database know of the limits of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from domain.rate_limits import Ask, Caps, Settled


class ConnectionPermits(Protocol):
    """Lets requests through, for one process among others."""

    async def settle(self, asks: Mapping[UUID, tuple[Caps, Ask]]) -> Mapping[UUID, Settled]:
        """Answer what a process asks of several connections at once; one that is deleted is missing in the answer.

        Raises:
            DatabaseUnavailable: the database does not answer; nothing is known of what was let through.
        """
        ...

    async def pause(self, key: UUID, wait_s: float) -> None:
        """Let nobody use a connection for so long, in any process; a longer pause that there is stays.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        ...

    async def list_pauses(self) -> Mapping[UUID, float]:
        """List the connections that nobody may use for the moment, with the seconds that are left.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        ...
