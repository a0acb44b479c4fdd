from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, event, func, insert, select, text, update

from domain.errors import (
    InvalidCredentials,
    InvalidInput,
    InvalidToken,
    RateLimited,
    Unauthenticated,
)
from domain.identity import Role
from persistence.tables import members, refresh_tokens, sessions
from runtime.tokens import AccessTokens
from tests.support.identity import ADDRESS, PASSWORD, TOKEN_KEY, Clock, dump_of, identity_service

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


# ── sessions ──


async def test_an_access_token_ends_with_its_session(service: IdentityService) -> None:
    signed_in = await sign_up(service)
    assert await service.sign_out(signed_in.principal, is_everywhere=False) == 1
    with pytest.raises(Unauthenticated):
        await service.authenticate(signed_in.access_token)
    with pytest.raises(InvalidToken):
        await service.refresh(signed_in.refresh_token)
    assert await service.sign_out(signed_in.principal, is_everywhere=False) == 0


async def test_signing_out_ends_one_session_or_all_of_the_caller_and_nobody_elses(service: IdentityService) -> None:
    first, other = await sign_up(service), await sign_up(service, "eve@example.com")
    second, third = [await service.sign_in(EMAIL, PASSWORD, address=ADDRESS) for _ in range(2)]
    assert await service.sign_out(second.principal, is_everywhere=False) == 1
    assert await service.authenticate(first.access_token)
    assert await service.sign_out(third.principal, is_everywhere=True) == 2
    for ended in (first, second, third):
        with pytest.raises(Unauthenticated):
            await service.authenticate(ended.access_token)
    assert await service.authenticate(other.access_token)


async def test_a_refresh_gives_new_tokens_and_lets_the_session_live_on(service: IdentityService, clock: Clock) -> None:
    signed_in = await sign_up(service)
    clock.advance(days=29)
    with pytest.raises(Unauthenticated):
        await service.authenticate(signed_in.access_token)
    again = await service.refresh(signed_in.refresh_token)
    assert again.refresh_token != signed_in.refresh_token
    assert again.principal.session_id == signed_in.principal.session_id
    clock.advance(days=29)
    assert (await service.refresh(again.refresh_token)).principal.user == signed_in.principal.user


async def test_a_session_without_a_refresh_ends_after_30_days(service: IdentityService, clock: Clock) -> None:
    signed_in = await sign_up(service)
    clock.advance(days=30)
    with pytest.raises(InvalidToken):
        await service.refresh(signed_in.refresh_token)


async def test_a_refresh_token_that_comes_twice_ends_its_session_and_no_other(service: IdentityService) -> None:
    stolen, other = await sign_up(service), await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    again = await service.refresh(stolen.refresh_token)
    with pytest.raises(InvalidToken):
        await service.refresh(stolen.refresh_token)
    with pytest.raises(InvalidToken):
        await service.refresh(again.refresh_token)
    with pytest.raises(Unauthenticated):
        await service.authenticate(again.access_token)
    assert await service.authenticate(other.access_token)


async def test_of_two_who_use_a_refresh_token_at_once_at_most_one_wins_and_the_session_ends(
    service: IdentityService,
) -> None:
    signed_in = await sign_up(service)
    results = await asyncio.gather(
        *(service.refresh(signed_in.refresh_token) for _ in range(2)), return_exceptions=True
    )
    assert any(isinstance(result, InvalidToken) for result in results)
    with pytest.raises(Unauthenticated):
        await service.authenticate(signed_in.access_token)


@pytest.mark.parametrize("token", ["", "unknown", "\0", "\ud800", "x" * 10_000])
async def test_an_unknown_refresh_token_is_refused_and_ends_nothing(service: IdentityService, token: str) -> None:
    signed_in = await sign_up(service)
    with pytest.raises(InvalidToken):
        await service.refresh(token)
    assert await service.authenticate(signed_in.access_token)


async def test_a_token_of_a_session_that_is_somebody_elses_is_refused(service: IdentityService, clock: Clock) -> None:
    ada, eve = await sign_up(service), await sign_up(service, "eve@example.com")
    mixed, _ = AccessTokens([TOKEN_KEY], clock=clock).issue(ada.principal.user.id, eve.principal.session_id)
    with pytest.raises(Unauthenticated):
        await service.authenticate(mixed)


async def test_a_person_without_a_workspace_is_still_somebody(service: IdentityService, database: Database) -> None:
    signed_in = await sign_up(service)
    async with database.connection() as connection:
        await connection.execute(delete(members))
    assert (await service.authenticate(signed_in.access_token)).roles == {}


