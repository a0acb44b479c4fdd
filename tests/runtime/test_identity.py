from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, text

from domain.errors import (
    AlreadyExists,
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
    RateLimited,
)
from domain.identity import Role
from domain.ports.paging import PageRequest
from persistence.tables import users
from tests.support.identity import ADDRESS, PASSWORD, SETUP_TOKEN, Clock, identity_service

if TYPE_CHECKING:
    from persistence.database import Database
    from runtime.identity import IdentityService, SignedIn

EMAIL = "ada@example.com"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(database: Database, clock: Clock) -> IdentityService:
    return identity_service(database, clock)


async def sign_up(service: IdentityService, email: str = EMAIL) -> SignedIn:
    return await service.sign_up(email, PASSWORD, None, None, address=ADDRESS)


async def count(database: Database, table: str) -> int:
    async with database.connection() as connection:
        return (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608 - a test's own names


# ── signing up ──


async def test_who_signs_up_owns_a_workspace_and_is_signed_in(service: IdentityService) -> None:
    signed_in = await service.sign_up(" Ada@Example.com", PASSWORD, "Ada", None, address=ADDRESS)
    caller = await service.authenticate(signed_in.access_token)
    assert caller == signed_in.principal
    assert (caller.user.email, caller.user.name) == (EMAIL, "Ada")
    assert list(caller.roles.values()) == [Role.OWNER]
    page = await service.page_workspaces(caller, PageRequest(20))
    assert [workspace.name for workspace in page.items] == ["Ada's workspace"]


async def test_the_name_is_the_part_before_the_at_sign_until_one_is_set(service: IdentityService) -> None:
    assert (await sign_up(service)).principal.user.name == "ada"
    long = await sign_up(service, f"{'x' * 200}@example.com")
    assert long.principal.user.name == "x" * 100


async def test_an_address_has_one_account_whatever_its_case(service: IdentityService, database: Database) -> None:
    await sign_up(service)
    with pytest.raises(AlreadyExists):
        await sign_up(service, "ADA@EXAMPLE.COM")
    assert [await count(database, table) for table in ("users", "workspaces", "members", "sessions")] == [1, 1, 1, 1]


async def test_of_two_sign_ups_at_once_with_one_address_one_succeeds(
    service: IdentityService, database: Database
) -> None:
    results = await asyncio.gather(*(sign_up(service) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, AlreadyExists) for result in results) == 3
    assert [await count(database, table) for table in ("users", "workspaces", "sessions")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("given", "field"),
    [(("ada", PASSWORD, None), "email"), ((EMAIL, "too short", None), "password"), ((EMAIL, PASSWORD, "a\nb"), "name")],
)
async def test_what_is_not_acceptable_is_refused_and_nothing_is_stored(
    service: IdentityService, database: Database, given: tuple[str, str, str | None], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await service.sign_up(*given, None, address=ADDRESS)
    assert caught.value.path == ["input", field]
    assert await count(database, "users") == 0


async def test_a_closed_server_lets_its_first_account_in_with_the_set_up_token_only(
    database: Database, clock: Clock
) -> None:
    closed = identity_service(database, clock, is_sign_up_open=False)
    assert await closed.is_setup_needed()
    assert not closed.is_sign_up_open
    assert closed.setup_token() == SETUP_TOKEN
    for token in (None, "wrong", "é", "\ud800"):
        with pytest.raises(InvalidToken):
            await closed.sign_up(EMAIL, PASSWORD, None, token, address=ADDRESS)
    assert await count(database, "users") == 0
    await closed.sign_up(EMAIL, PASSWORD, None, SETUP_TOKEN, address=ADDRESS)
    assert not await closed.is_setup_needed()


async def test_the_set_up_token_works_once_and_later_accounts_are_forbidden(database: Database, clock: Clock) -> None:
    closed = identity_service(database, clock, is_sign_up_open=False)
    await closed.sign_up(EMAIL, PASSWORD, None, SETUP_TOKEN, address=ADDRESS)
    with pytest.raises(InvalidToken):
        await closed.sign_up("eve@example.com", PASSWORD, None, SETUP_TOKEN, address=ADDRESS)
    with pytest.raises(Forbidden):
        await closed.sign_up("eve@example.com", PASSWORD, None, None, address=ADDRESS)
    assert await count(database, "users") == 1


async def test_of_two_who_use_the_set_up_token_at_once_one_becomes_the_owner(database: Database, clock: Clock) -> None:
    closed = identity_service(database, clock, is_sign_up_open=False)
    results = await asyncio.gather(
        *(closed.sign_up(f"u{n}@example.com", PASSWORD, None, SETUP_TOKEN, address=ADDRESS) for n in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, InvalidToken) for result in results) == 3
    assert await count(database, "users") == 1


# ── signing in ──


async def test_the_right_password_signs_in_and_everything_else_is_told_alike(service: IdentityService) -> None:
    await sign_up(service)
    signed_in = await service.sign_in("ADA@example.com ", PASSWORD, address=ADDRESS)
    assert (await service.authenticate(signed_in.access_token)).user.email == EMAIL
    messages: set[str] = set()
    for email, password in [(EMAIL, "wrong horse"), ("eve@example.com", PASSWORD), ("\0", PASSWORD), ("\ud800", "")]:
        with pytest.raises(InvalidCredentials) as caught:
            await service.sign_in(email, password, address=ADDRESS)
        messages.add(f"{caught.value.message} {caught.value.path}")
    assert len(messages) == 1


async def test_an_unknown_account_takes_as_long_as_a_wrong_password(database: Database, clock: Clock) -> None:
    service = identity_service(database, clock, hasher=PasswordHasher(time_cost=2, memory_cost=16_384, parallelism=1))
    await sign_up(service)
    known: list[float] = []
    unknown: list[float] = []
    for _ in range(9):
        clock.advance(minutes=2)
        for email, spent in ((EMAIL, known), ("eve@example.com", unknown)):
            start = time.perf_counter()
            with pytest.raises(InvalidCredentials):
                await service.sign_in(email, "wrong horse", address=ADDRESS)
            spent.append(time.perf_counter() - start)
    # Coarse, since other work shares the machine: without the equal hash it is below 0.2.
    assert 0.6 < statistics.median(unknown) / statistics.median(known) < 1.7


async def test_the_sixth_try_in_a_minute_is_refused_even_with_the_right_password(
    service: IdentityService, clock: Clock
) -> None:
    await sign_up(service)
    clock.advance(minutes=2)
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await service.sign_in(EMAIL, "wrong horse", address=ADDRESS)
        clock.advance(seconds=1)
    for email in (EMAIL, EMAIL.upper(), f" {EMAIL}"):
        with pytest.raises(RateLimited):
            await service.sign_in(email, PASSWORD, address=ADDRESS)
    clock.advance(seconds=56)
    assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)


async def test_twenty_tries_at_once_are_five(service: IdentityService, clock: Clock) -> None:
    await sign_up(service)
    clock.advance(minutes=2)
    tries = [service.sign_in(EMAIL, "wrong horse", address=ADDRESS) for _ in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, InvalidCredentials) for result in results) == 5
    assert sum(isinstance(result, RateLimited) for result in results) == 15


