"""Searches: the index says which chunks are nearest, the rows say what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, literal_column, select

from domain.collections import Chunk, Match
from domain.errors import Conflict
from domain.ids import ChunkId, DocumentId
from persistence.collection_rows import DOCUMENT_COLUMNS, to_document
from persistence.filters import where
from persistence.tables import chunks, documents
from persistence.vectors.checks import check_vectors
from persistence.vectors.faiss_index import NO_SEQ
from persistence.vectors.tail import unpack_seqs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.collections import Collection
    from domain.filters import Condition
    from persistence.database import Database
    from persistence.vectors.faiss_index import Floats, Seqs
    from persistence.vectors.live_indexes import LiveIndexes
    from persistence.vectors.snapshots import Origin
    from persistence.vectors.threads import VectorThreads

_ATTEMPTS: Final = 10
"""How often a search begins anew since something that it found was removed meanwhile."""

_FOUND: Final = (
    select(
        chunks.c.seq,
        chunks.c.id.label("chunk_id"),
        chunks.c.position,
        chunks.c.text.label("chunk_text"),
        *DOCUMENT_COLUMNS,
    )
    .join(documents, documents.c.id == chunks.c.document_id)
    .where(
        chunks.c.collection_id == bindparam("collection"),
        chunks.c.generation == bindparam("generation"),
        chunks.c.seq == any_(bindparam("seqs", type_=ARRAY(BigInteger))),
    )
)


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
        statement = (
            select(packed)
            .select_from(chunks.join(documents, documents.c.id == chunks.c.document_id))
            .where(
                documents.c.collection_id == collection.id,
                where(condition, documents.c.metadata),
                chunks.c.collection_id == collection.id,
                chunks.c.generation == origin.generation,
            )
        )
        async with self._database.single() as connection:
            return np.sort(unpack_seqs((await connection.execute(statement)).scalar_one()))

    async def _rows(self, collection: Collection, origin: Origin, seqs: Seqs) -> Mapping[int, Match]:
        wanted = np.unique(seqs[seqs != NO_SEQ]).tolist()
        if not wanted:
            return {}
        given = {"collection": collection.id, "generation": origin.generation, "seqs": wanted}
        async with self._database.single() as connection:
            rows = (await connection.execute(_FOUND, given)).all()
        return {
            row.seq: Match(
                Chunk(ChunkId(row.chunk_id), DocumentId(row.id), row.position, row.chunk_text), to_document(row), 0.0
            )
            for row in rows
        }


def _check_same(collection: Collection, origin: Origin, queries: Floats) -> None:
    embedder = collection.embedder
    is_same = (embedder.connection, embedder.model) == (origin.connection, origin.model)
    if not is_same or queries.shape[1] != origin.dimension:
        message = f"The vectors of the collection {collection.name} have {origin.dimension} numbers, by {origin.model}."
        raise Conflict(f"{message} Read the collection again and make the query's vector anew.")


def _matches(scores: Floats, seqs: Seqs, rows: Mapping[int, Match], score_threshold: float | None) -> list[list[Match]]:
    least = -np.inf if score_threshold is None else score_threshold
    return [
        [
            Match(rows[seq].chunk, rows[seq].document, score)
            for seq, score in zip(of_query.tolist(), its_scores.tolist(), strict=True)
            if seq in rows and score >= least
        ]
        for of_query, its_scores in zip(seqs, scores, strict=True)
    ]
