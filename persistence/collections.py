"""Collections in PostgreSQL, and what searches them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.errors import AlreadyExists
from domain.ids import CollectionId
from domain.uses import Usable, UseKind
from persistence import document_writes, rebuilds
from persistence.audit import write_deed
from persistence.collection_changes import CollectionChanges
from persistence.collection_rows import CHANNEL, from_chunking, from_embedder, to_collection, to_stats
from persistence.documents import DocumentReader
from persistence.paging import read_counts, read_pages
from persistence.rebuilds import PostgresRebuild
from persistence.tables import collections
from persistence.uses import release
from persistence.vectors import snapshots
from persistence.vectors.live_indexes import LiveIndexes, VectorOptions
from persistence.vectors.searches import Searches
from persistence.vectors.tail import Tail
from persistence.vectors.threads import open_threads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
    from pathlib import Path

    from domain.audit import Deed
    from domain.collections import (
        Chunking,
        Collection,
        CollectionStats,
        Document,
        EmbedderSpec,
        Match,
    )
    from domain.filters import Condition
    from domain.ids import DocumentId, WorkspaceId
    from domain.ports.collections import PreparedDocument, Vectors
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database

# In the order in which nothing refers to what is deleted.
_REMOVE: Final = (
    "DELETE FROM chunks WHERE collection_id = $1",
    "DELETE FROM documents WHERE collection_id = $1",
    "DELETE FROM collections WHERE id = $1",
)
_TELL: Final = "SELECT pg_notify($1, $2)"


class PostgresCollections(DocumentReader):
    """Implements `domain.ports.collections.Collections`."""

    def __init__(
        self,
        database: Database,
        indexes: LiveIndexes,
        searches: Searches,
        changes: CollectionChanges,
        *,
        flat_max: int,
        max_documents: int,
    ) -> None:
        super().__init__(database)
        self._indexes = indexes
        self._searches = searches
        self._changes = changes
        self._flat_max = flat_max
        self._max_documents = max_documents

    # ── collections ──

    async def add(self, collection: Collection) -> None:
        """Store a new collection.

        Raises:
            AlreadyExists: the name is taken in the workspace.
        """
        statement = upsert(collections).values(
            id=collection.id,
            workspace_id=collection.workspace_id,
            name=collection.name,
            embedder=from_embedder(collection.embedder),
            dimension=collection.dimension,
            metric=collection.metric.value,
            chunking=from_chunking(collection.chunking),
            generation=collection.generation,
            created_at=collection.created_at,
            updated_at=collection.updated_at,
        )
        by_name = [collections.c.workspace_id, collections.c.name]
        async with self._database.single() as connection:
            added = await connection.execute(
                statement.on_conflict_do_nothing(index_elements=by_name).returning(collections.c.id)
            )
            if added.first() is None:
                raise AlreadyExists(f"There is a collection with the name {collection.name}.", path=["input", "name"])

    async def list_by_id(
        self, within: frozenset[WorkspaceId], collection_ids: Sequence[CollectionId]
    ) -> Sequence[Collection]:
        """List those of the collections that are within, in any order."""
        statement = select(*collections.c).where(
            collections.c.id.in_(collection_ids), collections.c.workspace_id.in_(within)
        )
        async with self._database.single() as connection:
            return [to_collection(row) for row in await connection.execute(statement)]

    async def find_by_name(self, workspace_id: WorkspaceId, name: str) -> Collection | None:
        """Find a collection by its name."""
        statement = select(*collections.c).where(collections.c.workspace_id == workspace_id, collections.c.name == name)
        async with self._database.single() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else to_collection(row)

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[Collection]]:
        """Read the same page of the collections of each of the workspaces, by name.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        keys = [(collections.c.name, str), (collections.c.id, UUID)]
        owner, every = collections.c.workspace_id, select(*collections.c)
        async with self._database.single() as connection:
            return await read_pages(
                connection, every, keys, request, to_collection, owner=owner, owner_ids=workspace_ids
            )

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the collections of each of the workspaces."""
        async with self._database.single() as connection:
            return await read_counts(connection, collections.c.workspace_id, workspace_ids)

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names of a workspace's collections."""
        statement = select(collections.c.name).where(collections.c.workspace_id == workspace_id)
        async with self._database.single() as connection:
            return frozenset((await connection.execute(statement)).scalars())

    async def remove(self, collection: Collection, *, deed: Deed | None = None) -> None:
        """Delete a collection with everything in it, its snapshot included.

        Raises:
            InUse: published nodes use it.
        """
        is_it = "SELECT 1 FROM collections WHERE id = $1 AND workspace_id = $2 FOR UPDATE"
        # Deleting a large collection takes longer than a query may: hence a connection without a statement timeout.
        async with self._database.direct() as connection, connection.transaction():
            if await connection.fetchval(is_it, collection.id, collection.workspace_id) is not None:
                await release(connection.fetch, Usable(collection.workspace_id, UseKind.COLLECTION, collection.name))
                for statement in _REMOVE:
                    await connection.execute(statement, collection.id)
                await connection.execute(_TELL, CHANNEL, collection.id.hex)
                await write_deed(connection.fetch, collection.workspace_id, deed)
        await self.forget([collection.id])

    async def forget(self, collection_ids: Sequence[CollectionId]) -> None:
        """Drop what this process and its disk keep of collections that are gone."""
        for collection_id in collection_ids:
            await self._indexes.forget(collection_id)

    async def stats(self, collection_ids: Sequence[CollectionId]) -> Mapping[CollectionId, CollectionStats]:
        """Return how much collections hold."""
        counts = (
            collections.c.id,
            collections.c.document_count,
            collections.c.chunk_count,
            collections.c.dead_count,
        )
        statement = select(*counts).where(collections.c.id.in_(collection_ids))
        async with self._database.single() as connection:
            rows = await connection.execute(statement)
            return {CollectionId(row.id): to_stats(row, self._flat_max) for row in rows}

    # ── documents ──

    async def save_documents(self, collection: Collection, documents: Sequence[PreparedDocument]) -> Sequence[Document]:
        """Write documents, all or none; those of equal key replace.

        Raises:
            InvalidInput: vectors of another length or not finite, or a text that cannot be stored.
            NotFound: the collection is gone.
            Conflict: it was rebuilt since `collection` was read, or an `unchanged` document has changed: prepare again.
        """
        async with self._database.connection() as connection:
            return await document_writes.save_documents(connection, collection, documents, self._max_documents)

    async def remove_documents(
        self,
        collection: Collection,
        document_ids: Sequence[DocumentId],
        external_ids: Sequence[str],
        condition: Condition | None,
    ) -> int:
        """Delete the documents that match any of what is given; return how many.

        Raises:
            NotFound: the collection is gone.
        """
        async with self._database.connection() as connection:
            return await document_writes.remove_documents(connection, collection, document_ids, external_ids, condition)

    # ── finding ──

    async def search(
        self,
        collection: Collection,
        queries: Vectors,
        top_k: int,
        condition: Condition | None = None,
        score_threshold: float | None = None,
    ) -> Sequence[Sequence[Match]]:
        """Return the `top_k` best live chunks for each query (`(n, dim)` float32), best first.

        Raises:
            InvalidInput: the queries are not finite float32.
            NotFound: the collection is gone.
            Conflict: it was rebuilt with another embedder or dimension since `collection` was read.
        """
        return await self._searches.search(collection, queries, top_k, condition, score_threshold)

    # ── rebuilding ──

    async def begin_rebuild(
        self, collection: Collection, embedder: EmbedderSpec, dimension: int, chunking: Chunking
    ) -> Collection:
        """Note durably that the collection is to be built anew; searches go on in the old generation.

        Raises:
            NotFound: the collection is gone.
            Conflict: it is being rebuilt already, and that has not failed so far.
        """
        return await rebuilds.begin_rebuild(self._database, collection, embedder, dimension, chunking)

    async def interrupted_rebuilds(self) -> Sequence[Collection]:
        """Return the collections whose rebuild was begun and that no living process works on."""
        return await rebuilds.interrupted_rebuilds(self._database)

    def rebuild(self, collection: Collection) -> PostgresRebuild:
        """Return the work of a begun rebuild, to be entered (`async with`) by the one process that does it."""
        return PostgresRebuild(self._database, collection)

    # ── changes ──

    def changes(self, collection_id: CollectionId) -> AsyncGenerator[None]:
        """Yield once it is followed, then whenever it changed, at most once a second; ends when it is deleted."""
        return self._changes.follow(collection_id)


