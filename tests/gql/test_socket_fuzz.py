"""Whatever comes over a websocket, well framed or not: the server answers or closes, stays up, and keeps nothing of it."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import random
import struct
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.graphql_socket import PROTOCOL, opened
from tests.support.probe import Probe, probe_settings, probing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Dice = random.Random

FUZZ_S = 20.0
WARM_UP_S = 5.0
AT_ONCE = 8
MAX_GROWTH = 32 * 1024 * 1024
"""Of resident memory after the warm-up; some thousand connections that each left a buffer would be more."""
CODES = {1000, 1002, 1007, 1009, 4400, 4401, 4403, 4408, 4409, 4429}
"""How the server may close; above all not with 1006 (no word at all) or 1011 (an internal error)."""
DOCUMENTS = (
    "{__typename}",
    "{server {version}}",
    "{nope}",
    "{",
    "",
    "subscription {count(to: 3)}",
    "subscription {endless}",
    "subscription {mine}",
    "subscription {changing {value}}",
    'subscription {failing(how: "expired")}',
    "query A {__typename} query B {__typename}",
    "query ($n: Int!) {things(first: $n) {nodes {name}}}",
    'mutation {probe(input: {text: "limit"}) {text userErrors {message}}}',
    "{" + "server{" * 20 + "a" + "}" * 21,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


def anything(dice: Dice, depth: int = 0) -> Any:
    """Return any JSON value."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: dice.random() < 0.5,
        lambda: dice.randint(-(2**70), 2**70),
        lambda: dice.choice(["", "1", "id", "\x00", "\U0001f30a", "x" * dice.randint(0, 2_000)]),
        lambda: [anything(dice, depth + 1) for _ in range(dice.randint(0, 3))],
        lambda: {dice.choice(["id", "type", "payload", "query", "x"]): anything(dice, depth + 1) for _ in range(3)},
    ]
    return dice.choice(kinds[:4] if depth > 3 else kinds)()


def message(dice: Dice) -> dict[str, Any]:
    """Return a message that the protocol knows, or nearly."""
    id_ = dice.choice(["1", "2", "3", "4"])
    payload: dict[str, Any] = {"query": dice.choice(DOCUMENTS)}
    if dice.random() < 0.2:
        payload[dice.choice(["variables", "operationName", "extensions", "query", "documentId"])] = anything(dice)
    made: dict[str, Any] = dice.choice(
        [
            {"type": "subscribe", "id": id_, "payload": payload},
            {"type": "subscribe", "id": id_, "payload": payload},
            {"type": "complete", "id": id_},
            {"type": "ping"},
            {"type": "pong", "payload": {}},
        ]
    )
    if dice.random() < 0.1:
        made[dice.choice(["type", "id", "payload", "more"])] = anything(dice)
    return made


def text(dice: Dice) -> str | bytes:
    """Return what a frame holds: mostly a message, else a damaged one, another value, or no JSON."""
    kind = dice.random()
    whole = json.dumps(message(dice))
    if kind < 0.8:
        return whole
    if kind < 0.9:
        place = dice.randrange(len(whole))
        return whole[:place] + dice.choice(["", "{", '"', "\\ud800", "\x00", whole[place:] * 2]) + whole[place + 1 :]
    if kind < 0.95:
        return json.dumps(anything(dice))
    return dice.choice([dice.randbytes(200), "[" * dice.randint(1, 50_000), "", " " * dice.randint(1, 70_000)])


async def talk(probe: Probe, dice: Dice) -> str:
    """Say many things over one connection, well framed; return how it ended."""
    async with connect(probe.socket, subprotocols=[PROTOCOL], close_timeout=5) as connection:
        try:
            if dice.random() < 0.9:
                await connection.send('{"type": "connection_init"}')
            for _ in range(dice.randint(1, 15)):
                await connection.send(text(dice))
            if dice.random() < 0.2:
                connection.transport.abort()
                return "left"
            await connection.send('{"type": "ping", "payload": {"last": true}}')
            async with asyncio.timeout(20):
                while json.loads(await connection.recv()) != {"type": "pong", "payload": {"last": True}}:
                    pass
        except ConnectionClosed:
            closed = connection.protocol.close_rcvd
            assert closed is not None, "It broke off without a word."
            assert closed.code in CODES, closed
            assert closed.reason or closed.code < 4000
            return str(closed.code)
    return "answered"


