from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.errors import NotFound
from domain.identity import Role, User, Workspace
from domain.ids import SessionId, UserId, WorkspaceId
from domain.ports.paging import PageRequest
from domain.ports.repositories import Account, NewSession
from persistence.identity import PostgresIdentity
from tests.support.identity import START

if TYPE_CHECKING:
    from persistence.database import Database

DAY = timedelta(days=1)


@pytest.fixture
def identities(database: Database) -> PostgresIdentity:
    return PostgresIdentity(database)


async def add(identities: PostgresIdentity, name: str) -> tuple[Account, WorkspaceId, NewSession]:
    account = Account(User(UserId(uuid4()), f"{name}@example.com", name, START), f"hash of {name}")
    workspace = Workspace(WorkspaceId(uuid4()), f"{name}'s", START)
    session = NewSession(SessionId(uuid4()), name.encode(), START + DAY)
    await identities.add_account(account, workspace, session, is_first_only=False)
    return account, workspace.id, session


async def test_a_caller_has_the_roles_of_the_members_table(identities: PostgresIdentity) -> None:
    account, workspace_id, session = await add(identities, "ada")
    found = await identities.find_caller(account.user.id, session.id, START)
    assert found == (account.user, {workspace_id: Role.OWNER})
    assert await identities.find_caller(UserId(uuid4()), session.id, START) is None
    assert await identities.find_caller(account.user.id, session.id, START + DAY) is None


async def test_an_account_is_found_by_address_and_by_id(identities: PostgresIdentity) -> None:
    assert not await identities.has_accounts()
    account, _, _ = await add(identities, "ada")
    assert await identities.has_accounts()
    assert await identities.find_account("ada@example.com") == account
    assert await identities.get_account(account.user.id) == account
    assert await identities.find_account("eve@example.com") is None
    with pytest.raises(NotFound):
        await identities.get_account(UserId(uuid4()))


async def test_a_hash_is_renewed_only_while_it_is_the_one_that_was_read(identities: PostgresIdentity) -> None:
    account, _, _ = await add(identities, "ada")
    await identities.save_hash(account.user.id, "another hash", "stale")
    assert (await identities.get_account(account.user.id)).password_hash == "hash of ada"
    await identities.save_hash(account.user.id, "hash of ada", "renewed")
    assert (await identities.get_account(account.user.id)).password_hash == "renewed"


async def test_a_password_that_changed_meanwhile_is_not_overwritten_and_begins_no_session(
    identities: PostgresIdentity,
) -> None:
    account, _, session = await add(identities, "ada")
    late = NewSession(SessionId(uuid4()), b"late", START + DAY)
    assert await identities.save_password(account.user.id, "hash of ada", "new", keep=session.id, now=START)
    assert not await identities.save_password(account.user.id, "hash of ada", "newer", keep=session.id, now=START)
    assert not await identities.add_session(account, late, START)
    assert await identities.find_caller(account.user.id, late.id, START) is None
    assert (await identities.get_account(account.user.id)).password_hash == "new"


async def test_a_refresh_token_is_traded_once_and_a_second_time_ends_the_session(
    identities: PostgresIdentity,
) -> None:
    account, _, session = await add(identities, "ada")
    traded = await identities.trade_refresh_token(b"ada", b"next", START, START + DAY)
    assert traded == (account.user.id, session.id)
    assert await identities.trade_refresh_token(b"ada", b"stolen", START, START + DAY) is None
    assert await identities.find_caller(account.user.id, session.id, START) is None
    assert await identities.trade_refresh_token(b"next", b"more", START, START + DAY) is None
    assert await identities.trade_refresh_token(b"unknown", b"more", START, START + DAY) is None


async def test_ending_sessions_touches_one_user_only(identities: PostgresIdentity) -> None:
    ada, _, session = await add(identities, "ada")
    eve, _, other = await add(identities, "eve")
    assert await identities.end_sessions(ada.user.id, other.id, START) == 0
    assert await identities.end_sessions(ada.user.id, None, START) == 1
    assert await identities.end_sessions(ada.user.id, session.id, START) == 0
    assert await identities.find_caller(eve.user.id, other.id, START) is not None


async def test_workspaces_outside_of_the_given_ones_are_not_read(identities: PostgresIdentity) -> None:
    _, own, _ = await add(identities, "ada")
    _, foreign, _ = await add(identities, "eve")
    listed = await identities.list_workspaces([own, foreign], frozenset({own}))
    assert [workspace.id for workspace in listed] == [own]
    page = await identities.page_workspaces(frozenset({own}), PageRequest(10))
    assert [workspace.id for workspace in page.items] == [own]
    assert (await identities.page_workspaces(frozenset(), PageRequest(10))).items == []


async def test_an_address_is_shown_to_those_who_share_a_workspace(identities: PostgresIdentity) -> None:
    ada, own, _ = await add(identities, "ada")
    eve, _, _ = await add(identities, "eve")
    users = await identities.list_users([ada.user.id, eve.user.id, UserId(uuid4())], frozenset({own}))
    assert {user.name: user.email for user in users} == {"ada": "ada@example.com", "eve": None}


async def test_tries_are_counted_by_account_and_address_within_the_window(identities: PostgresIdentity) -> None:
    tries = [identities.count_attempt("ada", "here", START, 60, 3) for _ in range(6)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 3 + [True] * 3
    assert await identities.count_attempt("ada", "there", START, 60, 3)
    assert await identities.count_attempt("eve", "here", START, 60, 3)
    late = START + timedelta(seconds=60)
    assert not await identities.count_attempt("ada", "here", late, 60, 3)
    assert await identities.count_attempt("ada", "here", late + timedelta(microseconds=1), 60, 3)
    await identities.forget_attempts("eve", "here")
    results = [await identities.count_attempt("eve", "here", late, 60, 1) for _ in range(2)]
    assert results == [True, False]
