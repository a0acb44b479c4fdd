from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from domain.errors import Unauthenticated
from gql import key_door, rates
from gql.key_door import KeyDoor
from gql.requests import Refused
from tests.gql.test_rates import coming_from, sign_in
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.services import Services

HERE, THERE = "192.0.2.1", "192.0.2.2"
SIGN_UP = """
mutation { signUp(input: { email: "ada@example.com", password: "correct horse battery" }) { accessToken } }
"""
CREATE = 'mutation { createApiKey(input: { name: "CI", scopes: [READ] }) { token } }'


class Keys:
    """Stands in for the services: some keys are right, and every look-up is counted."""

    def __init__(self, *right: str) -> None:
        self.right = set(right)
        self.looked_up: list[str] = []
        self.services = cast("Services", SimpleNamespace(api_keys=self, identity=self))

    async def authenticate(self, token: str) -> str:
        self.looked_up.append(token)
        await asyncio.sleep(0)
        if token not in self.right:
            raise Unauthenticated
        return token


@pytest.fixture(autouse=True)
def _no_holding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_HOLD_S", (0.0, 0.0))


async def tried(door: KeyDoor, keys: Keys, *tokens: str, address: str = HERE) -> list[Any]:
    """Come with all of them at once."""
    asked = (door.find_caller(keys.services, token, address) for token in tokens)
    found = await asyncio.gather(*asked, return_exceptions=True)
    return [type(one) if isinstance(one, Refused) else one for one in found]


async def test_of_a_flood_of_wrong_keys_hardly_more_than_twenty_are_looked_up() -> None:
    door, keys = KeyDoor(), Keys()
    found = await tried(door, keys, *(f"ak_{number}" for number in range(1_000)))
    assert set(found) == {None, Refused}
    assert 20 <= len(keys.looked_up) <= 20 + key_door._AT_ONCE
    assert await tried(door, keys, "ak_more") == [Refused]


async def test_a_flood_closes_the_door_neither_to_keys_in_use_nor_to_sessions_nor_to_other_networks() -> None:
    door, keys = KeyDoor(), Keys("ak_used", "ak_new", "a session")
    await tried(door, keys, "ak_used")
    await tried(door, keys, *(f"ak_{number}" for number in range(100)))
    assert await tried(door, keys, "ak_used", "a session") == ["ak_used", "a session"]
    assert await tried(door, keys, "ak_new", address=THERE) == ["ak_new"]
    # What has been right once is so from everywhere.
    assert await tried(door, keys, "ak_new") == ["ak_new"]


async def test_the_door_opens_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_CLOSED_S", 0.05)
    monkeypatch.setattr(key_door, "_ONE_EACH_S", math.inf)
    door, keys = KeyDoor(), Keys("ak_new")
    await tried(door, keys, *(f"ak_{number}" for number in range(100)))
    async with asyncio.timeout(10):
        while await tried(door, keys, "ak_new") != ["ak_new"]:
            await asyncio.sleep(0.01)


async def test_a_program_that_goes_on_with_a_revoked_key_costs_one_look_up_and_closes_no_door() -> None:
    door, keys = KeyDoor(), Keys("ak_new")
    for _ in range(100):
        assert await tried(door, keys, "ak_old") == [None]
    assert keys.looked_up == ["ak_old"]
    assert await tried(door, keys, "ak_new") == ["ak_new"]


async def test_a_key_that_is_revoked_after_it_was_right_is_looked_up_until_it_is_refused() -> None:
    door, keys = KeyDoor(), Keys("ak_one")
    assert await tried(door, keys, "ak_one") == ["ak_one"]
    keys.right.clear()
    assert await tried(door, keys, "ak_one") == [None]
    assert await tried(door, keys, "ak_one") == [None]
    assert keys.looked_up == ["ak_one"] * 2


async def test_many_requests_with_one_key_that_was_revoked_this_moment_close_no_door() -> None:
    door, keys = KeyDoor(), Keys("ak_one", "ak_new")
    await tried(door, keys, "ak_one")
    keys.right.remove("ak_one")
    assert set(await tried(door, keys, *["ak_one"] * 50)) == {None}
    assert await tried(door, keys, "ak_new") == ["ak_new"]


async def test_behind_a_closed_door_one_text_a_second_is_looked_up_so_that_a_right_one_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_door, "_ONE_EACH_S", math.inf)
    door, keys = KeyDoor(), Keys("ak_new")
    await tried(door, keys, *(f"ak_{number}" for number in range(100)))
    assert await tried(door, keys, "ak_new") == [Refused]
    monkeypatch.setattr(key_door, "_ONE_EACH_S", 1e-9)
    assert await tried(door, keys, "ak_new") == ["ak_new"]


async def test_what_is_remembered_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_door, "_MOST_KNOWN", 5)
    door, keys = KeyDoor(), Keys(*(f"ak_right_{number}" for number in range(9)))
    await tried(door, keys, *(f"ak_right_{number}" for number in range(9)), *(f"ak_{number}" for number in range(9)))
    assert (len(door._right), len(door._wrong), len(door._queues)) == (5, 5, 0)
    monkeypatch.setattr(key_door, "_MOST_NETWORKS", 5)
    assert all(door._has_turn(f"192.0.2.{number}") for number in range(9))
    assert len(door._closed_looks) == 5


@pytest.mark.long
async def test_a_server_turns_a_flood_of_keys_away_and_lets_its_neighbours_sign_in(
    database_url: str, tmp_path: Path
) -> None:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url, coming_from("127.0.0.3") as session:

        async def ask(query: str, token: str) -> tuple[int, Any]:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            async with session.post(f"{url}/graphql", json={"query": query}, headers=headers) as answer:
                return answer.status, await answer.json()

        _, made = await ask(SIGN_UP, "")
        owner = made["data"]["signUp"]["accessToken"]
        _, made = await ask(CREATE, owner)
        key = made["data"]["createApiKey"]["token"]
        assert (await ask("{ viewer { scopes } }", key))[0] == 200
        told = await asyncio.gather(*(ask("{ viewer { scopes } }", f"ak_{number}") for number in range(60)))
        assert sum(status == 429 for status, _ in told) >= 60 - 20 - key_door._AT_ONCE
        assert next(body for status, body in told if status == 429)["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
        for token in (owner, key):
            assert (await ask("{ viewer { scopes } }", token))[1]["data"]["viewer"] is not None
        assert (await sign_in(session, url, "nobody"))[1] == "INVALID_CREDENTIALS"
