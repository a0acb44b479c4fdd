"""All that remembers workspaces and who belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persistence.invitations import PostgresInvitations
from persistence.members import PostgresMembers
from persistence.workspaces import PostgresWorkspaces

if TYPE_CHECKING:
    from persistence.database import Database


class PostgresPeople:
    """Members, invitations and workspaces on one database."""

    def __init__(self, database: Database) -> None:
        self.members = PostgresMembers(database)
        self.invitations = PostgresInvitations(database)
        self.workspaces = PostgresWorkspaces(database)
