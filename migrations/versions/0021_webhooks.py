"""URLs that start workflows, and what was delivered to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_ACTIONS = (
    "'SIGNED_IN', 'SIGN_IN_FAILED', 'SIGNED_OUT', 'PASSWORD_CHANGED', 'REFRESH_REUSED', "
    "'MEMBER_INVITED', 'INVITATION_REVOKED', 'MEMBER_JOINED', 'ROLE_CHANGED', 'MEMBER_REMOVED', "
    "'API_KEY_CREATED', 'API_KEY_ROTATED', 'API_KEY_REVOKED', 'SECRET_WRITTEN', "
    "'SECRET_DELETED', 'CONNECTION_WRITTEN', 'CONNECTION_DELETED', 'WORKFLOW_PUBLISHED', "
    "'WORKFLOW_DELETED', 'RUN_DELETED', 'COLLECTION_DELETED', 'DATA_TABLE_DELETED', "
    "'WEBHOOK_CREATED', 'WEBHOOK_ROTATED', 'WEBHOOK_DELETED', 'WORKSPACE_UPDATED'"
)


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("last_called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="webhooks_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"], ["workflows.id"], name="webhooks_workflow_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="webhooks_pkey"),
        sa.UniqueConstraint("token_hash", name="webhooks_token_hash_key"),
    )
    op.create_index("webhooks_workspace_id_name_id_idx", "webhooks", ["workspace_id", "name", "id"])
    op.create_index("webhooks_workflow_id_name_id_idx", "webhooks", ["workflow_id", "name", "id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("webhook_id", "key", name="webhook_deliveries_pkey"),
    )
    op.create_index("webhook_deliveries_at_idx", "webhook_deliveries", ["at"])
    op.add_column("runs", sa.Column("webhook_id", sa.Uuid(), nullable=True))
    op.drop_constraint(op.f("audit_entries_action_check"), "audit_entries")
    op.create_check_constraint(op.f("audit_entries_action_check"), "audit_entries", f"action IN ({_ACTIONS})")
