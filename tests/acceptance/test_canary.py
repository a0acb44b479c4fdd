"""No secret of a run leaves it, although every peer repeats what it was sent, and fails."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from gql.logs import configure_logs
from tests.support.hooks import MAKE, post, signed
from tests.support.hostile_postgres import answering, message, start_up
from tests.support.identity import dump_of
from tests.support.logs import logs_as_before
from tests.support.openai_endpoint import answer, openai_endpoint, refusal
from tests.support.server_process import Caller
from tests.support.services import settings_on
from tests.support.web_server import web_server
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from pathlib import Path

    from persistence.database import Database

__all__ = ["logs_as_before"]

HEADER, TOKEN, KEY, PASSWORD = (f"canary-{name}-4f1c" for name in ("header", "token", "key", "password"))
CANARIES = (HEADER, TOKEN, KEY, PASSWORD)
SECRET = "mutation($i: CreateSecretInput!) { createSecret(input: $i) { secret { id } userErrors { message } } }"
CONNECTION = """mutation($i: CreateConnectionInput!) {
  createConnection(input: $i) { connection { id } userErrors { message } } }"""
PUBLISH = "mutation($id: ID!) { publishWorkflow(input: { id: $id, expectedRevision: 1 }) { userErrors { code } } }"
HOOKED = "query($id: ID!) { node(id: $id) { ... on Run { trigger { webhook { id name prefix } } } } }"
STEP: dict[str, Any] = {"key": "one", "config": {"transform": {"fields": []}}}
RUN = """query($id: ID!) { node(id: $id) { ... on Run { status output error { message }
  workflow { document } events(first: 100) { nodes { __typename ... on NodeSucceeded { output } } }
  nodeRuns(first: 50) { nodes { input output error { code message } } } } } }"""


async def repeat(request: web.Request) -> web.Response:
    """Answer with everything that was sent, in the ways of a server that means well, and one of one that fails."""
    headers = dict(request.headers)
    told = " ".join(headers.values())
    if request.path == "/fails":
        return web.Response(status=500, reason=f"No {headers.get('X-Key')}", text=told, headers={"X-Why": told})
    return web.json_response({"headers": headers, "text": told}, headers={"X-Sent": told, "Set-Cookie": f"k={HEADER}"})


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for the password in clear, as PostgreSQL may, and refuse it by its name."""
    await start_up(reader)
    writer.write(message(b"R", (3).to_bytes(4)))
    await writer.drain()
    await reader.readexactly(1)
    password = (await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)).rstrip(b"\0")
    fields = b"".join(
        kind + text + b"\0" for kind, text in ((b"S", b"FATAL"), (b"C", b"28P01"), (b"M", b"No " + password))
    )
    writer.write(message(b"E", fields + b"\0"))
    await writer.drain()


async def prepare(caller: Caller, web_url: str, model_url: str, port: int) -> None:
    await made(caller, SECRET, name="HEADER", value=HEADER)
    origins = {"scheme": "BEARER", "allowedOrigins": [web_url], "credential": TOKEN}
    await made(caller, CONNECTION, name="peer", settings={"httpAuth": origins})
    model = {"baseUrl": model_url, "apiKey": KEY, "defaultModel": "m"}
    await made(caller, CONNECTION, name="model", settings={"openaiCompatible": model})
    where = {"host": "127.0.0.1", "port": port, "database": "d", "username": "u", "isTlsVerified": False}
    await made(caller, CONNECTION, name="database", settings={"postgres": {**where, "password": PASSWORD}})


async def made(caller: Caller, document: str, **given: object) -> None:
    (payload,) = (await caller.ask(document, i=given)).values()
    assert payload["userErrors"] == []


def nodes(web_url: str) -> dict[str, Any]:
    header = [{"name": "X-Key", "value": "Key {{ secrets.HEADER }}"}]
    external = {"target": {"externalTable": {"connection": "database", "table": "t"}}}
    once = {"retry": {"maximumAttempts": 1}}
    model = {"llmCall": {"connection": "model", "prompt": "Say it"}}
    return {
        "echo": {"config": {"httpRequest": {"url": f"{web_url}/", "headers": header, "connection": "peer"}}},
        "fails": {"config": {"httpRequest": {"url": f"{web_url}/fails", "headers": header}}, **once},
        "streams": {"config": model},
        "refuses": {"config": model, **once},
        "writes": {"config": {"dbWrite": {**external, "values": [{"column": "c", "value": 1}]}}, **once},
    }


