"""An HTTP server that nodes of other processes call: it answers late, fails as often as the address says, and counts.

`POST /<run>/<node>?fails=2&delay=100` answers 503 twice, then 200 after 100 ms; `end=404` answers that instead of 200;
`gate=1` answers only when the test has opened the gate of this name.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.support.server_process import now_ms

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class HttpPeer:
    """The server while it runs; runs are named by their uuids or global ids, as their graphs write them."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: Counter[tuple[str, str]] = Counter()
        self.keys: dict[tuple[str, str], set[str]] = defaultdict(set)
        """Idempotency keys of each node of each run."""
        self._gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.left_at: dict[tuple[str, str], float] = {}
        """When the client of an unanswered call was gone, by `now_ms`."""
        self._changed = asyncio.Condition()

    @property
    def allowed(self) -> dict[str, str]:
        """The variable that lets nodes reach it."""
        return {"ANABRANCH_OUTBOUND__ALLOWED": self.url.removeprefix("http://")}

    def node(self, key: str, query: str = "", **more: Any) -> dict[str, Any]:
        """Return a node that calls it."""
        config = {"method": "POST", "url": f"{self.url}/{{{{ run.id }}}}/{key}?{query}"}
        return {"key": key, "config": {"httpRequest": config}, **more}

    def open(self, gate: str) -> None:
        """Answer what waits before a gate, and what comes to it later."""
        self._gates[gate].set()

    async def called(self, run: str, node: str, times: int = 1) -> None:
        """Wait until a node has called so often."""
        await self._wait(lambda: self.calls[run, node] >= times)

    async def left(self, run: str, node: str) -> float:
        """Wait until the client of a call is gone; return when that was."""
        await self._wait(lambda: (run, node) in self.left_at)
        return self.left_at[run, node]

    async def _wait(self, condition: Any) -> None:
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        place = request.match_info["run"], request.match_info["node"]
        self.calls[place] += 1
        self.keys[place].add(request.headers["Idempotency-Key"])
        number = self.calls[place]
        await self._tell()
        if number <= int(request.query.get("fails", "0")):
            return web.json_response({"no": number}, status=503)
        try:
            await asyncio.sleep(int(request.query.get("delay", "0")) / 1_000)
            if "gate" in request.query:
                await self._gates[request.query["gate"]].wait()
        except asyncio.CancelledError:
            self.left_at[place] = now_ms()
            await self._tell()
            raise
        return web.json_response({"node": place[1]}, status=int(request.query.get("end", "200")))


@asynccontextmanager
async def http_peer() -> AsyncGenerator[HttpPeer]:
    """Run a peer on loopback."""
    peer = HttpPeer()
    app = web.Application()
    app.router.add_post("/{run}/{node}", peer.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield peer
    finally:
        await runner.cleanup()
