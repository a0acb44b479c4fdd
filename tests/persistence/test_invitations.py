from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from domain.errors import LimitExceeded
from domain.identity import Role
from domain.ids import InvitationId
from domain.members import Invitation
from persistence.invitations import PostgresInvitations
from persistence.member_tables import invitations
from tests.support.identity import START, make_principal

if TYPE_CHECKING:
    from domain.identity import Principal
    from persistence.database import Database


def invitation_by(owner: Principal, email: str) -> Invitation:
    [workspace_id] = owner.roles
    return Invitation(
        InvitationId(uuid7()), workspace_id, email, Role.VIEWER, owner.user.id, START, START + timedelta(days=7)
    )


async def test_a_workspace_has_so_many_open_invitations_and_forgets_those_that_ran_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.invitations.MAX_INVITATIONS", 2)
    owner, stored = await make_principal(database), PostgresInvitations(database)
    for name in ("a", "b", "b"):
        await stored.add(invitation_by(owner, f"{name}@example.com"), uuid7().bytes)
    with pytest.raises(LimitExceeded):
        await stored.add(invitation_by(owner, "c@example.com"), uuid7().bytes)
    later = invitation_by(owner, "c@example.com")
    await stored.add(
        replace(later, created_at=START + timedelta(days=7), expires_at=START + timedelta(days=8)), uuid7().bytes
    )
    async with database.connection() as connection:
        assert (await connection.execute(select(func.count()).select_from(invitations))).scalar_one() == 1


async def test_a_full_workspace_takes_nobody_and_keeps_the_invitation(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.invitations.MAX_MEMBERS", 1)
    owner, guest, stored = await make_principal(database), await make_principal(database), PostgresInvitations(database)
    email = guest.user.email or ""
    await stored.add(invitation_by(owner, email), b"token")
    with pytest.raises(LimitExceeded):
        await stored.accept(b"token", guest.user.id, email, START)
    monkeypatch.undo()
    [workspace_id] = owner.roles
    assert await stored.accept(b"token", guest.user.id, email, START) == (workspace_id, Role.VIEWER)
