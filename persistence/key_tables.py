"""The tables of API keys and of the audit log."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from domain.audit import AuditAction
from persistence.columns import id_column, instant, metadata, now, one_of, workspace_column

# A key hangs on the membership of who made it: without the row it stands for nobody, also when the person comes back.
api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    workspace_column(),
    Column("created_by", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("member_id", Uuid, ForeignKey("members.id", ondelete="SET NULL"), index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("old_hash", LargeBinary, unique=True),
    instant("old_until", nullable=True),
    instant("expires_at", nullable=True),
    instant("last_used_at", nullable=True),
    instant("revoked_at", nullable=True),
    now("created_at"),
    Index("api_keys_workspace_id_id_idx", "workspace_id", "id"),
    Index("api_keys_created_by_id_idx", "created_by", "id"),
)

# People, keys and targets may go; what they did stays. So no foreign keys but that of the workspace, with which all goes.
# That nothing else changes or deletes an entry is a trigger's business, which migration 0019 makes.
audit_entries = Table(
    "audit_entries",
    metadata,
    id_column(),
    workspace_column(),
    instant("at"),
    Column("action", Text, nullable=False),
    Column("actor_id", Uuid),
    Column("api_key_id", Uuid),
    Column("target_id", Text),
    Column("target_name", Text),
    Column("address", Text),
    one_of("action", AuditAction),
    Index("audit_entries_workspace_id_id_idx", "workspace_id", "id"),
)
