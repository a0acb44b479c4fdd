from __future__ import annotations

import asyncio
import gc
import json
import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from domain.identity import Role
from domain.ids import WorkspaceId
from gql import sessions as sessions_of_sockets
from tests.support.graphql_socket import PROTOCOL, Socket, opened
from tests.support.probe import OTHER_KEY, Probe, Sessions, probe_settings, probing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture
async def probe() -> AsyncGenerator[Probe]:
    async with probing() as probe:
        yield probe


@pytest.fixture
async def socket(probe: Probe) -> AsyncGenerator[Socket]:
    async with opened(probe) as socket:
        yield socket


async def test_a_subscription_sends_its_events_and_completes(socket: Socket) -> None:
    await socket.init()
    await socket.subscribe("1", "subscription ($to: Int!) {count(to: $to)}", variables={"to": 2})
    cost = {"cost": {"requested": 0, "limit": 20_000}}
    assert [await socket.receive() for _ in range(3)] == [
        {"type": "next", "id": "1", "payload": {"data": {"count": 1}, "extensions": cost}},
        {"type": "next", "id": "1", "payload": {"data": {"count": 2}}},
        {"type": "complete", "id": "1"},
    ]


async def test_queries_and_mutations_work_too(socket: Socket) -> None:
    await socket.init()
    await socket.subscribe("q", "{__typename}")
    assert (await socket.receive())["payload"]["data"] == {"__typename": "Query"}
    assert await socket.receive() == {"type": "complete", "id": "q"}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "subscription {"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "BAD_REQUEST"),
        ({"query": "{nope}"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A {__typename}", "operationName": "B"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query A {__typename} query B {__typename}"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "subscription {count(to: 1) serverTime}"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "subscription ($n: Int!) {count(to: $n)}", "variables": {"n": "x"}}, "BAD_USER_INPUT"),
        ({"query": "{__typename}" + " " * 65_536}, "LIMIT_EXCEEDED"),
        ({"query": "{" + "server{" * 20 + "a" + "}" * 21}, "LIMIT_EXCEEDED"),
        ({"query": "subscription {mine}"}, "UNAUTHENTICATED"),
        ({"query": 'subscription {failing(how: "at once")}'}, "INVALID_INPUT"),
    ],
)
async def test_an_operation_that_cannot_start_is_an_error_message_and_the_socket_lives_on(
    socket: Socket, payload: dict[str, Any], code: str
) -> None:
    await socket.init()
    await socket.subscribe("other", "subscription {endless}")
    assert (await socket.receive())["type"] == "next"
    message = await socket.ask({"type": "subscribe", "id": "1", "payload": payload})
    assert (message["type"], message["id"]) == ("error", "1")
    assert message["payload"][0]["extensions"]["code"] == code
    assert await socket.ask({"type": "ping"}) == {"type": "pong"}
    await socket.subscribe("1", "subscription {count(to: 1)}")
    assert (await socket.receive())["type"] == "next"


