"""Accounts for tests: the real services on a real database, with a clock that the test sets and cheap passwords."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from argon2 import PasswordHasher
from sqlalchemy import text

from persistence.connections import PostgresConnections
from persistence.data_tables import PostgresDataTables
from persistence.identity import PostgresIdentity
from persistence.people import PostgresPeople
from persistence.secrets import PostgresSecrets
from persistence.steering import PostgresSteering
from runtime.connections import ConnectionService
from runtime.data_tables import DataTableService
from runtime.encryption import Vault
from runtime.identity import IdentityService
from runtime.passwords import Passwords
from runtime.people import People
from runtime.secrets import SecretService
from runtime.settings import Settings
from runtime.tokens import AccessTokens, setup_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.identity import Principal
    from domain.ids import CollectionId
    from persistence.database import Database
    from runtime.services import Services

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse"
ADDRESS = "192.0.2.1"
TOKEN_KEY = "t" * 32
SETUP_TOKEN = setup_token(TOKEN_KEY)
ENCRYPTION_KEY = urlsafe_b64encode(b"e" * 32).decode()
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, **span: float) -> None:
        """Move on by a span, in the words of `timedelta`."""
        self.now += timedelta(**span)


def identity_service(
    database: Database,
    clock: Clock,
    *,
    is_sign_up_open: bool = True,
    hasher: PasswordHasher = CHEAP,
    token_keys: tuple[str, ...] = (TOKEN_KEY,),
) -> IdentityService:
    """Make the service as `open_services` does."""
    return IdentityService(
        PostgresIdentity(database),
        AccessTokens(token_keys, clock=clock),
        Passwords(hasher),
        setup_token=SETUP_TOKEN,
        is_sign_up_open=is_sign_up_open,
        clock=clock,
    )


class NoIndexes:
    """Stands in for the indexes where there are no collections."""

    async def forget(self, collection_ids: Sequence[CollectionId]) -> None:
        """Have nothing to drop."""


async def reach_anywhere(_: str) -> None:
    """Stand in for the outbound guard: every address may be reached."""


def identity_services(database: Database, clock: Clock, *, is_sign_up_open: bool = True) -> Services:
    """Make the services of people, workspaces, secrets, connections and tables, without an engine."""
    connections = ConnectionService(PostgresConnections(database), vault(), reach_anywhere, clock=clock)
    steering = PostgresSteering(database)
    parts = SimpleNamespace(
        identity=identity_service(database, clock, is_sign_up_open=is_sign_up_open),
        secrets=SecretService(PostgresSecrets(database), vault(), clock=clock),
        connections=connections,
        data_tables=DataTableService(PostgresDataTables(database), clock=clock),
        people=People(PostgresPeople(database), steering, NoIndexes(), connections, lambda: None, clock=clock),
        settings=Settings(_env_file=None),  # pyright: ignore[reportCallIssue]
    )
    return cast("Services", parts)


def vault() -> Vault:
    """Make a vault with a known key."""
    return Vault([ENCRYPTION_KEY])


async def make_principal(database: Database, name: str | None = None) -> Principal:
    """Sign a new person up and return who that is, the owner of one workspace."""
    name = name or f"user-{uuid4().hex[:8]}"
    service = identity_service(database, Clock())
    signed_in = await service.sign_up(f"{name}@example.com", PASSWORD, name, None, address=ADDRESS)
    return signed_in.principal


async def dump_of(database: Database) -> str:
    """Return every row of every table as text; bytes as hexadecimal digits."""
    tables = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    async with database.connection() as connection:
        names = (await connection.execute(tables)).scalars().all()
        # Scalars: a row of the driver would be shown shortened.
        rows = [(await connection.execute(text(f'SELECT t::text FROM "{name}" t'))).scalars().all() for name in names]  # noqa: S608 - names of our own tables
    return str(rows)
