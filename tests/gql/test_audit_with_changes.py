"""What is done and the entry that tells of it are stored together: where the entry cannot be, nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from domain.identity import Role, Scope
from domain.ids import MemberId
from domain.ports.paging import PageRequest
from tests.gql import test_audit
from tests.support.identity import PASSWORD
from tests.support.machines import home

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domain.identity import Principal
    from persistence.database import Database
    from tests.support.api import Api

pytestmark = pytest.mark.long
api, ada = test_audit.api, test_audit.ada
BREAK = """
CREATE FUNCTION no_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room for entries'; END $$;
CREATE TRIGGER no_entry BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION no_entry();
"""
MEND = "DROP TRIGGER no_entry ON audit_entries; DROP FUNCTION no_entry()"
LEFT_OUT = {"sign_in_attempts", "executors"}


async def stored(database: Database) -> dict[str, list[str]]:
    """Return all that is stored, but for counted tries and the leases of processes."""
    async with database.connection() as connection:
        names = (
            await connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        ).scalars()
        return {
            name: sorted((await connection.execute(text(f'SELECT t::text FROM "{name}" t'))).scalars())  # noqa: S608
            for name in set(names) - LEFT_OUT
        }


async def execute(database: Database, statements: str) -> None:
    async with database.direct() as connection:
        await connection.execute(statements)


async def test_no_change_of_objects_is_made_without_its_entry(api: Api, ada: Principal, database: Database) -> None:
    ids: dict[str, str] = {}
    for document in test_audit.CHANGES:
        variables = {name: ids[name] for name in ids if f"${name}" in document}
        await execute(database, BREAK)
        before = await stored(database)
        answer = await api.run(document, variables, caller=ada)
        after = await stored(database)
        await execute(database, MEND)
        if answer.errors:
            assert answer.codes == ["INTERNAL_SERVER_ERROR"]
            assert after == before, document
            answer = await api.run(document, variables, caller=ada)
        (payload,) = answer.data.values()
        assert payload.pop("userErrors") == [], document
        ((name, made),) = payload.items()
        ids |= {name: made["id"]} if isinstance(made, dict) else {}
    assert len((await test_audit.log(api, ada))["nodes"]) == len(test_audit.LOGGED)


async def test_nobody_comes_goes_or_changes_a_password_without_an_entry(
    api: Api, ada: Principal, database: Database
) -> None:
    services = api.services
    people, identity = services.people, services.identity
    _, token = await people.invitations.invite(ada, None, "ben@example.com", Role.ADMIN, None)
    ben = (await identity.sign_up("ben@example.com", PASSWORD, "ben", token, address="192.0.2.6")).principal
    key, _ = await services.api_keys.create(ben, None, "of Ben", [Scope.READ])
    open_, _ = await people.invitations.invite(ada, None, "cleo@example.com", Role.VIEWER, None)
    _, for_dora = await people.invitations.invite(ada, None, "dora@example.com", Role.VIEWER, None)
    page = (await people.members.page_by_workspace([home(ada)], PageRequest(10)))[home(ada)]
    member = MemberId(next(one.id for one in page.items if one.user_id == ben.user.id))
    workspace = (await identity.list_workspaces(ada, [home(ada)]))[home(ada)]
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: people.members.set_role(ada, member, Role.VIEWER),
        lambda: people.members.remove(ada, member),
        lambda: people.invitations.invite(ada, None, "eve@example.com", Role.VIEWER, None),
        lambda: people.invitations.revoke(ada, open_.id),
        lambda: people.workspaces.update(ada, workspace, "Another name"),
        lambda: identity.sign_up("dora@example.com", PASSWORD, "dora", for_dora, address="192.0.2.7"),
        lambda: identity.sign_in("ben@example.com", PASSWORD, address="192.0.2.8"),
        lambda: identity.change_password(ben, PASSWORD, "another horse"),
        lambda: identity.reset_password("ben@example.com", "another horse"),
        lambda: identity.sign_out(ben, is_everywhere=True),
        lambda: services.api_keys.create(ben, None, "late", [Scope.READ]),
        lambda: services.api_keys.rotate(ben, key.id, 0),
        lambda: services.api_keys.revoke(ada, key.id),
    ]
    await execute(database, BREAK)
    before = await stored(database)
    for number, ask in enumerate(asked):
        with pytest.raises(Exception, match="no room for entries"):
            await ask()
        assert await stored(database) == before, number
    await execute(database, MEND)
