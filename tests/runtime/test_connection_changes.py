from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from domain.connections import HttpAuthScheme, HttpAuthSettings, OpenaiCompatibleSettings, PostgresSettings
from domain.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound
from domain.identity import Role
from persistence.connections import PostgresConnections
from persistence.workspaces import PostgresWorkspaces
from runtime.connections import ConnectionChange, ConnectionDraft, ConnectionService
from tests.support.identity import Clock, make_principal, reach_anywhere, vault
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database

MODEL = OpenaiCompatibleSettings("https://models.example.com/v1", "qwen-plus")
CHAT = ConnectionDraft("local", MODEL, "key", max_concurrent=8)
DATABASE = PostgresSettings("db.example.com", 5432, "app", "ada")
API = ConnectionDraft("api", HttpAuthSettings(HttpAuthScheme.BEARER, ("https://a.example",)), "token")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(database: Database, clock: Clock) -> ConnectionService:
    return ConnectionService(PostgresConnections(database), vault(), reach_anywhere, clock=clock)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


async def test_what_is_not_named_stays_and_nodes_get_what_changed(
    service: ConnectionService, ada: Principal, clock: Clock
) -> None:
    home = ada.workspace(None)
    made = await service.create(ada, None, CHAT)
    clock.advance(seconds=1)
    caps = {"maxConcurrent": None, "requestsPerMinute": 60}
    changed = await service.update(ada, made.id, ConnectionChange(name="far", caps=caps))
    assert changed == replace(made, name="far", max_concurrent=None, requests_per_minute=60, updated_at=clock.now)
    assert await service.find(ada, made.id) == changed
    assert (await service.chat_settings(home, "far")).api_key == "key"
    assert await service.find_by_name(ada, home, "local") is None
    await service.update(ada, made.id, ConnectionChange(settings=replace(MODEL, default_model="max"), credential="new"))
    found = await service.chat_settings(home, "far")
    assert (found.default_model, found.api_key) == ("max", "new")


async def test_a_credential_that_is_not_sent_again_goes_to_no_other_address(
    service: ConnectionService, ada: Principal
) -> None:
    home = ada.workspace(None)
    made = await service.create(ada, None, CHAT)
    same = OpenaiCompatibleSettings("https://Models.example.com/v1/", "other")
    assert (await service.update(ada, made.id, ConnectionChange(settings=same))).has_credential
    assert (await service.chat_settings(home, "local")).api_key == "key"
    away = OpenaiCompatibleSettings("https://elsewhere.example.com/v1")
    with pytest.raises(InvalidInput, match="`baseUrl` changes") as caught:
        await service.update(ada, made.id, ConnectionChange(settings=away))
    assert caught.value.path == ["input", "settings", "openaiCompatible", "apiKey"]
    assert (await service.chat_settings(home, "local")).base_url == MODEL.base_url
    removed = await service.update(ada, made.id, ConnectionChange(settings=away, is_credential_removed=True))
    assert not removed.has_credential
    assert (await service.chat_settings(home, "local")).api_key is None
    assert await service.update(ada, made.id, ConnectionChange(settings=MODEL)), "nothing is stored that could go there"

    api = await service.create(ada, None, API)
    wider = replace(API.settings, allowed_origins=("https://a.example", "https://b.example"))
    with pytest.raises(InvalidInput, match="credential"):
        await service.update(ada, api.id, ConnectionChange(settings=wider))
    await service.update(ada, api.id, ConnectionChange(settings=wider, credential="both"))
    await service.update(ada, api.id, ConnectionChange(settings=API.settings))
    assert (await service.credential(home, "api")).headers == {"Authorization": "Bearer both"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"host": "elsewhere.example.com"}, "host"),
        ({"port": 6432}, "port"),
        ({"is_tls_verified": False}, "isTlsVerified"),
    ],
)
async def test_a_password_that_is_not_sent_again_goes_to_no_other_server_and_stays_protected(
    service: ConnectionService, ada: Principal, change: dict[str, Any], named: str
) -> None:
    made = await service.create(ada, None, ConnectionDraft("db", DATABASE, "password"))
    with pytest.raises(InvalidInput, match=f"`{named}` changes.*give `password` again") as caught:
        await service.update(ada, made.id, ConnectionChange(settings=replace(DATABASE, **change)))
    assert caught.value.path == ["input", "settings", "postgres", "password"]
    assert await service.find(ada, made.id) == made
    again = ConnectionChange(settings=replace(DATABASE, **change), credential="again")
    assert (await service.update(ada, made.id, again)).has_credential
    back = await service.update(ada, made.id, ConnectionChange(settings=replace(DATABASE, **change, database="other")))
    assert back.has_credential, "what only the same server sees is no risk"


