"""What was used of models and what it cost, and how far ended runs are compacted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for table in ("runs", "node_runs"):
        op.add_column(table, sa.Column("cost", sa.Numeric(), nullable=True))
        op.add_column(table, sa.Column("currency", sa.Text(), nullable=True))
    op.create_index(
        "runs_workspace_id_finished_at_id_idx",
        "runs",
        ["workspace_id", "finished_at", "id"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_table(
        "model_usage",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_slug", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="model_usage_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "seq", name="model_usage_pkey"),
    )
    op.create_index("model_usage_workspace_id_at_idx", "model_usage", ["workspace_id", "at"])
    op.create_table(
        "compactions",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="compactions_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", name="compactions_pkey"),
    )
