"""Tables of other PostgreSQL databases: the only place that talks to them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from domain.data_tables import Written
from domain.errors import DatabaseUnavailable, NodeFault
from persistence.database import close_direct, is_unavailable
from persistence.external_statements import Statement, returned, statement_of
from persistence.row_writes import MAX_RETURNED

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from domain.ports.data_tables import ExternalDatabase, ExternalWrite
    from persistence.database import Database, DirectConnection

_MAX_AT_ONCE: Final = 16
_CONNECT_TIMEOUT_S: Final = 10.0
_STATEMENT_TIMEOUT_S: Final = 30.0
_ANSWER_GRACE_S: Final = 5.0
_MAX_RETURNED_BYTES: Final = 4 * 1_048_576
_PIECE: Final = 50
_NO_TLS: Final = "rejected SSL upgrade"
# When a server was started is known to the microsecond, and to every role: with the database it tells who that is.
_IDENTITY: Final = """
SELECT pg_postmaster_start_time() AS started, (SELECT oid FROM pg_database WHERE datname = current_database()) AS oid
"""
_CODES: Final = {
    "42501": "PERMISSION_DENIED",
    "25006": "PERMISSION_DENIED",
    "23505": "UNIQUE_VIOLATION",
    "42P10": "INVALID_ROW",
    "42804": "INVALID_ROW",
    "42846": "INVALID_ROW",
    "428C9": "INVALID_ROW",
    "42P18": "INVALID_ROW",
    "57014": "TIMED_OUT",
}
_CODES_OF_CLASSES: Final = {
    "22": "INVALID_ROW",
    "23": "CONSTRAINT_VIOLATION",
    "28": "DATABASE_REFUSED",
    "3D": "DATABASE_REFUSED",
}
_RETRYABLE_CLASSES: Final = frozenset({"40", "55", "57"})


class PostgresExternalTables:
    """Implements `domain.ports.data_tables.ExternalTables`: a connection for each call, to addresses that were checked."""

    def __init__(self, addresses: Callable[[str, int], Awaitable[Sequence[str]]], own: Database) -> None:
        """Take what decides where connections may go.

        Args:
            addresses: returns the addresses of a host that may be connected to, or raises NodeFault (`OutboundGuard`).
            own: the server's own database, which is never written to, whatever it is called from outside.
        """
        self._addresses = addresses
        self._own = own
        self._room = asyncio.Semaphore(_MAX_AT_ONCE)

    async def write(self, database: ExternalDatabase, write: ExternalWrite) -> Written:
        """Write with one statement, in a transaction that is committed unless too many rows would be returned.

        Raises:
            NodeFault: as the port says.
        """
        async with self._room, self._connected(database) as connection, connection.transaction():
            statement = await statement_of(connection, write)
            if not write.returning:
                status = await connection.execute(statement.text, *statement.arguments)
                return Written(int(status.rpartition(" ")[2]), ())
            rows = await _fetch(connection, statement)
            return Written(len(rows), tuple(returned(write.returning, rows)))

    async def check(self, database: ExternalDatabase) -> str:
        """Connect once; return what the server says it is.

        Raises:
            NodeFault: as the port says.
        """
        async with self._room, self._connected(database) as connection:
            version = await connection.fetchval("SHOW server_version")
            return f"PostgreSQL {version}, as {await connection.fetchval('SELECT current_user')}."

    @asynccontextmanager
    async def _connected(self, database: ExternalDatabase) -> AsyncGenerator[DirectConnection]:
        """Yield a connection; whatever PostgreSQL or the network says becomes a fault of the node."""
        addresses = await self._addresses(database.host, database.port)
        try:
            connection = await _connect(database, addresses)
            try:
                if await connection.fetchrow(_IDENTITY) == await self._own_identity():
                    raise NodeFault("ADDRESS_REFUSED", "This is the server's own database, which no node may write to.")
                yield connection
            finally:
                await asyncio.shield(close_direct(connection))
        except NodeFault:
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise _fault(error, database) from error
        except ssl.SSLError as error:
            raise NodeFault("DATABASE_REFUSED", f"TLS with the server failed: {error.reason or 'no trust'}.") from error
        except (OSError, DatabaseUnavailable) as error:  # TimeoutError is one
            name = type(error).__name__
            message = f"The database at {database.host}:{database.port} does not answer ({name})."
            raise NodeFault("DATABASE_UNAVAILABLE", message, is_retryable=True) from error
        except (ValueError, TypeError) as error:
            raise NodeFault("INVALID_ROW", "A value cannot be sent to PostgreSQL.") from error

    async def _own_identity(self) -> object:
        async with self._own.driver() as connection:
            return await connection.fetchrow(_IDENTITY)


class _NamedContext(ssl.SSLContext):
    """Checks the certificate against the name that was asked for, though the connection goes to a pinned address."""

    host: str = ""

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Wrap as ever, under the name."""
        return super().wrap_bio(*args, **{**kwargs, "server_hostname": self.host})