@pytest.mark.usefixtures("logs_as_before")
async def test_no_secret_is_in_tables_events_logs_exports_or_metrics(
    database: Database, database_url: str, data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logs(is_for_people=False)
    logging.getLogger().setLevel(logging.DEBUG)
    for name in ("gql", "persistence", "runtime"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    async with web_server() as peer, openai_endpoint() as model, answering(refuse) as port:
        peer.handlers |= {"/": repeat, "/fails": repeat}
        allowed = (peer.allowed, model.allowed, f"127.0.0.1:{port}")
        async with (
            serving_anabranch(settings_on(database_url, data_dir), allowed=allowed) as url,
            aiohttp.ClientSession() as session,
        ):
            caller = Caller(url, session)
            await caller.sign_up()
            await prepare(caller, peer.url, model.base_url, port)
            seen = ""
            for key, node in nodes(peer.url).items():
                model.script(*scripts().get(key, ()))
                seen += str(await run(caller, {"key": key, **node}))
            hook, url_and_key = await call_webhook(caller)
            seen += hook
            async with session.get(f"{url}/metrics") as exposed:
                metrics = await exposed.text()
        sent = str(peer.asked) + str([dict(received.headers) for received in model.requests])
        assert [canary for canary in CANARIES[:3] if canary not in sent] == [], "the peers were sent what they repeat"
    dump, told = await dump_of(database), "".join(capfd.readouterr())
    assert "echo" in dump
    assert "•••" in seen
    assert "anabranch_requests_total" in metrics
    assert "duration_ms" in told
    places = {"tables": dump, "answers and events": seen, "logs": told, "metrics": metrics}
    assert '"webhook": "webhook_' in told
    sought = forms(*url_and_key)
    assert [(place, form) for place, text in places.items() for form in sought if form in text] == []


async def call_webhook(caller: Caller) -> tuple[str, tuple[str, str]]:
    """Call a signed webhook rightly, wrongly and at a wrong address; gives what was answered, and its token and key."""
    workflow_id = await caller.create(name="hooked", graph={"nodes": [STEP], "edges": []})
    await caller.ask(PUBLISH, id=workflow_id)
    made = (await caller.ask(MAKE, i={"workflowId": workflow_id, "name": "shop", "isSigned": True}))["createWebhook"]
    url, key = made["url"], made["signingKey"]
    told = [
        await post(caller.session, address, b"{}", headers)
        for address, headers in ((url, signed(key, "m", b"{}")), (url, {}), (f"{url}x", signed(key, "m", b"{}")))
    ]
    assert [one.status for one in told] == [202, 401, 404]
    events = await caller.ended(told[0].body["runId"])
    shown = await caller.ask(HOOKED, id=told[0].body["runId"])
    return str([told, events, shown]), (url.rpartition("/")[2], key.removeprefix("whsec_"))


def scripts() -> dict[str, Any]:
    pieces = [f"Your key is {KEY[:6]}", KEY[6:12], f"{KEY[12:]}, is it not?"]
    return {"streams": [answer(*pieces)], "refuses": [refusal(401, f"No such key: {KEY}")]}


def forms(*more: str) -> list[str]:
    canaries = (*CANARIES, *more)
    hexed = [canary.encode().hex() for canary in canaries]
    return [*canaries, *hexed, *(b64encode(canary.encode()).decode().rstrip("=") for canary in canaries)]


async def run(caller: Caller, node: Mapping[str, Any]) -> list[Any]:
    workflow = await caller.create(name=str(node["key"]), graph={"nodes": [node], "edges": []})
    run_id = await caller.start(workflow)
    events = await caller.ended(run_id)
    return [events, await caller.ask(RUN, id=run_id)]
