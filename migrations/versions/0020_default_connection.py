"""A workspace may have a connection that LLM_CALL nodes use when they name none: one at most, and none once it is deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("connections", sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index(
        "connections_default_idx",
        "connections",
        ["workspace_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
