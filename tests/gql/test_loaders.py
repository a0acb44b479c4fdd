from __future__ import annotations

import asyncio

import pytest

from gql.loaders import Loaders


class Asked:
    """Counts what is asked of a service."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []


async def double(asked: Asked, keys: list[int]) -> list[int]:
    asked.batches.append(keys)
    return [key * 2 for key in keys]


async def test_what_is_asked_in_one_turn_is_one_batch_without_repetitions() -> None:
    asked = Asked()
    loaders = Loaders(asked)
    values = await asyncio.gather(*(loaders.load(double, key) for key in (1, 2, 1, 3)))
    assert values == [2, 4, 2, 6]
    assert asked.batches == [[1, 2, 3]]


async def test_nothing_is_remembered() -> None:
    asked = Asked()
    loaders = Loaders(asked)
    assert await loaders.load(double, 1) == await loaders.load(double, 1) == 2
    assert await loaders.load_many(double, [1, 2]) == [2, 4]
    assert asked.batches == [[1], [1], [1, 2]]


async def test_a_service_that_fails_fails_each_of_its_callers() -> None:
    async def fail(asked: Asked, keys: list[int]) -> list[int]:
        raise ConnectionError(f"{asked} {keys}")

    loaders = Loaders(Asked())
    results = await asyncio.gather(*(loaders.load(fail, key) for key in (1, 2)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError]


async def test_a_service_that_answers_too_little_is_noticed() -> None:
    async def forget(asked: Asked, keys: list[int]) -> list[int]:
        return [len(asked.batches)] * (len(keys) - 1)

    with pytest.raises(ValueError, match="zip"):
        await Loaders(Asked()).load(forget, 1)


async def test_owners_with_the_same_part_of_their_lists_are_one_call() -> None:
    calls: list[tuple[list[int], object]] = []

    async def page(owners: list[int], condition: object) -> dict[int, str]:
        calls.append((owners, condition))
        return {owner: f"{owner} {condition}" for owner in owners}

    loaders = Loaders(None)
    asked = [(1, [1]), (2, [1]), (1, [1]), (1, [True]), (3, None)]
    assert await asyncio.gather(*(loaders.load_for(page, owner, part) for owner, part in asked)) == [
        "1 [1]", "2 [1]", "1 [1]", "1 [True]", "3 None",
    ]  # fmt: skip
    assert calls == [([1, 2], [1]), ([1], [True]), ([3], None)]
