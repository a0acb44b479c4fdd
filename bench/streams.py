"""What a websocket client sees, and when."""

from __future__ import annotations

import asyncio
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.world import chain

if TYPE_CHECKING:
    from bench.world import World
    from domain.workflow import Workflow

_START = "mutation($i: StartRunInput!) { startRun(input: $i) { run { id } userErrors { message } } }"
_FOLLOW = "subscription($id: ID!) { runEvents(runId: $id) { __typename seq at } }"


class Socket:
    """A graphql-transport-ws client without comfort."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._count = 0

    async def start(self, document: str, variables: dict[str, Any]) -> str:
        """Send an operation and return its id."""
        self._count += 1
        payload = {"query": document, "variables": variables}
        await self._socket.send_json({"id": str(self._count), "type": "subscribe", "payload": payload})
        return str(self._count)

    async def next(self) -> dict[str, Any]:
        """Return the next message that is no ping."""
        while True:
            message = await self._socket.receive_json(timeout=30)
            if message["type"] != "ping":
                return message
            await self._socket.send_json({"type": "pong"})


async def connect(session: aiohttp.ClientSession, url: str, token: str) -> Socket:
    """Open a socket and sign in."""
    socket = await session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"])
    await socket.send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
    made = Socket(socket)
    assert (await made.next())["type"] == "connection_ack"
    return made


async def start_to_node_started(world: World, url: str, token: str, passes: int) -> dict[str, float]:
    """Measure from the sending of `startRun` to NodeStarted at the client of the same socket pair."""
    workflow = await world.workflow("One", chain(1))
    async with aiohttp.ClientSession() as session:
        asking, watching = await connect(session, url, token), await connect(session, url, token)
        spans = [await _one_start(asking, watching, workflow) for _ in range(passes)]
    spans = spans[passes // 10 :]
    return {"start → NodeStarted p50 ms": median(spans) * 1e3, "… p95 ms": quantiles(spans, n=20)[-1] * 1e3}


async def _one_start(asking: Socket, watching: Socket, workflow: Workflow) -> float:
    from domain.ids import Prefix, to_global  # noqa: PLC0415 -- beside its only use

    started = time.perf_counter()
    variables = {"i": {"workflowId": to_global(Prefix.WORKFLOW, workflow.id), "input": {"x": 1}}}
    await asking.start(_START, variables)
    answer = await asking.next()
    assert (await asking.next())["type"] == "complete"
    await watching.start(_FOLLOW, {"id": answer["payload"]["data"]["startRun"]["run"]["id"]})
    span = 0.0
    while True:
        message = await watching.next()
        if message["type"] == "complete":
            return span
        if message["payload"]["data"]["runEvents"]["__typename"] == "NodeStarted":
            span = time.perf_counter() - started


async def many_subscribers(world: World, url: str, token: str, subscribers: int) -> dict[str, float]:
    """Measure 1,000 subscribers of one run: from the storing of an event to its arrival, by the server's clock."""
    from domain.ids import Prefix, to_global  # noqa: PLC0415 -- beside its only use

    workflow = await world.workflow("Watched", chain(20))
    ids = await world.queue(workflow, 1, '{"x": 1}')
    variables = {"id": to_global(Prefix.RUN, ids[0])}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        sockets = [await connect(session, url, token) for _ in range(10)]
        started = time.perf_counter()
        for number in range(subscribers):
            await sockets[number % len(sockets)].start(_FOLLOW, variables)
        world.services.engine.look()
        counts = await asyncio.gather(*(_drain(socket, subscribers // len(sockets)) for socket in sockets))
        span = time.perf_counter() - started
    return {"1,000 subscribers: deliveries/s": sum(counts) / span}


async def _drain(socket: Socket, operations: int) -> int:
    """Read until all operations of a socket are complete; return how many events came."""
    count = 0
    while operations:
        message = await socket.next()
        if message["type"] == "complete":
            operations -= 1
        else:
            assert message["type"] == "next", message
            count += 1
    return count
