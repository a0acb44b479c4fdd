"""Rebuilds: a collection's next generation grows beside the one that is searched, and takes its place at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import any_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from domain.errors import Conflict, DatabaseUnavailable
from persistence.chunk_writes import add_chunks, advance, hold, tell
from persistence.collection_rows import (
    DOCUMENT_COLUMNS,
    from_chunking,
    from_embedder,
    to_collection,
    to_document,
    to_target,
)
from persistence.database import close_direct
from persistence.document_writes import text_hash
from persistence.tables import chunk_removals, chunks, collections, documents
from persistence.vectors.checks import check_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.collections import Chunking, Collection, Document, EmbedderSpec
    from domain.ids import CollectionId
    from persistence.database import Database, DirectConnection
    from persistence.vectors.faiss_index import Floats

_LOCK_TIMEOUT_S: Final = 10.0
_DROPPED_AT_ONCE: Final = 5_000

_HELD_LOCKS: Final = text("""
SELECT (CAST(classid AS bigint) << 32) | CAST(objid AS bigint) FROM pg_locks
 WHERE locktype = 'advisory' AND granted AND objsubid = 1
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")

_CUT: Final = text("UPDATE documents SET generation = :generation WHERE id = ANY(CAST(:ids AS uuid[]))")
_DROP: Final = text("""
DELETE FROM chunks WHERE id IN (
  SELECT chunks.id FROM collections JOIN chunks ON chunks.collection_id = collections.id
   WHERE chunks.generation < collections.generation LIMIT :limit FOR UPDATE OF chunks SKIP LOCKED)
""")


async def drop_old_generations(database: Database) -> None:
    """Delete chunks that a finished rebuild has replaced, little by little; nothing finds them any more."""
    dropped = _DROPPED_AT_ONCE
    while dropped == _DROPPED_AT_ONCE:
        async with database.single() as connection:
            dropped = (await connection.execute(_DROP, {"limit": _DROPPED_AT_ONCE})).rowcount


async def begin_rebuild(
    database: Database, collection: Collection, embedder: EmbedderSpec, dimension: int, chunking: Chunking
) -> Collection:
    """Implement `domain.ports.collections.Collections.begin_rebuild`."""
    wanted = {"embedder": from_embedder(embedder), "dimension": dimension, "chunking": from_chunking(chunking)}
    async with database.connection() as connection:
        held = await hold(connection, collection)
        if held.rebuild is not None and "fault" not in held.rebuild:
            raise Conflict(f"The collection {collection.name} is being rebuilt already.")
        # Behind the one that failed: what that has written is of a generation that never takes its place.
        generation = (held if held.rebuild is None else to_target(held)).generation + 1
        wanted["generation"] = generation
        statement = update(collections).where(collections.c.id == collection.id)
        begun = statement.values(rebuild=wanted, updated_at=func.now()).returning(*collections.c)
        row = (await connection.execute(begun)).one()
        await tell(connection, collection.id)
    return to_collection(row)


async def interrupted_rebuilds(database: Database) -> list[Collection]:
    """Implement `domain.ports.collections.Collections.interrupted_rebuilds`."""
    async with database.connection() as connection:
        rows = (await connection.execute(select(*collections.c).where(collections.c.rebuild.is_not(None)))).all()
        locks = frozenset((await connection.execute(_HELD_LOCKS)).scalars()) if rows else frozenset[int]()
    return [to_collection(row) for row in rows if _lock_key(row.id) not in locks]


