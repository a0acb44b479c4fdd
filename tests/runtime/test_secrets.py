from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text, update

from domain.errors import AlreadyExists, Forbidden, InvalidInput, LimitExceeded, NotFound, SecretUnreadable
from domain.identity import Principal, Role
from domain.ids import SecretId, WorkspaceId
from domain.ports.paging import PageRequest
from persistence.secrets import PostgresSecrets
from persistence.tables import secrets
from runtime.encryption import Vault
from runtime.secrets import SecretChange, SecretService
from tests.support.identity import Clock, dump_of, make_principal, vault
from tests.support.listed import sole

if TYPE_CHECKING:
    from persistence.database import Database

CANARY = "canary-5b1f 🐤"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(database: Database, clock: Clock) -> SecretService:
    return SecretService(PostgresSecrets(database), vault(), clock=clock)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


@pytest.fixture
async def eve(database: Database) -> Principal:
    return await make_principal(database, "eve")


def home(actor: Principal) -> WorkspaceId:
    return next(iter(actor.roles))


def as_viewer(actor: Principal) -> Principal:
    return Principal(actor.user, actor.session_id, actor.expires_at, {home(actor): Role.VIEWER})


async def test_a_secret_reaches_the_executing_process_and_nothing_else(
    service: SecretService, database: Database, ada: Principal
) -> None:
    secret = await service.create(ada, None, "KEY", CANARY, "what it is for")
    assert CANARY not in repr(secret)
    assert await service.values(home(ada), {"KEY", "MISSING"}) == {"KEY": CANARY}
    dump = await dump_of(database)
    assert "what it is for" in dump
    assert "canary" not in dump
    assert b"canary".hex() not in dump


async def test_a_value_copied_into_another_row_does_not_open(
    service: SecretService, database: Database, ada: Principal, eve: Principal
) -> None:
    await service.create(ada, None, "KEY", CANARY, None)
    await service.create(eve, None, "KEY", "eve's own", None)
    async with database.connection() as connection:
        await connection.execute(
            text("UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets WHERE workspace_id = :ada)"),
            {"ada": home(ada)},
        )
    assert await service.values(home(ada), ["KEY"]) == {"KEY": CANARY}
    with pytest.raises(SecretUnreadable) as caught:
        await service.values(home(eve), ["KEY"])
    assert "canary" not in caught.value.message


async def test_secrets_of_others_do_not_exist(service: SecretService, ada: Principal, eve: Principal) -> None:
    foreign = (await service.create(ada, None, "KEY", CANARY, None)).id
    for secret_id in (foreign, SecretId(uuid4())):
        assert await service.find(eve, secret_id) is None
        with pytest.raises(NotFound):
            await service.update(eve, secret_id, SecretChange(value="taken over"))
        with pytest.raises(NotFound):
            await service.delete(eve, secret_id)
    assert await service.values(home(eve), ["KEY"]) == {}
    for workspace in (home(ada), WorkspaceId(uuid4())):
        with pytest.raises(NotFound):
            await service.create(eve, workspace, "OTHER", "x", None)
    assert await service.values(home(ada), ["KEY", "OTHER"]) == {"KEY": CANARY}


async def test_a_viewer_sees_names_and_changes_nothing(service: SecretService, ada: Principal) -> None:
    secret = await service.create(ada, None, "KEY", CANARY, None)
    viewer = as_viewer(ada)
    assert await service.find(viewer, secret.id) == secret
    with pytest.raises(Forbidden):
        await service.create(viewer, None, "OTHER", "x", None)
    with pytest.raises(Forbidden):
        await service.update(viewer, secret.id, SecretChange(value="x"))
    with pytest.raises(Forbidden):
        await service.delete(viewer, secret.id)
    assert await service.values(home(ada), ["KEY", "OTHER"]) == {"KEY": CANARY}


async def test_a_name_is_taken_once_in_a_workspace(service: SecretService, ada: Principal, eve: Principal) -> None:
    await service.create(ada, None, "KEY", CANARY, None)
    with pytest.raises(AlreadyExists):
        await service.create(ada, None, "KEY", "another", None)
    await service.create(eve, None, "KEY", "eve's own", None)
    assert await service.values(home(ada), ["KEY"]) == {"KEY": CANARY}


