"""Searches: the index says which chunks are nearest, the rows say what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import orjson
from sqlalchemy import func, literal_column, select

from domain.collections import Chunk, Document, Match
from domain.errors import Conflict
from domain.ids import ChunkId, DocumentId
from persistence.filters import where
from persistence.tables import chunks, documents
from persistence.vectors.checks import check_vectors
from persistence.vectors.faiss_index import NO_SEQ
from persistence.vectors.tail import unpack_seqs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import asyncpg

    from domain.collections import Collection
    from domain.filters import Condition
    from domain.ids import CollectionId
    from persistence.database import Database
    from persistence.vectors.faiss_index import Floats, Seqs
    from persistence.vectors.live_indexes import LiveIndexes
    from persistence.vectors.snapshots import Origin
    from persistence.vectors.threads import VectorThreads

    Rows: TypeAlias = Mapping[int, tuple[Chunk, Document]]

_ATTEMPTS: Final = 10
"""How often a search begins anew since something that it found was removed meanwhile."""

# What costs most is bytes: a document comes with its first chunk only, and a chunk not at all that is the whole of it.
# The chunks of a document have seqs that follow each other.
_FOUND: Final = """
SELECT c.seq, c.id, c.document_id, c.position, NULLIF(c.text, d.text), lag(d.id) OVER found IS NOT DISTINCT FROM d.id,
       d.external_id, CASE WHEN lag(d.id) OVER found IS DISTINCT FROM d.id THEN d.text END,
       CASE WHEN lag(d.id) OVER found IS DISTINCT FROM d.id THEN d.metadata::text END, d.created_at, d.updated_at
  FROM chunks c JOIN documents d ON d.id = c.document_id
 WHERE c.collection_id = $1 AND c.generation = $2 AND c.seq = ANY($3::bigint[])
WINDOW found AS (ORDER BY c.seq) ORDER BY c.seq
"""


class Searches:
    """Finds chunks in collections."""

    def __init__(self, database: Database, indexes: LiveIndexes, threads: VectorThreads) -> None:
        self._database = database
        self._indexes = indexes
        self._threads = threads

    async def search(
        self,
        collection: Collection,
        queries: Floats,
        top_k: int,
        condition: Condition | None,
        score_threshold: float | None,
    ) -> Sequence[Sequence[Match]]:
        """Implement `domain.ports.collections.Collections.search`."""
        check_vectors(queries, queries.shape[-1], ["vector"])
        found: list[list[Match]] = []
        for _ in range(_ATTEMPTS):
            standing, index = await self._indexes.synced(collection.id)
            _check_same(collection, standing.origin, queries)
            among = None if condition is None else await self._among(collection, standing.origin, condition)
            scores, seqs = await self._threads.call(index.search, queries, top_k, among)
            rows = await self._rows(collection, standing.origin, seqs)
            found = _matches(scores, seqs, rows, score_threshold)
            if len(rows) == len(np.unique(seqs[seqs != NO_SEQ])):
                break
        return found

    async def _among(self, collection: Collection, origin: Origin, condition: Condition) -> Seqs:
        """Return the seqs of the chunks whose documents meet a condition, ascending."""
        packed = func.string_agg(func.int8send(chunks.c.seq), literal_column("''::bytea"))
        # Documents first, and from them to their chunks by one index: right behind a large write the tables have no
        # statistics yet, and a planner that is free to choose may read all chunks of the collection for each document.
        wanted = (
            select(documents.c.id)
            .where(documents.c.collection_id == collection.id, where(condition, documents.c.metadata))
            .cte("wanted")
            .prefix_with("MATERIALIZED")
        )
        statement = (
            select(packed)
            .select_from(wanted.join(chunks, chunks.c.document_id == wanted.c.id))
            .where(chunks.c.generation == origin.generation)
        )
        async with self._database.single() as connection:
            return np.sort(unpack_seqs((await connection.execute(statement)).scalar_one()))

    async def _rows(self, collection: Collection, origin: Origin, seqs: Seqs) -> Rows:
        wanted = np.unique(seqs[seqs != NO_SEQ]).tolist()
        if not wanted:
            return {}
        async with self._database.driver() as connection:
            rows = await connection.fetch(_FOUND, collection.id, origin.generation, wanted)
        return _read(collection.id, rows)


def _read(collection_id: CollectionId, rows: Sequence[asyncpg.Record]) -> Rows:
    """Return what the rows of `_FOUND` hold; chunks of one document share it."""
    found: dict[int, tuple[Chunk, Document]] = {}
    document: Document | None = None
    for seq, chunk_id, document_id, position, text, is_same, external_id, whole, metadata, created, updated in rows:
        if document is None or not is_same:
            document = Document(
                DocumentId(document_id), collection_id, external_id, whole, orjson.loads(metadata), created, updated
            )
        chunk = Chunk(ChunkId(chunk_id), document.id, position, document.text if text is None else text)
        found[seq] = (chunk, document)
    return found


def _check_same(collection: Collection, origin: Origin, queries: Floats) -> None:
    embedder = collection.embedder
    is_same = (embedder.connection, embedder.model) == (origin.connection, origin.model)
    if not is_same or queries.shape[1] != origin.dimension:
        message = f"The vectors of the collection {collection.name} have {origin.dimension} numbers, by {origin.model}."
        raise Conflict(f"{message} Read the collection again and make the query's vector anew.")


def _matches(scores: Floats, seqs: Seqs, rows: Rows, score_threshold: float | None) -> list[list[Match]]:
    least = -np.inf if score_threshold is None else score_threshold
    return [
        [
            Match(*rows[seq], score)
            for seq, score in zip(of_query, its_scores, strict=True)
            if seq in rows and score >= least
        ]
        for of_query, its_scores in zip(seqs.tolist(), scores.tolist(), strict=True)
    ]
