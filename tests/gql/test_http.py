from __future__ import annotations

import asyncio
import json
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.probe import OTHER_KEY, Probe, Sessions, probe_settings, probing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

RESPONSE = "application/graphql-response+json"


@pytest.fixture
async def probe() -> AsyncGenerator[Probe]:
    async with probing() as probe:
        yield probe


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield http


async def ask(
    http: aiohttp.ClientSession, probe: Probe, query: str, accept: str = RESPONSE, **more: Any
) -> tuple[int, Any]:
    headers = {"accept": accept, **more.pop("headers", {})}
    async with http.post(probe.graphql, json={"query": query, **more}, headers=headers) as answer:
        return answer.status, json.loads(await answer.read())


def code(body: Any) -> str:
    return body["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        (RESPONSE, RESPONSE),
        (f"application/json;q=0.5, {RESPONSE}", RESPONSE),
        (f"{RESPONSE};q=0.5, application/json", "application/json"),
        (f"text/event-stream, {RESPONSE}, application/json", RESPONSE),
        (f"text/html, */*;q=0.1, {RESPONSE};q=0", "application/json"),
    ],
)
async def test_the_answer_has_the_media_type_that_the_client_prefers(
    probe: Probe, http: aiohttp.ClientSession, accept: str | None, media: str
) -> None:
    headers = {} if accept is None else {"accept": accept}
    skipped = ["accept"] if accept is None else []
    body = {"query": "{__typename}"}
    async with http.post(probe.graphql, json=body, headers=headers, skip_auto_headers=skipped) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == f"{media}; charset=utf-8"


async def test_a_client_that_accepts_nothing_of_ours_gets_406(probe: Probe, http: aiohttp.ClientSession) -> None:
    status, body = await ask(http, probe, "{__typename}", accept="text/csv")
    assert (status, code(body)) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{nope}", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) {things(first: $n) {totalCount}}", "BAD_USER_INPUT"),
        ("query A {__typename} query B {__typename}", "OPERATION_RESOLUTION_FAILURE"),
        ("fragment F on Query {__typename}", "OPERATION_RESOLUTION_FAILURE"),
        ("subscription {serverTime}", "BAD_REQUEST"),
        ("{" * 16 + "a" + "}" * 16, "GRAPHQL_PARSE_FAILED"),
        ("{" + "server{" * 20 + "a" + "}" * 21, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_request_that_cannot_be_executed_has_no_data_and_status_400(
    probe: Probe, http: aiohttp.ClientSession, query: str, expected: str
) -> None:
    status, body = await ask(http, probe, query)
    assert (status, code(body)) == (400, expected)
    assert "data" not in body


async def test_older_clients_get_status_200_for_graphql_errors(probe: Probe, http: aiohttp.ClientSession) -> None:
    status, body = await ask(http, probe, "{nope}", accept="application/json")
    assert (status, code(body)) == (200, "GRAPHQL_VALIDATION_FAILED")
    assert "data" not in body


@pytest.mark.parametrize(
    "body",
    [b"null", b"3", b'"text"', b"[]", b'[{"query":"{__typename}"}]', b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"query":3}',
     b'{"query":""}', b'{"query":"{__typename}","variables":[1]}', b'{"query":"{__typename}","operationName":3}',
     b'{"query":"{__typename}","extensions":"x"}', b'{"query":"{__typename}","variables":{"a":"\\ud800"}}'],
)  # fmt: skip
async def test_a_body_of_another_shape_is_a_bad_request(probe: Probe, http: aiohttp.ClientSession, body: bytes) -> None:
    async with http.post(probe.graphql, data=body, headers={"content-type": "application/json"}) as answer:
        assert (answer.status, code(await answer.json())) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_only_json_is_taken_since_other_sites_can_post_the_rest(
    probe: Probe, http: aiohttp.ClientSession, media: str
) -> None:
    body = json.dumps({"query": 'mutation {probe(input: {text: "x"}) {text}}'})
    async with http.post(
        probe.graphql, data=body.encode(), headers={"content-type": media}, skip_auto_headers=["content-type"]
    ) as answer:
        assert (answer.status, code(await answer.json())) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_other_methods_are_told_which_are_allowed(probe: Probe, http: aiohttp.ClientSession) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        async with http.request(method, probe.graphql) as answer:
            assert answer.status == 405
            assert answer.headers["allow"] == "GET, POST"


