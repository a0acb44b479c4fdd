"""A run that was called knows for which item of its parent's node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("runs", sa.Column("parent_item_index", sa.Integer(), nullable=True))
