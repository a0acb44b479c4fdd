"""Keys on a whole server: over HTTP, on websockets that outlive them, and with the command line."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest
from sqlalchemy import text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from runtime.settings import ApiSettings
from tests.support.graphql_socket import PROTOCOL, Socket
from tests.support.identity import PASSWORD
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from persistence.database import Database

ROOT = Path(__file__).parents[2]
FILE = """
name: Hello
nodes:
  one:
    transform:
      fields:
        - {name: greeting, value: hello}
"""
SIGN_UP = """
mutation ($password: String!) { signUp(input: { email: "ada@example.com", password: $password }) { accessToken } }
"""
CREATE = """
mutation ($scopes: [Scope!]!, $until: DateTime) { createApiKey(input: { name: "CI", scopes: $scopes, expiresAt: $until }) {
  token apiKey { id } userErrors { message } } }
"""
REVOKE = "mutation ($id: ID!) { revokeApiKey(input: { id: $id }) { userErrors { code } } }"
ROTATE = "mutation ($id: ID!) { rotateApiKey(input: { id: $id, overlapMs: 500 }) { token userErrors { code } } }"
SECRET = 'mutation { createSecret(input: { name: "A", value: "b" }) { userErrors { code } } }'


class Server(NamedTuple):
    """A server, and the access token of who owns its workspace."""

    url: str
    session: str

    async def ask(self, document: str, token: str | None = None, **variables: object) -> Any:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{self.url}/graphql", json={"query": document, "variables": variables}) as answer,
        ):
            return await answer.json()

    async def key(self, *scopes: str, until: str | None = None) -> tuple[str, str]:
        """Make a key; gives its id and its text."""
        answer = await self.ask(CREATE, self.session, scopes=scopes, until=until)
        made = answer["data"]["createApiKey"]
        assert made["userErrors"] == []
        return made["apiKey"]["id"], made["token"]


@pytest.fixture
async def served(database_url: str, tmp_path: Path) -> AsyncGenerator[Server]:
    # Looked at ten times a second, so that a test takes no half minute.
    quick = settings_on(database_url, tmp_path).model_copy(update={"api": ApiSettings(session_check_s=0.1)})
    async with serving_anabranch(quick) as url:
        answer = await Server(url, "").ask(SIGN_UP, password=PASSWORD)
        yield Server(url, answer["data"]["signUp"]["accessToken"])


@asynccontextmanager
async def streaming(served: Server, token: str) -> AsyncGenerator[Socket]:
    """Open a websocket with a key and follow the time."""
    address = served.url.replace("http", "ws") + "/graphql"
    async with connect(address, subprotocols=[PROTOCOL]) as connection:
        socket = Socket(connection)
        await socket.init(Authorization=f"Bearer {token}")
        await socket.subscribe("time", "subscription { serverTime(everyMs: 100) }")
        assert (await socket.receive())["type"] == "next"
        yield socket


def test_a_socket_is_looked_at_often_enough_for_thirty_seconds() -> None:
    assert ApiSettings().session_check_s + 5 <= 30


async def test_a_key_is_a_bearer_token_over_http_and_no_key_is_told_from_a_wrong_one(served: Server) -> None:
    key_id, token = await served.key("READ")
    assert (await served.ask("{ viewer { scopes user { email } } }", token))["data"] == {
        "viewer": {"scopes": ["READ"], "user": {"email": "ada@example.com"}}
    }
    refused = await served.ask(SECRET, token)
    assert refused["data"]["createSecret"]["userErrors"] == [{"code": "FORBIDDEN"}]
    await served.ask(REVOKE, served.session, id=key_id)
    told = [await served.ask("{ workflows { totalCount } }", each) for each in (token, "ak_never", token + "x")]
    assert told[0] == told[1] == told[2]
    assert told[0]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_the_address_of_a_request_is_in_the_log(served: Server) -> None:
    await served.ask(SECRET, served.session)
    log = "{ viewer { workspaces { nodes { auditEntries { nodes { action address } } } } } }"
    answer = await served.ask(log, served.session)
    (workspace,) = answer["data"]["viewer"]["workspaces"]["nodes"]
    assert workspace["auditEntries"]["nodes"] == [
        {"action": "SECRET_WRITTEN", "address": "127.0.0.1"},
        {"action": "SIGNED_IN", "address": "127.0.0.1"},
    ]


async def test_failed_sign_ins_reach_the_log_of_a_running_server(served: Server) -> None:
    wrong = 'mutation { signIn(input: { email: "ada@example.com", password: "a wrong one" }) { userErrors { code } } }'
    assert (await served.ask(wrong))["data"]["signIn"]["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]
    log = "{ viewer { workspaces { nodes { auditEntries(first: 1) { nodes { action actor { name } } } } } } }"
    async with asyncio.timeout(20):
        while True:
            answer = await served.ask(log, served.session)
            (entry,) = answer["data"]["viewer"]["workspaces"]["nodes"][0]["auditEntries"]["nodes"]
            if entry == {"action": "SIGN_IN_FAILED", "actor": {"name": "ada"}}:
                break
            await asyncio.sleep(0.01)  # it is written a little after the answer


async def test_a_live_socket_closes_when_its_key_is_revoked(served: Server) -> None:
    key_id, token = await served.key("READ")
    async with streaming(served, token) as socket:
        await served.ask(REVOKE, served.session, id=key_id)
        assert (await socket.closed())[0] == 4403


@pytest.mark.long
async def test_a_revoked_key_makes_no_other_over_a_socket_that_nobody_has_looked_at_since(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        answer = await Server(url, "").ask(SIGN_UP, password=PASSWORD)
        served = Server(url, answer["data"]["signUp"]["accessToken"])
        key_id, token = await served.key("ADMIN")
        async with streaming(served, token) as socket:
            assert (await served.ask(REVOKE, served.session, id=key_id))["data"]["revokeApiKey"]["userErrors"] == []
            await socket.subscribe("late", CREATE, variables={"scopes": ["ADMIN"], "until": None})
            while (message := await socket.receive())["id"] != "late":
                pass
            assert message["payload"]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            # A second later nobody is asked any more; it would be looked at by itself after 25.
            async with asyncio.timeout(10):
                with suppress(ConnectionClosed):
                    while True:
                        await socket.subscribe("later", CREATE, variables={"scopes": ["ADMIN"], "until": None})
                        while (await socket.receive())["id"] != "later" or (await socket.receive())["id"] != "later":
                            pass
            assert (await socket.closed())[0] == 4403
    async with database.connection() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM api_keys"))).scalar_one() == 1


async def test_a_live_socket_closes_when_its_key_expires(served: Server, database: Database) -> None:
    _, token = await served.key("READ", until="2036-01-01T00:00:00Z")
    async with streaming(served, token) as socket:
        async with database.connection() as connection:
            await connection.execute(text("UPDATE api_keys SET expires_at = now()"))
        assert (await socket.closed())[0] == 4403


async def test_a_live_socket_closes_when_its_text_was_rotated_away_and_the_new_one_goes_on(served: Server) -> None:
    key_id, token = await served.key("READ")
    async with streaming(served, token) as socket:
        rotated = await served.ask(ROTATE, served.session, id=key_id)
        assert (await socket.closed())[0] == 4403
    async with streaming(served, rotated["data"]["rotateApiKey"]["token"]) as socket:
        assert (await socket.receive())["type"] == "next"


async def test_a_live_socket_closes_when_who_made_its_key_leaves_the_workspace(
    served: Server, database: Database
) -> None:
    _, token = await served.key("READ")
    async with streaming(served, token) as socket:
        async with database.connection() as connection:
            await connection.execute(text("DELETE FROM members"))
        assert (await socket.closed())[0] == 4403


async def anabranch(served: Server, token: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a command with a key in its environment; gives its status and all it said."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    own = {
        "ANABRANCH_URL": served.url,
        "ANABRANCH_API_KEY": token,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "ANABRANCH_DATA_DIR": str(folder),
        "COLUMNS": "200",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gql.cli", *arguments, cwd=ROOT, env=outside | own,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_command_line_works_with_a_key_as_far_as_its_scopes_go(served: Server, tmp_path: Path) -> None:
    file = tmp_path / "hello.yaml"
    file.write_text(FILE)
    (_, whole), (_, runner), (_, reader) = [
        await served.key(*scopes) for scopes in (["WRITE", "EXECUTE"], ["EXECUTE"], ["READ"])
    ]
    status, said = await anabranch(served, whole, tmp_path, "run", str(file), "--watch")
    assert (status, "hello  SUCCEEDED" in said) == (0, True), said
    status, said = await anabranch(served, runner, tmp_path, "run", "hello")
    assert status == 0, said
    status, said = await anabranch(served, reader, tmp_path, "runs", "--json")
    assert (status, said.count('"run_')) == (0, 2), said
    status, said = await anabranch(served, reader, tmp_path, "run", "hello")
    assert (status, "scope EXECUTE" in said) == (1, True), said