def frame(dice: Dice) -> bytes:
    """Return a frame with any header, whether it fits its content or not."""
    content = dice.choice([dice.randbytes(dice.randint(0, 300)), b'{"type": "connection_init"}', b"\xff\xfe\x80", b""])
    first = dice.randrange(256) if dice.random() < 0.5 else 0x80 | dice.choice([0, 1, 1, 1, 2, 8, 9, 10])
    length = len(content) if dice.random() < 0.8 else dice.choice([0, 125, 126, 2**16, 2**31, 2**63 - 1])
    mask = 0x80 if dice.random() < 0.9 else 0
    if length < 126:
        header = struct.pack("!BB", first, mask | length)
    elif length < 2**16:
        header = struct.pack("!BBH", first, mask | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask | 127, length)
    return header + (b"\0\0\0\0" if mask else b"") + content


async def stammer(probe: Probe, dice: Dice) -> str:
    """Send frames that are none after a right handshake, and leave."""
    address = urlsplit(probe.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        key = base64.b64encode(dice.randbytes(16)).decode()
        writer.write(
            f"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
        )
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        for _ in range(dice.randint(1, 6)):
            writer.write(frame(dice) if dice.random() < 0.8 else dice.randbytes(dice.randint(1, 500)))
        with suppress(OSError):
            await writer.drain()
            if dice.random() < 0.5:
                writer.write_eof()
                await asyncio.wait_for(reader.read(65_536), 20)
    finally:
        writer.transport.abort()
    return "stammered"


async def fuzz(probe: Probe, seeds: Callable[[], int], until: float, told: Counter[str]) -> None:
    """Open one connection after the other."""
    while time.monotonic() < until:
        seed = seeds()
        dice = random.Random(seed)
        way: Callable[[Probe, Dice], Awaitable[str]] = stammer if dice.random() < 0.3 else talk
        try:
            told[await way(probe, dice)] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


async def is_up(probe: Probe) -> bool:
    """Tell whether the server serves others as ever."""
    async with aiohttp.ClientSession() as http, http.post(probe.graphql, json={"query": "{__typename}"}) as answer:
        served = (await answer.json())["data"] == {"__typename": "Query"}
    async with opened(probe) as socket:
        await socket.init()
    return served


async def tasks_left(probe: Probe) -> Counter[str]:
    """Return what still runs when all clients have left, by name."""
    await probe.left_alone()
    return Counter(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("websocket"))


async def test_whatever_is_sent_the_server_stays_up_and_keeps_no_task_and_no_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    numbers = iter(range(10**9))
    told: Counter[str] = Counter()
    process = psutil.Process(os.getpid())
    async with probing(probe_settings(init_timeout_s=5)) as probe:
        before = 0
        for lasting_s in (WARM_UP_S, FUZZ_S):
            until = time.monotonic() + lasting_s
            await asyncio.gather(*(fuzz(probe, lambda: next(numbers), until, told) for _ in range(AT_ONCE)))
            assert await is_up(probe)
            assert await tasks_left(probe) == Counter()
            gc.collect()
            if not before:
                before = process.memory_info().rss
        growth = process.memory_info().rss - before
    # What it has seen, for whoever wonders whether it sees anything: every way to end but those that take time.
    assert {"answered", "left", "stammered", "4400", "4401", "4409"} <= set(told), told
    assert sum(told.values()) > 200, told
    assert growth < MAX_GROWTH, (growth, told)
    # Nothing that a client sends is a fault of ours. uvicorn logs texts that are not UTF-8, and trips over one that comes
    # after a close frame: either ends the connection, and nothing else.
    faults = [record for record in caplog.records if not record.name.startswith("uvicorn")]
    told_by = [record.getMessage() for record in faults if "data_received() call failed" not in record.getMessage()]
    assert told_by == []
