"""Where the database is, and whether it has this version's tables: for whoever opens services, and for commands beside them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from domain.errors import SetupFault
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from persistence.migrate import is_current, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from persistence.database import Database
    from runtime.settings import Settings


async def migrate_database(settings: Settings) -> None:
    """Bring the database to the newest schema.

    Raises:
        SetupFault: the database cannot be used as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with database_url(settings) as url:
        await migrate(url)


async def is_migrated(settings: Settings) -> bool:
    """Whether the database answers and has exactly the newest schema.

    Raises:
        SetupFault: the database cannot be used as it is configured.
        DatabaseUnavailable: the database does not answer.
    """
    async with database_url(settings) as url:
        return await is_current(url)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncGenerator[str]:
    """Yield where the database is; an embedded one runs at least as long as the block.

    Raises:
        SetupFault: the embedded one does not start.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded_postgres(settings.data_dir) as url:
        yield url


@asynccontextmanager
async def open_configured(settings: Settings, *, is_migrating: bool = True) -> AsyncGenerator[Database]:
    """Open the database, an embedded one migrated first unless that is another process's business.

    Raises:
        SetupFault: it cannot be used as it is configured, or has another version's tables.
        DatabaseUnavailable: it does not answer.
    """
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(database_url(settings))
        if settings.database_url is None and is_migrating:
            await migrate(url)
        elif not await is_current(url):
            raise SetupFault("The database does not have this version's tables: run `anabranch migrate` first.")
        yield await stack.enter_async_context(
            open_database(
                url,
                pool_size=settings.database.pool_size,
                statement_timeout_ms=settings.database.statement_timeout_ms,
            )
        )
