"""Workspaces in PostgreSQL: making, naming and deleting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg
from sqlalchemy import func, insert, select, update
from uuid_utils.compat import uuid7

from domain.errors import Forbidden, LimitExceeded, NotFound
from domain.identity import Role, Workspace
from domain.ids import CollectionId, UserId, WorkspaceId
from domain.members import MAX_OWNED
from domain.run import FINISHED
from domain.workflow import UNSET, Unset
from persistence.audit import write_deed
from persistence.collection_rows import CHANNEL
from persistence.connections import set_default
from persistence.standing import check_standing
from persistence.tables import members, users, workspaces
from persistence.uses import through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.audit import Deed
    from domain.ids import ConnectionId
    from persistence.database import Database

_HOLD: Final = "SELECT 1 FROM workspaces WHERE id = $1 FOR UPDATE"
_ROLE: Final = "SELECT role FROM members WHERE workspace_id = $1 AND user_id = $2"
_UNFINISHED: Final = "SELECT 1 FROM runs WHERE workspace_id = $1 AND NOT status = ANY($2::text[]) LIMIT 1"
_ITS_RUNS: Final = "(SELECT id FROM runs WHERE workspace_id = $1)"
_ITS_COLLECTIONS: Final = "(SELECT id FROM collections WHERE workspace_id = $1)"
_COLLECTIONS: Final = """
SELECT id, pg_notify($2, replace(id::text, '-', '')) FROM collections WHERE workspace_id = $1
"""
# What has no foreign key, or one that would not do this; and who is referred to after those who refer. The rest goes with
# the workspace.
_REMOVE: Final = (
    f"DELETE FROM run_events WHERE run_id IN {_ITS_RUNS}",  # noqa: S608 -- a constant
    f"DELETE FROM node_runs WHERE run_id IN {_ITS_RUNS}",  # noqa: S608 -- a constant
    "DELETE FROM runs WHERE workspace_id = $1",
    "DELETE FROM connection_limits WHERE key IN (SELECT id FROM connections WHERE workspace_id = $1)",
    "DELETE FROM workflows WHERE workspace_id = $1",
    "DELETE FROM graphs WHERE workspace_id = $1",
    f"DELETE FROM chunks WHERE collection_id IN {_ITS_COLLECTIONS}",  # noqa: S608 -- a constant
    "DELETE FROM documents WHERE workspace_id = $1",
    "DELETE FROM collections WHERE workspace_id = $1",
    # Before the members, whom the workspace takes along: deeds hold a key, then its maker's membership.
    "DELETE FROM api_keys WHERE workspace_id = $1",
    "DELETE FROM workspaces WHERE id = $1",
)


class PostgresWorkspaces:
    """Implements `domain.ports.members.Workspaces`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, workspace: Workspace, owner: UserId) -> None:
        """Store a workspace with its owner.

        Raises:
            LimitExceeded: the person owns as many as one may.
        """
        is_owned = [members.c.user_id == owner, members.c.role == Role.OWNER.value]
        async with self._database.connection() as connection:
            # The person's row keeps two additions from both being the last one.
            await connection.execute(select(users.c.id).where(users.c.id == owner).with_for_update(key_share=True))
            count = await connection.execute(select(func.count()).select_from(members).where(*is_owned))
            if count.scalar_one() >= MAX_OWNED:
                raise LimitExceeded(f"A person owns at most {MAX_OWNED} workspaces.", limit=MAX_OWNED)
            await add_workspace(connection, workspace, owner)

    async def update(
        self,
        workspace_id: WorkspaceId,
        name: str | None,
        default_connection: ConnectionId | Unset | None = UNSET,
        *,
        deed: Deed | None = None,
    ) -> Workspace:
        """Change what is given, together: the name, and which connection nodes use that name none; None = none is.

        Raises:
            NotFound: it is gone.
        """
        is_it = workspaces.c.id == workspace_id
        async with self._database.connection() as connection:
            held = select(*workspaces.c).where(is_it).with_for_update(key_share=True)
            row = (await connection.execute(held)).first()
            if row is None:
                raise NotFound(path=["input", "id"])
            if default_connection is not UNSET:
                await set_default(connection, workspace_id, default_connection)
            if name is not None:
                renamed = update(workspaces).where(is_it).values(name=name).returning(*workspaces.c)
                row = (await connection.execute(renamed)).one()
            await write_deed(through(connection), workspace_id, deed)
        return Workspace(WorkspaceId(row.id), row.name, row.created_at)

    async def remove(
        self, workspace_id: WorkspaceId, by: UserId, *, deed: Deed | None = None
    ) -> Sequence[CollectionId] | None:
        """Delete a workspace with all that is in it; return the collections that were, None while runs have not ended.

        Its log goes with it: `deed` only tells who does it.

        Raises:
            Unauthenticated: the caller's session or key has ended since the request was let in.
            NotFound: it is gone.
            Forbidden: `by` does not own it.
        """
        try:
            # Deleting much takes longer than a query may: hence a connection without a statement timeout.
            async with self._database.direct() as connection, connection.transaction():
                # While runs have not ended nobody is kept from the row: the log would lack who signs in meanwhile.
                unfinished = [workspace_id, [one.value for one in FINISHED]]
                if (
                    await connection.fetchval(_ROLE, workspace_id, by) == Role.OWNER.value
                    and await connection.fetchval(_UNFINISHED, *unfinished) is not None
                ):
                    return None
                # Whoever adds something holds this row by the foreign key: it is waited for, or finds the workspace gone.
                if await connection.fetchval(_HOLD, workspace_id) is None:
                    raise NotFound(path=["input", "id"])
                if deed is not None:
                    # Unheld: this takes minutes, and the caller's other requests would wait for the row until the end.
                    await check_standing(connection.fetch, deed, is_held=False)
                if await connection.fetchval(_ROLE, workspace_id, by) != Role.OWNER.value:
                    raise Forbidden("Only an owner can delete the workspace.")
                if await connection.fetchval(_UNFINISHED, *unfinished) is not None:
                    return None
                rows = await connection.fetch(_COLLECTIONS, workspace_id, CHANNEL)
                for statement in _REMOVE:
                    await connection.execute(statement, workspace_id)
        except asyncpg.DeadlockDetectedError:
            return None  # somebody was in the middle of writing; it is tried again as with runs
        return [CollectionId(row["id"]) for row in rows]


async def add_workspace(connection: AsyncConnection, workspace: Workspace, owner: UserId) -> None:
    """Store a workspace with its owner within a transaction."""
    await connection.execute(
        insert(workspaces).values(id=workspace.id, name=workspace.name, created_at=workspace.created_at)
    )
    await connection.execute(
        insert(members).values(
            id=uuid7(),
            workspace_id=workspace.id,
            user_id=owner,
            role=Role.OWNER.value,
            joined_at=workspace.created_at,
        )
    )
