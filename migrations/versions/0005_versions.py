"""Published versions, the version of a run, and what nodes use by name.

What the drafts use that are there already is known from their next save on, or from their publication.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "workflow_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("graph_id", sa.Uuid(), nullable=False),
        sa.Column("layout", postgresql.JSONB(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sa.Uuid()),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="workflow_versions_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="workflow_versions_workflow_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["graph_id"], ["graphs.id"], name="workflow_versions_graph_id_fkey"),
        sa.ForeignKeyConstraint(
            ["published_by"], ["users.id"], name="workflow_versions_published_by_fkey", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="workflow_versions_pkey"),
        sa.UniqueConstraint("workflow_id", "number", name="workflow_versions_workflow_id_number_key"),
    )
    op.create_table(
        "node_uses",
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("is_published", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("node_key", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('connection', 'secret', 'collection', 'dataTable', 'workflow')", name=op.f("node_uses_kind_check")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="node_uses_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="node_uses_workflow_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workflow_id", "is_published", "kind", "name", "node_key", name="node_uses_pkey"),
    )
    op.create_index("node_uses_workspace_id_kind_name_idx", "node_uses", ["workspace_id", "kind", "name"])
    op.add_column("workflows", sa.Column("published_number", sa.Integer()))
    op.add_column("workflows", sa.Column("published_graph_id", sa.Uuid()))
    op.create_foreign_key("workflows_published_graph_id_fkey", "workflows", "graphs", ["published_graph_id"], ["id"])
    op.add_column("runs", sa.Column("version", sa.Integer()))
