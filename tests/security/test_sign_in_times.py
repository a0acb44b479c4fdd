"""Line 11 with a watch: who tries passwords over HTTP does not learn from the time which accounts there are."""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.gql.test_rates import PASSWORD, SIGN_IN, SIGN_UP, coming_from
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

PAIRS, ROUNDS = 60, 3
KNOWN = "ada@example.com"


async def timed(session: aiohttp.ClientSession, url: str, email: str) -> float:
    body = {"query": SIGN_IN, "variables": {"i": {"email": email, "password": "a wrong password"}}}
    began = time.perf_counter()
    async with session.post(f"{url}/graphql", json=body) as answer:
        told = await answer.json()
    took = time.perf_counter() - began
    assert told["data"]["signIn"]["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]
    return took


async def pair(url: str, round_: int, number: int) -> tuple[float, float]:
    """Try the known account and an unknown one, from an address of their own; return how long each took."""
    async with coming_from(f"127.0.{round_ + 10}.{number + 1}") as session:
        async with session.post(f"{url}/graphql", json={"query": "{ __typename }"}) as warm:
            await warm.read()
        unknown = f"nobody{round_}{number}@example.com"
        # Now the one first, now the other: what a try leaves behind must not count for one of them alone.
        if number % 2:
            first = await timed(session, url, KNOWN)
            return first, await timed(session, url, unknown)
        second = await timed(session, url, unknown)
        return await timed(session, url, KNOWN), second


@pytest.mark.long
async def test_line_11_an_unknown_account_takes_as_long_as_a_wrong_password(database_url: str, tmp_path: Path) -> None:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        async with coming_from("127.0.9.1") as session:
            body = {"query": SIGN_UP, "variables": {"i": {"email": KNOWN, "password": PASSWORD}}}
            async with session.post(f"{url}/graphql", json=body) as answer:
                assert (await answer.json())["data"]["signUp"]["userErrors"] == []
        found: list[str] = []
        for round_ in range(ROUNDS):
            pairs = [await pair(url, round_, number) for number in range(PAIRS)]
            of_pairs = median(known / unknown for known, unknown in pairs)
            known, unknown = (median(times) for times in zip(*pairs, strict=True))
            found.append(f"{of_pairs:.3f} of pairs, {known * 1000:.1f} to {unknown * 1000:.1f} ms")
            if 0.8 <= of_pairs <= 1.2 and 0.8 <= known / unknown <= 1.2:
                break
        else:
            pytest.fail(f"Known accounts to unknown ones: {'; '.join(found)}")
    sys.stdout.write(f"known to unknown: {found[-1]}\n")
