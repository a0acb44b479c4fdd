"""How an outside database is connected to: at pinned addresses, over TLS under the name that was asked for, guarded."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any, Final

from domain.errors import NodeFault
from persistence.answer_guard import AnswerGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.ports.data_tables import ExternalDatabase

_CONNECT_TIMEOUT_S: Final = 10.0
_TLS_REQUEST: Final = struct.pack("!ii", 8, 80_877_103)


class GuardedLoop:
    """The event loop as the driver sees it: whatever it connects to is the pinned database, behind the guard.

    That is also where its requests to cancel a statement go. Nothing that was opened outlives `close`.
    """

    def __init__(self, database: ExternalDatabase, addresses: Sequence[str]) -> None:
        """Take where connections go; to be made within the running loop."""
        self._loop = asyncio.get_running_loop()
        self._database = database
        self._addresses = addresses
        self._guards: list[AnswerGuard] = []
        self._transports: list[asyncio.Transport] = []
        self._is_closed = False

    def __getattr__(self, name: str) -> Any:
        """Be the loop in all else."""
        return getattr(self._loop, name)

    @property
    def refusal(self) -> NodeFault | None:
        """What the guard found, if it ended a connection."""
        return next((guard.refusal for guard in self._guards if guard.refusal), None)

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], *_address: object, **_options: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect as the driver asks, wherever it wanted to.

        Raises:
            NodeFault: TLS is demanded and not offered, or the answer is none of PostgreSQL's.
        """
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            opened = await self._dial()
            try:
                return await self._talk(opened, factory)
            except BaseException:
                opened.close()
                raise

    def close(self) -> None:
        """End whatever is still open."""
        self._is_closed = True
        for transport in self._transports:
            transport.abort()

    async def _talk(
        self, opened: socket.socket, factory: Callable[[], asyncio.Protocol]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        context = await self._ask_for_tls(opened)
        driver = factory()
        guard = AnswerGuard(driver)
        self._guards.append(guard)
        name = self._database.host if context else None
        transport, _ = await self._loop.create_connection(lambda: guard, sock=opened, ssl=context, server_hostname=name)
        self._transports.append(transport)
        if self._is_closed:
            transport.abort()
        return transport, driver

    async def _dial(self) -> socket.socket:
        fault: OSError | None = None
        for address in self._addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            opened = socket.socket(family, socket.SOCK_STREAM)
            opened.settimeout(0)
            try:
                await self._loop.sock_connect(opened, (address, self._database.port))
            except OSError as error:
                opened.close()
                fault = error
            except BaseException:
                opened.close()
                raise
            else:
                return opened
        raise fault or ConnectionError("There is no address.")

    async def _ask_for_tls(self, opened: socket.socket) -> ssl.SSLContext | None:
        """Return how to go on; one byte is read, so that what comes unencrypted behind it never counts as encrypted."""
        await self._loop.sock_sendall(opened, _TLS_REQUEST)
        answer = await self._loop.sock_recv(opened, 1)
        if answer == b"S":
            return await asyncio.to_thread(tls_context, is_verified=self._database.is_tls_verified)
        if answer == b"":
            raise ConnectionResetError("The server hung up.")
        if answer != b"N":
            raise NodeFault("INVALID_RESPONSE", "What answers is no PostgreSQL: it does not say whether it offers TLS.")
        if self._database.is_tls_verified:
            raise NodeFault("DATABASE_REFUSED", "The server offers no TLS, which `isTlsVerified` demands.")
        return None


def tls_context(*, is_verified: bool) -> ssl.SSLContext:
    """Return how a certificate is checked: against the name and the authorities of this machine, or not at all; blocks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if is_verified:
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
