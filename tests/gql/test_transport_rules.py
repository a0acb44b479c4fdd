"""The rules of `graphql-transport-ws`, one test for each, in the order of its description (PROTOCOL.md of npm `graphql-ws`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support.graphql_socket import PROTOCOL, Socket, opened
from tests.support.probe import Probe, probe_settings, probing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ENDLESS = "subscription {endless}"


@pytest.fixture
async def probe() -> AsyncGenerator[Probe]:
    async with probing() as probe:
        yield probe


@pytest.fixture
async def socket(probe: Probe) -> AsyncGenerator[Socket]:
    """A socket that nobody has introduced."""
    async with opened(probe) as socket:
        yield socket


@pytest.fixture
async def ready(socket: Socket) -> Socket:
    """A socket whose introduction was acknowledged."""
    await socket.init()
    return socket


async def is_silent(socket: Socket) -> bool:
    """Tell whether nothing was on its way: messages keep their order, so a pong is the next."""
    return await socket.ask({"type": "ping"}) == {"type": "pong"}


# ── communication ──


async def test_the_subprotocol_is_agreed_upon_in_the_handshake(socket: Socket) -> None:
    assert socket.connection.subprotocol == PROTOCOL


@pytest.mark.parametrize("offered", [[], ["graphql-ws"], ["mqtt", "graphql-ws"]])
async def test_a_handshake_without_the_subprotocol_closes_with_4406(probe: Probe, offered: list[str]) -> None:
    async with connect(probe.socket, subprotocols=[Subprotocol(name) for name in offered] or None) as connection:
        assert (await Socket(connection).closed())[0] == 4406


async def test_one_that_is_known_is_picked_from_several(probe: Probe) -> None:
    async with connect(probe.socket, subprotocols=[Subprotocol("graphql-ws"), PROTOCOL]) as connection:
        assert connection.subprotocol == PROTOCOL


async def test_messages_are_json_in_text_frames_of_one_object(socket: Socket) -> None:
    await socket.send({"type": "connection_init"})
    raw = await socket.connection.recv()
    assert isinstance(raw, str)
    await socket.send(b'{"type": "ping"}')
    assert (await socket.closed())[0] == 4400


async def test_a_message_of_an_unknown_type_closes_with_4400(ready: Socket) -> None:
    await ready.send({"type": "start", "id": "1", "payload": {"query": "{__typename}"}})
    assert (await ready.closed())[0] == 4400


async def test_a_message_that_only_servers_send_closes_with_4400(probe: Probe) -> None:
    for kind in ("connection_ack", "next", "error"):
        async with opened(probe) as socket:
            await socket.init()
            await socket.send({"type": kind, "id": "1", "payload": {}})
            assert (await socket.closed())[0] == 4400


async def test_members_that_the_protocol_does_not_know_are_no_fault(ready: Socket) -> None:
    message = {"type": "subscribe", "id": "1", "payload": {"query": "{__typename}", "more": 1}, "more": {}}
    assert (await ready.ask(message))["type"] == "next"


# ── connection_init, connection_ack ──


@pytest.mark.parametrize("message", [{}, {"payload": None}, {"payload": {}}, {"payload": {"anything": [1]}}])
async def test_an_introduction_is_acknowledged_with_and_without_a_payload(
    socket: Socket, message: dict[str, Any]
) -> None:
    assert await socket.ask({"type": "connection_init", **message}) == {"type": "connection_ack"}


async def test_no_introduction_in_time_closes_with_4408() -> None:
    async with probing(probe_settings(init_timeout_s=0.05)) as probe, opened(probe) as socket:
        assert (await socket.closed())[0] == 4408


async def test_pings_are_no_introduction_and_gain_no_time() -> None:
    async with probing(probe_settings(init_timeout_s=0.3)) as probe, opened(probe) as socket:

        async def ping() -> None:
            while True:
                await socket.send({"type": "ping"})
                await asyncio.sleep(0.05)  # lively all the time

        pinging = asyncio.create_task(ping(), name="pings")
        assert (await socket.closed())[0] == 4408
        pinging.cancel()
        await asyncio.wait({pinging})


async def test_a_second_introduction_closes_with_4429(ready: Socket) -> None:
    await ready.send({"type": "connection_init"})
    assert (await ready.closed())[0] == 4429


async def test_a_second_introduction_closes_with_4429_even_before_the_first_is_acknowledged(socket: Socket) -> None:
    await socket.send({"type": "connection_init"})
    await socket.send({"type": "connection_init"})
    assert (await socket.closed())[0] == 4429


async def test_an_introduction_that_is_refused_closes_with_4403(socket: Socket) -> None:
    await socket.send({"type": "connection_init", "payload": {"authorization": "Bearer nonsense"}})
    assert await socket.closed() == (4403, "Forbidden")


# ── ping, pong ──


async def test_a_ping_is_answered_at_any_time_the_introduction_not_needed(socket: Socket) -> None:
    assert await socket.ask({"type": "ping"}) == {"type": "pong"}
    await socket.init()
    assert await socket.ask({"type": "ping"}) == {"type": "pong"}


async def test_the_payload_of_a_ping_comes_back(socket: Socket) -> None:
    assert await socket.ask({"type": "ping", "payload": {"at": 1}}) == {"type": "pong", "payload": {"at": 1}}


async def test_a_pong_that_nobody_asked_for_is_a_sign_of_life_and_not_answered(socket: Socket) -> None:
    await socket.send({"type": "pong"})
    await socket.send({"type": "pong", "payload": {"at": 1}})
    assert await is_silent(socket)


async def test_the_server_pings_and_any_message_is_an_answer() -> None:
    async with probing(probe_settings(ping_interval_s=0.1)) as probe, opened(probe) as socket:
        await socket.init()
        for _ in range(3):
            assert await socket.receive() == {"type": "ping"}
            await socket.send({"type": "complete", "id": "nothing"})
        assert await socket.closed() == (4408, "No answer to a ping")


# ── subscribe ──


async def test_an_operation_before_the_acknowledgement_closes_with_4401(socket: Socket) -> None:
    await socket.subscribe("1", "{__typename}")
    assert await socket.closed() == (4401, "Unauthorized")


async def test_an_id_in_use_closes_with_4409(ready: Socket) -> None:
    await ready.subscribe("1", ENDLESS)
    await ready.receive()
    await ready.subscribe("1", "{__typename}")
    assert await ready.closed() == (4409, "Subscriber for 1 already exists")


async def test_an_id_is_free_again_after_complete_and_after_error(ready: Socket) -> None:
    await ready.subscribe("1", "{__typename}")
    assert [(await ready.receive())["type"] for _ in range(2)] == ["next", "complete"]
    await ready.subscribe("1", "{nope}")
    assert (await ready.receive())["type"] == "error"
    await ready.subscribe("1", "{__typename}")
    assert [(await ready.receive())["type"] for _ in range(2)] == ["next", "complete"]


async def test_variables_operation_name_and_extensions_may_be_null(ready: Socket) -> None:
    await ready.subscribe("1", "{__typename}", variables=None, operationName=None, extensions=None)
    assert (await ready.receive())["type"] == "next"


# ── next, error, complete ──


async def test_a_subscription_is_any_number_of_next_and_one_complete(ready: Socket) -> None:
    for to in (0, 1, 3):
        await ready.subscribe("1", f"subscription {{count(to: {to})}}")
        kinds = [(await ready.receive())["type"] for _ in range(to + 1)]
        assert kinds == ["next"] * to + ["complete"]
    assert await is_silent(ready)


async def test_a_query_is_one_next_and_one_complete(ready: Socket) -> None:
    await ready.subscribe("1", "{__typename}")
    assert [(await ready.receive())["type"] for _ in range(2)] == ["next", "complete"]
    assert await is_silent(ready)


async def test_an_error_within_a_result_is_part_of_next(ready: Socket) -> None:
    await ready.subscribe("1", "{maybeBoom}")
    told = await ready.receive()
    assert (told["type"], told["payload"]["data"], told["payload"]["errors"][0]["path"]) == (
        "next",
        {"maybeBoom": None},
        ["maybeBoom"],
    )
    assert (await ready.receive())["type"] == "complete"


async def test_an_operation_that_cannot_start_is_one_error_with_a_list_and_no_complete(ready: Socket) -> None:
    await ready.subscribe("1", "{nope}")
    told = await ready.receive()
    assert (told["type"], told["id"], type(told["payload"])) == ("error", "1", list)
    assert await is_silent(ready)


async def test_a_stream_that_fails_is_ended_by_error_and_no_complete(ready: Socket) -> None:
    await ready.subscribe("1", 'subscription {failing(how: "expired")}')
    assert [(await ready.receive())["type"] for _ in range(2)] == ["next", "error"]
    assert await is_silent(ready)


async def test_nothing_comes_of_an_operation_that_the_client_has_completed(probe: Probe, ready: Socket) -> None:
    await ready.subscribe("1", "subscription {changing {name}}")
    assert (await ready.receive())["type"] == "next"
    await ready.send({"type": "complete", "id": "1"})
    assert await is_silent(ready)
    probe.witness.go_on.set()
    assert await is_silent(ready)


async def test_complete_for_an_id_that_nothing_has_is_ignored(ready: Socket) -> None:
    await ready.send({"type": "complete", "id": "never"})
    await ready.subscribe("1", "{__typename}")
    assert [(await ready.receive())["type"] for _ in range(2)] == ["next", "complete"]
    await ready.send({"type": "complete", "id": "1"})
    assert await is_silent(ready)


async def test_complete_ends_one_operation_and_leaves_the_others(probe: Probe, ready: Socket) -> None:
    await ready.subscribe("1", ENDLESS)
    await ready.subscribe("2", "subscription {changing {name}}")
    assert {(await ready.receive())["id"], (await ready.receive())["id"]} == {"1", "2"}
    await ready.send({"type": "complete", "id": "1"})
    await asyncio.wait_for(probe.witness.cancelled.wait(), 5)
    probe.witness.go_on.set()
    assert (await ready.receive())["id"] == "2"


async def test_messages_of_several_operations_carry_the_id_they_belong_to(ready: Socket) -> None:
    for id_ in ("a", "b", "c"):
        await ready.subscribe(id_, "subscription {count(to: 3)}")
    told = [await ready.receive() for _ in range(12)]
    for id_ in ("a", "b", "c"):
        mine = [message for message in told if message["id"] == id_]
        assert [message["type"] for message in mine] == ["next"] * 3 + ["complete"]
        assert [message["payload"]["data"]["count"] for message in mine[:3]] == [1, 2, 3]


async def test_closing_the_socket_ends_its_operations(probe: Probe, ready: Socket) -> None:
    await ready.subscribe("1", ENDLESS)
    await ready.receive()
    await ready.connection.close()
    await asyncio.wait_for(probe.witness.cancelled.wait(), 5)