@asynccontextmanager
async def open_vectors(
    database: Database, directory: Path, options: VectorOptions | None = None
) -> AsyncGenerator[PostgresCollections]:
    """Open collections with their indexes, whose snapshots lie in `directory`; write snapshots at the end.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    options = options or VectorOptions()
    async with open_threads() as threads:
        async with database.single() as connection:
            known = (await connection.execute(select(collections.c.id))).scalars().all()
        await threads.call(snapshots.sweep, directory, known)
        await rebuilds.drop_old_generations(database)
        tail = Tail(database)
        indexes = LiveIndexes(tail, threads, directory, options)
        searches = Searches(database, indexes, threads)
        changes = CollectionChanges(database)
        async with _beside(("vectors", indexes.run()), ("collection changes", changes.run())):
            flat_max, max_documents = options.index.flat_max, options.max_documents
            yield PostgresCollections(
                database, indexes, searches, changes, flat_max=flat_max, max_documents=max_documents
            )
        await indexes.close()


@asynccontextmanager
async def _beside(*works: tuple[str, Coroutine[None, None, None]]) -> AsyncGenerator[None]:
    """Run works beside the block; they end with it, and a fault in one of them is raised at its end."""
    tasks = [asyncio.create_task(work, name=name) for name, work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for fault in ended:
        if isinstance(fault, Exception):
            raise fault
