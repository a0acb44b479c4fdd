"""A server that speaks just enough of the API to break in every way that a client must survive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

RUN = "run_00000000000000000000000001"
AT = "2026-11-22T12:00:00Z"


def event(seq: int, type_: str, **fields: Any) -> dict[str, Any]:
    """Return an event as `runEvents` sends it, a second after the one before."""
    return {"__typename": type_, "cursor": f"c{seq}", "seq": seq, "at": f"2026-11-22T12:00:{seq % 60:02}Z", **fields}


def node_event(seq: int, type_: str, key: str = "ask", attempt: int = 1, **fields: Any) -> dict[str, Any]:
    """Return an event of a node."""
    return event(seq, type_, nodeKey=key, itemIndex=None, attempt=attempt, **fields)


def delta(seq: int, text: str, offset: int, **fields: Any) -> dict[str, Any]:
    """Return a piece of text of the node `ask`."""
    return node_event(seq, "NodeOutputDelta", channel="TEXT", text=text, offset=offset, **fields)


def story() -> list[dict[str, Any]]:
    """Return the log of a run of one node that writes two pieces."""
    return [
        event(1, "RunQueued"),
        event(2, "RunStarted"),
        node_event(3, "NodeStarted"),
        delta(4, "Hello ", 0),
        delta(5, "world", 6),
        node_event(6, "NodeSucceeded", durationMs=1200, usage={"totalTokens": 9}),
        event(
            7,
            "RunSucceeded",
            output={"answer": "Hello world"},
            isOutputTruncated=False,
            durationMs=1300,
            usage={"inputTokens": 7, "outputTokens": 2, "totalTokens": 9},
        ),
    ]


def opened(status: str = "QUEUED", cursor: str = "c1", *nodes: dict[str, Any]) -> dict[str, Any]:
    """Return the run as `OpenRun` answers it."""
    return {
        "id": RUN,
        "status": status,
        "isFinished": status in {"SUCCEEDED", "FAILED"},
        "createdAt": "2026-11-22T12:00:00Z",
        "startedAt": None,
        "finishedAt": None,
        "output": None,
        "error": None,
        "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
        "workflow": {"slug": "hello", "name": "Hello"},
        "graph": {"nodes": [{"key": "ask", "name": "Ask", "kind": "LLM_CALL"}], "edges": []},
        "snapshot": {"cursor": cursor, "status": status, "nodes": list(nodes)},
    }


@dataclass
class FakeApi:
    """What the server does; every field may be changed while it runs."""

    events: list[dict[str, Any]] = field(default_factory=story)
    breaks: list[int | str] = field(default_factory=list[int | str])
    """For each socket in turn: events after which it breaks off, or what happens instead of a stream."""
    overlap: int = 0
    """How many events before the cursor it sends again."""
    access_token: str = "first"
    refresh_token: str = "refresh-first"
    is_finished: bool = True
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    """The data of an operation by its name, or what makes it of the variables."""
    url: str = ""
    sockets: int = 0
    cursors: list[str | None] = field(default_factory=list[str | None])
    refreshes: list[str] = field(default_factory=list[str])
    pongs: list[Any] = field(default_factory=list[Any])
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    authorizations: list[str | None] = field(default_factory=list[str | None])
    on_event: Callable[[int], None] | None = None

    async def graphql(self, request: web.Request) -> web.StreamResponse:
        """Answer HTTP, or a websocket on the same path."""
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._socket(request)
        body = await request.json()
        name = body["query"].split("(")[0].split()[1]
        self.requests.append((name, body["variables"]))
        self.authorizations.append(request.headers.get("authorization"))
        if name == "Refresh":
            return web.json_response({"data": {"refreshSession": self._refresh(body["variables"]["refreshToken"])}})
        if name not in {"SignIn", "SignUp"} and request.headers.get("authorization") != f"Bearer {self.access_token}":
            error = {"message": "Sign in first.", "extensions": {"code": "UNAUTHENTICATED"}}
            return web.json_response({"errors": [error]})
        answer = self.answers.get(name, {"run": {"isFinished": self.is_finished}})
        if callable(answer):
            answer = answer(body["variables"])
        return answer if isinstance(answer, web.Response) else web.json_response({"data": answer})

    def _refresh(self, given: str) -> dict[str, Any]:
        self.refreshes.append(given)
        if given != self.refresh_token:
            return {"accessToken": None, "userErrors": [{"message": "Used.", "code": "INVALID_TOKEN", "path": None}]}
        self.access_token, self.refresh_token = f"{self.access_token}+", f"{self.refresh_token}+"
        return {"accessToken": self.access_token, "refreshToken": self.refresh_token, "expiresAt": AT, "userErrors": []}

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("graphql-transport-ws",))
        await socket.prepare(request)
        self.sockets += 1
        fate = self.breaks.pop(0) if self.breaks else "complete"
        init = json.loads(await socket.receive_str(timeout=10))
        if fate == "forbidden" or init["payload"].get("authorization") != f"Bearer {self.access_token}":
            await socket.close(code=4403, message=b"Forbidden")
            return socket
        if fate == "silent close":
            await socket.close(code=1012)
            return socket
        await socket.send_json({"type": "ping", "payload": {"n": self.sockets}})
        await socket.send_json({"type": "connection_ack"})
        while (message := json.loads(await socket.receive_str(timeout=10)))["type"] != "subscribe":
            self.pongs.append(message)
        await self._stream(socket, message["payload"]["variables"]["after"], fate)
        if not socket.closed:
            while (await socket.receive(timeout=10)).type is WSMsgType.TEXT:
                pass
        return socket

    async def _stream(self, socket: web.WebSocketResponse, after: str | None, fate: int | str) -> None:
        self.cursors.append(after)
        if fate in {"NOT_FOUND", "CURSOR_INVALID", "UNAUTHENTICATED"}:
            error = {"message": "No.", "extensions": {"code": fate}}
            await socket.send_json({"id": "1", "type": "error", "payload": [error]})
            return
        begin = int(after[1:]) if after else 0
        known = self.events[:-1] if fate == "hang" else self.events
        for place, one in enumerate(one for one in known if one["seq"] > begin - self.overlap):
            if place == fate:
                assert socket._writer is not None
                assert socket._writer.transport is not None
                socket._writer.transport.abort()
                return
            await socket.send_json({"id": "1", "type": "next", "payload": {"data": {"runEvents": one}}})
            if self.on_event is not None:
                self.on_event(one["seq"])
        if fate != "hang":
            await socket.send_json({"id": "1", "type": "complete"})


@contextlib.contextmanager
def serving_in_thread(api: FakeApi) -> Generator[FakeApi]:
    """Serve beside a test that runs an event loop of its own, as commands do."""
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(api):
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="fake API")
    thread.start()
    ready.wait(10)
    try:
        yield api
    finally:
        done.set()
        thread.join(10)


@contextlib.asynccontextmanager
async def serving(api: FakeApi) -> AsyncGenerator[FakeApi]:
    """Serve on a free port of loopback; `api.url` tells where."""
    app = web.Application()
    app.router.add_route("*", "/graphql", api.graphql)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        api.url = f"http://127.0.0.1:{port}"
        yield api
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)
