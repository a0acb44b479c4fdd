"""Failed runs are found by their codes, and the inbox is read, without reading or sorting all that a workspace has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index(
        "runs_failed_idx",
        "runs",
        ["workspace_id", "id", sa.text("(failure ->> 'code')")],
        postgresql_where=sa.text("failure IS NOT NULL"),
    )
    op.create_index(
        "approvals_inbox_idx",
        "approvals",
        ["workspace_id", sa.text("(CASE WHEN status = 'OPEN' THEN 1 ELSE 0 END)"), "id"],
    )
    op.drop_index("approvals_workspace_id_id_idx", "approvals")
