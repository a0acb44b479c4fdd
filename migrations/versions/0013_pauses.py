"""Paused runs leave memory like waiting ones, and come back in the same way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.drop_index("runs_wake_at_idx", "runs")
    op.create_index(
        "runs_wake_at_idx", "runs", ["wake_at"], postgresql_where=sa.text("status IN ('WAITING', 'PAUSED')")
    )
