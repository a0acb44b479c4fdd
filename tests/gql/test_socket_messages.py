from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.graphql_socket import Socket, opened
from tests.support.probe import probing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture
async def socket() -> AsyncGenerator[Socket]:
    async with probing() as probe, opened(probe) as socket:
        yield socket


@pytest.mark.parametrize(
    "message",
    [
        "[]", "null", "3", '"text"', "{", b"\x00", "{}", '{"type": 3}', '{"type": "start", "id": "1", "payload": {}}',
        '{"type": "connection_init", "payload": 3}', '{"type": "connection_init", "payload": {"authorization": 3}}',
        '{"type": "ping", "payload": "x"}', '{"type": "pong", "payload": []}', "[" * 100_000,
    ],
)  # fmt: skip
async def test_a_malformed_message_closes_with_4400_and_a_reason(socket: Socket, message: str | bytes) -> None:
    await socket.send(message)
    code, reason = await socket.closed()
    assert code == 4400
    assert reason


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe", "id": 3, "payload": {"query": "{__typename}"}},
        {"type": "subscribe", "id": "", "payload": {"query": "{__typename}"}},
        {"type": "subscribe", "id": "1" * 300, "payload": {"query": "{__typename}"}},
        {"type": "subscribe", "payload": {"query": "{__typename}"}},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": {"query": {}}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{__typename}", "variables": [1]}},
        {"type": "subscribe", "id": "1", "payload": {"query": "{__typename}", "operationName": 1}},
        {"type": "complete"},
        {"type": "complete", "id": None},
    ],
)
async def test_a_malformed_operation_closes_with_4400_and_a_reason(socket: Socket, message: Any) -> None:
    await socket.init()
    await socket.send(message)
    code, reason = await socket.closed()
    assert code == 4400
    assert reason
