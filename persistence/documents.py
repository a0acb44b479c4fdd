"""Documents and chunks are read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import and_, func, select

from domain.ids import DocumentId
from persistence.collection_rows import CHUNK_COLUMNS, DOCUMENT_COLUMNS, to_chunk, to_document
from persistence.document_writes import find_stored, key_of, text_hash
from persistence.filters import where
from persistence.paging import read_counts, read_pages
from persistence.tables import chunks, collections, documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Select

    from domain.collections import Chunk, Collection, Document, NewDocument
    from domain.filters import Condition
    from domain.ids import ChunkId, CollectionId, WorkspaceId
    from domain.ports.paging import Page, PageRequest
    from persistence.database import Database


class DocumentReader:
    """Implements the part of `domain.ports.collections.Collections` that reads documents and chunks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unchanged(self, collection: Collection, documents: Sequence[NewDocument]) -> Sequence[bool]:
        """Tell of each document whether its text is stored already under the same key and cut as the collection cuts."""
        keys = [key_of(new) for new in documents]
        async with self._database.single() as connection:
            stored = await find_stored(connection, collection.id, keys)
        return [
            key in stored
            and bytes(stored[key].text_hash) == text_hash(new.text)
            and stored[key].generation >= collection.generation
            for key, new in zip(keys, documents, strict=True)
        ]

    async def page_documents(
        self, collection_ids: Sequence[CollectionId], condition: Condition | None, request: PageRequest
    ) -> Mapping[CollectionId, Page[Document]]:
        """Read the same page of the documents of each of the collections, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        async with self._database.single() as connection:
            return await read_pages(
                connection,
                select(*DOCUMENT_COLUMNS).where(*_chosen(condition)),
                [(documents.c.id, UUID)],
                request,
                to_document,
                owner=documents.c.collection_id,
                owner_ids=collection_ids,
                is_descending=True,
            )

    async def count_documents(
        self, collection_ids: Sequence[CollectionId], condition: Condition | None
    ) -> Mapping[CollectionId, int]:
        """Count the documents of each of the collections."""
        async with self._database.single() as connection:
            return await read_counts(connection, documents.c.collection_id, collection_ids, *_chosen(condition))

    async def find_document(self, collection_id: CollectionId, external_id: str) -> Document | None:
        """Find a document by its own key."""
        statement = select(*DOCUMENT_COLUMNS).where(
            documents.c.collection_id == collection_id, documents.c.external_id == external_id
        )
        async with self._database.single() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else to_document(row)

    async def list_documents(
        self, within: frozenset[WorkspaceId], document_ids: Sequence[DocumentId]
    ) -> Sequence[Document]:
        """List those of the documents that are within, in any order."""
        statement = select(*DOCUMENT_COLUMNS).where(
            documents.c.id.in_(document_ids), documents.c.workspace_id.in_(within)
        )
        async with self._database.single() as connection:
            return [to_document(row) for row in await connection.execute(statement)]

    async def page_chunks(
        self, document_ids: Sequence[DocumentId], request: PageRequest
    ) -> Mapping[DocumentId, Page[Chunk]]:
        """Read the same page of the chunks of each document, in the order of its text.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        statement, by = _chunks(CHUNK_COLUMNS), [(chunks.c.position, int)]
        async with self._database.connection() as connection:
            return await read_pages(
                connection, statement, by, request, to_chunk, owner=chunks.c.document_id, owner_ids=document_ids
            )

    async def count_chunks(self, document_ids: Sequence[DocumentId]) -> Mapping[DocumentId, int]:
        """Count the chunks of each document."""
        statement = _chunks([chunks.c.document_id, func.count().label("held")]).where(
            chunks.c.document_id.in_(document_ids)
        )
        async with self._database.single() as connection:
            rows = await connection.execute(statement.group_by(chunks.c.document_id))
            counted = {DocumentId(row.document_id): row.held for row in rows}
        return {document_id: counted.get(document_id, 0) for document_id in document_ids}

    async def list_chunks(self, within: frozenset[WorkspaceId], chunk_ids: Sequence[ChunkId]) -> Sequence[Chunk]:
        """List those of the chunks that are within, in any order."""
        statement = _chunks(CHUNK_COLUMNS).where(chunks.c.id.in_(chunk_ids), collections.c.workspace_id.in_(within))
        async with self._database.single() as connection:
            return [to_chunk(row) for row in await connection.execute(statement)]


def _chosen(condition: Condition | None) -> list[ColumnElement[bool]]:
    return [] if condition is None else [where(condition, documents.c.metadata)]


def _chunks(columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Select from the chunks that can be found: those of their collection's generation."""
    of_it = and_(collections.c.id == chunks.c.collection_id, collections.c.generation == chunks.c.generation)
    return select(*columns).select_from(chunks.join(collections, of_it))
