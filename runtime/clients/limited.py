"""Outside calls under the limits of the connections that they use."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from domain.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from domain.data_tables import Written
    from domain.ports.data_tables import ExternalDatabase, ExternalTables, ExternalWrite
    from domain.ports.outbound import HttpClient, OutboundRequest, OutboundResponse
    from domain.rate_limits import Caps
    from runtime.connection_limits import ConnectionLimits

_BUSY: Final = frozenset({429, 503})


class LimitedHttp:
    """Implements `HttpClient`: a request takes part in the limits of the connection whose credential it carries."""

    def __init__(self, http: HttpClient, limits: ConnectionLimits, caps: Caps | None = None) -> None:
        self._http = http
        self._limits = limits
        self._caps = caps

    def under(self, caps: Caps | None) -> LimitedHttp:
        """Return a client all of whose requests are of one connection."""
        return LimitedHttp(self._http, self._limits, caps)

    def send(self, request: OutboundRequest) -> AbstractAsyncContextManager[OutboundResponse]:
        """Open a request when there is room for it; it takes room until the context is left.

        Raises:
            NodeFault: as the client does.
            NoRoom: there is none soon.
        """
        return self._send(request)

    @asynccontextmanager
    async def _send(self, request: OutboundRequest) -> AsyncGenerator[OutboundResponse]:
        caps = request.credential.caps if self._caps is None and request.credential else self._caps
        async with self._limits.permit(caps), self._http.send(request) as response:
            if caps is not None and response.status in _BUSY:
                wait_s = retry_after_s(response.headers, datetime.now(UTC))
                if wait_s:
                    await self._limits.pause(caps, wait_s)
            yield response


class LimitedTables:
    """Implements `ExternalTables`: a call takes part in the limits of the connection that leads to the database."""

    def __init__(self, tables: ExternalTables, limits: ConnectionLimits) -> None:
        self._tables = tables
        self._limits = limits

    async def write(self, database: ExternalDatabase, write: ExternalWrite) -> Written:
        """Write with one statement when there is room for it.

        Raises:
            NodeFault: as the port says.
            NoRoom: there is none soon.
        """
        async with self._limits.permit(database.caps):
            return await self._tables.write(database, write)

    async def check(self, database: ExternalDatabase) -> str:
        """Connect once when there is room for it; return what the server says it is.

        Raises:
            NodeFault: as the port says.
            NoRoom: there is none soon.
        """
        async with self._limits.permit(database.caps):
            return await self._tables.check(database)
