"""Lines 1 to 8 of docs/design/security.md: documents and transport."""

from __future__ import annotations

import asyncio
import io
import re
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from sqlalchemy import text

from tests.gql.test_limits import bomb
from tests.gql.test_rates import SIGN_IN
from tests.support.graphql_socket import opened
from tests.support.probe import Probe, probe_settings, probing
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from persistence.database import Database

TOO_MUCH = {
    "tokens": "{" + "__typename " * 5_001 + "}",
    "depth": "{" + "server {" * 15 + "version" + "}" * 16,
    "aliases": "{" + " ".join(f"a{number}: __typename" for number in range(51)) + "}",
    "directives": "{server {version " + "@skip(if: false) " * 6 + "}}",
    "root fields": "{" + "__typename " * 21 + "}",
    "cost": "{things(first: 100) {nodes {id}}}",
    "fragments": bomb(200),
}
LEAKS = re.compile(r"Traceback|\.py\b|site-packages|SELECT |asyncpg|sqlalchemy|postgres|/tmp/|127\.0\.0\.1")


@pytest.fixture
async def probe() -> AsyncGenerator[Probe]:
    async with probing(
        probe_settings(max_cost=50, resolver_timeout_s=0.3, allowed_origins=("https://a.example",))
    ) as probe:
        yield probe


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield http


async def posted(http: aiohttp.ClientSession, url: str, query: str, **options: Any) -> tuple[int, Any]:
    async with http.post(url, json={"query": query}, **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_line_01_each_limit_holds_over_http_and_websockets(probe: Probe, http: aiohttp.ClientSession) -> None:
    began = time.thread_time()
    async with opened(probe) as socket:
        await socket.init()
        for name, query in TOO_MUCH.items():
            _, told = await posted(http, probe.graphql, query)
            assert "data" not in told, name
            code = told["errors"][0]["extensions"]["code"]
            assert code in {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "LIMIT_EXCEEDED"}, (name, told)
            answer = await socket.ask({"id": name, "type": "subscribe", "payload": {"query": query}})
            assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", code)
    assert time.thread_time() - began < 3, "linear in the document"


async def test_line_02_there_are_no_batches_and_twenty_aliases_are_twenty_attempts(
    database_url: str, data_dir: Path, http: aiohttp.ClientSession
) -> None:
    aliases = " ".join(f"a{number}: signIn(input: $i) {{ userErrors {{ code }} }}" for number in range(20))
    given = {"email": "ada@example.com", "password": "a wrong password"}
    body = {"query": f"mutation($i: SignInInput!) {{ {aliases} }}", "variables": {"i": given}}
    async with serving_anabranch(settings_on(database_url, data_dir)) as url:
        async with http.post(f"{url}/graphql", json=[{"query": SIGN_IN}] * 2) as batch:
            assert batch.status == 400
        async with http.post(f"{url}/graphql", json=body) as answer:
            data = (await answer.json())["data"]
    codes = [payload["userErrors"][0]["code"] for payload in data.values()]
    assert (codes.count("INVALID_CREDENTIALS"), codes.count("RATE_LIMITED")) == (5, 15)


async def test_line_03_large_bodies_frames_and_documents_are_refused(probe: Probe, http: aiohttp.ClientSession) -> None:
    async def pieces() -> AsyncGenerator[bytes]:
        for _ in range(32):
            yield b" " * 65_536

    headers = {"content-type": "application/json"}
    for body in (io.BytesIO(b" " * 1_100_000), pieces()):
        async with http.post(probe.graphql, data=body, headers=headers) as answer:
            assert answer.status == 413
    _, told = await posted(http, probe.graphql, "{ __typename }" + " " * 65_536)
    assert "data" not in told
    async with opened(probe) as socket:
        await socket.init()
        await socket.send({"type": "ping", "payload": {"x": "x" * 1_100_000}})
        assert (await socket.closed())[0] == 1009


async def test_line_04_an_operation_ends_in_time_and_its_statement_with_its_client(
    probe: Probe, http: aiohttp.ClientSession, database: Database, database_url: str, data_dir: Path
) -> None:
    assert (await posted(http, probe.graphql, "{ never }"))[1]["errors"][0]["extensions"]["code"] == "TIMEOUT"
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with serving_anabranch(settings_on(database_url, data_dir)) as url:
        caller = Caller(url, http)
        await caller.sign_up()
        async with database.connection() as locked, database.connection() as watching:
            await locked.execute(text("LOCK TABLE workflows IN ACCESS EXCLUSIVE MODE"))
            asking = asyncio.create_task(caller.ask("{ workflows(first: 1) { nodes { id } } }"), name="asking")

            async def blocked(count: int) -> None:
                async with asyncio.timeout(10):
                    while (await watching.execute(waiting)).scalar_one() != count:
                        await asyncio.sleep(0.01)  # PostgreSQL tells nobody of its locks

            await blocked(1)
            asking.cancel()
            await asyncio.wait([asking])
            await blocked(0)


async def test_line_05_simple_requests_and_get_change_nothing_and_foreign_pages_open_no_socket(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    query = '{"query": "{ __typename }"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        async with http.post(probe.graphql, data=query, headers={"content-type": kind}) as answer:
            assert answer.status in {400, 415}, kind
    for asked in ('mutation { probe(input: {text: "x"}) { text } }', "subscription { endless }"):
        async with http.get(probe.graphql, params={"query": asked}) as answer:
            assert answer.status in {400, 405}, asked
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(probe.graphql, protocols=["graphql-transport-ws"], origin="https://evil.example")
    assert refused.value.status == 403


async def test_line_06_only_exact_origins_may_read_answers(probe: Probe, http: aiohttp.ClientSession) -> None:
    for origin, is_allowed in {
        "https://a.example": True,
        "https://a.example.evil": False,
        "https://b.a.example": False,
        "http://a.example": False,
        "null": False,
    }.items():
        async with http.post(probe.graphql, json={"query": "{ __typename }"}, headers={"Origin": origin}) as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None), origin
            if is_allowed:
                assert "Origin" in answer.headers["Vary"]


async def test_line_07_the_schema_and_graphiql_are_shown_by_setting(http: aiohttp.ClientSession) -> None:
    closed = probe_settings(is_introspection_enabled=False, is_graphiql_enabled=False)
    async with probing(closed) as probe:
        _, told = await posted(http, probe.graphql, "{ __schema { types { name } } }")
        assert "data" not in told
        async with http.get(f"{probe.url}/graphiql") as page:
            assert page.status == 404
        _, told = await posted(http, probe.graphql, "{ serve { version } }")
        assert "Did you mean" not in str(told)
    async with probing(probe_settings(is_development=True)) as probe:
        assert "Did you mean" in str(await posted(http, probe.graphql, "{ serve { version } }"))
        assert "data" in (await posted(http, probe.graphql, "{ __schema { queryType { name } } }"))[1]


async def test_line_08_no_answer_tells_of_the_inside(probe: Probe, http: aiohttp.ClientSession) -> None:
    queries = ("{ boom }", "{ maybeBoom }", 'mutation { probe(input: {text: "boom"}) { text } }', "{", "{ x }")
    told = [str(await posted(http, probe.graphql, query)) for query in queries]
    for body in (b"{", b"[]", b"\xff"):
        async with http.post(probe.graphql, data=body, headers={"content-type": "application/json"}) as answer:
            told.append(await answer.text())
    for path in ("/nothing", "/graphql/..%2f..%2fetc/passwd"):
        async with http.get(probe.url + path) as answer:
            told.append(await answer.text())
    assert "Internal error." in told[0]
    assert [found for one in told if (found := LEAKS.search(one))] == []