class PostgresRebuild:
    """Implements `domain.ports.collections.RebuildWork`."""

    def __init__(self, database: Database, collection: Collection) -> None:
        self._database = database
        self._collection = collection
        self._target: Collection | None = None
        self._connection: DirectConnection | None = None

    async def __aenter__(self) -> Self:
        """Take the rebuild.

        Raises:
            Conflict: another process has it, or there is none.
        """
        connection = await self._database.open_direct()
        try:
            taken: bool = await connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", _lock_key(self._collection.id), timeout=_LOCK_TIMEOUT_S
            )
            self._target = await self._begun_target(is_taken=taken)
        except BaseException:
            await close_direct(connection)
            raise
        self._connection = connection
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the rebuild go; what is not finished can be taken again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_direct(connection)

    async def _begun_target(self, *, is_taken: bool) -> Collection:
        if not is_taken:
            raise Conflict(f"Another process rebuilds the collection {self._collection.name}.")
        async with self._database.connection() as connection:
            return to_target(await _begun(connection, self._collection))

    @property
    def target(self) -> Collection:
        """The collection as it will be: embedder, dimension, chunking and generation."""
        if self._target is None:
            raise RuntimeError("The rebuild was not entered.")
        return self._target

    async def pending(self, limit: int) -> Sequence[Document]:
        """Return documents that are not in the new generation as they are now, oldest first."""
        statement = (
            select(*DOCUMENT_COLUMNS)
            .where(documents.c.collection_id == self._collection.id, documents.c.generation < self.target.generation)
            .order_by(documents.c.id)
            .limit(limit)
        )
        async with self._database.single() as connection:
            return [to_document(row) for row in await connection.execute(statement)]

    async def save(self, documents: Sequence[tuple[Document, Sequence[str], Floats]]) -> None:
        """Write the chunks of documents in the new generation; a document that changed meanwhile is pending again.

        Raises:
            InvalidInput: vectors of another length, or not finite.
            NotFound: the collection is gone.
            Conflict: the rebuild is finished already, or another took its place.
            DatabaseUnavailable: the rebuild is lost with its connection.
        """
        target = self._held_target()
        for place, (_, pieces, vectors) in enumerate(documents):
            if pieces:
                check_vectors(vectors, target.dimension, ["documents", str(place)], count=len(pieces))
        async with self._database.connection() as connection:
            held = await self._still_begun(connection)
            pending = await self._still_pending(connection, [document for document, _, _ in documents])
            cut = [(document.id, pieces, vectors) for document, pieces, vectors in documents if document.id in pending]
            added = await add_chunks(connection, target.id, target.generation, held.last_seq, cut)
            await connection.execute(_CUT, {"ids": list(pending), "generation": target.generation})
            await _move(connection, target.id, held.last_seq + added)

    async def note_fault(self, code: str) -> None:
        """Note that the rebuild failed: from now on another may take its place.

        Raises:
            NotFound: the collection is gone.
            Conflict: the rebuild is finished already, or another took its place.
        """
        async with self._database.connection() as connection:
            held = await self._still_begun(connection)
            statement = update(collections).where(collections.c.id == self.target.id)
            await connection.execute(statement.values(rebuild={**held.rebuild, "fault": code}))

    async def finish(self) -> bool:
        """Let the new generation take the old one's place, in one transaction; False while something is pending.

        Raises:
            NotFound: the collection is gone.
            Conflict: the rebuild is finished already, or another took its place.
            DatabaseUnavailable: the rebuild is lost with its connection.
        """
        target = self._held_target()
        async with self._database.connection() as connection:
            held = await self._still_begun(connection)
            is_pending = select(documents.c.id).where(
                documents.c.collection_id == target.id, documents.c.generation < target.generation
            )
            if (await connection.execute(is_pending.limit(1))).first() is not None:
                return False
            await connection.execute(delete(chunk_removals).where(chunk_removals.c.collection_id == target.id))
            counted = (
                select(func.count())
                .select_from(chunks)
                .where(chunks.c.collection_id == target.id, chunks.c.generation == target.generation)
            )
            count = (await connection.execute(counted)).scalar_one()
            values: dict[str, Any] = {
                "generation": target.generation,
                "embedder": from_embedder(target.embedder),
                "dimension": target.dimension,
                "chunking": from_chunking(target.chunking),
                "rebuild": None,
                "chunk_count": count,
                "dead_count": 0,
            }
            await connection.execute(update(collections).where(collections.c.id == target.id).values(**values))
            await advance(connection, target.id, held.last_seq + 1)
        await drop_old_generations(self._database)
        return True

    async def _still_begun(self, connection: AsyncConnection) -> Row[Any]:
        held = await _begun(connection, self._collection)
        if to_target(held).generation != self.target.generation:
            raise Conflict(f"Another rebuild of the collection {self._collection.name} took this one's place.")
        return held

    def _held_target(self) -> Collection:
        if self._connection is None or self._connection.is_closed():
            # Another process may have it by now. It could do no harm: a document is written once in a generation.
            raise DatabaseUnavailable("The connection that held the rebuild is lost.")
        return self.target

    async def _still_pending(self, connection: AsyncConnection, given: Sequence[Document]) -> frozenset[UUID]:
        """Return which of the documents are as they were read, and not in the new generation yet."""
        hashes = {document.id: text_hash(document.text) for document in given}
        statement = select(documents.c.id, documents.c.text_hash).where(
            documents.c.id == any_(bindparam("ids", list(hashes), ARRAY(Uuid))),
            documents.c.generation < self.target.generation,
        )
        rows = await connection.execute(statement)
        return frozenset(row.id for row in rows if bytes(row.text_hash) == hashes[row.id])


async def _begun(connection: AsyncConnection, collection: Collection) -> Row[Any]:
    held = await hold(connection, collection)
    if held.rebuild is None:
        raise Conflict(f"The collection {collection.name} is not being rebuilt.")
    return held


async def _move(connection: AsyncConnection, collection_id: CollectionId, seq: int) -> None:
    """Note which seqs are given out; nobody is woken, since nothing can be found by them yet."""
    await connection.execute(update(collections).where(collections.c.id == collection_id).values(last_seq=seq))


def _lock_key(collection_id: UUID) -> int:
    return collection_id.int & ((1 << 63) - 1)
