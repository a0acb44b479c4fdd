"""Collections, documents and chunks: between rows and the domain's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.collections import (
    Chunk,
    Chunking,
    ChunkSplit,
    Collection,
    CollectionStats,
    Document,
    EmbedderSpec,
    IndexKind,
    VectorMetric,
)
from domain.ids import ChunkId, CollectionId, DocumentId, WorkspaceId
from persistence.tables import chunks, documents

CHANNEL: Final = "anabranch_collections"
"""Where changes of collections are told: the hexadecimal digits of one's id."""

DOCUMENT_COLUMNS: Final[tuple[ColumnElement[Any], ...]] = (
    documents.c.id,
    documents.c.collection_id,
    documents.c.external_id,
    documents.c.text,
    documents.c.metadata,
    documents.c.created_at,
    documents.c.updated_at,
)
CHUNK_COLUMNS: Final[tuple[ColumnElement[Any], ...]] = (
    chunks.c.id,
    chunks.c.document_id,
    chunks.c.position,
    chunks.c.text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement

    from domain.json_value import JsonObject


def to_collection(row: Any) -> Collection:
    """Return the collection of a row."""
    return Collection(
        CollectionId(row.id),
        WorkspaceId(row.workspace_id),
        row.name,
        to_embedder(row.embedder),
        row.dimension,
        VectorMetric(row.metric),
        to_chunking(row.chunking),
        row.generation,
        row.rebuild is not None,
        row.created_at,
        row.updated_at,
    )


def to_target(row: Any) -> Collection:
    """Return the collection as it will be when its rebuild has taken its place."""
    rebuild: Mapping[str, Any] = row.rebuild
    return Collection(
        CollectionId(row.id),
        WorkspaceId(row.workspace_id),
        row.name,
        to_embedder(rebuild["embedder"]),
        rebuild["dimension"],
        VectorMetric(row.metric),
        to_chunking(rebuild["chunking"]),
        rebuild["generation"],
        is_rebuilding=True,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def to_stats(row: Any, flat_max: int) -> CollectionStats:
    """Return how much a collection holds."""
    kind = IndexKind.HNSW if row.chunk_count > flat_max else IndexKind.FLAT
    # A flat index drops at once what is removed.
    dead = row.dead_count if kind is IndexKind.HNSW else 0
    return CollectionStats(row.document_count, row.chunk_count, row.chunk_count, dead, kind)


def to_document(row: Any) -> Document:
    """Return the document of a row."""
    return Document(
        DocumentId(row.id),
        CollectionId(row.collection_id),
        row.external_id,
        row.text,
        row.metadata,
        row.created_at,
        row.updated_at,
    )


def to_chunk(row: Any) -> Chunk:
    """Return the chunk of a row."""
    return Chunk(ChunkId(row.id), DocumentId(row.document_id), row.position, row.text)


def from_embedder(embedder: EmbedderSpec) -> JsonObject:
    """Return an embedder as it is stored."""
    return {"connection": embedder.connection, "model": embedder.model}


def to_embedder(stored: Mapping[str, Any]) -> EmbedderSpec:
    """Return a stored embedder."""
    return EmbedderSpec(stored["connection"], stored["model"])


def from_chunking(chunking: Chunking) -> JsonObject:
    """Return a chunking as it is stored."""
    return {
        "splitBy": chunking.split_by.value,
        "maxChars": chunking.max_chars,
        "overlapChars": chunking.overlap_chars,
    }


def to_chunking(stored: Mapping[str, Any]) -> Chunking:
    """Return a stored chunking."""
    return Chunking(ChunkSplit(stored["splitBy"]), stored["maxChars"], stored["overlapChars"])
