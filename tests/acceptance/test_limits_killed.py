"""A process that is killed while it holds a connection's permits: the others go on, and never too many at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from tests.support.server_process import Caller, server_process
from tests.support.waiting import until
from tests.support.web_server import web_server

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 8
AT_ONCE = 2
LEASE_S = 15.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


async def test_what_a_killed_process_held_is_free_before_its_lease_runs_out(data_dir: Path) -> None:
    inside = most = done = 0
    is_open = asyncio.Event()

    async def work(_: web.Request) -> web.Response:
        nonlocal inside, most, done
        inside += 1
        most = max(most, inside)
        try:
            await is_open.wait()
        finally:  # also when the client is killed
            inside -= 1
        done += 1
        return web.Response(text="ok")

    async with web_server() as endpoint, aiohttp.ClientSession() as session:
        endpoint.handlers["/work"] = work
        allowed = {"ANABRANCH_OUTBOUND__ALLOWED": endpoint.allowed}
        async with server_process(data_dir, allowed) as dying, server_process(data_dir, allowed) as living:
            caller = Caller(dying.url, session)
            await caller.sign_up()
            await connect(caller, endpoint.url)
            config = {"httpRequest": {"url": f"{endpoint.url}/work", "connection": "api"}}
            graph = {"nodes": [{"key": "ask", "config": config}], "edges": []}
            workflow = await caller.create(name="Ask", graph=graph)
            runs = [await caller.start(workflow) for _ in range(RUNS)]
            await until(lambda: inside == AT_ONCE)
            dying.kill()
            await until(lambda: inside == 0)
            begun = time.monotonic()
            await until(lambda: inside == AT_ONCE)
            waited_s = time.monotonic() - begun
            is_open.set()
            heir = Caller(living.url, session, caller.token)
            for run_id in runs:
                async with aclosing(heir.follow(run_id)) as events:
                    ends = [event["__typename"] async for event in events]
                assert ends[-1] == "RunSucceeded", ends
            assert (done, most) == (RUNS, AT_ONCE)
            assert waited_s < LEASE_S, waited_s


async def connect(caller: Caller, url: str) -> None:
    """Store a connection that lets few through at once."""
    settings = {"httpAuth": {"scheme": "BEARER", "allowedOrigins": [url], "credential": "key"}}
    data = await caller.ask(
        "mutation($i: CreateConnectionInput!) { createConnection(input: $i) { userErrors { message } } }",
        i={"name": "api", "settings": settings, "maxConcurrent": AT_ONCE},
    )
    assert not data["createConnection"]["userErrors"], data