async def test_a_stream_that_breaks_off_says_why_in_an_error_message(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    await socket.init()
    await socket.subscribe("1", 'subscription {failing(how: "expired")}')
    assert (await socket.receive())["payload"]["data"] == {"failing": 1}
    error = await socket.receive()
    assert (error["type"], error["payload"][0]["extensions"]) == ("error", {"code": "CURSOR_EXPIRED"})
    await socket.subscribe("1", 'subscription {failing(how: "boom")}')
    await socket.receive()
    error = await socket.receive()
    assert error["payload"][0]["message"] == "Internal error."
    assert "hunter2" not in json.dumps(error)
    assert caplog.text.count(error["payload"][0]["extensions"]["errorId"]) == 1


async def test_a_frame_beyond_the_limit_closes_with_1009() -> None:
    async with probing(probe_settings(max_socket_message_bytes=4_096)) as probe, opened(probe) as socket:
        await socket.send(" " * 8_192)
        assert (await socket.closed())[0] == 1009


async def test_an_id_is_free_again_as_soon_as_its_operation_has_ended(socket: Socket) -> None:
    await socket.init()
    for _ in range(20):
        await socket.subscribe("1", "{__typename}")
        assert [(await socket.receive())["type"], (await socket.receive())["type"]] == ["next", "complete"]
    await socket.subscribe("1", "subscription {endless}")
    await socket.receive()
    await socket.send({"type": "complete", "id": "1"})
    await socket.subscribe("1", "{__typename}")
    assert (await socket.receive())["payload"]["data"] == {"__typename": "Query"}


async def test_a_peer_that_answers_no_ping_is_closed_and_one_that_answers_is_not() -> None:
    async with probing(probe_settings(ping_interval_s=0.1)) as probe, opened(probe) as silent, opened(probe) as lively:
        await silent.init()
        await lively.init()

        async def answer() -> None:
            for _ in range(5):
                assert await lively.receive() == {"type": "ping"}
                await lively.send({"type": "pong"})

        _, closed = await asyncio.gather(answer(), silent.closed())
        assert closed == (4408, "No answer to a ping")


async def test_a_forged_token_closes_with_4403(probe: Probe) -> None:
    forged, _ = probe.sessions.sign_in(OTHER_KEY)
    for token in (f"Bearer {forged}", "Bearer ", "nonsense"):
        async with opened(probe) as socket:
            await socket.send({"type": "connection_init", "payload": {"authorization": token}})
            assert await socket.closed() == (4403, "Forbidden")
    async with opened(probe, additional_headers={"authorization": f"Bearer {forged}"}) as socket:
        await socket.send({"type": "connection_init"})
        assert await socket.closed() == (4403, "Forbidden")


async def test_a_valid_token_is_taken_from_the_introduction_a_header_or_a_cookie(probe: Probe) -> None:
    token, _ = probe.sessions.sign_in()
    ways: list[tuple[dict[str, str], dict[str, str]]] = [
        ({"authorization": f"Bearer {token}"}, {}),
        ({}, {"authorization": f"Bearer {token}"}),
        ({}, {"cookie": f"anabranch_access={token}"}),
    ]
    for payload, headers in ways:
        async with opened(probe, additional_headers=headers) as socket:
            await socket.init(**payload)
            await socket.subscribe("1", "subscription {mine}")
            assert (await socket.receive())["payload"]["data"] == {"mine": "Ada"}


async def test_a_session_that_ends_closes_its_sockets() -> None:
    async with probing(probe_settings(session_check_s=0.05)) as probe, opened(probe) as socket:
        token, session_id = probe.sessions.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        await socket.subscribe("1", "subscription {mine}")
        await socket.receive()
        probe.sessions.ended.add(session_id)
        assert await socket.closed() == (4403, "The session has ended")


async def test_no_operation_begins_for_a_session_that_has_ended_however_seldom_sockets_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions_of_sockets, "_BELIEVED_S", 0.0)
    async with probing(probe_settings(session_check_s=600)) as probe, opened(probe) as socket:
        token, session_id = probe.sessions.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        await socket.subscribe("1", "subscription {mine}")
        assert (await socket.receive())["payload"]["data"] == {"mine": "Ada"}
        probe.sessions.ended.add(session_id)
        await socket.subscribe("2", "subscription {mine}")
        assert await socket.closed() == (4403, "The session has ended")


async def test_an_operation_begins_with_the_rights_of_the_moment_and_ends_those_that_began_with_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions_of_sockets, "_BELIEVED_S", 0.0)
    async with probing(probe_settings(session_check_s=600)) as probe, opened(probe) as socket:
        token, _ = probe.sessions.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        await socket.subscribe("old", "subscription {endless}")
        assert (await socket.receive())["id"] == "old"
        probe.sessions.roles[WorkspaceId(UUID(int=7))] = Role.EDITOR
        await socket.subscribe("new", "subscription {mine}")
        told = [message for message in [await socket.receive() for _ in range(2)] if message["type"] != "next"]
        assert [(message["id"], message["type"]) for message in told] == [("old", "error")]


