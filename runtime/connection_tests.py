"""Connections tried once, on behalf of a person who wants to know whether they work."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from domain.connections import HttpAuthSettings, OpenaiCompatibleSettings
from domain.errors import NodeFault, NotFound
from domain.identity import Permission
from domain.ports.outbound import OutboundRequest
from runtime.patience import answered_within

if TYPE_CHECKING:
    from domain.connections import Connection
    from domain.identity import Principal
    from domain.ids import ConnectionId
    from domain.ports.data_tables import ExternalTables
    from domain.rate_limits import Caps
    from runtime.clients.limited import LimitedHttp
    from runtime.connections import ConnectionService

_TIMEOUT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 4 * 1_048_576
_REFUSALS: Final = frozenset({401, 403, 407})
_FIRST_FAULT: Final = 500
_FIRST_REFUSAL: Final = 400


@dataclass(frozen=True, slots=True)
class ConnectionTested:
    """What became of a try; `detail` has no credential in it."""

    connection: Connection
    is_working: bool
    elapsed_ms: float
    detail: str


class ConnectionTester:
    """Tries connections as nodes would use them, behind the same guard."""

    def __init__(self, connections: ConnectionService, http: LimitedHttp, external_tables: ExternalTables) -> None:
        self._connections = connections
        self._http = http
        self._external_tables = external_tables

    async def test(self, actor: Principal, connection_id: ConnectionId) -> ConnectionTested:
        """Try a connection once, for 20 seconds at most from when there is room for it.

        Raises:
            NotFound: no such connection.
            Forbidden: the caller may see it only.
            SecretUnreadable: its credential cannot be decrypted.
        """
        connection = await self._connections.find(actor, connection_id)
        if connection is None:
            raise NotFound(path=["input", "id"])
        actor.demand(connection.workspace_id, Permission.ADMIN)
        begun = time.monotonic()
        try:
            async with answered_within(_TIMEOUT_S):
                is_working, detail = await self._try(connection)
        except NodeFault as fault:
            is_working, detail = False, fault.message
        except TimeoutError:
            is_working, detail = False, f"No answer within {_TIMEOUT_S:g} s."
        return ConnectionTested(connection, is_working, (time.monotonic() - begun) * 1_000, detail)

    async def _try(self, connection: Connection) -> tuple[bool, str]:
        workspace_id, settings = connection.workspace_id, connection.settings
        if isinstance(settings, OpenaiCompatibleSettings):
            chat = await self._connections.chat_settings(workspace_id, connection.name)
            headers = [] if chat.api_key is None else [("Authorization", f"Bearer {chat.api_key}")]
            request = OutboundRequest("GET", f"{chat.base_url}/models", headers, max_response_bytes=_MAX_ANSWER_BYTES)
            status = await self._status(request, chat.caps)
            return status < _FIRST_REFUSAL, f"GET /models was answered with HTTP {status}."
        if isinstance(settings, HttpAuthSettings):
            credential = await self._connections.credential(workspace_id, connection.name)
            origin = settings.allowed_origins[0]
            request = OutboundRequest("GET", origin, credential=credential, follow_redirects=False)
            status = await self._status(request)
            # What lies at the origin is not known; that the credential is refused is.
            is_working = status not in _REFUSALS and status < _FIRST_FAULT
            return is_working, f"GET {origin} was answered with HTTP {status}."
        database = await self._connections.external_database(workspace_id, connection.name)
        return True, await self._external_tables.check(database)

    async def _status(self, request: OutboundRequest, caps: Caps | None = None) -> int:
        """Send a request and return the status of the answer, whose body nobody reads."""
        async with self._http.under(caps).send(request) as response:
            return response.status
