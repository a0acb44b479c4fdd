"""Collections, their documents, and the chunks that are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _collections()
    _documents()
    _chunks()


def _collections() -> None:
    op.create_table(
        "collections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("embedder", postgresql.JSONB(), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("chunking", postgresql.JSONB(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rebuild", postgresql.JSONB()),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("forgotten_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("document_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("chunk_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("dead_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("metric IN ('COSINE', 'INNER_PRODUCT', 'L2')", name=op.f("collections_metric_check")),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="collections_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="collections_pkey"),
        sa.UniqueConstraint("workspace_id", "name", name="collections_workspace_id_name_key"),
    )
    op.create_table(
        "chunk_removals",
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("removed", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name="chunk_removals_collection_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("collection_id", "seq", name="chunk_removals_pkey"),
    )


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("workspace_id", sa.Uuid(), nullable=False),
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.LargeBinary(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name="documents_collection_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name="documents_workspace_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="documents_pkey"),
    )
    op.create_index(
        "documents_collection_id_external_id_key",
        "documents",
        ["collection_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_index("documents_collection_id_generation_id_idx", "documents", ["collection_id", "generation", "id"])
    op.create_index("documents_collection_id_id_idx", "documents", ["collection_id", "id"])
    op.create_index(
        "documents_collection_id_text_hash_key",
        "documents",
        ["collection_id", "text_hash"],
        unique=True,
        postgresql_where=sa.text("external_id IS NULL"),
    )
    op.create_index(
        "documents_metadata_idx",
        "documents",
        ["metadata"],
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
    )
    op.create_index("documents_workspace_id_idx", "documents", ["workspace_id"])


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name="chunks_document_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="chunks_pkey"),
        sa.UniqueConstraint("collection_id", "generation", "seq", name="chunks_collection_id_generation_seq_key"),
        sa.UniqueConstraint("document_id", "generation", "position", name="chunks_document_id_generation_position_key"),
    )