async def test_a_token_is_not_moved_into_addresses_unless_it_is_given_again(
    service: ConnectionService, ada: Principal
) -> None:
    made = await service.create(ada, None, API)
    shown = HttpAuthSettings(HttpAuthScheme.QUERY, ("https://a.example",), parameter="key")
    with pytest.raises(InvalidInput, match=r"`scheme` changes.*give `credential` again"):
        await service.update(ada, made.id, ConnectionChange(settings=shown))
    assert await service.update(ada, made.id, ConnectionChange(settings=shown, credential="token"))


async def test_what_does_not_fit_changes_nothing(
    service: ConnectionService, database: Database, ada: Principal, clock: Clock
) -> None:
    made, other = await service.create(ada, None, CHAT), await service.create(ada, None, replace(CHAT, name="other"))
    eve = await make_principal(database, "eve")
    editor = replace(ada, roles=dict.fromkeys(ada.roles, Role.EDITOR))
    refused = (
        (eve, ConnectionChange(name="mine"), NotFound),
        (editor, ConnectionChange(name="mine"), Forbidden),
        (ada, ConnectionChange(name="other"), AlreadyExists),
        (ada, ConnectionChange(name="-"), InvalidInput),
        (ada, ConnectionChange(caps={"maxConcurrent": 0}), InvalidInput),
        (ada, ConnectionChange(settings=PostgresSettings("db.example.com", 5432, "app")), InvalidInput),
    )
    for actor, change, error in refused:
        with pytest.raises(error):
            await service.update(actor, made.id, change)
    assert await service.find(ada, made.id) == made
    clock.advance(seconds=1)
    stale = other
    await service.update(ada, other.id, ConnectionChange(credential="x", settings=replace(MODEL, default_model="m")))
    with pytest.raises(Conflict):
        await service._connections.save(stale, replace(stale, name="late"), None, is_kept=True)


async def test_the_default_connection_is_what_nodes_use_that_name_none(
    database: Database, service: ConnectionService, ada: Principal
) -> None:
    home, workspaces = ada.workspace(None), PostgresWorkspaces(database)
    first, second = await service.create(ada, None, CHAT), await service.create(ada, None, replace(CHAT, name="two"))
    await service.create(ada, None, API)
    assert await service.defaults([home]) == {home: None}
    for one in (first, second, second):
        await workspaces.update(home, None, await service.find_default(home, one.name))
        assert await service.defaults([home]) == {home: one}
        found = await service.chat_settings(home, None)
        assert (found.api_key, found.caps and found.caps.name) == ("key", one.name)
    for name in ("api", "nothing", "\0"):
        with pytest.raises(InvalidInput):
            await service.find_default(home, name)
    assert await service.defaults([home]) == {home: second}
    await service.delete(ada, second.id)
    assert await service.defaults([home]) == {home: None}
    await workspaces.update(home, None, first.id)
    await workspaces.update(home, None, None)
    assert await service.defaults([home]) == {home: None}


async def test_a_default_that_is_deleted_while_it_is_chosen_leaves_the_one_before(
    service: ConnectionService, database: Database, ada: Principal
) -> None:
    home, workspaces = ada.workspace(None), PostgresWorkspaces(database)
    first, second = await service.create(ada, None, CHAT), await service.create(ada, None, replace(CHAT, name="two"))
    await workspaces.update(home, None, first.id)
    async with database.connection() as holder:
        await holder.execute(text("SELECT FROM workspaces FOR NO KEY UPDATE"))
        choosing = asyncio.create_task(workspaces.update(home, None, second.id))
        await until(lambda: _is_waiting(database))
        await service.delete(ada, second.id)
    with pytest.raises(InvalidInput, match="deleted meanwhile"):
        await choosing
    assert await service.defaults([home]) == {home: first}


async def _is_waiting(database: Database) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.single() as connection:
        return (await connection.execute(text(waiting))).scalar_one() == 1
