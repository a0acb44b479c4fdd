from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, insert, text, update
from uuid_utils.compat import uuid7

from domain.api_keys import TOKEN_START
from domain.audit import AuditAction
from domain.errors import Forbidden, InvalidInput, LimitExceeded, NotFound, Unauthenticated
from domain.identity import NEVER, Permission, Role, Scope
from domain.ids import ApiKeyId
from persistence import api_keys as stored_keys
from persistence.key_tables import api_keys
from persistence.tables import members
from tests.support.identity import START, dump_of, make_principal
from tests.support.machines import Machines, home, logged

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from runtime.api_keys import ApiKeyService

READ = (Scope.READ,)
DAY_MS = 86_400_000


@pytest.fixture
def machines(database: Database) -> Machines:
    return Machines(database)


@pytest.fixture
def keys(machines: Machines) -> ApiKeyService:
    return machines.keys


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


async def join(database: Database, person: Principal, workspace: Principal, role: Role) -> Principal:
    """Make a person a member of somebody's workspace, and of no other; return who that is there."""
    async with database.connection() as connection:
        await connection.execute(delete(members).where(members.c.user_id == person.user.id))
        await connection.execute(
            insert(members).values(
                id=uuid7(), workspace_id=home(workspace), user_id=person.user.id, role=role.value, joined_at=START
            )
        )
    return replace(person, roles={home(workspace): role})


async def set_role(database: Database, person: Principal, role: Role) -> None:
    async with database.connection() as connection:
        await connection.execute(update(members).where(members.c.user_id == person.user.id).values(role=role.value))


# ── what a key stands for ──


async def test_a_key_stands_for_its_maker_in_one_workspace_within_its_scopes(
    keys: ApiKeyService, ada: Principal
) -> None:
    key, token = await keys.create(ada, None, " CI ", [Scope.EXECUTE, Scope.READ, Scope.READ])
    assert token.startswith(TOKEN_START)
    assert len(token) > 40
    assert (key.name, key.scopes, key.prefix) == ("CI", (Scope.READ, Scope.EXECUTE), token[:9])
    caller = await keys.authenticate(token)
    assert (caller.user, caller.roles, caller.api_key_id) == (ada.user, {home(ada): Role.OWNER}, key.id)
    assert caller.expires_at == NEVER
    assert caller.within(Permission.EXECUTE) == {home(ada)}
    for permission in (Permission.WRITE, Permission.ADMIN):
        assert caller.within(permission) == frozenset()
        with pytest.raises(Forbidden, match=f"scope {permission.value}"):
            caller.demand(home(ada), permission)
        with pytest.raises(Forbidden):
            caller.workspace(None, permission)


async def test_a_key_may_never_do_more_than_its_maker_at_this_moment(
    database: Database, keys: ApiKeyService, ada: Principal
) -> None:
    _, token = await keys.create(ada, None, "all", list(Scope))
    assert (await keys.authenticate(token)).within(Permission.ADMIN)
    await set_role(database, ada, Role.VIEWER)
    caller = await keys.authenticate(token)
    assert caller.within(Permission.READ) == {home(ada)}
    assert caller.within(Permission.WRITE) == frozenset()


async def test_reading_goes_with_every_scope_and_no_scope_is_no_key(keys: ApiKeyService, ada: Principal) -> None:
    key, _ = await keys.create(ada, None, "runner", [Scope.EXECUTE])
    assert key.scopes == (Scope.READ, Scope.EXECUTE)
    with pytest.raises(InvalidInput) as refused:
        await keys.create(ada, None, "none", [])
    assert refused.value.path == ["input", "scopes"]


async def test_the_text_of_a_key_is_nowhere_in_the_database(
    database: Database, keys: ApiKeyService, ada: Principal
) -> None:
    key, token = await keys.create(ada, None, "CI", READ)
    _, again = await keys.rotate(ada, key.id, DAY_MS)
    dump = await dump_of(database)
    assert key.prefix not in dump  # a new text, a new prefix
    for text_ in (token, again):
        assert text_ not in dump
        assert text_.encode().hex() not in dump


async def test_the_last_use_is_noted_to_the_minute(keys: ApiKeyService, ada: Principal, machines: Machines) -> None:
    key, token = await keys.create(ada, None, "CI", READ)

    async def used() -> object:
        return (await keys.list_by_id(ada, [key.id]))[key.id].last_used_at

    assert await used() is None
    machines.clock.advance(seconds=59)
    await keys.authenticate(token)
    assert await used() == START
    machines.clock.advance(seconds=2)
    await keys.authenticate(token)
    assert await used() == START + timedelta(minutes=1)