def _tls(database: ExternalDatabase) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.host = database.host
    if database.is_tls_verified:
        context.load_default_certs()
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _connect(database: ExternalDatabase, addresses: Sequence[str]) -> DirectConnection:
    context = await asyncio.to_thread(_tls, database)
    try:
        return await _open(database, addresses, context)
    except ConnectionError as error:
        if _NO_TLS not in str(error):
            raise
        if database.is_tls_verified:
            message = "The server offers no TLS, which `isTlsVerified` demands."
            raise NodeFault("DATABASE_REFUSED", message) from error
        return await _open(database, addresses, encryption=False)


async def _open(
    database: ExternalDatabase, addresses: Sequence[str], encryption: ssl.SSLContext | bool
) -> DirectConnection:
    # Nothing is left to the driver's own search in the environment and in files of this machine.
    return await asyncpg.connect(
        host=list(addresses),
        port=database.port,
        user=database.username or "postgres",
        password=database.password or "",
        database=database.database,
        ssl=encryption,
        timeout=_CONNECT_TIMEOUT_S,
        command_timeout=_STATEMENT_TIMEOUT_S + _ANSWER_GRACE_S,
        statement_cache_size=0,  # a pooler between us and the server knows no prepared statements
        server_settings={
            "application_name": "anabranch",
            "statement_timeout": str(int(_STATEMENT_TIMEOUT_S * 1_000)),
            "idle_in_transaction_session_timeout": str(int(_STATEMENT_TIMEOUT_S * 1_000)),
        },
    )


async def _fetch(connection: DirectConnection, statement: Statement) -> list[tuple[str | None, ...]]:
    """Read what a write returns in pieces, so that no more is held than an output may have."""
    rows: list[tuple[str | None, ...]] = []
    size = 0
    cursor = await connection.cursor(statement.text, *statement.arguments)
    while piece := await cursor.fetch(_PIECE):
        rows += [tuple(row.values()) for row in piece]
        size += sum(len(text or "") for row in piece for text in row.values())
        if len(rows) > MAX_RETURNED or size > _MAX_RETURNED_BYTES:
            message = f"The write would return more than {MAX_RETURNED:,} rows or 4 MiB; leave `returning` empty."
            raise NodeFault("TOO_MANY_ROWS", message)
    return rows


def _fault(error: Exception, database: ExternalDatabase) -> NodeFault:
    state = (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
    if is_unavailable(error):
        message = f"The database at {database.host}:{database.port} does not answer ({state or type(error).__name__})."
        return NodeFault("DATABASE_UNAVAILABLE", message, is_retryable=True)
    code = _CODES.get(state) or _CODES_OF_CLASSES.get(state[:2]) or "WRITE_FAILED"
    # Details may quote rows of others; the first line says what is wrong.
    told = str(error.args[0] if error.args else error).split("\n", 1)[0]
    if database.password:
        told = told.replace(database.password, "•••")
    names = [getattr(error, name, None) for name in ("column_name", "constraint_name")]
    about = "".join(f" ({name})" for name in names if name)
    message = f"PostgreSQL: {told}{about} [{state or type(error).__name__}]."
    return NodeFault(code, message, is_retryable=state[:2] in _RETRYABLE_CLASSES)
