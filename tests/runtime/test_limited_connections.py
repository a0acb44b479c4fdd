"""Real connections under limits, on all the services of two processes."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aiohttp import web

from domain.connections import HttpAuthScheme, HttpAuthSettings
from domain.events import NodeFailed, NodeWaiting, RunSucceeded
from domain.run import WaitReason
from domain.workflow import WorkflowDraft
from runtime.connections import ConnectionDraft
from tests.support.collections import Library, open_library
from tests.support.engines import only
from tests.support.kinds import graph, retry
from tests.support.waiting import until
from tests.support.web_server import web_server

if TYPE_CHECKING:
    from pathlib import Path

    from domain.events import LoggedEvent
    from domain.ids import RunId
    from runtime.connection_limits import ConnectionLimits

SHORT_S = 0.2
"""How long a node waits at work here before it says that it waits."""


async def test_a_run_that_waits_for_a_connection_that_is_deleted_fails_with_its_code(
    database_url: str, data_dir: Path
) -> None:
    gate = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(text="ok")

    async with web_server() as server, open_library(database_url, data_dir, server.allowed) as library:
        server.handlers["/slow"] = slow
        limits_in(library)._short_s = SHORT_S
        desk = Desk(library)
        connection = await desk.connect(server.url, max_concurrent=1)
        first = await desk.start(f"{server.url}/slow")
        await until(lambda: len(server.asked) == 1)
        second = await desk.start(f"{server.url}/slow")
        await desk.waits(second)
        await library.services.connections.delete(library.owner, connection)
        events = await desk.ended(second)
        assert only(events, NodeFailed).failure.code == "CONNECTION_NOT_FOUND"
        gate.set()
        assert isinstance((await desk.ended(first))[-1].event, RunSucceeded)
        assert len(server.asked) == 1


async def test_fifty_runs_on_two_engines_never_have_more_requests_at_the_endpoint_than_allowed(
    database_url: str, data_dir: Path
) -> None:
    inside = most = 0
    all_begun = asyncio.Event()

    async def work(_: web.Request) -> web.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await all_begun.wait()
        await asyncio.sleep(0.02)  # the work
        inside -= 1
        return web.Response(text="ok")

    async with (
        web_server() as server,
        open_library(database_url, data_dir, server.allowed) as library,
        open_library(database_url, data_dir, server.allowed) as other,
    ):
        server.handlers["/work"] = work
        desk = Desk(library)
        await desk.connect(server.url, max_concurrent=3)
        beside = Desk(other, library.owner)
        runs = [await (desk, beside)[number % 2].start(f"{server.url}/work") for number in range(50)]
        all_begun.set()
        for number, run_id in enumerate(runs):
            assert isinstance((await (desk, beside)[number % 2].ended(run_id))[-1].event, RunSucceeded)
        assert (len(server.asked), most) == (50, 3)


async def test_a_retry_after_of_one_run_is_obeyed_by_all_others_of_the_connection_in_every_process(
    database_url: str, data_dir: Path
) -> None:
    asked: list[float] = []

    async def busy(_: web.Request) -> web.Response:
        asked.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "2"}) if len(asked) == 1 else web.Response(text="ok")

    async with (
        web_server() as server,
        open_library(database_url, data_dir, server.allowed) as library,
        open_library(database_url, data_dir, server.allowed) as other,
    ):
        server.handlers["/busy"] = busy
        for one in (library, other):
            limits_in(one)._short_s = SHORT_S
        desk, beside = Desk(library), Desk(other, library.owner)
        await desk.connect(server.url)
        first = await desk.start(f"{server.url}/busy")
        await until(lambda: len(asked) == 1)
        await until(lambda: bool(limits_in(other)._pauses))
        runs = [await place.start(f"{server.url}/busy") for place in (desk, beside) for _ in range(3)]
        free = await desk.start(f"{server.url}/free", connection=None)
        await desk.ended(free)
        assert len(asked) == 1, "what uses no connection is not concerned"
        logs = [
            await place.ended(run_id)
            for place, run_id in zip([desk, *[desk] * 3, *[beside] * 3], [first, *runs], strict=True)
        ]
        assert all(isinstance(log[-1].event, RunSucceeded) for log in logs)
        assert min(asked[1:]) - asked[0] >= 1.95
        assert all(only(log, NodeWaiting).reason is WaitReason.RATE_LIMIT for log in logs[1:])


def limits_in(library: Library) -> ConnectionLimits:
    """Return the limits of a library's process."""
    return library.services.connection_tester._http._limits


class Desk:
    """Starts runs of one HTTP request."""

    def __init__(self, library: Library, owner: Any = None) -> None:
        self.services = library.services
        self.owner = owner or library.owner
        self.count = 0

    async def connect(self, url: str, **caps: int) -> Any:
        """Store the connection `api`; return its id."""
        draft = ConnectionDraft("api", HttpAuthSettings(HttpAuthScheme.BEARER, (url,)), "key", **caps)
        return (await self.services.connections.create(self.owner, None, draft)).id

    async def start(self, url: str, connection: str | None = "api") -> RunId:
        """Start a run that asks a URL."""
        self.count += 1
        config = {"url": url, **({} if connection is None else {"connection": connection})}
        definition = graph({"ask": {"config": {"httpRequest": config}, "retry": retry(2)}})
        draft = WorkflowDraft(f"w{id(self)}-{self.count}", definition=definition)
        workflow = await self.services.workflows.create(self.owner, None, draft)
        return (await self.services.runs.start(self.owner, workflow.id, None)).id

    async def waits(self, run_id: RunId) -> None:
        """Wait until a node of a run says that it waits."""
        async with aclosing(self.services.progress.follow(run_id)) as events:
            async for logged in events:
                if isinstance(logged.event, NodeWaiting):
                    return

    async def ended(self, run_id: RunId) -> list[LoggedEvent]:
        """Follow a run to its end."""
        return [event async for event in self.services.progress.follow(run_id)]
