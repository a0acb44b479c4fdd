"""What all processes know of the limits of connections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "connection_limits",
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("slots", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("shares", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name="connection_limits_pkey"),
        postgresql_with={"fillfactor": 50},
    )
