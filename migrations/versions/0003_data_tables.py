"""Tables that nodes write to, and their rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "data_tables",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("columns", postgresql.JSON(), nullable=False),
        sa.Column("key_columns", postgresql.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="data_tables_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="data_tables_pkey"),
        sa.UniqueConstraint("workspace_id", "name", name="data_tables_workspace_id_name_key"),
    )
    op.create_table(
        "data_rows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("table_id", sa.Uuid(), nullable=False),
        sa.Column("row", postgresql.JSONB(), nullable=False),
        sa.Column("row_key", sa.LargeBinary()),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("node_key", sa.Text(), nullable=False),
        sa.Column("item_index", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["table_id"], ["data_tables.id"], name="data_rows_table_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="data_rows_pkey"),
        sa.UniqueConstraint(
            "run_id", "node_key", "item_index", "ordinal", name="data_rows_run_id_node_key_item_index_ordinal_key"
        ),
        sa.UniqueConstraint("table_id", "row_key", name="data_rows_table_id_row_key_key"),
    )
    op.create_index("data_rows_table_id_id_idx", "data_rows", ["table_id", "id"])
