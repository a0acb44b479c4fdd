"""Who did what: a log to which entries are added only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

_REFUSE = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM workspaces WHERE id = OLD.workspace_id) THEN
        RETURN OLD; -- it goes with its workspace
    END IF;
    RAISE EXCEPTION 'entries are only added to audit_entries';
END $$
"""
_GUARD = """
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()
"""


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("target_id", sa.Text(), nullable=True),
        sa.Column("target_name", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "action IN ("
            "'SIGNED_IN', 'SIGN_IN_FAILED', 'SIGNED_OUT', 'PASSWORD_CHANGED', 'REFRESH_REUSED', "
            "'MEMBER_INVITED', 'INVITATION_REVOKED', 'MEMBER_JOINED', 'ROLE_CHANGED', 'MEMBER_REMOVED', "
            "'API_KEY_CREATED', 'API_KEY_ROTATED', 'API_KEY_REVOKED', 'SECRET_WRITTEN', "
            "'SECRET_DELETED', 'CONNECTION_WRITTEN', 'CONNECTION_DELETED', 'WORKFLOW_PUBLISHED', "
            "'WORKFLOW_DELETED', 'RUN_DELETED', 'COLLECTION_DELETED', 'DATA_TABLE_DELETED', "
            "'WEBHOOK_ROTATED', 'WORKSPACE_UPDATED'"
            ")",
            name="action",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="audit_entries_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="audit_entries_pkey"),
    )
    op.create_index("audit_entries_workspace_id_id_idx", "audit_entries", ["workspace_id", "id"])
    op.execute(_REFUSE)
    op.execute(_GUARD)
