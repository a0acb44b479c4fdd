"""Whoever ends a session or a key, or takes a role away, has the last word: also over what is being done at that moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

from domain.audit import AuditAction
from domain.errors import AnabranchError, Forbidden, NotFound, Unauthenticated
from domain.identity import Role, Scope
from domain.ports.paging import PageRequest
from persistence.key_tables import api_keys
from persistence.people import PostgresPeople
from persistence.secrets import PostgresSecrets
from persistence.standing import check_standing
from persistence.uses import through
from runtime.invitations import InvitationService
from runtime.members import MemberService
from runtime.secrets import SecretService
from tests.support.identity import identity_service, make_principal, vault
from tests.support.machines import Machines, home, logged
from tests.support.waiting import until

if TYPE_CHECKING:
    from domain.identity import Principal
    from domain.ids import MemberId
    from persistence.database import Database

ALL = tuple(Scope)
DAY_MS = 86_400_000


@pytest.fixture
def machines(database: Database) -> Machines:
    return Machines(database)


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


async def robot(machines: Machines, maker: Principal) -> Principal:
    """Make a key that may do everything and return who comes with it."""
    _, token = await machines.keys.create(maker, None, "robot", ALL)
    return await machines.keys.authenticate(token)


async def execute(database: Database, statement: str, **values: object) -> None:
    async with database.connection() as connection:
        await connection.execute(text(statement), values)


async def is_waiting_for_a_lock(database: Database, count: int = 1) -> bool:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.single() as connection:
        return (await connection.execute(text(statement))).scalar_one() >= count


async def key_names(database: Database) -> list[str]:
    async with database.connection() as connection:
        return sorted((await connection.execute(select(api_keys.c.name))).scalars())


async def member_of(database: Database, person: Principal) -> MemberId:
    found = await PostgresPeople(database).members.page_by_workspace([home(person)], PageRequest(10))
    return next(one.id for one in found[home(person)].items if one.user_id == person.user.id)


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE api_keys SET expires_at = '2020-01-01Z'",
        "UPDATE api_keys SET token_hash = '\\x00', old_hash = token_hash, old_until = '2020-01-01Z'",
    ],
    ids=["revoked", "expired", "rotated without overlap"],
)
async def test_a_key_that_has_ended_makes_rotates_and_revokes_no_key_in_what_was_let_in_before(
    database: Database, machines: Machines, ada: Principal, end: str
) -> None:
    other, _ = await machines.keys.create(ada, None, "other", ALL)
    caller = await robot(machines, ada)
    await execute(database, f"{end} WHERE name = 'robot'")
    for asked in (
        machines.keys.create(caller, None, "late", ALL),
        machines.keys.rotate(caller, other.id, DAY_MS),
        machines.keys.revoke(caller, other.id),
    ):
        with pytest.raises(Unauthenticated):
            await asked
    assert await key_names(database) == ["other", "robot"]
    assert (await machines.keys.list_by_id(ada, [other.id]))[other.id] == other
    assert [entry.action for entry in await logged(machines.audit, ada)] == [AuditAction.API_KEY_CREATED] * 2


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        ("UPDATE sessions SET ended_at = now()", Unauthenticated),
        ("UPDATE sessions SET expires_at = '2020-01-01Z'", Unauthenticated),
        ("UPDATE members SET role = 'EDITOR'", Forbidden),
        ("DELETE FROM members", NotFound),
    ],
    ids=["signed out", "expired", "role lowered", "removed"],
)
async def test_whoever_has_signed_out_or_lost_the_role_makes_no_key_invitation_or_secret_any_more(
    database: Database, machines: Machines, ada: Principal, end: str, fault: type[AnabranchError]
) -> None:
    invitations = InvitationService(PostgresPeople(database).invitations, clock=machines.clock, audit=machines.audit)
    secrets = SecretService(PostgresSecrets(database), vault(), clock=machines.clock, audit=machines.audit)
    await execute(database, end)
    with pytest.raises(fault):
        await machines.keys.create(ada, None, "late", ALL)
    with pytest.raises(fault):
        await secrets.create(ada, None, "LATE", "value", None)
    with pytest.raises(AnabranchError):
        await invitations.invite(ada, None, "eve@example.com", Role.VIEWER, None)
    async with database.connection() as connection:
        for table in ("api_keys", "secrets", "invitations", "audit_entries"):
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0  # noqa: S608


async def test_what_meets_a_revocation_waits_for_it_and_is_refused(
    database: Database, machines: Machines, ada: Principal
) -> None:
    caller = await robot(machines, ada)
    async with database.connection() as connection:
        await connection.execute(text("UPDATE api_keys SET revoked_at = now()"))
        late = asyncio.create_task(machines.keys.create(caller, None, "late", ALL))
        await until(lambda: is_waiting_for_a_lock(database))
    with pytest.raises(Unauthenticated):
        await late
    assert await key_names(database) == ["robot"]


@pytest.mark.parametrize("has_key_only", [False, True])
@pytest.mark.parametrize("end", ["revoked", "removed", "left"])
async def test_deeds_that_overlap_keep_nobody_from_ending_a_key_and_none_of_them_waits_in_a_circle(
    database: Database, machines: Machines, ada: Principal, end: str, *, has_key_only: bool
) -> None:
    eve = await make_principal(database, "eve")
    await execute(
        database, "UPDATE members SET workspace_id = :home WHERE user_id = :eve", home=home(ada), eve=eve.user.id
    )
    eve = replace(eve, roles={home(ada): Role.OWNER})
    thief = await robot(machines, eve)
    assert thief.api_key_id is not None
    members = MemberService(PostgresPeople(database).members, audit=machines.audit)
    member_id = await member_of(database, eve)
    deed = machines.audit.deed(thief, AuditAction.SECRET_WRITTEN)
    assert deed is not None

    async def another() -> None:
        async with database.connection() as connection:
            await check_standing(through(connection), deed, home(ada))

    async with database.connection() as connection:
        # A deed that is under way; it may have the key, and not its maker's membership yet.
        if has_key_only:
            await connection.execute(text("SELECT 1 FROM api_keys FOR NO KEY UPDATE"))
        else:
            await check_standing(through(connection), deed, home(ada))
        match end:
            case "revoked":
                ending = asyncio.ensure_future(machines.keys.revoke(eve, thief.api_key_id))
            case "removed":
                ending = asyncio.ensure_future(members.remove(ada, member_id))
            case _:
                ending = asyncio.ensure_future(members.remove(eve, member_id))
        await until(lambda: is_waiting_for_a_lock(database))
        late = asyncio.create_task(another())
        await until(lambda: is_waiting_for_a_lock(database, 2))
        await check_standing(through(connection), deed, home(ada))
    await ending
    with pytest.raises(Unauthenticated):
        await late


async def test_a_deletion_that_takes_long_keeps_the_rows_of_who_asked_for_it_free(
    database: Database, machines: Machines, ada: Principal
) -> None:
    deed = machines.audit.deed(ada, AuditAction.WORKSPACE_UPDATED)
    async with database.connection() as connection:
        # Somebody holds what the deletion takes last.
        await connection.execute(text("SELECT 1 FROM members FOR UPDATE"))
        removing = asyncio.create_task(PostgresPeople(database).workspaces.remove(home(ada), ada.user.id, deed=deed))
        await until(lambda: is_waiting_for_a_lock(database))
        await execute(database, "SELECT 1 FROM sessions FOR UPDATE NOWAIT")
    assert await removing == []


async def test_whoever_has_signed_out_deletes_no_workspace(
    database: Database, machines: Machines, ada: Principal
) -> None:
    await execute(database, "UPDATE sessions SET ended_at = now()")
    deed = machines.audit.deed(ada, AuditAction.WORKSPACE_UPDATED)
    with pytest.raises(Unauthenticated):
        await PostgresPeople(database).workspaces.remove(home(ada), ada.user.id, deed=deed)
    async with database.connection() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM workspaces"))).scalar_one() == 1


async def test_a_key_may_rotate_and_end_itself(machines: Machines, ada: Principal) -> None:
    caller = await robot(machines, ada)
    assert caller.api_key_id is not None
    _, token = await machines.keys.rotate(caller, caller.api_key_id, 0)
    again = await machines.keys.authenticate(token)
    assert (await machines.keys.revoke(again, caller.api_key_id)).revoked_at is not None
    with pytest.raises(Unauthenticated):
        await machines.keys.revoke(again, caller.api_key_id)


async def test_of_two_keys_that_end_each_other_at_once_one_is_first(machines: Machines, ada: Principal) -> None:
    for _ in range(10):
        one, two = [await robot(machines, ada) for _ in range(2)]
        assert one.api_key_id is not None
        assert two.api_key_id is not None
        done = await asyncio.gather(
            machines.keys.revoke(one, two.api_key_id), machines.keys.revoke(two, one.api_key_id), return_exceptions=True
        )
        assert sum(isinstance(each, Unauthenticated) for each in done) == 1, done
        assert not any(isinstance(each, Exception) and not isinstance(each, Unauthenticated) for each in done), done


async def test_a_password_and_a_sign_out_everywhere_at_once_do_not_wait_for_each_other(
    database: Database, machines: Machines
) -> None:
    people = identity_service(database, machines.clock)
    people._audit = machines.audit
    await people.sign_up("ada@example.com", "correct horse", None, None, address="192.0.2.1")
    password = "correct horse"
    for round_ in range(8):
        one, two = [await people.sign_in("ada@example.com", password, address=f"192.0.2.{round_}") for _ in range(2)]
        new = f"another horse {round_}"
        done = await asyncio.gather(
            people.change_password(one.principal, password, new),
            people.sign_out(two.principal, is_everywhere=True),
            return_exceptions=True,
        )
        assert isinstance(done[1], int), done
        assert not isinstance(done[0], Exception) or isinstance(done[0], Unauthenticated), done
        password = password if isinstance(done[0], Exception) else new


async def test_of_two_owners_who_remove_each_other_at_once_one_stays(
    database: Database, machines: Machines, ada: Principal
) -> None:
    eve = await make_principal(database, "eve")
    await execute(
        database,
        "UPDATE members SET workspace_id = :home WHERE user_id = :eve",
        home=home(ada),
        eve=eve.user.id,
    )
    eve = replace(eve, roles={home(ada): Role.OWNER})
    members = MemberService(PostgresPeople(database).members, audit=machines.audit)
    ids = await member_of(database, ada), await member_of(database, eve)
    done = await asyncio.gather(members.remove(ada, ids[1]), members.remove(eve, ids[0]), return_exceptions=True)
    assert sum(isinstance(each, Exception) for each in done) == 1, done
    assert all(isinstance(each, NotFound) for each in done if isinstance(each, Exception)), done


async def test_leaving_and_lowering_ones_own_role_are_in_the_log(
    database: Database, machines: Machines, ada: Principal
) -> None:
    eve = await make_principal(database, "eve")
    await execute(
        database, "UPDATE members SET workspace_id = :home WHERE user_id = :eve", home=home(ada), eve=eve.user.id
    )
    eve = replace(eve, roles={home(ada): Role.OWNER})
    members = MemberService(PostgresPeople(database).members, audit=machines.audit)
    id_ = await member_of(database, eve)
    await members.set_role(eve, id_, Role.VIEWER)
    await members.remove(replace(eve, roles={home(ada): Role.VIEWER}), id_)
    assert [entry.action for entry in await logged(machines.audit, ada)] == [
        AuditAction.ROLE_CHANGED,
        AuditAction.MEMBER_REMOVED,
    ]
