from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.connections import ChatSettings, ConnectionKind, HttpAuthScheme, HttpAuthSettings, OpenaiCompatibleSettings
from domain.errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NodeFault,
    NotFound,
    SecretUnreadable,
)
from domain.identity import Principal, Role
from domain.ids import ConnectionId, WorkspaceId
from domain.ports.outbound import Credential
from domain.ports.paging import PageRequest
from domain.rate_limits import Caps
from persistence.connections import PostgresConnections
from runtime.clients.outbound import OutboundGuard, origin_of, parse_url
from runtime.connections import ConnectionDraft, ConnectionService
from tests.support.identity import dump_of, make_principal, vault
from tests.support.listed import sole

if TYPE_CHECKING:
    from persistence.database import Database

CANARY = "canary-7c2e"
CHAT = ConnectionDraft(
    name="local",
    settings=OpenaiCompatibleSettings("https://models.example.com/v1/", "qwen-plus"),
    credential=CANARY,
    max_concurrent=8,
    requests_per_minute=60,
)
ORIGIN = "https://api.example.com"
SERVER = ChatSettings("https://server.example.com/v1", "server-key", "server-model")


class Guard:
    """Stands in for the outbound guard: refuses what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.faults: dict[str, NodeFault] = {}

    async def __call__(self, url: str) -> None:
        self.asked.append(url)
        if fault := self.faults.get(url):
            raise fault


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def service(database: Database, guard: Guard) -> ConnectionService:
    return ConnectionService(PostgresConnections(database), vault(), guard, server_chat=SERVER)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


@pytest.fixture
async def eve(database: Database) -> Principal:
    return await make_principal(database, "eve")


def home(actor: Principal) -> WorkspaceId:
    return next(iter(actor.roles))


async def loopback(host: str, port: int) -> list[str]:
    """A resolver for which every name is this machine."""
    return ["127.0.0.1"] if host and port else []


def http_auth(scheme: HttpAuthScheme, **more: str) -> ConnectionDraft:
    return ConnectionDraft("api", HttpAuthSettings(scheme, (ORIGIN,), **more), CANARY)


async def test_a_model_connection_comes_back_for_nodes_with_its_key_and_for_people_without(
    service: ConnectionService, database: Database, ada: Principal
) -> None:
    connection = await service.create(ada, None, CHAT)
    assert connection.settings == OpenaiCompatibleSettings("https://models.example.com/v1", "qwen-plus")
    assert connection.settings.kind is ConnectionKind.OPENAI_COMPATIBLE
    assert connection.has_credential
    assert CANARY not in repr(connection)
    assert await service.find(ada, connection.id) == connection
    assert await service.find_by_name(ada, home(ada), "local") == connection
    assert await service.chat_settings(home(ada), "local") == ChatSettings(
        "https://models.example.com/v1", CANARY, "qwen-plus", Caps(connection.id, "local", 8, 60)
    )
    dump = await dump_of(database)
    assert "models.example.com" in dump
    assert CANARY not in dump
    assert CANARY.encode().hex() not in dump


async def test_a_model_without_a_key_is_a_connection_too(service: ConnectionService, ada: Principal) -> None:
    connection = await service.create(ada, None, replace(CHAT, credential=None))
    assert not connection.has_credential
    assert (await service.chat_settings(home(ada), "local")).api_key is None


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (
            http_auth(HttpAuthScheme.BASIC, username="ada"),
            Credential(
                {"Authorization": "Basic YWRhOmNhbmFyeS03YzJl"},
                {},
                frozenset({ORIGIN}),
                parts=(f"ada:{CANARY}",),
            ),
        ),
        (
            http_auth(HttpAuthScheme.BEARER),
            Credential({"Authorization": f"Bearer {CANARY}"}, {}, frozenset({ORIGIN})),
        ),
        (http_auth(HttpAuthScheme.HEADER, parameter="X-Key"), Credential({"X-Key": CANARY}, {}, frozenset({ORIGIN}))),
        (http_auth(HttpAuthScheme.QUERY, parameter="key"), Credential({}, {"key": CANARY}, frozenset({ORIGIN}))),
    ],
)
async def test_each_scheme_gives_nodes_what_they_send(
    service: ConnectionService, ada: Principal, draft: ConnectionDraft, expected: Credential
) -> None:
    connection = await service.create(ada, None, draft)
    assert await service.credential(home(ada), "api") == replace(expected, caps=Caps(connection.id, "api"))


async def test_a_node_that_names_none_gets_the_servers_model(
    service: ConnectionService, database: Database, guard: Guard, ada: Principal
) -> None:
    assert await service.chat_settings(home(ada), None) == SERVER
    bare = ConnectionService(PostgresConnections(database), vault(), guard)
    with pytest.raises(NodeFault) as caught:
        await bare.chat_settings(home(ada), None)
    assert caught.value.code == "CONNECTION_NOT_FOUND"
    assert not caught.value.is_retryable


@pytest.mark.parametrize("name", ["missing", "", "nul\0", "half\ud800"])
async def test_an_unknown_name_fails_the_node(service: ConnectionService, ada: Principal, name: str) -> None:
    for asked in (service.chat_settings(home(ada), name), service.credential(home(ada), name)):
        with pytest.raises(NodeFault) as caught:
            await asked
        assert caught.value.code == "CONNECTION_NOT_FOUND"
    assert await service.find_by_name(ada, home(ada), name) is None


async def test_a_connection_of_another_kind_fails_the_node(service: ConnectionService, ada: Principal) -> None:
    await service.create(ada, None, CHAT)
    await service.create(ada, None, http_auth(HttpAuthScheme.BEARER))
    with pytest.raises(NodeFault):
        await service.chat_settings(home(ada), "api")
    with pytest.raises(NodeFault):
        await service.credential(home(ada), "local")


@pytest.mark.parametrize("code", ["ADDRESS_REFUSED", "INVALID_URL"])
async def test_an_address_that_nodes_may_not_reach_is_refused_and_nothing_is_stored(
    service: ConnectionService, ada: Principal, guard: Guard, code: str
) -> None:
    guard.faults["https://models.example.com/v1"] = NodeFault(code, "Refused.")
    guard.faults["https://b.example.com"] = NodeFault(code, "Refused.")
    with pytest.raises(InvalidInput) as caught:
        await service.create(ada, None, CHAT)
    assert caught.value.path == ["input", "settings", "openaiCompatible", "baseUrl"]
    both = HttpAuthSettings(HttpAuthScheme.BEARER, (ORIGIN, "https://b.example.com"))
    with pytest.raises(InvalidInput) as caught:
        await service.create(ada, None, ConnectionDraft("api", both, CANARY))
    assert caught.value.path == ["input", "settings", "httpAuth", "allowedOrigins", "1"]
    assert await sole(service.count_by_workspace([home(ada)])) == 0


async def test_an_address_that_does_not_answer_at_the_moment_is_stored(
    service: ConnectionService, ada: Principal, guard: Guard
) -> None:
    guard.faults["https://models.example.com/v1"] = NodeFault("CONNECTION_FAILED", "No such name.", is_retryable=True)
    assert await service.create(ada, None, CHAT)
    assert guard.asked == ["https://models.example.com/v1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5432/v1",
        "http://localhost./v1",
        "http://[::ffff:10.0.0.1]/v1",
        "http://169.254.169.254/latest",
        "http://2130706433/v1",
        "https://a\\b.example.com/v1",
    ],
)
async def test_the_real_guard_refuses_private_networks(database: Database, ada: Principal, url: str) -> None:
    service = ConnectionService(PostgresConnections(database), vault(), OutboundGuard(resolve=loopback).check_url)
    with pytest.raises(InvalidInput):
        await service.create(ada, None, replace(CHAT, settings=OpenaiCompatibleSettings(url)))
    assert await sole(service.count_by_workspace([home(ada)])) == 0


async def test_an_address_that_the_operator_allows_is_stored(database: Database, ada: Principal) -> None:
    guard = OutboundGuard(allowed=["127.0.0.1:8080"])
    service = ConnectionService(PostgresConnections(database), vault(), guard.check_url)
    settings = OpenaiCompatibleSettings("http://127.0.0.1:8080/v1")
    assert await service.create(ada, None, replace(CHAT, settings=settings))


async def test_origins_are_in_the_words_of_the_client_that_compares_them(
    service: ConnectionService, ada: Principal
) -> None:
    origins = ("https://BÜCHER.example:443", "http://[2001:DB8:0::1]:80/", "http://a.example:8080")
    await service.create(ada, None, ConnectionDraft("api", HttpAuthSettings(HttpAuthScheme.BEARER, origins), CANARY))
    credential = await service.credential(home(ada), "api")
    assert credential.allowed_origins == {
        origin_of(parse_url(url))
        for url in ("https://bücher.example/path?x=1", "http://[2001:db8::1]/", "http://a.example:8080/y")
    }


async def test_connections_of_others_do_not_exist(service: ConnectionService, ada: Principal, eve: Principal) -> None:
    foreign = (await service.create(ada, None, CHAT)).id
    for connection_id in (foreign, ConnectionId(uuid4())):
        assert await service.find(eve, connection_id) is None
        with pytest.raises(NotFound):
            await service.delete(eve, connection_id)
    for workspace in (home(ada), WorkspaceId(uuid4())):
        for asked in (
            service.create(eve, workspace, replace(CHAT, name="other")),
            service.find_by_name(eve, workspace, "local"),
        ):
            with pytest.raises(NotFound):
                await asked
    with pytest.raises(NodeFault):
        await service.chat_settings(home(eve), "local")
    assert await service.names(home(ada)) == {"local"}


async def test_a_viewer_sees_and_changes_nothing(service: ConnectionService, ada: Principal) -> None:
    connection = await service.create(ada, None, CHAT)
    viewer = Principal(ada.user, ada.session_id, ada.expires_at, {home(ada): Role.VIEWER})
    assert await service.find(viewer, connection.id) == connection
    with pytest.raises(Forbidden):
        await service.create(viewer, None, replace(CHAT, name="other"))
    with pytest.raises(Forbidden):
        await service.delete(viewer, connection.id)
    assert await service.names(home(ada)) == {"local"}


async def test_a_name_is_taken_once_in_a_workspace(service: ConnectionService, ada: Principal, eve: Principal) -> None:
    await service.create(ada, None, CHAT)
    with pytest.raises(AlreadyExists):
        await service.create(ada, None, replace(CHAT, credential="another"))
    assert await service.create(eve, None, CHAT)
    assert (await service.chat_settings(home(ada), "local")).api_key == CANARY


async def test_connections_are_listed_by_name(service: ConnectionService, ada: Principal) -> None:
    for name in ("b", "a", "c"):
        await service.create(ada, None, replace(CHAT, name=name))
    page = await sole(service.page_by_workspace([home(ada)], PageRequest(2)))
    assert [connection.name for connection in page.items] == ["a", "b"]
    assert page.has_next
    assert await sole(service.count_by_workspace([home(ada)])) == 3


async def test_a_deleted_connection_is_gone(service: ConnectionService, ada: Principal) -> None:
    connection = await service.create(ada, None, CHAT)
    await service.delete(ada, connection.id)
    assert await service.find(ada, connection.id) is None
    with pytest.raises(NotFound):
        await service.delete(ada, connection.id)
    with pytest.raises(NodeFault):
        await service.chat_settings(home(ada), "local")


async def test_a_credential_copied_into_another_row_does_not_open(
    service: ConnectionService, database: Database, ada: Principal
) -> None:
    await service.create(ada, None, CHAT)
    await service.create(ada, None, replace(CHAT, name="other", credential="own"))
    async with database.connection() as connection:
        await connection.execute(
            text("UPDATE connections SET ciphertext = (SELECT ciphertext FROM connections WHERE name = 'local')")
        )
    assert (await service.chat_settings(home(ada), "local")).api_key == CANARY
    with pytest.raises(SecretUnreadable):
        await service.chat_settings(home(ada), "other")


async def test_a_workspace_has_a_bounded_number_of_connections(
    service: ConnectionService, database: Database, ada: Principal
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            text(
                "INSERT INTO connections (id, workspace_id, name, kind, settings) "
                "SELECT gen_random_uuid(), :workspace, 'c' || n, 'HTTP_AUTH', '{}' FROM generate_series(1, 200) n"
            ),
            {"workspace": home(ada)},
        )
    with pytest.raises(LimitExceeded):
        await service.create(ada, None, CHAT)
