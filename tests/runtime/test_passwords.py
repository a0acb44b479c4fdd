from __future__ import annotations

import asyncio
import statistics
import threading
import time

import pytest
from argon2 import PasswordHasher

from domain.errors import RateLimited
from runtime.passwords import Passwords

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


async def test_the_right_password_is_recognised_and_no_other() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct" not in stored
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "correct horsf")
    assert not await passwords.verify(stored, "")


async def test_what_looks_alike_is_the_same_password() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("caf\u00e9 au lait")
    assert await passwords.verify(stored, "cafe\u0301 au lait")


async def test_half_a_surrogate_pair_is_a_password_like_any_other() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("long enough \ud83d")
    assert await passwords.verify(stored, "long enough \ud83d")
    assert not await passwords.verify(stored, "long enough \ud83e")


async def test_nobodys_password_and_a_broken_hash_match_nothing() -> None:
    passwords = Passwords(CHEAP)
    assert not await passwords.verify(None, "anything")
    assert not await passwords.verify("not a hash", "anything")


async def test_an_unknown_account_costs_as_much_as_a_wrong_password() -> None:
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=8_192, parallelism=1))
    stored = await passwords.hash("correct horse")
    known: list[float] = []
    unknown: list[float] = []
    for _ in range(15):
        for against, spent in ((stored, known), (None, unknown)):
            start = time.perf_counter()
            await passwords.verify(against, "wrong horse")
            spent.append(time.perf_counter() - start)
    # Interleaved and by the median; coarse, since this machine has other work. Without the dummy it is 1 : 100.
    assert 0.5 < statistics.median(unknown) / statistics.median(known) < 2


async def test_a_hash_with_other_parameters_is_to_be_renewed() -> None:
    stored = await Passwords(CHEAP).hash("correct horse")
    assert not Passwords(CHEAP).needs_rehash(stored)
    assert Passwords(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)).needs_rehash(stored)


class _Held(PasswordHasher):
    """Counts how many hashes run at once, and holds them until it is let go."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.running = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.running += 1
        self.started.release()
        self.gate.wait(10)
        return super().hash(password, salt=salt)


async def test_only_so_many_run_at_once_and_wait_at_all() -> None:
    held = _Held()
    passwords = Passwords(held, max_parallel=2)
    tasks = [asyncio.create_task(passwords.hash("x"), name=f"hash {number}") for number in range(102)]
    try:
        for _ in range(2):
            await asyncio.to_thread(held.started.acquire)
        with pytest.raises(RateLimited):
            await passwords.hash("one too many")
        assert held.running == 2
        # A caller who leaves does not free a place that a thread still holds.
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        assert held.running == 2
    finally:
        held.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert sum(isinstance(result, str) for result in results) == 101