async def test_a_change_of_the_value_counts_as_one_and_a_description_does_not(
    service: SecretService, ada: Principal, clock: Clock
) -> None:
    secret = await service.create(ada, None, "KEY", "old", "first")
    clock.advance(hours=1)
    described = await service.update(ada, secret.id, SecretChange(description=None, is_described=True))
    assert (described.description, described.updated_at) == (None, secret.updated_at)
    changed = await service.update(ada, secret.id, SecretChange(value=CANARY))
    assert changed.updated_at == clock.now
    assert await service.find(ada, secret.id) == changed
    assert await service.values(home(ada), ["KEY"]) == {"KEY": CANARY}


async def test_a_deleted_secret_is_gone(service: SecretService, ada: Principal) -> None:
    secret = await service.create(ada, None, "KEY", CANARY, None)
    await service.delete(ada, secret.id)
    assert await service.find(ada, secret.id) is None
    assert await service.values(home(ada), ["KEY"]) == {}
    with pytest.raises(NotFound):
        await service.delete(ada, secret.id)


async def test_names_values_and_descriptions_are_checked_before_anything_is_stored(
    service: SecretService, ada: Principal
) -> None:
    for name, value, description in [("key", "x", None), ("KEY", "", None), ("KEY", "x", "nul\0")]:
        with pytest.raises(InvalidInput):
            await service.create(ada, None, name, value, description)
    with pytest.raises(LimitExceeded):
        await service.create(ada, None, "KEY", "x" * 65_537, None)
    assert await sole(service.count_by_workspace([home(ada)])) == 0


async def test_secrets_are_listed_by_name(service: SecretService, ada: Principal) -> None:
    for name in ("B", "A", "C"):
        await service.create(ada, None, name, "x", None)
    page = await sole(service.page_by_workspace([home(ada)], PageRequest(2)))
    assert [secret.name for secret in page.items] == ["A", "B"]
    assert page.has_next
    assert await sole(service.count_by_workspace([home(ada)])) == 3
    assert await service.names(home(ada)) == {"A", "B", "C"}


async def test_a_use_is_noted_to_the_minute(
    service: SecretService, database: Database, ada: Principal, clock: Clock
) -> None:
    secret = await service.create(ada, None, "KEY", CANARY, None)
    assert secret.last_used_at is None
    clock.advance(seconds=42)
    await service.values(home(ada), ["KEY"])
    used = await service.find(ada, secret.id)
    assert used is not None
    assert used.last_used_at == clock.now.replace(second=0, microsecond=0)
    async with database.connection() as connection:
        version = text("SELECT xmin::text FROM secrets")
        before = (await connection.execute(version)).scalar_one()
    await service.values(home(ada), ["KEY"])
    async with database.connection() as connection:
        # The second use in a minute writes nothing.
        assert (await connection.execute(version)).scalar_one() == before


async def test_a_value_whose_key_is_gone_is_a_clear_fault(
    service: SecretService, database: Database, ada: Principal
) -> None:
    await service.create(ada, None, "KEY", CANARY, None)
    other = SecretService(PostgresSecrets(database), Vault(["A" * 43 + "="]))
    with pytest.raises(SecretUnreadable, match="ANABRANCH_ENCRYPTION_KEYS"):
        await other.values(home(ada), ["KEY"])


async def test_a_workspace_has_a_bounded_number_of_secrets(
    service: SecretService, database: Database, ada: Principal
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            text(
                "INSERT INTO secrets (id, workspace_id, name, ciphertext) "
                "SELECT gen_random_uuid(), :workspace, 'K' || n, '' FROM generate_series(1, 1000) n"
            ),
            {"workspace": home(ada)},
        )
    with pytest.raises(LimitExceeded):
        await service.create(ada, None, "KEY", "x", None)
    async with database.connection() as connection:
        await connection.execute(update(secrets).where(secrets.c.name == "K1").values(name="KEY"))
    assert await sole(service.count_by_workspace([home(ada)])) == 1_000
