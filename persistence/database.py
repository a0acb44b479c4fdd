"""The connections to PostgreSQL, and the one place where its driver's errors are translated."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson
from sqlalchemy import event, exc, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import DatabaseUnavailable, SetupFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    DirectConnection = asyncpg.Connection[asyncpg.Record]

_CONNECT_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 5.0
_POOL_TIMEOUT_S: Final = 10.0
_HEALTH_TIMEOUT_S: Final = 3.0
# The server ends a statement by itself; this much later the client gives up on a server that does not answer at all.
_ANSWER_GRACE_S: Final = 5.0
# A process that is frozen within a transaction keeps its locks from everybody, its heir included. None of ours does more
# between two statements than make the next one; whoever wakes later finds the connection lost, and nothing done.
_IDLE_TRANSACTION_MS: Final = 15_000

_SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+asyncpg://")

# Beside class 08: shutting down, crashed, starting up, idle for too long, in a transaction for too long, full.
_UNAVAILABLE_STATES: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "53300"})
# Unknown role, wrong password, no such database: waiting does not help.
_REFUSED_STATES: Final = frozenset({"28000", "28P01", "3D000"})
_DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
# What can befall whoever keeps a connection for long; also what only somebody else can mend.
TROUBLES: Final = (*_DRIVER_ERRORS, DatabaseUnavailable, SetupFault)
_CLOSED_WORDS: Final = ("connection is closed", "connection was closed", "connection is lost")


class Database:
    """One PostgreSQL database: a pool for short transactions, and connections of one's own beside it."""

    def __init__(self, url: str, engine: AsyncEngine) -> None:
        self._url = url
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def url(self) -> str:
        """The address, with its password."""
        return self._url

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a pooled connection in a transaction, committed when the block ends normally.

        Raises:
            DatabaseUnavailable: the database cannot be reached, went away, or all pooled connections stayed in use.
            SetupFault: the database refuses the connection as it is configured.
        """
        with translated_errors():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def single(self) -> AsyncGenerator[AsyncConnection]:
        """Yield a pooled connection for one statement, which is a transaction of its own.

        Without BEGIN and COMMIT around it a statement takes one round trip instead of three.

        Raises:
            DatabaseUnavailable, SetupFault: as with `connection`.
        """
        with translated_errors():
            async with self._single.connect() as connection:
                yield connection

    @asynccontextmanager
    async def driver(self) -> AsyncGenerator[DirectConnection]:
        """Yield the driver's connection behind a pooled one, each statement a transaction of its own, JSON as text.

        For the few statements of every start of a run, and of every search: SQLAlchemy takes 0.4 ms of the event loop for
        each, this 0.1.

        Raises:
            DatabaseUnavailable, SetupFault: as with `connection`.
        """
        with translated_errors():
            async with self._single.connect() as connection:
                pooled = await connection.get_raw_connection()
                assert pooled.driver_connection is not None  # noqa: S101 -- it is there while it is checked out
                try:
                    yield pooled.driver_connection
                except (TimeoutError, asyncio.CancelledError):
                    # The server may still do what it was told, and BEGIN may be that: whoever had the connection next
                    # would write into a transaction that nobody commits.
                    pooled.driver_connection.terminate()
                    raise

    @asynccontextmanager
    async def direct(self) -> AsyncGenerator[DirectConnection]:
        """Yield a driver's connection of its own: no pool, no transaction, no statement timeout, JSON as text.

        Raises:
            DatabaseUnavailable: the database cannot be reached or went away.
            SetupFault: the database refuses the connection as it is configured.
        """
        connection = await self.open_direct()
        try:
            with translated_errors():
                yield connection
        finally:
            await close_direct(connection)

    async def open_direct(self) -> DirectConnection:
        """Return a connection as `direct` gives it, to be closed by the caller (see `close_direct`).

        Raises:
            DatabaseUnavailable: the database cannot be reached.
            SetupFault: the database refuses the connection as it is configured.
        """
        with translated_errors():
            return await _connect(self._url, statement_timeout_ms=0, command_timeout_s=None)

    async def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnavailable: it gave none within three seconds.
            SetupFault: the database refuses the connection as it is configured.
        """
        with translated_errors():
            async with asyncio.timeout(_HEALTH_TIMEOUT_S), self.direct() as connection:
                await connection.execute("SELECT 1")


@asynccontextmanager
async def open_database(
    url: str, *, pool_size: int = 10, statement_timeout_ms: int = 30_000
) -> AsyncGenerator[Database]:
    """Open the database at `url` until the block ends; the first connection is made when it is first needed.

    Raises:
        SetupFault: `url` is not the address of a PostgreSQL database.
    """
    engine = create_engine(url, pool_size=pool_size, statement_timeout_ms=statement_timeout_ms)
    try:
        yield Database(_driver_url(url), engine)
    finally:
        await engine.dispose()