# ── the end of a key ──


@pytest.mark.parametrize("wrong", ["", "x", TOKEN_START, f"{TOKEN_START}{'a' * 43}", f"{TOKEN_START}\ud800"])
async def test_what_is_no_key_is_refused(keys: ApiKeyService, wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        await keys.authenticate(wrong)


async def test_an_expired_key_is_refused_from_the_instant_on(
    keys: ApiKeyService, ada: Principal, machines: Machines
) -> None:
    expiry = START + timedelta(hours=1)
    key, token = await keys.create(ada, None, "short", READ, expiry)
    assert (await keys.authenticate(token)).expires_at == expiry
    machines.clock.advance(hours=1)
    with pytest.raises(Unauthenticated):
        await keys.authenticate(token)
    with pytest.raises(InvalidInput, match="expired"):
        await keys.rotate(ada, key.id, 0)
    with pytest.raises(InvalidInput) as refused:
        await keys.create(ada, None, "past", READ, machines.clock.now)
    assert refused.value.path == ["input", "expiresAt"]


async def test_a_revoked_key_is_refused_with_both_its_texts_and_stays_revoked(
    keys: ApiKeyService, ada: Principal, machines: Machines
) -> None:
    key, token = await keys.create(ada, None, "CI", READ)
    _, new = await keys.rotate(ada, key.id, DAY_MS)
    revoked = await keys.revoke(ada, key.id)
    for text_ in (token, new):
        with pytest.raises(Unauthenticated):
            await keys.authenticate(text_)
    machines.clock.advance(hours=1)
    assert await keys.revoke(ada, key.id) == revoked
    assert revoked.revoked_at == START
    with pytest.raises(InvalidInput, match="revoked"):
        await keys.rotate(ada, key.id, 0)


async def test_a_rotated_key_works_with_both_texts_for_the_overlap(
    keys: ApiKeyService, ada: Principal, machines: Machines
) -> None:
    key, first = await keys.create(ada, None, "CI", READ)
    rotated, second = await keys.rotate(ada, key.id, 60_000)
    assert (rotated.id, rotated.prefix) == (key.id, second[:9])
    assert (await keys.authenticate(first)).expires_at == START + timedelta(minutes=1)
    assert (await keys.authenticate(second)).expires_at == NEVER
    machines.clock.advance(minutes=1)
    with pytest.raises(Unauthenticated):
        await keys.authenticate(first)
    _, third = await keys.rotate(ada, key.id, 0)
    with pytest.raises(Unauthenticated):
        await keys.authenticate(second)
    assert await keys.authenticate(third)


@pytest.mark.parametrize("overlap_ms", [-1, 7 * DAY_MS + 1])
async def test_an_overlap_is_at_most_a_week(keys: ApiKeyService, ada: Principal, overlap_ms: int) -> None:
    key, _ = await keys.create(ada, None, "CI", READ)
    with pytest.raises(InvalidInput) as refused:
        await keys.rotate(ada, key.id, overlap_ms)
    assert refused.value.path == ["input", "overlapMs"]


async def test_a_key_dies_with_the_membership_of_its_maker_and_does_not_come_back_with_the_person(
    database: Database, keys: ApiKeyService, ada: Principal
) -> None:
    eve = await join(database, await make_principal(database, "eve"), ada, Role.ADMIN)
    key, token = await keys.create(eve, None, "eve's", READ)
    async with database.connection() as connection:
        await stored_keys.revoke_keys_of(connection, home(ada), eve.user.id, START)
        await connection.execute(delete(members).where(members.c.user_id == eve.user.id))
    await join(database, eve, ada, Role.OWNER)
    with pytest.raises(Unauthenticated):
        await keys.authenticate(token)
    assert (await keys.list_by_id(ada, [key.id]))[key.id].revoked_at == START
    # Nor if nobody had revoked it.
    async with database.connection() as connection:
        await connection.execute(update(api_keys).values(revoked_at=None))
    with pytest.raises(Unauthenticated):
        await keys.authenticate(token)


# ── who may ──


async def test_only_owners_and_admins_make_and_end_keys(
    database: Database, keys: ApiKeyService, ada: Principal
) -> None:
    key, _ = await keys.create(ada, None, "CI", READ)
    eve = await join(database, await make_principal(database, "eve"), ada, Role.EDITOR)
    for asked in (keys.create(eve, None, "x", READ), keys.rotate(eve, key.id, 0), keys.revoke(eve, key.id)):
        with pytest.raises(Forbidden):
            await asked
    assert (await keys.list_by_id(eve, [key.id]))[key.id] == key


async def test_nobody_gets_the_rights_of_another_by_rotating_their_key(
    database: Database, keys: ApiKeyService, ada: Principal
) -> None:
    key, token = await keys.create(ada, None, "owner's", list(Scope))
    eve = await join(database, await make_principal(database, "eve"), ada, Role.ADMIN)
    with pytest.raises(Forbidden, match="Only who made a key"):
        await keys.rotate(eve, key.id, 0)
    assert await keys.authenticate(token)
    assert (await keys.revoke(eve, key.id)).revoked_at == START


async def test_a_key_makes_and_rotates_none_that_may_do_more_or_lives_longer(
    keys: ApiKeyService, ada: Principal
) -> None:
    day = START + timedelta(days=1)
    big, _ = await keys.create(ada, None, "big", list(Scope))
    own, token = await keys.create(ada, None, "admin", [Scope.ADMIN], day)
    caller = await keys.authenticate(token)
    for scopes, expiry in [([Scope.WRITE], day), ([Scope.READ], None), ([Scope.READ], day + timedelta(seconds=1))]:
        with pytest.raises(Forbidden, match="than itself"):
            await keys.create(caller, None, "more", scopes, expiry)
    with pytest.raises(Forbidden, match="than itself"):
        await keys.rotate(caller, big.id, 0)
    made, _ = await keys.create(caller, None, "less", [Scope.READ], day)
    assert made.created_by == ada.user.id
    _, new = await keys.rotate(caller, own.id, 60_000)
    # The old text, which may be a stolen one, ends with the overlap and prolongs nothing.
    with pytest.raises(Forbidden, match="than itself"):
        await keys.rotate(await keys.authenticate(token), own.id, 60_000)
    assert await keys.authenticate(new)


async def test_a_key_of_another_workspace_is_not_there(database: Database, keys: ApiKeyService, ada: Principal) -> None:
    eve = await make_principal(database, "eve")
    foreign, _ = await keys.create(eve, None, "eve's", READ)
    for key_id in (foreign.id, ApiKeyId(uuid7())):
        for asked in (keys.rotate(ada, key_id, 0), keys.revoke(ada, key_id)):
            with pytest.raises(NotFound):
                await asked
    assert await keys.list_by_id(ada, [foreign.id]) == {}
    with pytest.raises(NotFound):
        await keys.create(ada, home(eve), "x", READ)


async def test_a_workspace_has_a_thousand_living_keys_at_most(
    database: Database, keys: ApiKeyService, ada: Principal
) -> None:
    key, _ = await keys.create(ada, None, "first", READ)
    copies = text(
        "INSERT INTO api_keys (id, workspace_id, created_by, name, prefix, scopes, token_hash) SELECT gen_random_uuid(),"
        " workspace_id, created_by, name, prefix, scopes, sha256(n::text::bytea) FROM api_keys, generate_series(1, 999) n"
    )
    async with database.connection() as connection:
        await connection.execute(copies)
    with pytest.raises(LimitExceeded):
        await keys.create(ada, None, "one more", READ)
    await keys.revoke(ada, key.id)
    again, _ = await keys.create(ada, None, "one more", READ)
    assert again.revoked_at is None


# ── the log ──


async def test_what_is_done_to_keys_is_in_the_audit_log_with_the_key_that_did_it(
    machines: Machines, keys: ApiKeyService, ada: Principal
) -> None:
    key, token = await keys.create(ada, None, "CI", [Scope.ADMIN])
    by_key = replace(await keys.authenticate(token), address="192.0.2.7")
    await keys.rotate(by_key, key.id, 0)
    await keys.revoke(ada, key.id)
    await keys.revoke(ada, key.id)
    entries = await logged(machines.audit, ada)
    assert [(entry.action, entry.api_key_id, entry.target_name, entry.address) for entry in entries] == [
        (AuditAction.API_KEY_CREATED, None, "CI", None),
        (AuditAction.API_KEY_ROTATED, key.id, "CI", "192.0.2.7"),
        (AuditAction.API_KEY_REVOKED, None, "CI", None),
    ]
    assert {entry.actor_id for entry in entries} == {ada.user.id}
