from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import DBAPIError

from domain.audit import AuditAction, AuditQuery
from domain.errors import Forbidden, InvalidCredentials, InvalidToken, NotFound
from domain.identity import Role, Workspace
from domain.ids import WorkspaceId
from domain.ports.paging import PageRequest
from persistence.key_tables import audit_entries
from persistence.tables import workspaces
from persistence.workspaces import PostgresWorkspaces
from runtime.audit import MAX_FAILURES
from runtime.tasks import running
from tests.support.identity import PASSWORD, START, identity_service, make_principal
from tests.support.machines import Machines, home, logged, record

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database
    from runtime.audit import AuditService
    from runtime.identity import IdentityService

EMAIL = "ada@example.com"


@pytest.fixture
def machines(database: Database) -> Machines:
    return Machines(database)


@pytest.fixture
def audit(machines: Machines) -> AuditService:
    return machines.audit


@pytest.fixture
def people(database: Database, machines: Machines) -> IdentityService:
    service = identity_service(database, machines.clock)
    service._audit = machines.audit
    return service


@pytest.fixture
async def ada(database: Database) -> Principal:
    return await make_principal(database, "ada")


async def written(audit: AuditService, actor: Principal, count: int) -> list[AuditAction]:
    """Wait for entries that are written a little later."""
    query = AuditQuery(actions=(AuditAction.SIGN_IN_FAILED,))
    async with asyncio.timeout(20), running(("audit", audit.run())):
        while len(entries := await logged(audit, actor, query)) < count:
            await asyncio.sleep(0.01)  # the writer tells nobody when it has written
    return [entry.action for entry in entries]


async def test_the_database_itself_changes_and_deletes_no_entry(
    database: Database, audit: AuditService, ada: Principal
) -> None:
    await record(audit, ada, home(ada), AuditAction.WORKSPACE_UPDATED)
    for statement in ("UPDATE audit_entries SET action = 'SIGNED_IN'", "DELETE FROM audit_entries"):
        with pytest.raises(DBAPIError, match="entries are only added"):
            async with database.connection() as connection:
                await connection.execute(text(statement))
    assert [entry.action for entry in await logged(audit, ada)] == [AuditAction.WORKSPACE_UPDATED]


async def test_a_log_goes_with_its_workspace_only(database: Database, audit: AuditService, ada: Principal) -> None:
    eve = await make_principal(database, "eve")
    for actor in (ada, eve):
        await record(audit, actor, home(actor), AuditAction.WORKSPACE_UPDATED)
    async with database.connection() as connection:
        await connection.execute(delete(workspaces).where(workspaces.c.id == home(ada)))
        assert (await connection.execute(select(func.count()).select_from(audit_entries))).scalar_one() == 1
    # What was still going on there is not done without its entry.
    with pytest.raises(NotFound):
        await record(audit, ada, home(ada), AuditAction.WORKSPACE_UPDATED)
    assert len(await logged(audit, eve)) == 1


async def test_an_entry_outlives_the_person(database: Database, audit: AuditService, ada: Principal) -> None:
    eve = await make_principal(database, "eve")
    await record(audit, eve, home(ada), AuditAction.ROLE_CHANGED, "user_1", "Eve")
    async with database.connection() as connection:
        await connection.execute(text("DELETE FROM users WHERE email = 'eve@example.com'"))
    (entry,) = await logged(audit, ada)
    assert (entry.actor_id, entry.target_id, entry.target_name) == (eve.user.id, "user_1", "Eve")


async def test_only_owners_and_admins_read_the_log(database: Database, audit: AuditService, ada: Principal) -> None:
    await record(audit, ada, home(ada), AuditAction.WORKSPACE_UPDATED)
    (entry,) = await logged(audit, ada)
    for role in Role:
        actor, may = replace(ada, roles={home(ada): role}), role in {Role.OWNER, Role.ADMIN}
        assert await audit.list_by_id(actor, [entry.id]) == ({entry.id: entry} if may else {})
        if may:
            assert await audit.counts(actor, [home(ada)], AuditQuery()) == {home(ada): 1}
            continue
        for asked in (
            audit.pages(actor, [home(ada)], AuditQuery(), PageRequest(1)),
            audit.counts(actor, [home(ada)], AuditQuery()),
        ):
            with pytest.raises(Forbidden):
                await asked
    eve = await make_principal(database, "eve")
    assert await audit.list_by_id(eve, [entry.id]) == {}
    for unseen in (home(ada), WorkspaceId(uuid4())):
        with pytest.raises(NotFound):
            await audit.pages(eve, [unseen], AuditQuery(), PageRequest(1))


