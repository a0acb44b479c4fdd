"""The tables of versions and of what nodes use. Alembic takes the metadata from here, where all tables are known."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.uses import UseKind
from persistence.columns import id_column, instant, one_of, workspace_column
from persistence.tables import metadata

# Rows are never changed, and go with their workflow only. A run names its version by the number, without a foreign key:
# it goes with its workflow too.
workflow_versions = Table(
    "workflow_versions",
    metadata,
    id_column(),
    workspace_column(),
    Column("workflow_id", Uuid, ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("graph_id", Uuid, ForeignKey("graphs.id"), nullable=False),
    Column("layout", JSONB, nullable=False),
    Column("note", Text),
    instant("published_at"),
    Column("published_by", Uuid, ForeignKey("users.id", ondelete="SET NULL")),
    UniqueConstraint("workflow_id", "number"),
)

# What the draft of a workflow uses by name, and what its published version does; the thing need not exist.
node_uses = Table(
    "node_uses",
    metadata,
    workspace_column(),
    Column("workflow_id", Uuid, ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
    Column("is_published", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("node_key", Text, nullable=False),
    PrimaryKeyConstraint("workflow_id", "is_published", "kind", "name", "node_key"),
    one_of("kind", UseKind),
    Index("node_uses_workspace_id_kind_name_idx", "workspace_id", "kind", "name"),
)
