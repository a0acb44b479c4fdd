"""A fake model API in the manner of OpenAI's: it streams what it is told to, records what it is asked, and sees who leaves.

```python
async with openai_endpoint() as endpoint:
    endpoint.script(answer("Hel", "lo"))            # the next request is answered so; without a script: "Hello!"
    settings = ChatSettings(endpoint.base_url, ...)  # allow endpoint.allowed in the guard
    ...
    await endpoint.requests[0].left.wait()           # the client has closed the connection before the end
```
Slow streams go on when the test says so: `gate = asyncio.Event(); endpoint.script(answer("a", gate, "b"))`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of reasoning."""

    text: str
    field: str = "reasoning_content"


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that are sent as they are, such as a malformed event."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """The connection breaks here, without an end."""


Step = str | Reasoning | Raw | Break | asyncio.Event
"""A text is a delta; an event is waited for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request is answered."""

    steps: Sequence[Step] = ("Hello", "!")
    finish_reason: str | None = "stop"
    usage: tuple[int, int] | None = (7, 2)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    """The JSON of an answer that is no stream."""
    escape: bool = True
    """Whether characters outside of ASCII are escaped; needed for halves of surrogate pairs."""


def answer(*steps: Step, finish_reason: str | None = "stop", usage: tuple[int, int] | None = (7, 2)) -> Answer:
    """Return an answer that streams these steps."""
    return Answer(steps, finish_reason, usage)


def refusal(status: int, message: str = "no", headers: Mapping[str, str] | None = None, code: str = "") -> Answer:
    """Return an answer that is an error."""
    return Answer(status=status, headers=headers or {}, body={"error": {"message": message, "code": code or None}})


def vectors(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the JSON of an answer with these vectors."""
    data = [{"object": "embedding", "index": place, "embedding": list(row)} for place, row in enumerate(rows)]
    return {"object": "list", "model": "fake", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def vector_of(text: str, dimension: int) -> list[float]:
    """Return a vector that another text hardly has."""
    digest = hashlib.shake_128(text.encode()).digest(dimension)
    return [byte / 255 - 0.5 for byte in digest]


@dataclass(slots=True)
class Received:
    """A request, and what became of it."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """The first piece has been sent."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed the connection before the end."""
    left_at: float | None = None
    """When it did, on `time.monotonic`."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """The answer was sent to its end."""


class OpenaiEndpoint:
    """The endpoint while it runs."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.port = 0
        self.dimension = 8
        """The length of the vectors that it gives."""
        self._scripts: list[Answer] = []
        self._default = Answer()
        self._arrived = asyncio.Condition()

    @property
    def base_url(self) -> str:
        """The address up to and with `/v1`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def allowed(self) -> str:
        """The entry for `ANABRANCH_OUTBOUND__ALLOWED`."""
        return f"127.0.0.1:{self.port}"

    def script(self, *answers: Answer) -> None:
        """Answer the next requests so, one after the other."""
        self._scripts.extend(answers)

    def always(self, given: Answer) -> None:
        """Answer all requests without a script so."""
        self._default = given

    def clear(self) -> None:
        """Forget the scripts that no request has used."""
        self._scripts.clear()

    async def received(self, count: int = 1) -> Received:
        """Wait for the request with this number, from 1."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        received = Received(request.path, dict(request.headers), await request.json())
        given = self._scripts.pop(0) if self._scripts else self._default
        async with self._arrived:
            self.requests.append(received)
            self._arrived.notify_all()
        if given.status != 200 or given.body is not None:
            received.ended.set()
            return web.json_response(given.body, status=given.status, headers=given.headers)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **given.headers})
        await response.prepare(request)
        try:
            await self._stream(given, received, request, response)
        except (ConnectionError, asyncio.CancelledError):
            received.left_at = time.monotonic()
            received.left.set()
            raise
        received.ended.set()
        return response

    async def embed(self, request: web.Request) -> web.StreamResponse:
        """Answer one request for vectors: as scripted, else with vectors that tell the texts apart."""
        received = Received(request.path, dict(request.headers), await request.json())
        async with self._arrived:
            self.requests.append(received)
            self._arrived.notify_all()
        given = self._scripts.pop(0) if self._scripts else self._default
        received.ended.set()
        if given.status != 200 or given.body is not None:
            return web.json_response(given.body, status=given.status, headers=given.headers)
        return web.json_response(vectors([vector_of(text, self.dimension) for text in received.body["input"]]))

    async def _stream(
        self, given: Answer, received: Received, request: web.Request, response: web.StreamResponse
    ) -> None:
        model = str(received.body.get("model"))
        for step in given.steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, Break):
                assert request.transport is not None
                request.transport.abort()
                return
            elif isinstance(step, Raw):
                await response.write(step.data)
            else:
                delta = {"content": step} if isinstance(step, str) else {step.field: step.text}
                await response.write(_event(model, delta, None, escape=given.escape))
            received.started.set()
        if given.finish_reason is not None:
            await response.write(_event(model, {}, given.finish_reason))
        if given.usage is not None:
            sent, got = given.usage
            usage = {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got}
            await response.write(_data({**_chunk(model), "choices": [], "usage": usage}))
        await response.write(b"data: [DONE]\n\n")


@asynccontextmanager
async def openai_endpoint(port: int = 0) -> AsyncGenerator[OpenaiEndpoint]:
    """Run an endpoint on loopback."""
    endpoint = OpenaiEndpoint()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.handle)
    app.router.add_post("/v1/embeddings", endpoint.embed)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    endpoint.port = runner.addresses[0][1]
    try:
        yield endpoint
    finally:
        await runner.cleanup()


def _chunk(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}


def _event(model: str, delta: Mapping[str, str], finish_reason: str | None, *, escape: bool = True) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _data({**_chunk(model), "choices": [choice], "usage": None}, escape=escape)


def _data(value: object, *, escape: bool = True) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=escape)}\n\n".encode()
