from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from domain.networks import network_of
from gql.rates import Floods, Silence
from runtime.rates import NetworkTries
from tests.support.graphql_socket import opened
from tests.support.identity import Clock
from tests.support.probe import probe_settings, probing
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

SIGN_IN = "mutation($i: SignInInput!) { signIn(input: $i) { accessToken userErrors { code } } }"
SIGN_UP = "mutation($i: SignUpInput!) { signUp(input: $i) { accessToken userErrors { code } } }"
PASSWORD = "a long enough password"


@asynccontextmanager
async def coming_from(address: str) -> AsyncGenerator[aiohttp.ClientSession]:
    """Call from another address of this machine."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def sign_in(session: aiohttp.ClientSession, url: str, account: str, **headers: str) -> tuple[int, Any, Any]:
    body = {"query": SIGN_IN, "variables": {"i": {"email": f"{account}@example.com", "password": PASSWORD}}}
    async with session.post(f"{url}/graphql", json=body, headers=headers) as answer:
        told = await answer.json(content_type=None)
        code = (
            told["errors"][0]["extensions"]["code"]
            if "errors" in told
            else ([error["code"] for error in told["data"]["signIn"]["userErrors"]] or [None])[0]
        )
        return answer.status, code, answer.headers.get("Retry-After")


def test_a_network_has_thirty_tries_and_one_more_every_two_seconds() -> None:
    clock = Clock()
    tries = NetworkTries(clock)
    assert [tries.take("a") for _ in range(30)] == [None] * 30
    assert tries.take("a") == pytest.approx(2.0)
    assert tries.take("b") is None
    clock.advance(seconds=2)
    assert tries.take("a") is None
    assert tries.take("a") is not None
    tries.give_back("a")
    assert tries.take("a") is None


def test_what_is_remembered_of_networks_is_bounded() -> None:
    tries, floods = NetworkTries(Clock()), Floods()
    for number in range(10_100):
        address = f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}"
        tries.take(address)
        floods.refused(address)
    assert len(tries._buckets) == len(floods._refusals) == 10_000


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_a_network_is_an_address_or_the_half_of_one(one: str, other: str, is_same: bool) -> None:
    assert (network_of(one) == network_of(other)) is is_same


async def test_who_tries_many_accounts_is_refused_with_429_and_others_are_not(
    database_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.rates._BURST", 4.0)
    monkeypatch.setattr("gql.rates._PATIENCE", 5)
    async with serving_anabranch(settings_on(database_url, data_dir)) as url, coming_from("127.0.0.2") as flood:
        told = await asyncio.gather(*(sign_in(flood, url, f"account{number}") for number in range(20)))
        codes = [code for _, code, _ in told]
        # One more for each two seconds that the hashes of the first four take.
        assert 4 <= codes.count("INVALID_CREDENTIALS") <= 9
        assert codes.count("RATE_LIMITED") == 20 - codes.count("INVALID_CREDENTIALS")
        assert all(int(wait) >= 1 for _, code, wait in told if code == "RATE_LIMITED")
        # A false name of a proxy changes nothing: nobody is believed to be one.
        began = time.monotonic()
        status, code, wait = await sign_in(flood, url, "account1", **{"X-Forwarded-For": "192.0.2.8"})
        assert (status, code) == (429, "RATE_LIMITED")
        assert 1 <= int(wait) <= 30
        assert time.monotonic() - began >= 1, "who waits for answers sends no faster"
        async with coming_from("127.0.0.3") as other:
            assert (await sign_in(other, url, "account1"))[:2] == (200, "INVALID_CREDENTIALS")


@pytest.mark.parametrize(("trusted", "codes"), [((), 1), (("127.0.0.1",), 0)])
async def test_an_address_that_a_proxy_names_counts_if_the_proxy_is_trusted(
    database_url: str, data_dir: Path, trusted: tuple[str, ...], codes: int
) -> None:
    settings = settings_on(database_url, data_dir).model_copy(update={"trusted_proxies": trusted})
    async with serving_anabranch(settings) as url, aiohttp.ClientSession() as session:
        await asyncio.gather(
            *(sign_in(session, url, "account", **{"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(5))
        )
        _, code, _ = await sign_in(session, url, "account", **{"X-Forwarded-For": "192.0.2.9"})
        assert (code == "RATE_LIMITED") is bool(codes)


def test_a_socket_that_says_who_it_is_makes_room_once() -> None:
    silence = Silence()
    first = [silence.begin("192.0.2.1") for _ in range(100)]
    assert silence.begin("192.0.2.1") is None
    assert silence.begin("192.0.2.2") is not None
    for silent in first[:2]:
        assert silent is not None
        silent.end()
        silent.end()
    assert silence.begin("192.0.2.1") is not None
    assert silence.begin("192.0.2.1") is not None
    assert silence.begin("192.0.2.1") is None


async def test_a_network_has_a_hundred_sockets_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gql.rates._MOST_SILENT", 3)
    async with probing(probe_settings()) as probe, aiohttp.ClientSession() as session:
        silent = [await session.ws_connect(probe.graphql, protocols=["graphql-transport-ws"]) for _ in range(3)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(probe.graphql, protocols=["graphql-transport-ws"])
        assert (refused.value.status, refused.value.headers and refused.value.headers["Retry-After"]) == (429, "5")
        await silent[0].send_json({"type": "connection_init"})
        assert (await silent[0].receive_json())["type"] == "connection_ack"
        with pytest.raises(aiohttp.WSServerHandshakeError):  # whoever says nothing of who it is holds its place
            await session.ws_connect(probe.graphql, protocols=["graphql-transport-ws"])
        token, _ = probe.sessions.sign_in()
        await silent[1].send_json({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert (await silent[1].receive_json())["type"] == "connection_ack"
        async with opened(probe) as socket:
            await socket.init()
        await asyncio.gather(*(one.close() for one in silent))
