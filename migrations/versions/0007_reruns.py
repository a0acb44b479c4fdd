"""Runs that reuse what an earlier run recorded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("runs", sa.Column("rerun_of", sa.Uuid()))
    op.create_foreign_key("runs_rerun_of_fkey", "runs", "runs", ["rerun_of"], ["id"], ondelete="SET NULL")
    op.create_index(
        "runs_rerun_of_id_idx", "runs", ["rerun_of", "id"], postgresql_where=sa.text("rerun_of IS NOT NULL")
    )
    op.add_column("node_runs", sa.Column("reused_from", sa.Uuid()))
