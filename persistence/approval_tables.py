"""The table of the questions that runs ask people."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from domain.approvals import ApprovalStatus
from persistence.columns import id_column, instant, metadata, now, one_of, workspace_column

RANK = "CASE WHEN status = 'OPEN' THEN 1 ELSE 0 END"
"""Open questions come first: one text for the index of the inbox and for what it serves."""

# Questions to people. Who answers, or finds that nobody has, changes the row and inserts the command in one statement.
approvals = Table(
    "approvals",
    metadata,
    id_column(),
    workspace_column(),
    Column("workflow_id", Uuid, nullable=False),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("node_key", Text, nullable=False),
    Column("item_index", Integer),
    Column("execution", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("message", Text),
    Column("form", JSON(none_as_null=True)),
    Column("actions", ARRAY(Text), nullable=False),
    Column("assignees", ARRAY(Text), nullable=False),
    Column("status", Text, nullable=False),
    Column("action", Text),
    Column("values", JSON(none_as_null=True)),
    Column("answered_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    instant("answered_at", nullable=True),
    instant("expires_at"),
    now("created_at"),
    one_of("status", ApprovalStatus),
    Index("approvals_run_id_idx", "run_id"),
    Index("approvals_inbox_idx", "workspace_id", text(f"({RANK})"), "id"),
)
