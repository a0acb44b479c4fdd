"""Tables of other PostgreSQL databases: the only place that talks to them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import asyncpg

from domain.data_tables import Written
from domain.errors import DatabaseUnavailable, NodeFault
from persistence.database import close_direct, is_unavailable
from persistence.external_dial import GuardedLoop
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
_WHOLE_TIMEOUT_S: Final = 60.0
_MAX_TOLD: Final = 900
_MAX_RETURNED_BYTES: Final = 4 * 1_048_576
_PIECE: Final = 50
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
        loop = GuardedLoop(database, addresses)
        try:
            async with asyncio.timeout(_WHOLE_TIMEOUT_S):
                connection = await _open(loop, database, addresses[0])
                try:
                    if await connection.fetchrow(_IDENTITY) == await self._own_identity():
                        message = "This is the server's own database, which no node may write to."
                        raise NodeFault("ADDRESS_REFUSED", message)
                    yield connection
                finally:
                    await asyncio.shield(close_direct(connection))
        except Exception as error:
            told = loop.refusal or _told(error, database)
            if told is error:
                raise
            raise told from error
        finally:
            loop.close()

    async def _own_identity(self) -> object:
        async with self._own.driver() as connection:
            return await connection.fetchrow(_IDENTITY)


async def _open(loop: GuardedLoop, database: ExternalDatabase, address: str) -> DirectConnection:
    # Nothing is left to the driver's own search in the environment and in files of this machine.
    return await asyncpg.connect(
        host=address,
        port=database.port,
        user=database.username or "postgres",
        password=database.password or "",
        database=database.database,
        ssl=False,  # the guarded loop sees to it
        loop=cast("asyncio.AbstractEventLoop", loop),
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


def _told(error: Exception, database: ExternalDatabase) -> NodeFault:
    """Return what a node is told of whatever the driver, TLS or the network raised."""
    if isinstance(error, NodeFault):
        return error
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return _fault(error, database)
    if isinstance(error, ssl.SSLError):
        return NodeFault("DATABASE_REFUSED", f"TLS with the server failed: {error.reason or 'no trust'}.")
    if isinstance(error, OSError | DatabaseUnavailable):  # TimeoutError is one
        message = f"The database at {database.host}:{database.port} does not answer ({type(error).__name__})."
        return NodeFault("DATABASE_UNAVAILABLE", message, is_retryable=True)
    if isinstance(error, ValueError | TypeError):
        return NodeFault("INVALID_ROW", "A value cannot be sent to PostgreSQL.")
    message = f"What answers at {database.host}:{database.port} is no PostgreSQL ({type(error).__name__})."
    return NodeFault("INVALID_RESPONSE", message)


def _fault(error: Exception, database: ExternalDatabase) -> NodeFault:
    state = (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""
    if is_unavailable(error):
        message = f"The database at {database.host}:{database.port} does not answer ({state or type(error).__name__})."
        return NodeFault("DATABASE_UNAVAILABLE", message, is_retryable=True)
    code = _CODES.get(state) or _CODES_OF_CLASSES.get(state[:2]) or "WRITE_FAILED"
    # Details may quote rows of others; the first line says what is wrong.
    told = str(error.args[0] if error.args else error).split("\n", 1)[0][:_MAX_TOLD]
    if database.password:
        told = told.replace(database.password, "•••")
    names = [getattr(error, name, None) for name in ("column_name", "constraint_name")]
    about = "".join(f" ({name})" for name in names if name)
    message = f"PostgreSQL: {told}{about} [{state or type(error).__name__}]."
    return NodeFault(code, message, is_retryable=state[:2] in _RETRYABLE_CLASSES)
