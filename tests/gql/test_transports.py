"""Subscriptions as the libraries speak them that people use: graphql-ws, graphql-sse, Apollo Client and urql."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gql.trusted import sha256
from tests.support.cutting_proxy import cutting_proxy
from tests.support.node import find_node, install
from tests.support.probe import Probe, probe_settings, probing
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.support.node import Node

FOLDER = Path(__file__).parent / "transports"
LISTED = "{\n  server {\n    __typename\n    isSignUpOpen\n  }\n}"
CUT_EVERY = 8

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def node() -> Node:
    node = find_node()
    install(node, FOLDER)
    return node


@pytest.fixture
async def probe(tmp_path: Path) -> AsyncGenerator[Probe]:
    listed = tmp_path / "trusted.json"
    await asyncio.to_thread(listed.write_text, json.dumps({sha256(LISTED): LISTED}))
    async with probing(
        probe_settings(session_check_s=0.1, heartbeat_interval_s=0.05, trusted_documents=listed)
    ) as probe:
        yield probe


async def run_script(node: Node, name: str, *arguments: str, hear: Callable[[str, Any], None]) -> dict[str, Any]:
    """Run a script to its end; `hear` gets what it says before, and what it says at the end is returned."""
    process = await asyncio.create_subprocess_exec(
        str(node.program), name, *arguments, cwd=FOLDER, env=node.environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    done: dict[str, Any] | None = None
    try:
        async with asyncio.timeout(90):
            async for line in process.stdout:
                what, value = json.loads(line)
                if what == "done":
                    done = value
                else:
                    hear(what, value)
            complaints = await process.stderr.read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    assert done is not None, complaints.decode()
    return done


def ending_a_session(probe: Probe) -> tuple[str, Callable[[str, Any], None]]:
    """Return the token of a session, and what ends it as soon as a script says something."""
    token, session_id = probe.sessions.sign_in()

    def hear(what: str, value: object) -> None:
        assert (what, value) == ("end the session", None)
        probe.sessions.ended.add(session_id)

    return token, hear


async def test_graphql_ws_follows_a_run_over_connections_that_break_without_a_gap_or_a_repeat(
    node: Node, database_url: str, tmp_path: Path
) -> None:
    steps = [{"key": f"n{number}", "config": {"wait": {"durationMs": 200}}} for number in range(30)]
    edges = [{"source": f"n{number}", "target": f"n{number + 1}"} for number in range(29)]
    async with (
        serving_anabranch(settings_on(database_url, tmp_path)) as url,
        cutting_proxy(url) as (proxy, proxied),
        aiohttp.ClientSession() as http,
    ):
        caller = Caller(url, http)
        await caller.sign_up()
        run = await caller.start(await caller.create(name="Long", graph={"nodes": steps, "edges": edges}))
        heard = 0

        def hear(_what: str, _seq: int) -> None:
            nonlocal heard
            heard += 1
            if heard % CUT_EVERY == 0:
                proxy.cut()

        address = f"{proxied}/graphql".replace("http", "ws", 1)
        told = await run_script(node, "graphql-ws.mjs", address, caller.token, run, hear=hear)
        whole = [event["seq"] for event in await caller.ended(run)]
    assert told["seqs"] == whole == list(range(1, len(whole) + 1))
    assert told["last"] == "RunSucceeded"
    assert told["connections"] > 5
    assert (told["refused"], told["viewer"] is not None) == ("GRAPHQL_VALIDATION_FAILED", True)


async def test_graphql_sse_subscribes_comes_again_when_it_is_cut_off_and_hears_of_the_end(
    node: Node, probe: Probe
) -> None:
    token, session_id = probe.sessions.sign_in()
    async with cutting_proxy(probe.url) as (proxy, proxied):

        def hear(what: str, _: object) -> None:
            if what == "event":
                proxy.cut()
            else:
                probe.sessions.ended.add(session_id)

        told = await run_script(node, "graphql-sse.mjs", probe.graphql, token, f"{proxied}/graphql", hear=hear)
    assert told == {
        "count": [1, 2, 3],
        "mine": "Ada",
        "query": {"whoami": "Ada"},
        "invalid": "GRAPHQL_VALIDATION_FAILED",
        "broken": [1, "CURSOR_EXPIRED"],
        "forged": {"results": [], "status": 401},
        "seen": 3,
        "last": ["Ada", "UNAUTHENTICATED"],
    }


async def test_apollo_client_subscribes_over_multipart_and_asks_by_hash(node: Node, probe: Probe) -> None:
    token, hear = ending_a_session(probe)
    told = await run_script(node, "apollo.mjs", probe.graphql, token, hear=hear)
    assert told == {
        "count": [1, 2, 3, "complete"],
        "left": [1],
        "invalid": [["graphql", "GRAPHQL_VALIDATION_FAILED"], "complete"],
        "broken": [1, ["graphql", "CURSOR_EXPIRED"], "complete"],
        "nobody": [["graphql", "UNAUTHENTICATED"], "complete"],
        "forged": [["graphql", "UNAUTHENTICATED"], "complete"],
        "query": {"whoami": "Ada"},
        "listed": {"data": {"server": {"__typename": "ServerInfo", "isSignUpOpen": True}}, "sent": ["hash"]},
        "unlisted": {
            "data": {"server": {"__typename": "ServerInfo", "isSetupNeeded": False}},
            "sent": ["hash", "text"],
        },
        "ended": ["Ada", ["protocol", "UNAUTHENTICATED"], "complete"],
    }


async def test_urql_subscribes_over_events(node: Node, probe: Probe) -> None:
    token, hear = ending_a_session(probe)
    told = await run_script(node, "urql.mjs", probe.graphql, token, hear=hear)
    assert told == {
        "query": {"whoami": "Ada"},
        "mutation": {"probe": {"text": "x"}},
        "count": [1, 2, 3],
        "left": [1],
        "invalid": ["GRAPHQL_VALIDATION_FAILED"],
        "ended": ["Ada", "UNAUTHENTICATED"],
    }