async def test_operations_that_follow_each_other_closely_share_a_look(probe: Probe, socket: Socket) -> None:
    token, _ = probe.sessions.sign_in()
    await socket.init(authorization=f"Bearer {token}")
    for number in range(20):
        await socket.subscribe(str(number), "{__typename}")
        assert (await socket.receive())["type"] == "next"
        assert (await socket.receive())["type"] == "complete"
    assert probe.sessions.asked <= 3


async def test_a_token_that_expires_closes_its_socket() -> None:
    sessions = Sessions(lifetime_s=1)
    async with probing(probe_settings(session_check_s=0.1), sessions) as probe, opened(probe) as socket:
        token, _ = probe.sessions.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        assert await socket.closed() == (4403, "The session has ended")


async def test_operations_end_when_the_callers_rights_change() -> None:
    async with probing(probe_settings(session_check_s=0.05)) as probe, opened(probe) as socket:
        probe.sessions.roles[WorkspaceId(UUID(int=7))] = Role.EDITOR
        token, _ = probe.sessions.sign_in()
        await socket.init(authorization=f"Bearer {token}")
        await socket.subscribe("1", "subscription {mine}")
        await socket.receive()
        probe.sessions.roles.clear()
        error = await socket.receive()
        assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}


async def test_operations_on_one_socket_are_bounded() -> None:
    async with probing(probe_settings(max_subscriptions_per_socket=2)) as probe, opened(probe) as socket:
        await socket.init()
        for id_ in ("1", "2"):
            await socket.subscribe(id_, "subscription {endless}")
            await socket.receive()
        await socket.subscribe("3", "subscription {endless}")
        error = await socket.receive()
        assert (error["id"], error["payload"][0]["extensions"]["code"]) == ("3", "LIMIT_EXCEEDED")
        await socket.send({"type": "complete", "id": "1"})
        await socket.subscribe("3", "subscription {endless}")
        assert (await socket.receive())["type"] == "next"


async def test_sockets_of_one_process_are_bounded() -> None:
    async with probing(probe_settings(max_sockets=1)) as probe:
        async with opened(probe):
            with pytest.raises(InvalidStatus) as refused:
                async with opened(probe):
                    pass
            assert refused.value.response.status_code == 503
        # The place is free again once the server has seen the close frame.
        async with asyncio.timeout(5):
            while True:
                try:
                    async with opened(probe) as socket:
                        await socket.init()
                        return
                except InvalidStatus:
                    await asyncio.sleep(0)


async def test_pages_of_other_sites_cannot_open_a_socket() -> None:
    async with probing(probe_settings(allowed_origins=("https://app.example",))) as probe:
        for origin in ("https://evil.example", "null", "https://app.example.evil"):
            with pytest.raises(InvalidStatus) as refused:
                async with opened(probe, origin=origin):
                    pass
            assert refused.value.response.status_code == 403
        for origin in ("https://app.example", probe.url):
            async with opened(probe, origin=origin) as socket:
                await socket.init()


async def test_a_subscription_ends_when_its_client_completes_it_or_leaves(probe: Probe) -> None:
    for leave in (False, True):
        probe.witness.cancelled.clear()
        async with opened(probe) as socket:
            await socket.init()
            await socket.subscribe("1", "subscription {endless}")
            await socket.receive()
            if not leave:
                await socket.send({"type": "complete", "id": "1"})
                await asyncio.wait_for(probe.witness.cancelled.wait(), 5)
        await asyncio.wait_for(probe.witness.cancelled.wait(), 5)


