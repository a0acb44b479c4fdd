from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import UUID

import aiohttp
import pytest

from domain.identity import Role
from domain.ids import WorkspaceId
from gql import streams
from gql.schema import Schema
from runtime.settings import ApiSettings
from tests.support.graphql_socket import opened
from tests.support.probe import OTHER_KEY, Probe, Sessions, probe_settings, probing
from tests.support.streams import EVENTS, MULTIPART, Streamed, streamed, unread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

JSON = "application/json"
COST = {"cost": {"requested": 0, "limit": 20_000}}


@pytest.fixture
async def probe() -> AsyncGenerator[Probe]:
    async with probing() as probe:
        yield probe


async def refusal_of(stream: Streamed) -> tuple[int, str]:
    body = json.loads(await stream.answer.read())
    return stream.answer.status, body["errors"][0]["extensions"]["code"]


async def test_a_subscription_is_a_stream_of_events_with_plain_line_ends(probe: Probe) -> None:
    query = "subscription ($to: Int!) {count(to: $to)}"
    async with streamed(probe.graphql, query, variables={"to": 2}) as stream:
        assert stream.answer.status == 200
        assert stream.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.answer.headers["cache-control"] == "no-store"
        cost = json.dumps(COST, separators=(",", ":"))
        assert (await stream.rest()).decode() == (
            f'event: next\ndata: {{"data":{{"count":1}},"extensions":{cost}}}\n\n'
            'event: next\ndata: {"data":{"count":2}}\n\n'
            "event: complete\ndata:\n\n"
        )


async def test_a_subscription_is_multipart_for_apollos_clients(probe: Probe) -> None:
    async with streamed(probe.graphql, "subscription {count(to: 2)}", MULTIPART) as stream:
        assert stream.answer.headers["content-type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0'
        assert await stream.part() == {"payload": {"data": {"count": 1}, "extensions": COST}}
        assert await stream.part() == {"payload": {"data": {"count": 2}}}
        assert await stream.rest() == b"--\r\n"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (f"{JSON}, {EVENTS}", EVENTS),
        (f"{EVENTS}, multipart/mixed", EVENTS),
        (f"multipart/mixed;subscriptionSpec=1.0, {EVENTS}", "multipart/mixed"),
        (f'multipart/mixed;subscriptionSpec="1.0";q=0.5, {EVENTS}', EVENTS),
        (f"{JSON}, */*", JSON),
        (f"{JSON}, multipart/mixed", JSON),
        (f"{JSON}, {EVENTS};q=0", JSON),
    ],
)
async def test_the_client_says_which_stream_it_wants_if_any(probe: Probe, accept: str, media: str) -> None:
    async with streamed(probe.graphql, "subscription {count(to: 1)}", accept) as stream:
        assert stream.answer.content_type == media
        assert stream.answer.status == (400 if media == JSON else 200)


async def test_a_query_is_no_stream_unless_the_client_reads_nothing_else(probe: Probe) -> None:
    for accept in (f"{EVENTS}, {JSON}", MULTIPART, "*/*"):
        async with streamed(probe.graphql, "{__typename}", accept) as stream:
            assert stream.answer.content_type == JSON
    async with streamed(probe.graphql, "{__typename}", EVENTS) as stream:
        assert await stream.event() == ("next", {"data": {"__typename": "Query"}, "extensions": COST})
        assert await stream.rest() == b"event: complete\ndata:\n\n"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription {nope}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {count(to: 1) serverTime}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {mine}", "UNAUTHENTICATED"),
        ('subscription {failing(how: "at once")}', "INVALID_INPUT"),
        ("subscription {" + "a{" * 20 + "a" + "}" * 21, "LIMIT_EXCEEDED"),
    ],
)
async def test_an_operation_that_cannot_start_is_told_in_the_stream_which_ends(
    probe: Probe, query: str, code: str
) -> None:
    async with streamed(probe.graphql, query) as stream:
        name, told = await stream.event()
        assert (name, told["errors"][0]["extensions"]["code"]) == ("next", code)
        assert "data" not in told
        assert await stream.rest() == b"event: complete\ndata:\n\n"


