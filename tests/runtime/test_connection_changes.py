from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.connections import HttpAuthScheme, HttpAuthSettings, OpenaiCompatibleSettings, PostgresSettings
from domain.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound
from domain.identity import Role
from persistence.connections import PostgresConnections
from persistence.workspaces import PostgresWorkspaces
from runtime.connections import ConnectionChange, ConnectionDraft, ConnectionService
from tests.support.identity import Clock, make_principal, reach_anywhere, vault

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database

MODEL = OpenaiCompatibleSettings("https://models.example.com/v1", "qwen-plus")
CHAT = ConnectionDraft("local", MODEL, "key", max_concurrent=8)
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
    assert not (await service.update(ada, made.id, ConnectionChange(settings=away))).has_credential
    assert (await service.chat_settings(home, "local")).api_key is None

    api = await service.create(ada, None, API)
    wider = replace(API.settings, allowed_origins=("https://a.example", "https://b.example"))
    with pytest.raises(InvalidInput, match="credential"):
        await service.update(ada, api.id, ConnectionChange(settings=wider))
    await service.update(ada, api.id, ConnectionChange(settings=wider, credential="both"))
    await service.update(ada, api.id, ConnectionChange(settings=API.settings))
    assert (await service.credential(home, "api")).headers == {"Authorization": "Bearer both"}


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
