"""Vector collections: what they are, and what is acceptable in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from domain.errors import InvalidInput, LimitExceeded, NodeFault
from domain.json_codec import encode
from domain.texts import check_text, size_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.filters import Condition
    from domain.ids import ChunkId, CollectionId, DocumentId, WorkspaceId
    from domain.json_value import Json

MAX_DOCUMENTS: Final = 1_000
"""Documents in one call."""
MAX_TEXT_BYTES: Final = 1_048_576
MAX_METADATA_BYTES: Final = 65_536
MAX_EXTERNAL_ID: Final = 512
MAX_TOP_K: Final = 100
MIN_CHUNK_CHARS: Final = 100
MAX_CHUNK_CHARS: Final = 8_000
MAX_DIMENSION: Final = 8_192
MAX_VECTOR_NUMBER: Final = 1e15
"""The largest number of a vector, without its sign: products of the longest two are still finite in 32 bits."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class VectorMetric(StrEnum):
    """How near is measured; a score is always larger for what is nearer."""

    COSINE = "COSINE"
    INNER_PRODUCT = "INNER_PRODUCT"
    L2 = "L2"


class ChunkSplit(StrEnum):
    """Where a text may be cut."""

    PARAGRAPH = "PARAGRAPH"
    SENTENCE = "SENTENCE"
    NONE = "NONE"


class IndexKind(StrEnum):
    """How an index searches."""

    FLAT = "FLAT"
    HNSW = "HNSW"
    IVF = "IVF"


class SearchMode(StrEnum):
    """How matches are found."""

    SEMANTIC = "SEMANTIC"
    """By meaning: nearest vectors."""
    KEYWORD = "KEYWORD"
    """By words: full text."""
    HYBRID = "HYBRID"
    """By both, ranks fused."""


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """What makes vectors of a collection's texts: a connection's model, or (None) the server's own."""

    connection: str | None
    model: str


@dataclass(frozen=True, slots=True)
class Chunking:
    """How texts are cut; lengths in characters."""

    split_by: ChunkSplit = ChunkSplit.PARAGRAPH
    max_chars: int = 1_200
    overlap_chars: int = 150


@dataclass(frozen=True, slots=True)
class Collection:
    """A named space of vectors with one embedder.

    `generation` grows by one when a rebuild takes its place: chunks of another generation are not this collection's.
    """

    id: CollectionId
    workspace_id: WorkspaceId
    name: str
    embedder: EmbedderSpec
    dimension: int
    metric: VectorMetric
    chunking: Chunking
    generation: int
    is_rebuilding: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CollectionStats:
    """How much a collection holds; `live` and `dead` count vectors of the index, replaced and deleted ones are dead."""

    documents: int
    chunks: int
    live: int
    dead: int
    index_kind: IndexKind


@dataclass(frozen=True, slots=True)
class Document:
    """What was ingested; `external_id` None = known by the hash of its text."""

    id: DocumentId
    collection_id: CollectionId
    external_id: str | None
    text: str
    metadata: Json
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: what is embedded and found; `position` counts from 0."""

    id: ChunkId
    document_id: DocumentId
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """A chunk that a search found; `score` is larger for what is nearer."""

    chunk: Chunk
    document: Document
    score: float


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as it is given: checked, neither cut nor embedded yet."""

    external_id: str | None
    text: str
    metadata: Json


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for in one collection: a text, a vector as long as the collection's, or both."""

    text: str | None = None
    vector: Sequence[float] | None = None
    top_k: int = 10
    mode: SearchMode = SearchMode.SEMANTIC
    condition: Condition | None = None
    score_threshold: float | None = None


def check_document(external_id: str | None, text: str, metadata: Json, path: list[str]) -> NewDocument:
    """Return a document that can be stored.

    Raises:
        InvalidInput: a text without anything in it, a key or metadata that cannot be stored.
        LimitExceeded: a text above 1 MiB, metadata above 64 KiB.
    """
    if external_id is not None and not check_text(external_id, [*path, "externalId"], limit=MAX_EXTERNAL_ID):
        raise InvalidInput("A key is not empty; leave it out to have the text's hash.", path=[*path, "externalId"])
    size = size_of(text, [*path, "text"])
    if size > MAX_TEXT_BYTES:
        message = f"A text has at most {MAX_TEXT_BYTES:,} bytes; this one has {size:,}."
        raise LimitExceeded(message, limit=MAX_TEXT_BYTES, actual=size, path=[*path, "text"])
    if not text.strip():
        raise InvalidInput("The text is empty.", path=[*path, "text"])
    check_text(text, [*path, "text"], limit=MAX_TEXT_BYTES)
    return NewDocument(external_id, text, _checked_metadata(metadata, [*path, "metadata"]))


def _checked_metadata(metadata: Json, path: list[str]) -> Json:
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidInput("Metadata is an object, such as `{year: 2026}`.", path=path)
    try:
        size = len(encode(metadata))
    except NodeFault as fault:
        raise InvalidInput(f"This metadata cannot be stored: {fault.message}", path=path) from None
    if size > MAX_METADATA_BYTES:
        message = f"Metadata has at most {MAX_METADATA_BYTES:,} bytes; this has {size:,}."
        raise LimitExceeded(message, limit=MAX_METADATA_BYTES, actual=size, path=path)
    return metadata


def check_collection_name(name: str, path: list[str]) -> str:
    """Return the name of a collection as nodes use it.

    Raises:
        InvalidInput: it is not 1 to 64 letters, digits, `_`, `.` or `-`, beginning with a letter or a digit.
    """
    if not _NAME.fullmatch(name):
        message = "A name is 1 to 64 letters, digits, `_`, `.` or `-`, beginning with a letter or a digit."
        raise InvalidInput(message, path=path)
    return name


def check_chunking(chunking: Chunking, path: list[str]) -> Chunking:
    """Return a chunking within its bounds.

    Raises:
        InvalidInput: chunks shorter than 100 or longer than 8,000 characters, or an overlap of more than half a chunk.
    """
    if not MIN_CHUNK_CHARS <= chunking.max_chars <= MAX_CHUNK_CHARS:
        message = f"A chunk has {MIN_CHUNK_CHARS} to {MAX_CHUNK_CHARS:,} characters."
        raise InvalidInput(message, path=[*path, "maxChars"])
    if not 0 <= chunking.overlap_chars <= chunking.max_chars // 2:
        raise InvalidInput("Neighbours share at most half a chunk.", path=[*path, "overlapChars"])
    return chunking