async def test_a_stream_that_breaks_off_says_why_and_nothing_more(
    probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    async with streamed(probe.graphql, 'subscription {failing(how: "boom")}') as stream:
        assert (await stream.event())[1]["data"] == {"failing": 1}
        _, told = await stream.event()
        assert (await stream.event())[0] == "complete"
    assert told["errors"][0]["message"] == "Internal error."
    assert "hunter2" not in json.dumps(told)
    assert caplog.text.count(told["errors"][0]["extensions"]["errorId"]) == 1


async def test_get_never_subscribes(probe: Probe) -> None:
    params, headers = {"query": "subscription {endless}"}, {"accept": EVENTS}
    async with aiohttp.ClientSession() as http, http.get(probe.graphql, params=params, headers=headers) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_who_is_behind_a_stream_is_taken_from_its_header_or_cookie(probe: Probe) -> None:
    token, _ = probe.sessions.sign_in()
    for headers in ({"authorization": f"Bearer {token}"}, {"cookie": f"anabranch_access={token}"}):
        async with streamed(probe.graphql, "subscription {mine}", headers=headers) as stream:
            assert (await stream.event())[1]["data"] == {"mine": "Ada"}


async def test_a_forged_token_opens_no_stream_of_any_subscription(probe: Probe) -> None:
    forged, _ = probe.sessions.sign_in(OTHER_KEY)
    headers = {"authorization": f"Bearer {forged}"}
    async with streamed(probe.graphql, "subscription {endless}", headers=headers) as stream:
        assert stream.answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert await refusal_of(stream) == (401, "UNAUTHENTICATED")


async def test_a_session_that_ends_ends_its_streams() -> None:
    async with probing(probe_settings(session_check_s=0.05)) as probe:
        token, session_id = probe.sessions.sign_in()
        headers = {"authorization": f"Bearer {token}"}
        async with (
            streamed(probe.graphql, "subscription {mine}", headers=headers) as events,
            streamed(probe.graphql, "subscription {mine}", MULTIPART, headers=headers) as parts,
        ):
            await events.event()
            await parts.part()
            probe.sessions.ended.add(session_id)
            assert (await events.event())[1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert await events.rest() == b"event: complete\ndata:\n\n"
            told = await parts.part()
            assert (told["payload"], told["errors"][0]["extensions"]["code"]) == (None, "UNAUTHENTICATED")
            assert await parts.rest() == b"--\r\n"


def test_a_session_that_ends_is_noticed_within_half_a_minute() -> None:
    limits = ApiSettings()
    # An operation that does not end holds the last words up, for as long as clean-up may take.
    assert limits.session_check_s + streams._CLEAN_UP_S <= 30
    assert limits.heartbeat_interval_s <= 15


async def test_a_token_that_expires_ends_its_stream() -> None:
    sessions = Sessions(lifetime_s=1)
    async with probing(probe_settings(session_check_s=0.1), sessions) as probe:
        headers = {"authorization": f"Bearer {probe.sessions.sign_in()[0]}"}
        async with streamed(probe.graphql, "subscription {mine}", headers=headers) as stream:
            await stream.event()
            assert (await stream.event())[1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_stream_ends_when_the_callers_rights_change() -> None:
    async with probing(probe_settings(session_check_s=0.05)) as probe:
        probe.sessions.roles[WorkspaceId(UUID(int=7))] = Role.EDITOR
        headers = {"authorization": f"Bearer {probe.sessions.sign_in()[0]}"}
        async with streamed(probe.graphql, "subscription {mine}", headers=headers) as stream:
            await stream.event()
            probe.sessions.roles.clear()
            assert (await stream.event())[1]["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_pages_of_other_sites_cannot_open_a_stream_with_whatever_they_get_past_their_browser() -> None:
    async with probing(probe_settings(allowed_origins=("https://app.example",))) as probe:
        for origin in ("https://evil.example", "null", "https://app.example.evil"):
            async with streamed(probe.graphql, "subscription {endless}", headers={"origin": origin}) as stream:
                assert await refusal_of(stream) == (403, "FORBIDDEN")
        for origin in ("https://app.example", probe.url):
            async with streamed(probe.graphql, "subscription {count(to: 1)}", headers={"origin": origin}) as stream:
                assert stream.answer.status == 200


async def test_streams_and_sockets_of_one_process_are_bounded_together() -> None:
    async with probing(probe_settings(max_sockets=2)) as probe:
        async with opened(probe), streamed(probe.graphql, "subscription {endless}") as stream:
            await stream.event()
            async with streamed(probe.graphql, "subscription {endless}") as third:
                assert third.answer.headers["retry-after"] == "5"
                assert await refusal_of(third) == (503, "SERVICE_UNAVAILABLE")
        await probe.left_alone()
        async with streamed(probe.graphql, "subscription {endless}") as stream:
            assert (await stream.event())[0] == "next"


async def test_streams_that_are_opened_at_once_are_as_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, may_begin = Schema.stream, asyncio.Event()

    async def slow(*given: Any, **more: Any) -> Any:
        await may_begin.wait()
        return await begin(*given, **more)

    async def status(stack: AsyncExitStack) -> int:
        opening = streamed(probe.graphql, "subscription {endless}")
        return (await stack.enter_async_context(opening)).answer.status

    monkeypatch.setattr(Schema, "stream", slow)
    async with probing(probe_settings(max_sockets=1)) as probe, AsyncExitStack() as stack:
        asking = asyncio.as_completed([status(stack) for _ in range(3)], timeout=5)
        assert [await next(asking), await next(asking)] == [503, 503]
        may_begin.set()
        assert await next(asking) == 200
    async with probing(probe_settings(max_sockets=1)) as probe:
        for query in ("subscription {", "subscription {mine}", "subscription {count(to: 1)}"):  # none keeps its place
            async with streamed(probe.graphql, query) as stream:
                assert stream.answer.status == 200
                await stream.rest()
            await probe.left_alone()


async def test_a_network_has_as_many_streams_and_sockets_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gql.rates._MOST_SILENT", 2)
    monkeypatch.setattr("gql.rates._HOLD_S", (0.0, 0.0))
    async with probing() as probe:
        token, _ = probe.sessions.sign_in()
        async with opened(probe), streamed(probe.graphql, "subscription {endless}") as first:
            await first.event()
            async with streamed(probe.graphql, "subscription {endless}") as refused:
                assert refused.answer.headers["retry-after"] == "5"
                assert await refusal_of(refused) == (429, "RATE_LIMITED")
            known = {"authorization": f"Bearer {token}"}
            async with streamed(probe.graphql, "subscription {mine}", headers=known) as own:
                assert (await own.event())[0] == "next"
        await probe.left_alone()
        async with streamed(probe.graphql, "subscription {endless}") as again:
            assert (await again.event())[0] == "next"


@pytest.mark.parametrize("accept", [EVENTS, MULTIPART])
async def test_a_subscription_ends_when_the_client_of_its_stream_leaves(probe: Probe, accept: str) -> None:
    async with streamed(probe.graphql, "subscription {endless}", accept) as stream:
        await stream.answer.content.readany()
    await asyncio.wait_for(probe.witness.cancelled.wait(), 5)


async def test_a_silent_stream_gives_signs_of_life() -> None:
    async with probing(probe_settings(heartbeat_interval_s=0.05)) as probe:
        async with streamed(probe.graphql, "subscription {endless}") as stream:
            assert [(await stream.event())[0] for _ in range(3)] == ["next", "", ""]
        async with streamed(probe.graphql, "subscription {endless}", MULTIPART) as stream:
            assert (await stream.part())["payload"]["data"] == {"endless": 1}
            assert [await stream.part(), await stream.part()] == [{}, {}]


async def test_a_client_that_reads_nothing_is_held_back_and_then_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gql.streams._CLEAN_UP_S", 0.2)
    caplog.set_level(logging.INFO, "gql.streams")
    quick: dict[str, Any] = {"heartbeat_interval_s": 0.3, "ping_interval_s": 0.3}
    async with probing(probe_settings(**quick)) as probe, unread(probe.graphql, "subscription {flood}"):
        async with asyncio.timeout(20):
            while "reads nothing" not in caplog.text:
                await asyncio.sleep(0.01)  # a real peer, in real time
        # Of the flood, no more was made than the buffers of both sides hold.
        assert 0 < probe.witness.counted < 400
    assert probe.witness.counted < 400


async def test_an_operation_that_will_not_end_does_not_keep_its_stream_from_ending(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gql.streams._CLEAN_UP_S", 0.05)
    async with streamed(probe.graphql, "subscription {stubborn}") as stream:
        await stream.event()
    await asyncio.wait_for(probe.witness.cancelled.wait(), 5)
    async with asyncio.timeout(5):
        while "stream operation did not end" not in caplog.text:
            await asyncio.sleep(0)
    probe.witness.go_on.set()
    await asyncio.wait_for(probe.witness.finished.wait(), 5)


async def test_the_server_stops_although_streams_are_open_and_their_clients_know_to_come_again() -> None:
    loop = asyncio.get_running_loop()
    async with (
        probing() as probe,
        streamed(probe.graphql, "subscription {endless}") as events,
        streamed(probe.graphql, "subscription {endless}", MULTIPART) as parts,
    ):
        await events.event()
        await parts.part()
        begun = loop.time()
        await probe.serving.shutdown()
        # Well below the second that the server would wait before it tears off what goes on.
        assert loop.time() - begun < 0.9
        assert await events.rest() == b""
        told = await parts.part()
        assert (told["payload"], told["errors"][0]["extensions"]["code"]) == (None, "SERVICE_UNAVAILABLE")
    assert probe.witness.cancelled.is_set()


async def test_streams_are_counted_and_logged_when_they_end(probe: Probe, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gql.observing")
    async with streamed(probe.graphql, "subscription Ticks {count(to: 2)}") as stream:
        await stream.rest()
    async with streamed(probe.graphql, "subscription Left {endless}", MULTIPART) as stream:
        await stream.part()
    async with streamed(probe.graphql, "subscription Bad {mine}") as stream:
        await stream.rest()
    await probe.left_alone()
    told = {
        tuple(getattr(record, name) for name in ("operation", "type", "transport", "outcome"))
        for record in caplog.records
        if record.name == "gql.observing"
    }
    assert told == {
        ("Ticks", "subscription", "sse", "ok"),
        ("Left", "subscription", "multipart", "canceled"),
        ("Bad", "subscription", "sse", "error"),
    }


async def test_events_of_a_stream_see_fresh_values_and_share_batches(probe: Probe) -> None:
    probe.witness.values["a"] = "old"
    async with streamed(probe.graphql, "subscription {changing {value again: value}}") as stream:
        assert (await stream.event())[1]["data"] == {"changing": {"value": "old", "again": "old"}}
        probe.witness.values["a"] = "new"
        probe.witness.go_on.set()
        assert (await stream.event())[1]["data"] == {"changing": {"value": "new", "again": "new"}}
    assert probe.witness.batches == [["a"], ["a"]]
