"""The table of open invitations."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text, UniqueConstraint, Uuid

from domain.identity import Role
from persistence.columns import id_column, instant, metadata, now, one_of, workspace_column

# A row is an invitation that nobody has used: accepting, withdrawing and inviting anew delete it.
invitations = Table(
    "invitations",
    metadata,
    id_column(),
    workspace_column(),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("invited_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    now("created_at"),
    instant("expires_at"),
    UniqueConstraint("workspace_id", "email"),
    one_of("role", Role),
)
