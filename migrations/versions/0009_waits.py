"""Runs that wait out of memory, the questions that they ask people, and the runs that they call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("runs", sa.Column("wake_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("runs_wake_at_idx", "runs", ["wake_at"], postgresql_where=sa.text("status = 'WAITING'"))
    op.add_column("runs", sa.Column("parent_run_id", sa.Uuid(), nullable=True))
    op.add_column("runs", sa.Column("parent_node_key", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("depth", sa.SmallInteger(), server_default="0", nullable=False))
    op.create_foreign_key("runs_parent_run_id_fkey", "runs", "runs", ["parent_run_id"], ["id"], ondelete="SET NULL")
    op.create_index(
        "runs_parent_run_id_id_idx",
        "runs",
        ["parent_run_id", "id"],
        postgresql_where=sa.text("parent_run_id IS NOT NULL"),
    )
    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("node_key", sa.Text(), nullable=False),
        sa.Column("item_index", sa.Integer(), nullable=True),
        sa.Column("execution", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("form", postgresql.JSON(none_as_null=True), nullable=True),
        sa.Column("actions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("assignees", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("values", postgresql.JSON(none_as_null=True), nullable=True),
        sa.Column("answered_by", sa.Uuid(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('OPEN', 'ANSWERED', 'TIMED_OUT', 'CANCELED')", name=op.f("approvals_status_check")
        ),
        sa.ForeignKeyConstraint(["answered_by"], ["users.id"], name="approvals_answered_by_fkey", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="approvals_run_id_fkey", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="approvals_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="approvals_pkey"),
    )
    op.create_index("approvals_run_id_idx", "approvals", ["run_id"])
    op.create_index("approvals_workspace_id_id_idx", "approvals", ["workspace_id", "id"])
