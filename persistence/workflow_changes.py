"""What editors that are open at once are told of workflows: kept for a day, in the order in which it was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB

from domain.ids import UserId, WorkflowId
from domain.workflow_changes import ToldChange, WorkflowChangeKind
from persistence.columns import instant, metadata, one_of, workspace_column
from persistence.tables import workflows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from persistence.database import Database

WORKFLOW_CHANNEL: Final = "anabranch_workflow"

# `number` is the workflow's `change_count` after it; no foreign key to the workflow, since its deletion is told as well.
workflow_changes = Table(
    "workflow_changes",
    metadata,
    Column("workflow_id", Uuid, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    workspace_column(),
    Column("kind", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("changed_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    Column("node_keys", JSONB, nullable=False),
    instant("at"),
    one_of("kind", WorkflowChangeKind),
    Index("workflow_changes_at_idx", "at"),
)

# The workflow's row is held from here to the commit, so that numbers become visible in their order. What others trim at
# the same time is passed over.
_RECORD: Final = text(
    """
WITH counted AS (
    UPDATE workflows SET change_count = change_count + 1 WHERE id = :workflow_id
    RETURNING id, workspace_id, change_count, revision
), told AS (
    INSERT INTO workflow_changes (workflow_id, number, workspace_id, kind, revision, changed_by, node_keys, at)
    SELECT id, change_count, workspace_id, :kind, revision, :changed_by, :node_keys, clock_timestamp() FROM counted
), trimmed AS (
    DELETE FROM workflow_changes WHERE (workflow_id, number) IN (
        SELECT workflow_id, number FROM workflow_changes WHERE at < now() - interval '1 day' ORDER BY at LIMIT 1000
           FOR UPDATE SKIP LOCKED)
)
SELECT pg_notify(:channel, replace(id::text, '-', '')) FROM counted
"""
).bindparams(
    bindparam("workflow_id", type_=Uuid),
    bindparam("kind", type_=Text),
    bindparam("changed_by", type_=Uuid),
    bindparam("node_keys", type_=JSONB),
    bindparam("channel", WORKFLOW_CHANNEL, type_=Text),
)


async def record(
    connection: AsyncConnection,
    workflow_id: WorkflowId,
    kind: WorkflowChangeKind,
    changed_by: UserId | None,
    node_keys: Sequence[str] = (),
) -> None:
    """Tell open editors of a change, when and if its transaction commits.

    Call it in that transaction, after the workflow's row has what the change makes of it (of a deletion: before the row
    goes), so that the revision told is the one after the change.

    Args:
        connection: in the transaction of the change.
        workflow_id: what changed.
        kind: how it changed.
        changed_by: by whom; None for the system.
        node_keys: the nodes that it touched, as they are called after it.
    """
    named = {"workflow_id": workflow_id, "kind": kind.value, "changed_by": changed_by, "node_keys": list(node_keys)}
    await connection.execute(_RECORD, named)


class PostgresWorkflowChanges:
    """Implements `domain.ports.WorkflowChanges`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_last(self, workflow_id: WorkflowId) -> int | None:
        """Return the number of a workflow's last change, 0 before the first; None if there is no such workflow."""
        statement = select(workflows.c.change_count).where(workflows.c.id == workflow_id)
        async with self._database.single() as connection:
            return (await connection.execute(statement)).scalar_one_or_none()

    async def list(self, workflow_id: WorkflowId, after: int, limit: int) -> Sequence[ToldChange]:
        """List the changes behind a number, in their order."""
        statement = (
            select(workflow_changes)
            .where(workflow_changes.c.workflow_id == workflow_id, workflow_changes.c.number > after)
            .order_by(workflow_changes.c.number)
            .limit(limit)
        )
        async with self._database.single() as connection:
            return [_told(row) for row in (await connection.execute(statement)).all()]


def _told(row: Row[Any]) -> ToldChange:
    return ToldChange(
        workflow_id=WorkflowId(row.workflow_id),
        number=row.number,
        kind=WorkflowChangeKind(row.kind),
        revision=row.revision,
        changed_by=UserId(row.changed_by) if row.changed_by else None,
        node_keys=tuple(row.node_keys),
        at=row.at,
    )
