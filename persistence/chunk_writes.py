"""Whoever changes a collection does it here: holds its row, gives out seqs, keeps the counts, tells the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import any_, bindparam, delete, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid
from uuid_utils.compat import uuid7

from domain.errors import NotFound
from persistence.collection_rows import CHANNEL
from persistence.tables import chunk_removals, chunks, collections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.collections import Collection
    from domain.ids import CollectionId
    from persistence.vectors.faiss_index import Floats

    CutDocument: TypeAlias = tuple[UUID, Sequence[str], Floats]
    """A document's id, its chunks and their vectors."""

_ADD: Final = text("""
INSERT INTO chunks (id, collection_id, generation, seq, document_id, position, text, embedding)
SELECT id, :collection, :generation, :base + place, document_id, position, text, embedding
  FROM unnest(CAST(:ids AS uuid[]), CAST(:document_ids AS uuid[]), CAST(:positions AS integer[]),
              CAST(:texts AS text[]), CAST(:embeddings AS bytea[]))
       WITH ORDINALITY AS given (id, document_id, position, text, embedding, place)
""")
_ADVANCE: Final = text("""
UPDATE collections
   SET last_seq = :seq, document_count = document_count + :documents, chunk_count = chunk_count + :added - :removed,
       dead_count = CASE WHEN (dead_count + :removed) * 5 > chunk_count + :added + dead_count THEN 0
                         ELSE dead_count + :removed END,
       updated_at = now()
 WHERE id = :collection
""")
# An index that was not searched for a day is read anew rather than followed.
_FORGET: Final = text("""
WITH old AS (
  DELETE FROM chunk_removals WHERE collection_id = :collection AND at < now() - interval '1 day' RETURNING seq
)
UPDATE collections SET forgotten_seq = (SELECT max(seq) FROM old)
 WHERE id = :collection AND EXISTS (SELECT FROM old)
""")


async def hold(connection: AsyncConnection, collection: Collection) -> Row[Any]:
    """Lock a collection's row until the transaction ends, and return it.

    Raises:
        NotFound: the collection is gone.
    """
    statement = (
        select(*collections.c)
        .where(collections.c.id == collection.id, collections.c.workspace_id == collection.workspace_id)
        .with_for_update(key_share=True)
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("The collection is gone.")
    return row


async def add_chunks(
    connection: AsyncConnection,
    collection_id: CollectionId,
    generation: int,
    base: int,
    cut: Sequence[CutDocument],
) -> int:
    """Write the chunks of documents with the seqs behind `base`; return how many."""
    ids: list[UUID] = []
    positions: list[int] = []
    texts: list[str] = []
    embeddings: list[bytes] = []
    for document_id, pieces, vectors in cut:
        ids += [document_id] * len(pieces)
        positions += range(len(pieces))
        texts += pieces
        embeddings += [vector.astype("<f4", copy=False).tobytes() for vector in vectors]
    if texts:
        given = {
            "collection": collection_id,
            "generation": generation,
            "base": base,
            "ids": [uuid7() for _ in texts],
            "document_ids": ids,
            "positions": positions,
            "texts": texts,
            "embeddings": embeddings,
        }
        await connection.execute(_ADD, given)
    return len(texts)


async def remove_chunks(
    connection: AsyncConnection, collection_id: CollectionId, generation: int, seq: int, document_ids: Sequence[UUID]
) -> int:
    """Delete documents' chunks of all generations, and note under `seq` what indexes of this one have to drop."""
    if not document_ids:
        return 0
    statement = delete(chunks).where(chunks.c.document_id == any_(bindparam("ids", list(document_ids), ARRAY(Uuid))))
    gone = (await connection.execute(statement.returning(chunks.c.generation, chunks.c.seq))).all()
    removed = [row.seq for row in gone if row.generation == generation]
    if removed:
        await connection.execute(insert(chunk_removals).values(collection_id=collection_id, seq=seq, removed=removed))
        await connection.execute(_FORGET, {"collection": collection_id})
    return len(removed)


async def advance(
    connection: AsyncConnection,
    collection_id: CollectionId,
    seq: int,
    *,
    documents: int = 0,
    added: int = 0,
    removed: int = 0,
) -> None:
    """Note how far a collection has come, and wake whoever follows it."""
    given = {"collection": collection_id, "seq": seq, "documents": documents, "added": added, "removed": removed}
    await connection.execute(_ADVANCE, given)
    await tell(connection, collection_id)


async def tell(connection: AsyncConnection, collection_id: CollectionId) -> None:
    """Wake whoever follows a collection, when the transaction commits."""
    await connection.execute(
        text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": collection_id.hex}
    )
