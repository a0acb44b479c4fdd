from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.connections import Secret
from domain.errors import AlreadyExists, LimitExceeded, NotFound
from domain.ids import SecretId, WorkspaceId
from domain.ports.paging import PageRequest
from persistence.secrets import PostgresSecrets
from tests.support.identity import START, make_principal
from tests.support.listed import sole

if TYPE_CHECKING:
    from persistence.database import Database


@pytest.fixture
def secrets(database: Database) -> PostgresSecrets:
    return PostgresSecrets(database)


@pytest.fixture
async def home(database: Database) -> WorkspaceId:
    return next(iter((await make_principal(database)).roles))


def secret(workspace_id: WorkspaceId, name: str = "KEY") -> Secret:
    return Secret(SecretId(uuid4()), workspace_id, name, None, None, START, START)


async def test_a_secret_comes_back_as_it_was_stored(secrets: PostgresSecrets, home: WorkspaceId) -> None:
    stored = replace(secret(home), description="what for")
    await secrets.add(stored, b"sealed")
    assert await secrets.list_by_id(frozenset({home}), [stored.id]) == [stored]
    assert (await sole(secrets.page_by_workspace([home], PageRequest(10)))).items == [stored]
    assert [(one.id, one.name, one.ciphertext) for one in await secrets.use(home, ["KEY"], START)] == [
        (stored.id, "KEY", b"sealed")
    ]


async def test_nothing_is_read_or_written_in_another_workspace(
    secrets: PostgresSecrets, home: WorkspaceId, database: Database
) -> None:
    other = next(iter((await make_principal(database)).roles))
    stored = secret(home)
    await secrets.add(stored, b"sealed")
    assert await secrets.list_by_id(frozenset({other}), [stored.id]) == []
    assert await secrets.list_by_id(frozenset(), [stored.id]) == []
    assert await secrets.use(other, ["KEY"], START) == []
    assert await secrets.list_names(other) == frozenset()
    assert await sole(secrets.count_by_workspace([other])) == 0
    with pytest.raises(NotFound):
        await secrets.save(replace(stored, workspace_id=other), b"taken over")
    with pytest.raises(NotFound):
        await secrets.remove(stored.id, other)
    assert [one.ciphertext for one in await secrets.use(home, ["KEY"], START)] == [b"sealed"]


async def test_of_two_with_one_name_at_once_one_is_stored(secrets: PostgresSecrets, home: WorkspaceId) -> None:
    results = await asyncio.gather(*(secrets.add(secret(home), b"sealed") for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, AlreadyExists) for result in results) == 3
    assert await sole(secrets.count_by_workspace([home])) == 1


async def test_of_two_last_ones_at_once_one_is_stored(
    secrets: PostgresSecrets, home: WorkspaceId, database: Database
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            text(
                "INSERT INTO secrets (id, workspace_id, name, ciphertext) "
                "SELECT gen_random_uuid(), :workspace, 'K' || n, '' FROM generate_series(1, 999) n"
            ),
            {"workspace": home},
        )
    results = await asyncio.gather(
        *(secrets.add(secret(home, name), b"sealed") for name in ("A", "B", "C")), return_exceptions=True
    )
    assert sum(isinstance(result, LimitExceeded) for result in results) == 2
    assert await sole(secrets.count_by_workspace([home])) == 1_000
