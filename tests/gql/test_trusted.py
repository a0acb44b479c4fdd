from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from domain.errors import SetupFault
from gql.trusted import load_trusted, sha256
from tests.support.graphql_socket import opened
from tests.support.probe import Probe, probe_settings, probing
from tests.support.streams import streamed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

THINGS = "query ($n: Int) {things(first: $n) {nodes {name}}}"
COUNT = "subscription {count(to: 1)}"
DEEP = "{" + "server{" * 20 + "a" + "}" * 21
UNKNOWN = sha256("{__typename}")
RESPONSE = "application/graphql-response+json"


def apollo(hash_: str) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_}}}


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "trusted.json"
    path.write_text(json.dumps({sha256(text): text for text in (THINGS, COUNT, DEEP)}))
    return path


@pytest.fixture
async def probe(listed: Path) -> AsyncGenerator[Probe]:
    async with probing(probe_settings(trusted_documents=listed)) as probe:
        yield probe


@pytest.fixture
async def strict(listed: Path) -> AsyncGenerator[Probe]:
    async with probing(probe_settings(trusted_documents=listed, is_trusted_only=True)) as probe:
        yield probe


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        yield http


async def ask(http: aiohttp.ClientSession, probe: Probe, accept: str = RESPONSE, **body: Any) -> tuple[int, Any]:
    async with http.post(probe.graphql, json=body, headers={"accept": accept}) as answer:
        return answer.status, json.loads(await answer.read())


def code(body: Any) -> str:
    return body["errors"][0]["extensions"]["code"]


@pytest.mark.parametrize(
    "asked",
    [
        apollo(sha256(THINGS)),
        {"documentId": sha256(THINGS)},
        {"documentId": f"sha256:{sha256(THINGS)}"},
        {"query": "", **apollo(sha256(THINGS))},
        {"query": THINGS, **apollo(sha256(THINGS))},
    ],
)
async def test_a_document_of_the_list_is_asked_for_by_its_hash(
    probe: Probe, http: aiohttp.ClientSession, asked: dict[str, Any]
) -> None:
    status, body = await ask(http, probe, variables={"n": 1}, **asked)
    assert (status, body["data"]) == (200, {"things": {"nodes": [{"name": "a"}]}})


async def test_get_asks_by_hash_too(probe: Probe, http: aiohttp.ClientSession) -> None:
    extensions = json.dumps(apollo(sha256(THINGS))["extensions"])
    for params in ({"extensions": extensions}, {"documentId": sha256(THINGS)}):
        async with http.get(probe.graphql, params=params, headers={"accept": "text/html, */*"}) as answer:
            assert (await answer.json())["data"]["things"]["nodes"][0] == {"name": "a"}


async def test_a_subscription_is_asked_for_by_hash_over_a_websocket_and_as_a_stream(probe: Probe) -> None:
    async with opened(probe) as socket:
        await socket.init()
        for payload in (apollo(sha256(COUNT)), {"documentId": sha256(COUNT)}, {"query": "", **apollo(sha256(COUNT))}):
            told = await socket.ask({"type": "subscribe", "id": "1", "payload": payload})
            assert told["payload"]["data"] == {"count": 1}
            assert (await socket.receive())["type"] == "complete"
        told = await socket.ask({"type": "subscribe", "id": "1", "payload": apollo(UNKNOWN)})
        assert (told["type"], told["payload"][0]["extensions"]["code"]) == ("error", "PERSISTED_QUERY_NOT_FOUND")
        assert await socket.ask({"type": "ping"}) == {"type": "pong"}
    async with streamed(probe.graphql, "", **apollo(sha256(COUNT))) as stream:
        assert (await stream.event())[1]["data"] == {"count": 1}


