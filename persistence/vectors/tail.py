"""What a collection's rows tell an index: where it stands, and what came and went since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from domain.collections import VectorMetric
from domain.errors import NotFound
from persistence.vectors.snapshots import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from domain.ids import CollectionId
    from persistence.database import Database
    from persistence.vectors.faiss_index import Floats, Seqs

_PAGE_BYTES: Final = 8 * 1_048_576

_STANDING: Final = """
SELECT generation, embedder ->> 'connection' AS connection, embedder ->> 'model' AS model, dimension, metric, last_seq,
       forgotten_seq
  FROM collections WHERE id = $1
"""
# Packed by the server: a row for each vector would cost the event loop more than FAISS takes for it.
_VECTORS: Final = """
SELECT string_agg(int8send(seq), ''::bytea ORDER BY seq), string_agg(embedding, ''::bytea ORDER BY seq)
  FROM (SELECT seq, embedding FROM chunks
         WHERE collection_id = $1 AND generation = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5) page
"""
_REMOVED: Final = """
SELECT string_agg(int8send(one), ''::bytea)
  FROM chunk_removals, unnest(removed) AS one
 WHERE collection_id = $1 AND seq > $2 AND seq <= $3 AND one <= $2
"""
_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a collection stands: all changes up to `last_seq` are committed."""

    origin: Origin
    last_seq: int
    forgotten_seq: int
    """Removals up to here are not kept any more."""


@dataclass(frozen=True, slots=True)
class TailPage:
    """What came with (`after`, `until`], and what of before went."""

    after: int
    until: int
    seqs: Seqs
    vectors: Floats
    removed: Seqs


class Tail:
    """Reads what indexes have to follow."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, collection_id: CollectionId) -> Standing:
        """Return where a collection stands.

        Raises:
            NotFound: it is gone.
        """
        async with self._database.driver() as connection:
            row = await connection.fetchrow(_STANDING, collection_id)
        if row is None:
            raise NotFound("The collection is gone.")
        metric = VectorMetric(row["metric"])
        origin = Origin(collection_id.hex, row["generation"], row["connection"], row["model"], row["dimension"], metric)
        return Standing(origin, row["last_seq"], row["forgotten_seq"])

    async def pages(self, collection_id: CollectionId, standing: Standing, after: int) -> AsyncIterator[TailPage]:
        """Yield what came and went after a seq, until where the collection stood, in order.

        Rows that are removed while this reads are left out or not; their removal has a later seq, and follows.
        """
        origin = standing.origin
        limit = max(1, _PAGE_BYTES // (4 * origin.dimension))
        removed = await self._removed(collection_id, after, standing.last_seq) if after else _NONE
        while after < standing.last_seq:
            given = (collection_id, origin.generation, after, standing.last_seq, limit)
            async with self._database.driver() as connection:
                [packed] = await connection.fetch(_VECTORS, *given)
            seqs = unpack_seqs(packed[0])
            until = standing.last_seq if len(seqs) < limit else int(seqs[-1])
            vectors = np.frombuffer(packed[1] or b"", np.float32).reshape(len(seqs), origin.dimension)
            yield TailPage(after, until, seqs, vectors, removed)
            after, removed = until, _NONE

    async def _removed(self, collection_id: CollectionId, after: int, until: int) -> Seqs:
        async with self._database.driver() as connection:
            return unpack_seqs(await connection.fetchval(_REMOVED, collection_id, after, until))


def unpack_seqs(packed: bytes | None) -> Seqs:
    """Return the numbers that a statement packed with `int8send`."""
    return np.frombuffer(packed or b"", ">i8").astype(np.int64)