async def test_nobody_locks_another_out(service: IdentityService, clock: Clock) -> None:
    await sign_up(service)
    clock.advance(minutes=2)
    for _ in range(50):
        with pytest.raises((InvalidCredentials, RateLimited)):
            await service.sign_in(EMAIL, "wrong horse", address="203.0.113.9")
    assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    # Refused tries are not counted, so whoever goes on trying does not lock out that address either.
    clock.advance(seconds=60, milliseconds=1)
    assert await service.sign_in(EMAIL, PASSWORD, address="203.0.113.9")


async def test_a_network_of_ipv6_counts_as_one_address(service: IdentityService, clock: Clock) -> None:
    await sign_up(service)
    clock.advance(minutes=2)
    for number in range(5):
        with pytest.raises(InvalidCredentials):
            await service.sign_in(EMAIL, "wrong horse", address=f"2001:db8::{number + 1}")
    with pytest.raises(RateLimited):
        await service.sign_in(EMAIL, PASSWORD, address="2001:db8::ffff:1")
    assert await service.sign_in(EMAIL, PASSWORD, address="2001:db8:1::1")


async def test_a_success_forgets_the_tries_before_it_and_old_tries_are_swept(
    service: IdentityService, database: Database, clock: Clock
) -> None:
    await sign_up(service)
    for _ in range(8):
        assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    assert await count(database, "sign_in_attempts") == 0
    for number in range(3):
        with pytest.raises(InvalidCredentials):
            await service.sign_in(f"{number}@example.com", PASSWORD, address=ADDRESS)
    clock.advance(minutes=2)
    with pytest.raises(InvalidCredentials):
        await service.sign_in("x@example.com", PASSWORD, address=ADDRESS)
    assert await count(database, "sign_in_attempts") == 1


async def test_what_is_typed_as_an_account_is_not_stored(service: IdentityService, database: Database) -> None:
    with pytest.raises(InvalidCredentials):
        await service.sign_in("my password by mistake", "x", address=ADDRESS)
    async with database.connection() as connection:
        stored = (await connection.execute(text("SELECT account, address FROM sign_in_attempts"))).all()
    assert len(stored) == 1
    assert "mistake" not in str(stored)


async def test_a_hash_with_old_parameters_is_renewed_at_sign_in(database: Database, clock: Clock) -> None:
    await sign_up(identity_service(database, clock))
    stronger = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    service = identity_service(database, clock, hasher=stronger)
    assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    async with database.connection() as connection:
        stored = (await connection.execute(select(users.c.password_hash))).scalar_one()
    assert "t=2" in stored
    assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
