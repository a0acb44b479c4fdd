"""Runs tell which API key they were started with; no foreign key, since a key may go and what it did stays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("runs", sa.Column("api_key_id", sa.Uuid()))