async def test_an_unknown_hash_is_told_in_apollos_words_and_never_learned(
    probe: Probe, http: aiohttp.ClientSession
) -> None:
    for accept, expected in ((RESPONSE, 400), ("application/json", 200)):
        status, body = await ask(http, probe, accept, **apollo(UNKNOWN))
        assert (status, code(body)) == (expected, "PERSISTED_QUERY_NOT_FOUND")
        assert (body["errors"][0]["message"], "data" in body) == ("PersistedQueryNotFound", False)
    # What an Apollo client does next is answered, and has registered nothing.
    assert (await ask(http, probe, query="{__typename}", **apollo(UNKNOWN)))[0] == 200
    assert code((await ask(http, probe, **apollo(UNKNOWN)))[1]) == "PERSISTED_QUERY_NOT_FOUND"


async def test_a_text_that_does_not_have_its_hash_is_refused(probe: Probe, http: aiohttp.ClientSession) -> None:
    status, body = await ask(http, probe, query="{__typename}", **apollo(sha256(THINGS)))
    assert (status, code(body)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("odd", [3, [], {}, "", "F" * 64, "../../etc/passwd"])
async def test_a_hash_of_another_kind_is_one_that_nothing_has(
    probe: Probe, http: aiohttp.ClientSession, odd: Any
) -> None:
    assert code((await ask(http, probe, **apollo(odd)))[1]) == "PERSISTED_QUERY_NOT_FOUND"


async def test_other_documents_are_executed_unless_only_the_list_may_be(
    probe: Probe, strict: Probe, http: aiohttp.ClientSession
) -> None:
    assert (await ask(http, probe, query="{__typename}"))[1]["data"] == {"__typename": "Query"}
    for text in ("{__typename}", "{", "mutation {slow {text}}", f" {THINGS}"):
        for accept in (RESPONSE, "application/json"):
            status, body = await ask(http, strict, accept, query=text)
            assert (status, code(body)) == (403 if accept == RESPONSE else 200, "FORBIDDEN")
            assert "data" not in body
    assert code((await ask(http, strict, query="{__typename}", **apollo(UNKNOWN)))[1]) == "FORBIDDEN"
    async with http.get(strict.graphql, params={"query": "{__typename}"}) as answer:
        assert code(await answer.json()) == "FORBIDDEN"
    async with opened(strict) as socket:
        await socket.init()
        await socket.subscribe("1", "subscription {endless}")
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "FORBIDDEN"
    async with streamed(strict.graphql, "subscription {endless}") as stream:
        assert (await stream.event())[1]["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_only_the_list_means_its_texts_however_they_are_sent(strict: Probe, http: aiohttp.ClientSession) -> None:
    for asked in ({"query": THINGS}, apollo(sha256(THINGS))):
        assert (await ask(http, strict, **asked))[1]["data"]["things"]["nodes"][0] == {"name": "a"}


async def test_limits_hold_for_trusted_documents_too(strict: Probe, http: aiohttp.ClientSession) -> None:
    assert code((await ask(http, strict, **apollo(sha256(DEEP))))[1]) == "LIMIT_EXCEEDED"


async def test_without_a_list_clients_are_told_to_send_the_text(http: aiohttp.ClientSession) -> None:
    async with probing() as probe:
        assert code((await ask(http, probe, **apollo(sha256(THINGS))))[1]) == "PERSISTED_QUERY_NOT_SUPPORTED"
        assert code((await ask(http, probe))[1]) == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "Cannot read the trusted documents"),
        ("{", "Cannot read the trusted documents"),
        ("[]", "must be a JSON object"),
        (json.dumps({"x": THINGS}), "is not the SHA-256"),
        (json.dumps({sha256(THINGS): 3}), "is not the SHA-256"),
    ],
)
def test_a_list_that_is_wrong_keeps_the_server_from_starting(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "list.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SetupFault, match=complaint):
        load_trusted(probe_settings(trusted_documents=path).api)


def test_a_list_may_say_of_which_kind_its_hashes_are(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({f"sha256:{sha256(THINGS)}": THINGS}))
    assert load_trusted(probe_settings(trusted_documents=path).api).text_of(None, sha256(THINGS)) == THINGS


def test_only_a_list_needs_a_list() -> None:
    with pytest.raises(SetupFault, match="ANABRANCH_API__TRUSTED_DOCUMENTS"):
        load_trusted(probe_settings(is_trusted_only=True).api)