async def test_entries_are_found_by_action_person_target_and_time(
    database: Database, audit: AuditService, ada: Principal, machines: Machines
) -> None:
    eve = await make_principal(database, "eve")
    await record(audit, ada, home(ada), AuditAction.SECRET_WRITTEN, "secret_1", "A")
    machines.clock.advance(hours=1)
    await record(audit, eve, home(ada), AuditAction.SECRET_DELETED, "secret_1", "A")
    machines.clock.advance(hours=1)
    await record(audit, eve, home(ada), AuditAction.SECRET_WRITTEN, "secret_2", "B")

    async def found(query: AuditQuery) -> str:
        return "".join(
            "wdW"[(entry.action is AuditAction.SECRET_DELETED) + 2 * (entry.target_name == "B")]
            for entry in await logged(audit, ada, query)
        )

    hour = START + timedelta(hours=1)
    assert await found(AuditQuery()) == "wdW"
    assert await found(AuditQuery(actions=(AuditAction.SECRET_WRITTEN,))) == "wW"
    assert await found(AuditQuery(actor_id=eve.user.id)) == "dW"
    assert await found(AuditQuery(target_id="secret_1")) == "wd"
    assert await found(AuditQuery(since=hour)) == "dW"
    assert await found(AuditQuery(until=hour)) == "w"
    assert await found(AuditQuery(actor_id=eve.user.id, target_id="secret_1", until=START + timedelta(days=1))) == "d"


async def test_a_persons_sessions_and_password_are_in_the_log_of_each_workspace(
    people: IdentityService, audit: AuditService
) -> None:
    ada = (await people.sign_up(EMAIL, PASSWORD, None, None, address="192.0.2.1")).principal
    again = await people.sign_in(EMAIL, PASSWORD, address="192.0.2.2")
    await people.change_password(again.principal, PASSWORD, "another horse")
    await people.sign_out(again.principal, is_everywhere=False)
    entries = await logged(audit, ada)
    assert [(entry.action, entry.address) for entry in entries] == [
        (AuditAction.SIGNED_IN, "192.0.2.1"),
        (AuditAction.SIGNED_IN, "192.0.2.2"),
        (AuditAction.PASSWORD_CHANGED, None),
        (AuditAction.SIGNED_OUT, None),
    ]


async def test_a_refresh_token_that_comes_twice_is_in_the_log_once(
    people: IdentityService, audit: AuditService
) -> None:
    signed_in = await people.sign_up(EMAIL, PASSWORD, None, None, address="")
    await people.refresh(signed_in.refresh_token, address="192.0.2.1")
    for number in (66, 67):
        with pytest.raises(InvalidToken):
            await people.refresh(signed_in.refresh_token, address=f"192.0.2.{number}")
    told = [(entry.action, entry.address) for entry in await logged(audit, signed_in.principal)]
    assert told == [(AuditAction.SIGNED_IN, None), (AuditAction.REFRESH_REUSED, "192.0.2.66")]


async def test_a_sign_in_does_not_wait_for_the_deletion_of_one_of_the_persons_workspaces(
    database: Database, people: IdentityService, audit: AuditService
) -> None:
    ada = (await people.sign_up(EMAIL, PASSWORD, None, None, address="")).principal
    other = Workspace(WorkspaceId(uuid4()), "Another", START)
    await PostgresWorkspaces(database).add(other, ada.user.id)
    async with database.connection() as connection:
        await connection.execute(text("SELECT 1 FROM workspaces WHERE id = :id FOR UPDATE"), {"id": other.id})
        async with asyncio.timeout(5):
            await people.sign_in(EMAIL, PASSWORD, address="192.0.2.2")
    assert [entry.address for entry in await logged(audit, ada)] == [None, "192.0.2.2"]


async def test_failed_sign_ins_are_noted_after_the_answer_and_only_for_accounts_that_exist(
    people: IdentityService, audit: AuditService
) -> None:
    ada = (await people.sign_up(EMAIL, PASSWORD, None, None, address="")).principal
    for email in ("nobody@example.com", EMAIL):
        with pytest.raises(InvalidCredentials):
            await people.sign_in(email, "a wrong one", address="192.0.2.66")
    # Nothing has been written yet: a known account takes no longer than an unknown one.
    assert [entry.action for entry in await logged(audit, ada)] == [AuditAction.SIGNED_IN]
    assert await written(audit, ada, 1) == [AuditAction.SIGN_IN_FAILED]
    failed = (await logged(audit, ada))[-1]
    assert (failed.actor_id, failed.address) == (ada.user.id, "192.0.2.66")


async def test_an_address_is_kept_as_far_as_it_can_be_one(people: IdentityService, audit: AuditService) -> None:
    ada = (await people.sign_up(EMAIL, PASSWORD, None, None, address="")).principal
    await people.sign_in(EMAIL, PASSWORD, address="\0" + "x" * 1_000)
    assert [entry.address for entry in await logged(audit, ada)] == [None, "\ufffd" + "x" * 63]


async def test_a_flood_of_failed_sign_ins_fills_no_table(
    audit: AuditService, ada: Principal, machines: Machines
) -> None:
    for place in range(1_000):
        audit.sign_in_failed(ada.user.id, f"192.0.2.{place % 256}")
    assert len(await written(audit, ada, MAX_FAILURES)) == MAX_FAILURES
    machines.clock.advance(hours=1)
    audit.sign_in_failed(ada.user.id, "192.0.2.1")
    assert len(await written(audit, ada, MAX_FAILURES + 1)) == MAX_FAILURES + 1


async def test_more_failed_sign_ins_than_can_wait_are_left_out(audit: AuditService) -> None:
    for _ in range(1_000):
        audit.sign_in_failed(uuid4(), "192.0.2.1")  # pyright: ignore[reportArgumentType]
    assert audit._waiting.qsize() == 256