def create_engine(url: str, *, pool_size: int, statement_timeout_ms: int) -> AsyncEngine:
    """Return an SQLAlchemy engine over the same connections as everybody's; 0 = no statement timeout.

    Raises:
        SetupFault: `url` is not the address of a PostgreSQL database.
    """
    driver_url = _driver_url(url)
    command_timeout_s = statement_timeout_ms / 1000 + _ANSWER_GRACE_S if statement_timeout_ms else None

    async def connect(*_: object, **__: object) -> DirectConnection:
        return await _connect(
            driver_url, statement_timeout_ms=statement_timeout_ms, command_timeout_s=command_timeout_s
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection that was used last has its statements prepared and its caches warm
        pool_timeout=_POOL_TIMEOUT_S,
        hide_parameters=True,  # an error is logged with its text, and what tenants store is not for the log
        json_serializer=_to_json,
        json_deserializer=orjson.loads,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


async def close_direct(connection: DirectConnection) -> None:
    """Close a direct connection, also one whose server no longer answers."""
    try:
        await connection.close(timeout=_CLOSE_TIMEOUT_S)
    except _DRIVER_ERRORS:
        connection.terminate()


@contextmanager
def translated_errors() -> Generator[None]:
    """Turn the driver's errors about the connection into the domain's; all others pass as they are.

    Raises:
        DatabaseUnavailable: the connection could not be made, or was lost.
        SetupFault: the database refuses the connection as it is configured.
    """
    try:
        yield
    except (exc.SQLAlchemyError, *_DRIVER_ERRORS) as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(f"The database does not answer: {_reason(error)}.") from error
        if sqlstate(error) in _REFUSED_STATES:
            raise SetupFault(f"The database refuses the connection: {_reason(error)}.") from error
        raise


def is_unavailable(error: BaseException) -> bool:
    """Whether an error means that the connection could not be made or is lost, so that a later attempt may succeed."""
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    cause = _driver_error(error)
    if isinstance(cause, asyncpg.PostgresError):
        state = cause.sqlstate or ""
        return state.startswith("08") or state in _UNAVAILABLE_STATES
    if isinstance(cause, asyncpg.InterfaceError):
        return any(words in str(cause) for words in _CLOSED_WORDS)
    # The driver's own confusion: it was told of the end of a connection in the moment in which that was used.
    return isinstance(cause, OSError | TimeoutError | exc.TimeoutError | asyncpg.InternalClientError)


def violated_constraint(error: BaseException) -> str | None:
    """Return the name of the constraint that a statement violated; None when that was not its fault.

    A violation within a partition names the partition's constraint.
    """
    cause = _driver_error(error)
    if isinstance(cause, asyncpg.IntegrityConstraintViolationError):
        return cause.constraint_name
    return None


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code for what went wrong, such as `23505`; None when PostgreSQL said nothing."""
    cause = _driver_error(error)
    return cause.sqlstate if isinstance(cause, asyncpg.PostgresError) else None


async def server_version(connection: AsyncConnection) -> int:
    """Return the major version of the server, such as 18."""
    number = (await connection.execute(text("SHOW server_version_num"))).scalar_one()
    return int(number) // 10_000


async def _connect(url: str, *, statement_timeout_ms: int, command_timeout_s: float | None) -> DirectConnection:
    return await asyncpg.connect(
        url,
        timeout=_CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        # Statements are short: compiling them costs more than it saves.
        server_settings={
            "application_name": "anabranch",
            "statement_timeout": str(statement_timeout_ms),
            "idle_in_transaction_session_timeout": str(_IDLE_TRANSACTION_MS),
            "jit": "off",
        },
    )


def _refuse_closed(driver: Any, _record: object, _proxy: object) -> None:
    # The event loop has seen the server close the socket: known without a round trip, unlike by a ping.
    if driver.driver_connection.is_closed():
        raise exc.DisconnectionError


def _driver_url(url: str) -> str:
    scheme = next((scheme for scheme in _SCHEMES if url.startswith(scheme)), None)
    if scheme is None:
        raise SetupFault("The database URL must begin with `postgresql://`.")
    return "postgresql://" + url.removeprefix(scheme)


def _driver_error(error: BaseException) -> BaseException:
    if isinstance(error, exc.DBAPIError):
        return error.driver_exception or error
    return error


def _reason(error: BaseException) -> str:
    cause = _driver_error(error)
    words = str(cause).strip().split("\n", 1)[0].rstrip(".")
    return words or type(cause).__name__


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()
