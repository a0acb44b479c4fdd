"""A real server that is killed in the midst of a list: items that are done are not done again, and the result is right."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.server_process import Caller, server_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

COUNT, MOST, KILLS, SEED = 50, 6, 3, 7

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


class Desk:
    """Answers for items, so many and no more; it remembers how often it was asked for each."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.keys: dict[int, set[str]] = {}
        self.url = ""
        self._left = 0
        self._changed = asyncio.Condition()

    async def allow(self, count: int) -> None:
        """Let so many more answers out."""
        async with self._changed:
            self._left += count
            self._changed.notify_all()

    async def answer(self, request: web.Request) -> web.Response:
        item = int(request.match_info["item"])
        self.asked[item] += 1
        self.keys.setdefault(item, set()).add(request.headers["Idempotency-Key"])
        async with self._changed:
            await self._changed.wait_for(lambda: self._left > 0)
            self._left -= 1
        return web.json_response({"square": item * item})


@asynccontextmanager
async def desk() -> AsyncGenerator[Desk]:
    """Serve a desk; whoever is killed does not wait there any more."""
    made = Desk()
    app = web.Application()
    app.router.add_post("/{item}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def graph(url: str) -> dict[str, Any]:
    config = {"method": "POST", "url": f"{url}/{{{{ item.number }}}}"}
    each = {"items": "input.numbers", "maxParallelItems": MOST}
    values = [{"name": "squares", "value": "{{ nodes.each.output | map(attribute='body.square') | list }}"}]
    nodes = [
        {"key": "each", "config": {"httpRequest": config}, "forEach": each},
        {"key": "all", "config": {"transform": {"fields": values}}},
    ]
    return {"nodes": nodes, "edges": [{"source": "each", "target": "all"}]}


async def watch(caller: Caller, run_id: str, log: list[dict[str, Any]], done: int | None = None) -> None:
    """Follow until so many items are done, or to the end."""
    after = log[-1]["cursor"] if log else None
    async with aclosing(caller.follow(run_id, after)) as events:
        async for event in events:
            log.append(event)
            if len(done_items(log)) == done:
                return


def done_items(log: list[dict[str, Any]]) -> set[int]:
    ended = [event for event in log if event["__typename"] == "NodeSucceeded" and event["nodeKey"] == "each"]
    return {event["itemIndex"] for event in ended if event["itemIndex"] is not None}


async def test_items_that_are_done_are_not_done_again_when_the_server_is_killed_in_the_midst_of_a_list(
    data_dir: Path,
) -> None:
    draw = random.Random(SEED)
    stops = sorted(draw.sample(range(3, COUNT - MOST), KILLS))
    async with desk() as asked, aiohttp.ClientSession() as session:
        allowed = {"ANABRANCH_OUTBOUND__ALLOWED": f'["{asked.url.removeprefix("http://")}"]'}
        async with server_process(data_dir, allowed) as server:
            caller = Caller(server.url, session)
            await caller.sign_up()
            workflow = await caller.create(name="Fifty", graph=graph(asked.url))
            run_id = await caller.start(workflow, {"numbers": [{"number": number} for number in range(COUNT)]})
            log: list[dict[str, Any]] = []
            at_kill: list[tuple[set[int], Counter[int]]] = []
            for stop in stops:
                await asked.allow(stop - len(done_items(log)))
                await watch(caller, run_id, log, done=stop)
                await asyncio.to_thread(server.kill)
                at_kill.append((done_items(log), Counter(asked.asked)))
                await server.start()
            await asked.allow(COUNT)
            await watch(caller, run_id, log)
    assert log[-1]["__typename"] == "RunSucceeded"
    assert log[-1]["output"] == {"all": {"squares": [number * number for number in range(COUNT)]}}
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    assert Counter(event["__typename"] for event in log)["RunRecovered"] == KILLS
    for done, calls in at_kill:
        assert {item: asked.asked[item] for item in done} == {item: calls[item] for item in done}
    assert sum(asked.asked.values()) <= COUNT + KILLS * MOST, "only what was at work is asked for again"
    assert all(len(keys) == 1 for keys in asked.keys.values()), "under the same key"
    ends = Counter(event["itemIndex"] for event in log if event["__typename"] == "NodeSucceeded")
    assert [ends[item] for item in range(COUNT)] == [1] * COUNT
