from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.connection_prices import NamedPrice
from domain.connections import (
    Connection,
    ConnectionSettings,
    HttpAuthScheme,
    HttpAuthSettings,
    OpenaiCompatibleSettings,
    PostgresSettings,
)
from domain.errors import AlreadyExists, NotFound
from domain.ids import ConnectionId, WorkspaceId
from domain.ports.paging import PageRequest
from domain.prices import ModelPrice
from persistence.connections import PostgresConnections
from tests.support.identity import START, make_principal
from tests.support.listed import sole

if TYPE_CHECKING:
    from persistence.database import Database

PRICES = (
    NamedPrice("qwen-plus", ModelPrice(Decimal("0.000000000001"), Decimal("999999999999.999999999999"), "CNY")),
    NamedPrice("qwen-*", ModelPrice(Decimal("1E+2"), Decimal(0), "USD")),
)
MODEL = OpenaiCompatibleSettings("https://models.example.com/v1", "qwen-plus")


@pytest.fixture
def connections(database: Database) -> PostgresConnections:
    return PostgresConnections(database)


@pytest.fixture
async def home(database: Database) -> WorkspaceId:
    return next(iter((await make_principal(database)).roles))


def connection(workspace_id: WorkspaceId, settings: ConnectionSettings = MODEL) -> Connection:
    return Connection(
        id=ConnectionId(uuid4()),
        workspace_id=workspace_id,
        name="local",
        settings=settings,
        has_credential=True,
        max_concurrent=8,
        requests_per_minute=None,
        created_at=START,
        updated_at=START,
    )


@pytest.mark.parametrize(
    "settings",
    [
        MODEL,
        OpenaiCompatibleSettings("http://a"),
        OpenaiCompatibleSettings("http://a", prices=PRICES),
        *(HttpAuthSettings(scheme, ("https://a", "https://b:81"), "ada", "X-Key") for scheme in HttpAuthScheme),
        HttpAuthSettings(HttpAuthScheme.BEARER, ()),
        PostgresSettings("db.example.com", 5433, "sales", "ada", is_tls_verified=False),
        PostgresSettings("::1", 5432, "sales"),
    ],
)
async def test_settings_come_back_as_they_were_stored(
    connections: PostgresConnections, home: WorkspaceId, settings: ConnectionSettings
) -> None:
    stored = connection(home, settings)
    await connections.add(stored, b"sealed")
    assert await connections.list_by_id(frozenset({home}), [stored.id]) == [stored]
    found = await connections.find_by_name("local", home)
    assert found is not None
    assert found[0] == stored
    assert found[1] is not None
    assert (found[1].id, found[1].ciphertext) == (stored.id, b"sealed")


async def test_a_connection_that_is_older_than_prices_has_none(
    connections: PostgresConnections, home: WorkspaceId, database: Database
) -> None:
    stored = connection(home)
    await connections.add(replace(stored, settings=replace(MODEL, prices=PRICES)), b"sealed")
    async with database.direct() as opened:
        await opened.execute("UPDATE connections SET settings = settings - 'prices'")
    assert await connections.list_by_id(frozenset({home}), [stored.id]) == [stored]


async def test_a_connection_without_a_credential_has_none(connections: PostgresConnections, home: WorkspaceId) -> None:
    stored = replace(connection(home), has_credential=False)
    await connections.add(stored, None)
    assert await connections.find_by_name("local", home) == (stored, None)


async def test_a_name_is_taken_once(connections: PostgresConnections, home: WorkspaceId) -> None:
    await connections.add(connection(home), b"first")
    with pytest.raises(AlreadyExists):
        await connections.add(connection(home), b"second")
    found = await connections.find_by_name("local", home)
    assert found is not None
    assert found[1] is not None
    assert found[1].ciphertext == b"first"


async def test_nothing_is_read_or_removed_in_another_workspace(
    connections: PostgresConnections, home: WorkspaceId, database: Database
) -> None:
    other = next(iter((await make_principal(database)).roles))
    stored = connection(home)
    await connections.add(stored, b"sealed")
    assert await connections.list_by_id(frozenset({other}), [stored.id]) == []
    assert await connections.find_by_name("local", other) is None
    assert (await sole(connections.page_by_workspace([other], PageRequest(10)))).items == []
    assert (await sole(connections.count_by_workspace([other])), await connections.list_names(other)) == (
        0,
        frozenset(),
    )
    with pytest.raises(NotFound):
        await connections.remove(stored.id, other)
    assert await connections.list_names(home) == {"local"}
