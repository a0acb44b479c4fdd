"""Sealed values of all workspaces, to be sealed with another key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

from domain.ports.sealed import SealedBatch, SealedKind, SealedValue
from persistence.tables import connections, secrets
from persistence.webhook_tables import webhooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from persistence.database import Database

_TABLES = {SealedKind.SECRETS: secrets, SealedKind.CONNECTIONS: connections, SealedKind.WEBHOOKS: webhooks}


class PostgresSealedValues:
    """Implements `domain.ports.sealed.SealedValues`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, kind: SealedKind) -> int:
        """Count the values of a kind."""
        table = _TABLES[kind]
        return await self._count(select(func.count()).where(table.c.ciphertext.is_not(None)))

    async def count_other(self, kind: SealedKind, head: bytes) -> int:
        """Count those that do not begin with `head`."""
        return await self._count(select(func.count()).where(_is_other(_TABLES[kind], head)))

    async def replace_other(
        self, kind: SealedKind, head: bytes, *, after: UUID, limit: int, seal: Callable[[SealedValue], bytes | None]
    ) -> SealedBatch:
        """Replace the next values that do not begin with `head`, in one transaction; None leaves one as it is."""
        table = _TABLES[kind]
        # Locked, since a value that somebody changes in between would come back as it was.
        found = (
            select(table.c.id, table.c.workspace_id, table.c.ciphertext)
            .where(_is_other(table, head), table.c.id > after)
            .order_by(table.c.id)
            .limit(limit)
            .with_for_update()
        )
        change = update(table).where(table.c.id == bindparam("of")).values(ciphertext=bindparam("sealed"))
        async with self._database.connection() as connection:
            rows = (await connection.execute(found)).all()
            new = [(row.id, seal(SealedValue(row.id, row.workspace_id, row.ciphertext))) for row in rows]
            changes = [{"of": id_, "sealed": sealed} for id_, sealed in new if sealed is not None]
            if changes:
                await connection.execute(change, changes)
        return SealedBatch(rows[-1].id if rows else None, len(changes), len(rows) - len(changes))

    async def _count(self, statement: Any) -> int:
        async with self._database.connection() as connection:
            return (await connection.execute(statement)).scalar_one()


def _is_other(table: Any, head: bytes) -> Any:
    """Null, where there is no value at all, is not true either."""
    return func.substring(table.c.ciphertext, 1, len(head)) != head