async def test_roles_are_those_of_the_moment_of_the_call(service: IdentityService, database: Database) -> None:
    signed_in = await sign_up(service)
    async with database.connection() as connection:
        await connection.execute(update(members).values(role=Role.VIEWER.value))
    caller = await service.authenticate(signed_in.access_token)
    assert list(caller.roles.values()) == [Role.VIEWER]


async def test_authenticating_is_one_statement(database: Database, service: IdentityService) -> None:
    signed_in = await sign_up(service)
    statements: list[str] = []
    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    await service.authenticate(signed_in.access_token)
    assert len(statements) == 1


# ── passwords ──


async def test_a_new_password_ends_all_other_sessions(service: IdentityService) -> None:
    old, current = await sign_up(service), await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    user = await service.change_password(current.principal, PASSWORD, "another horse")
    assert user == current.principal.user
    assert await service.authenticate(current.access_token)
    with pytest.raises(Unauthenticated):
        await service.authenticate(old.access_token)
    with pytest.raises(InvalidToken):
        await service.refresh(old.refresh_token)
    with pytest.raises(InvalidCredentials):
        await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    assert await service.sign_in(EMAIL, "another horse", address=ADDRESS)


async def test_a_wrong_current_password_or_a_short_new_one_changes_nothing(service: IdentityService) -> None:
    signed_in, other = await sign_up(service), await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    with pytest.raises(InvalidCredentials) as wrong:
        await service.change_password(signed_in.principal, "wrong horse", "another horse")
    assert wrong.value.path == ["input", "currentPassword"]
    with pytest.raises(InvalidInput) as short:
        await service.change_password(signed_in.principal, PASSWORD, "too short")
    assert short.value.path == ["input", "newPassword"]
    assert await service.authenticate(other.access_token)
    assert await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)


async def test_guessing_the_current_password_is_limited_too(service: IdentityService) -> None:
    signed_in = await sign_up(service)
    for _ in range(5):
        with pytest.raises(InvalidCredentials):
            await service.change_password(signed_in.principal, "wrong horse", "another horse")
    with pytest.raises(RateLimited):
        await service.change_password(signed_in.principal, PASSWORD, "another horse")


async def test_a_sign_in_that_a_password_change_overtakes_leaves_no_session(
    service: IdentityService, database: Database
) -> None:
    signed_in = await sign_up(service)
    overtaken = identity_service(database, Clock())
    verify = overtaken._passwords.verify

    async def slow(stored: str | None, password: str) -> bool:
        is_right = await verify(stored, password)
        await service.change_password(signed_in.principal, PASSWORD, "another horse")
        return is_right

    overtaken._passwords.verify = slow
    with pytest.raises(InvalidCredentials):
        await overtaken.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    assert await count(database, "sessions WHERE ended_at IS NULL") == 1


# ── people ──


async def test_people_see_the_address_of_those_who_share_a_workspace_only(
    service: IdentityService, database: Database
) -> None:
    ada, eve, bob = [(await sign_up(service, f"{name}@example.com")).principal for name in ("ada", "eve", "bob")]
    async with database.connection() as connection:
        await connection.execute(
            insert(members).values(
                id=func.gen_random_uuid(),
                workspace_id=next(iter(ada.roles)),
                user_id=bob.user.id,
                role=Role.VIEWER.value,
            )
        )
    found = await service.list_users(ada, [ada.user.id, eve.user.id, bob.user.id])
    assert [found[who.user.id].email for who in (ada, eve, bob)] == [EMAIL, None, "bob@example.com"]
    assert found[eve.user.id].name == "eve"
    assert await service.find_user(ada, eve.user.id) is None
    assert await service.find_user(ada, bob.user.id) == bob.user


async def test_workspaces_of_others_are_not_listed(service: IdentityService) -> None:
    ada, eve = (await sign_up(service)).principal, (await sign_up(service, "eve@example.com")).principal
    own, foreign = next(iter(ada.roles)), next(iter(eve.roles))
    assert list(await service.list_workspaces(ada, [own, foreign])) == [own]


# ── at rest ──


async def test_no_password_and_no_token_lies_in_the_database(service: IdentityService, database: Database) -> None:
    signed_in = await sign_up(service)
    again = await service.refresh(signed_in.refresh_token)
    dump = await dump_of(database)
    assert EMAIL in dump
    for canary in (PASSWORD, signed_in.refresh_token, again.refresh_token, again.access_token, TOKEN_KEY):
        assert canary not in dump
        assert canary.encode().hex() not in dump


async def test_what_is_expired_is_removed_at_the_next_sign_in(
    service: IdentityService, database: Database, clock: Clock
) -> None:
    await sign_up(service)
    clock.advance(days=31)
    await service.sign_in(EMAIL, PASSWORD, address=ADDRESS)
    async with database.connection() as connection:
        left = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (sessions, refresh_tokens)
        ]
    assert left == [1, 1]