async def test_a_stream_that_will_not_end_does_not_keep_its_socket_from_ending(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gql.socket._CLEAN_UP_S", 0.05)
    async with opened(probe) as socket:
        await socket.init()
        await socket.subscribe("1", "subscription {stubborn}")
        await socket.receive()
    await asyncio.wait_for(probe.witness.cancelled.wait(), 5)
    async with asyncio.timeout(5):
        while "websocket operation 1 did not end" not in caplog.text:
            await asyncio.sleep(0)
    probe.witness.go_on.set()
    await asyncio.wait_for(probe.witness.finished.wait(), 5)


async def test_events_of_a_subscription_see_fresh_values_and_share_batches(probe: Probe, socket: Socket) -> None:
    probe.witness.values["a"] = "old"
    await socket.init()
    await socket.subscribe("1", "subscription {changing {value again: value}}")
    assert (await socket.receive())["payload"]["data"] == {"changing": {"value": "old", "again": "old"}}
    probe.witness.values["a"] = "new"
    probe.witness.go_on.set()
    assert (await socket.receive())["payload"]["data"] == {"changing": {"value": "new", "again": "new"}}
    assert probe.witness.batches == [["a"], ["a"]]


async def test_a_client_that_does_not_read_holds_its_stream_back(probe: Probe) -> None:
    async with connect(probe.socket, subprotocols=[PROTOCOL], max_queue=1) as connection:
        socket = Socket(connection)
        await socket.init()
        await socket.subscribe("1", "subscription {flood}")
        await socket.receive()
        seen = -1
        async with asyncio.timeout(20):
            # It stands still once the buffers of both sides are full.
            while probe.witness.counted != seen:
                seen = probe.witness.counted
                for _ in range(200):
                    await asyncio.sleep(0.001)
        assert seen < 400
        connection.transport.abort()


async def test_the_server_stops_although_sockets_are_open() -> None:
    async with probing() as probe:
        socket = Socket(await connect(probe.socket, subprotocols=[PROTOCOL]))
        await socket.init()
        await socket.subscribe("1", "subscription {endless}")
        await socket.receive()
    assert (await socket.closed())[0] == 1012
    assert probe.witness.cancelled.is_set()


async def test_operations_that_a_closing_socket_interrupts_are_no_faults(
    probe: Probe, socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await socket.init()
    await socket.subscribe("1", "subscription {flood}")
    await socket.receive()
    await socket.send("[]")
    assert (await socket.closed())[0] == 4400
    await probe.left_alone()
    assert "Internal error" not in caplog.text
    ended = [vars(record)["outcome"] for record in caplog.records if record.name == "gql.observing"]
    assert ended == ["canceled"]


async def test_an_operation_may_be_completed_before_it_has_begun(probe: Probe, socket: Socket) -> None:
    await socket.init()
    for _ in range(50):
        await socket.subscribe("1", "subscription {endless}")
        await socket.send({"type": "complete", "id": "1"})
    await socket.subscribe("1", "{__typename}")
    while (await socket.receive())["type"] != "complete":
        pass
    await socket.connection.close()
    await probe.left_alone()
    # What was never begun would be complained of by now, as a coroutine that nobody awaited.
    gc.collect()


@pytest.mark.parametrize("way", ["complete", "close"])
async def test_a_mutation_that_has_begun_is_not_torn_off_by_its_client(probe: Probe, way: str) -> None:
    token, _ = probe.sessions.sign_in()
    async with opened(probe) as socket:
        await socket.init(authorization=f"Bearer {token}")
        await socket.subscribe("1", "mutation { slow { text } }")
        await asyncio.wait_for(probe.witness.started.wait(), 10)
        if way == "complete":
            await socket.send({"type": "complete", "id": "1"})
            assert await socket.ask({"type": "ping"}) == {"type": "pong"}, "no answer comes behind `complete`"
    probe.witness.go_on.set()
    await asyncio.wait_for(probe.witness.finished.wait(), 10)
