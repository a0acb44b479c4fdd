"""The layout of a workflow apart from its graph, and what open editors are told of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

# Graphs stay as they are: they are known by their hashes, and what reads them leaves the positions out.
_TAKE_POSITIONS_OVER = """
UPDATE workflows
   SET layout = found.layout
  FROM (SELECT graphs.id, jsonb_object_agg(
                   node ->> 'key', jsonb_build_array(node -> 'position' -> 'x', node -> 'position' -> 'y')) AS layout
          FROM graphs, json_array_elements(definition -> 'graph' -> 'nodes') AS node
         WHERE json_typeof(node -> 'position') = 'object'
         GROUP BY graphs.id) AS found
 WHERE found.id = workflows.graph_id
"""


def upgrade() -> None:
    op.add_column("workflows", sa.Column("layout", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("workflows", sa.Column("change_count", sa.BigInteger(), server_default="0", nullable=False))
    op.execute(_TAKE_POSITIONS_OVER)
    op.create_table(
        "workflow_changes",
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("node_keys", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('EDITED', 'MOVED', 'PUBLISHED', 'DELETED')", name=op.f("workflow_changes_kind_check")
        ),
        sa.ForeignKeyConstraint(
            ["changed_by"], ["users.id"], name="workflow_changes_changed_by_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="workflow_changes_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workflow_id", "number", name="workflow_changes_pkey"),
    )
    op.create_index("workflow_changes_at_idx", "workflow_changes", ["at"])
