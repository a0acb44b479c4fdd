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
