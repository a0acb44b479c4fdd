from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiohttp import web

from domain.connections import HttpAuthScheme, HttpAuthSettings, OpenaiCompatibleSettings, PostgresSettings
from domain.errors import InvalidInput, NotFound
from domain.ids import ConnectionId
from persistence.connections import PostgresConnections
from persistence.external_tables import PostgresExternalTables
from runtime.clients.http import open_http
from runtime.clients.limited import LimitedHttp, LimitedTables
from runtime.clients.outbound import OutboundGuard
from runtime.connection_tests import ConnectionTester
from runtime.connections import ConnectionDraft, ConnectionService
from tests.support.identity import make_principal, vault
from tests.support.limits import limits_of
from tests.support.listed import sole
from tests.support.tcp_to_socket import tcp_to_socket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.connections import ConnectionSettings
    from domain.identity import Principal
    from persistence.database import Database
    from runtime.connection_tests import ConnectionTested

CANARY = "canary-a3f7"


class Desk:
    """Connections that may reach the test's endpoint and database."""

    def __init__(self, database: Database, tester: ConnectionTester, service: ConnectionService, port: int) -> None:
        self.database = database
        self.tester = tester
        self.service = service
        self.port = port
        self.url = ""

    async def test(
        self, actor: Principal, settings: ConnectionSettings, credential: str | None = CANARY
    ) -> ConnectionTested:
        draft = ConnectionDraft(f"c-{uuid4().hex}", settings, credential)
        connection = await self.service.create(actor, None, draft)
        tested = await self.tester.test(actor, connection.id)
        assert tested.connection == connection
        assert tested.elapsed_ms > 0
        assert CANARY not in tested.detail
        return tested


@pytest.fixture
async def desk(database: Database) -> AsyncGenerator[Desk]:
    async def answer(request: web.Request) -> web.Response:
        is_known = request.headers.get("Authorization") == f"Bearer {CANARY}"
        return web.json_response({"data": []}, status=200 if is_known else 401)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pair = f"127.0.0.1:{runner.addresses[0][1]}"
    async with tcp_to_socket(database.url) as port:
        guard = OutboundGuard([pair, f"127.0.0.1:{port}"])
        async with open_http(guard, connect_timeout_s=5) as bare, limits_of(database) as limits:
            service = ConnectionService(PostgresConnections(database), vault(), guard.check_url)
            tables = LimitedTables(PostgresExternalTables(guard.addresses, database), limits)
            tester = ConnectionTester(service, LimitedHttp(bare, limits), tables)
            made = Desk(database, tester, service, port)
            made.url = f"http://{pair}"
            yield made
    await runner.cleanup()


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


async def test_a_model_api_works_when_it_takes_the_key(desk: Desk, ada: Principal) -> None:
    settings = OpenaiCompatibleSettings(f"{desk.url}/v1")
    assert (await desk.test(ada, settings)).is_working
    refused = await desk.test(ada, settings, "another")
    assert (refused.is_working, refused.detail) == (False, "GET /models was answered with HTTP 401.")


async def test_a_credential_works_when_its_origin_takes_it(desk: Desk, ada: Principal) -> None:
    settings = HttpAuthSettings(HttpAuthScheme.BEARER, (desk.url,))
    assert (await desk.test(ada, settings)).is_working
    assert not (await desk.test(ada, settings, "another")).is_working


async def test_another_database_works(desk: Desk, ada: Principal, empty_database_url: str) -> None:
    parts = urlsplit(empty_database_url)
    settings = PostgresSettings("127.0.0.1", desk.port, parts.path[1:], parts.username, is_tls_verified=False)
    tested = await desk.test(ada, settings)
    assert (tested.is_working, tested.detail.split()[0]) == (True, "PostgreSQL")
    unknown = await desk.test(
        ada, PostgresSettings("127.0.0.1", desk.port, "nowhere", parts.username, is_tls_verified=False)
    )
    assert not unknown.is_working
    assert "nowhere" in unknown.detail


async def test_our_own_database_never_works(desk: Desk, ada: Principal) -> None:
    parts = urlsplit(desk.database.url)
    settings = PostgresSettings("127.0.0.1", desk.port, parts.path[1:], parts.username, is_tls_verified=False)
    tested = await desk.test(ada, settings)
    assert not tested.is_working
    assert "own database" in tested.detail


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "::1", "/var/run/postgresql", "a,b", "", "user@host", "0x7f.1"]
)
async def test_a_database_where_nodes_may_not_go_is_not_stored(desk: Desk, ada: Principal, host: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await desk.test(ada, PostgresSettings(host, 5432, "x"))
    assert caught.value.path == ["input", "settings", "postgres", "host"]
    assert await sole(desk.service.count_by_workspace([next(iter(ada.roles))])) == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"port": 0}, "port"),
        ({"port": 70_000}, "port"),
        ({"database": ""}, "database"),
        ({"username": "a\nb"}, "username"),
    ],
)
async def test_settings_of_a_database_are_checked(
    desk: Desk, ada: Principal, change: dict[str, Any], field: str
) -> None:
    given: dict[str, Any] = {"host": "db.example.com", "port": 5432, "database": "x", **change}
    with pytest.raises(InvalidInput) as caught:
        await desk.test(ada, PostgresSettings(**given))
    assert caught.value.path == ["input", "settings", "postgres", field]


async def test_nobody_tries_what_is_somebody_elses(desk: Desk, ada: Principal) -> None:
    eve = await make_principal(desk.database, "eve")
    tested = await desk.test(ada, HttpAuthSettings(HttpAuthScheme.BEARER, (desk.url,)))
    for connection_id in (tested.connection.id, ConnectionId(uuid4())):
        with pytest.raises(NotFound):
            await desk.tester.test(eve, connection_id)
