"""Keys of starts: idempotency keys that can be given up, turns of workflows, a queue of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_UNFINISHED = "status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED', 'CRASHED')"


def upgrade() -> None:
    op.add_column("runs", sa.Column("concurrency_limit", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("is_held", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_index("runs_idempotency_key", "runs")
    op.create_index(
        "runs_idempotency_key",
        "runs",
        ["workspace_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("request_hash IS NOT NULL"),
    )
    op.drop_index("runs_queued_idx", "runs")
    op.create_table(
        "queued_runs",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="queued_runs_run_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name="queued_runs_pkey"),
    )
    op.create_index("queued_runs_order_idx", "queued_runs", ["priority", "workspace_id", "run_id"])
    op.execute(
        "INSERT INTO queued_runs (run_id, workspace_id, priority)"
        " SELECT id, workspace_id, priority FROM runs WHERE status = 'QUEUED' AND executor_id IS NULL"
    )
    op.create_index(
        "runs_turns_idx",
        "runs",
        ["workflow_id", "concurrency_key", "is_held", "priority", "id"],
        postgresql_where=sa.text(f"concurrency_limit IS NOT NULL AND {_UNFINISHED}"),
    )