async def test_get_asks_queries_and_nothing_else(probe: Probe, http: aiohttp.ClientSession) -> None:
    async with http.get(probe.graphql, params={"query": "query ($n: Int) {things(first: $n) {nodes {name}}}", "variables": '{"n": 1}'}) as answer:  # fmt: skip
        assert (await answer.json())["data"] == {"things": {"nodes": [{"name": "a"}]}}
    async with http.get(probe.graphql, params={"query": 'mutation {probe(input: {text: "x"}) {text}}'}) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    async with http.get(probe.graphql, params={"query": "subscription {serverTime}"}) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    async with http.get(probe.graphql, params={"query": "{__typename}", "variables": "{"}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"cookie": "anabranch_access=x"}, 403),
        ({"sec-fetch-site": "same-origin", "cookie": "anabranch_access=x"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site", "x-requested-with": "fetch"}, 200),
    ],
)
async def test_pages_of_other_sites_cannot_ask_with_get(
    probe: Probe, http: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    async with http.get(probe.graphql, params={"query": "{__typename}"}, headers=headers) as answer:
        assert answer.status == status


async def test_a_person_who_opens_the_endpoint_is_led_to_graphiql(probe: Probe, http: aiohttp.ClientSession) -> None:
    async with http.get(probe.graphql, headers={"accept": "text/html"}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (307, "/graphiql")


async def test_a_body_of_20_mb_is_refused_before_it_is_read(probe: Probe, http: aiohttp.ClientSession) -> None:
    begun = time.monotonic()
    async with http.post(
        probe.graphql, data=BytesIO(b"x" * 20_000_000), headers={"content-type": "application/json"}
    ) as answer:
        assert (answer.status, code(await answer.json())) == (413, "PAYLOAD_TOO_LARGE")
    assert time.monotonic() - begun < 5


async def test_the_answer_to_a_body_of_20_mb_comes_before_the_body(probe: Probe) -> None:
    host, port = probe.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n"
    )
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        await writer.wait_closed()


async def test_a_body_without_declared_length_is_counted_while_it_comes(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    sent = 0

    async def chunks() -> AsyncGenerator[bytes]:
        nonlocal sent
        for _ in range(320):
            sent += 65_536
            yield b" " * 65_536

    async with http.post(probe.graphql, data=chunks(), headers={"content-type": "application/json"}) as answer:
        assert (answer.status, code(await answer.json())) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_document_longer_than_64_kib_is_not_parsed(probe: Probe, http: aiohttp.ClientSession) -> None:
    status, body = await ask(http, probe, "{__typename}" + " " * 65_536)
    assert (status, code(body)) == (400, "LIMIT_EXCEEDED")


async def test_a_forged_token_opens_nothing_and_is_told_apart_from_none(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    forged, _ = probe.sessions.sign_in(OTHER_KEY)
    for token in (forged, "nonsense", ""):
        body = {"query": "{whoami server {isSetupNeeded}}"}
        headers = {"authorization": f"Bearer {token}", "accept": RESPONSE}
        async with http.post(probe.graphql, json=body, headers=headers) as answer:
            told = json.loads(await answer.read())
            assert (code(told), told["data"]) == ("UNAUTHENTICATED", None)
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    _, body = await ask(http, probe, "{whoami}")
    assert code(body) == "UNAUTHENTICATED"
    assert body["errors"][0]["message"] != told["errors"][0]["message"]


async def test_a_refused_token_does_not_keep_anyone_from_public_fields(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    forged, _ = probe.sessions.sign_in(OTHER_KEY)
    status, body = await ask(http, probe, "{server {isSignUpOpen}}", headers={"authorization": f"Bearer {forged}"})
    assert (status, body["data"]) == (200, {"server": {"isSignUpOpen": True}})


async def test_a_valid_token_tells_who_calls_until_its_session_ends(probe: Probe, http: aiohttp.ClientSession) -> None:
    token, session_id = probe.sessions.sign_in()
    headers = {"authorization": f"bearer {token}"}
    assert (await ask(http, probe, "{whoami}", headers=headers))[1]["data"] == {"whoami": "Ada"}
    cookie = {"cookie": f"anabranch_access={token}"}
    assert (await ask(http, probe, "{whoami}", headers=cookie))[1]["data"] == {"whoami": "Ada"}
    probe.sessions.ended.add(session_id)
    assert code((await ask(http, probe, "{whoami}", headers=headers))[1]) == "UNAUTHENTICATED"


async def test_a_query_that_takes_too_long_is_stopped_and_says_so(http: aiohttp.ClientSession) -> None:
    async with probing(probe_settings(resolver_timeout_s=0.05)) as probe:
        status, body = await ask(http, probe, "{never}")
        assert (status, code(body)) == (503, "TIMEOUT")
        assert probe.witness.cancelled.is_set()


async def test_a_query_ends_when_its_client_leaves(probe: Probe, http: aiohttp.ClientSession) -> None:
    asking = asyncio.create_task(ask(http, probe, "{never}"))
    await probe.witness.started.wait()
    asking.cancel()
    async with asyncio.timeout(5):
        await probe.witness.cancelled.wait()


async def test_a_mutation_that_has_begun_goes_on_when_its_client_leaves(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    token, _ = probe.sessions.sign_in()
    headers = {"authorization": f"Bearer {token}"}
    asking = asyncio.create_task(ask(http, probe, "mutation {slow {text}}", headers=headers))
    await probe.witness.started.wait()
    asking.cancel()
    await asyncio.wait({asking})
    await probe.left_alone()
    probe.witness.go_on.set()
    async with asyncio.timeout(5):
        await probe.witness.finished.wait()


async def test_what_json_can_hardly_hold_is_still_json(probe: Probe, http: aiohttp.ClientSession) -> None:
    _, body = await ask(http, probe, "{odd}")
    assert body["data"] == {"odd": {"half": "\ud83d", "big": 2**70}}


async def test_every_answer_forbids_what_a_browser_must_not_do_with_it(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    async with http.post(probe.graphql, json={"query": "{__typename}"}) as answer:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "Origin" in answer.headers["vary"]
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


async def test_pages_of_other_origins_need_an_exact_permission(http: aiohttp.ClientSession) -> None:
    async with probing(probe_settings(allowed_origins=("https://app.example",))) as probe:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        for origin, status in (("https://app.example", 200), ("https://app.example.evil", 400), ("null", 400)):
            async with http.options(probe.graphql, headers={"origin": origin, **asked}) as answer:
                assert answer.status == status
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == (origin if status == 200 else None)


async def test_pages_of_allowed_origins_may_send_what_apollos_clients_send(http: aiohttp.ClientSession) -> None:
    wanted = (
        "apollo-require-preflight,apollographql-client-name,apollographql-client-version,authorization,content-type,"
        "x-apollo-operation-id,x-apollo-operation-name"
    )
    async with probing(probe_settings(allowed_origins=("https://app.example",))) as probe:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": wanted}
        async with http.options(probe.graphql, headers={"origin": "https://app.example", **asked}) as answer:
            assert answer.status == 200
        asked["access-control-request-headers"] = "x-other"
        async with http.options(probe.graphql, headers={"origin": "https://app.example", **asked}) as answer:
            assert answer.status == 400


async def test_what_an_operation_costs_is_told_with_its_answer(probe: Probe, http: aiohttp.ClientSession) -> None:
    query = "query ($n: Int) {things(first: $n) {nodes {name}}}"
    for size, cost in ((1, 2), (3, 4)):
        _, body = await ask(http, probe, query, variables={"n": size})
        assert body["extensions"] == {"cost": {"requested": cost, "limit": 20_000}}
    async with probing(probe_settings(max_cost=3)) as frugal:
        _, body = await ask(http, frugal, query, variables={"n": 3})
        assert (code(body), body["extensions"]["cost"]) == ("LIMIT_EXCEEDED", {"requested": 4, "limit": 3})
    assert "extensions" not in (await ask(http, probe, "{"))[1]


async def test_the_probes_tell_alive_from_ready(probe: Probe, http: aiohttp.ClientSession) -> None:
    probe.witness.unready.append("The database does not answer.")
    async with http.get(f"{probe.url}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    async with http.get(f"{probe.url}/readyz") as answer:
        told = {"status": "unavailable", "reasons": ["The database does not answer."]}
        assert (answer.status, await answer.json()) == (503, told)
    probe.witness.unready.clear()
    async with http.get(f"{probe.url}/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ready"})


async def test_an_expired_token_is_refused(http: aiohttp.ClientSession) -> None:
    async with probing(sessions=Sessions(lifetime_s=-1)) as probe:
        token, _ = probe.sessions.sign_in()
        _, body = await ask(http, probe, "{whoami}", headers={"authorization": f"Bearer {token}"})
        assert code(body) == "UNAUTHENTICATED"
