"""Documents of collections for people and programs: writing, deleting and reading them within the caller's rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.collections import MAX_DOCUMENTS, MAX_EXTERNAL_ID
from domain.errors import InvalidInput, LimitExceeded
from domain.filters import chooses
from domain.texts import storable
from runtime.collections import faults_told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.collections import Chunk, Collection, Document, NewDocument
    from domain.filters import Condition
    from domain.identity import Principal
    from domain.ids import ChunkId, CollectionId, DocumentId
    from domain.ports.collections import Collections
    from domain.ports.paging import Page, PageRequest
    from runtime.collections import CollectionService
    from runtime.ingestion import Ingestion

_COLLECTION = ["input", "collectionId"]


class DocumentService:
    """Documents within the rights of whoever asks."""

    def __init__(self, documents: Collections, collections: CollectionService, ingestion: Ingestion) -> None:
        self._documents = documents
        self._collections = collections
        self._ingestion = ingestion

    async def upsert(
        self, actor: Principal, collection_id: CollectionId, documents: Sequence[NewDocument]
    ) -> tuple[Collection, Sequence[Document]]:
        """Write documents, all or none; those whose text has not changed are not embedded again.

        Raises:
            NotFound: no such collection.
            Forbidden: the caller may see it only.
            LimitExceeded: more than 1,000 documents.
            Conflict: it changed again and again meanwhile.
            InvalidInput, UpstreamFailed, RateLimited: the embedder gives no vectors that fit.
        """
        collection = await self._collections.get_to_write(actor, collection_id, _COLLECTION)
        with faults_told():
            written = await self._ingestion.upsert(collection, documents)
        return await self._collections.get(actor, collection_id, _COLLECTION), written.documents

    async def delete(
        self,
        actor: Principal,
        collection_id: CollectionId,
        document_ids: Sequence[DocumentId],
        external_ids: Sequence[str],
        condition: Condition | None,
    ) -> tuple[Collection, int]:
        """Delete documents that match any of what is given; return how many.

        Raises:
            NotFound: no such collection.
            Forbidden: the caller may see it only.
            LimitExceeded: more than 1,000 ids or keys.
            InvalidInput: a filter, or a part of it, that compares nothing.
        """
        collection = await self._collections.get_to_write(actor, collection_id, _COLLECTION)
        for name, given in (("documentIds", document_ids), ("externalIds", external_ids)):
            if len(given) > MAX_DOCUMENTS:
                message = f"At most {MAX_DOCUMENTS:,} at once, not {len(given):,}."
                raise LimitExceeded(message, limit=MAX_DOCUMENTS, actual=len(given), path=["input", name])
        if condition is not None and not chooses(condition):
            message = (
                "The filter, or a part of it, compares nothing and would choose every document: name a `path` with an "
                "operator. To empty a collection, delete and make it again."
            )
            raise InvalidInput(message, path=["input", "filter"])
        count = await self._documents.remove_documents(collection, document_ids, external_ids, condition)
        return await self._collections.get(actor, collection_id, _COLLECTION), count

    # What follows is asked of collections and documents that the caller has been shown.

    async def page(
        self, collection_ids: Sequence[CollectionId], condition: Condition | None, page: PageRequest
    ) -> Mapping[CollectionId, Page[Document]]:
        """Read the same page of the documents of each of the collections, newest first.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._documents.page_documents(collection_ids, condition, page)

    async def count(
        self, collection_ids: Sequence[CollectionId], condition: Condition | None
    ) -> Mapping[CollectionId, int]:
        """Count what `page` lists."""
        return await self._documents.count_documents(collection_ids, condition)

    async def find_by_key(self, collection: Collection, external_id: str) -> Document | None:
        """Find a document of a collection by its own key."""
        if len(external_id) > MAX_EXTERNAL_ID or storable(external_id) != external_id:
            return None
        return await self._documents.find_document(collection.id, external_id)

    async def page_chunks(
        self, document_ids: Sequence[DocumentId], page: PageRequest
    ) -> Mapping[DocumentId, Page[Chunk]]:
        """Read the same page of the chunks of each document, in the order of its text.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        return await self._documents.page_chunks(document_ids, page)

    async def count_chunks(self, document_ids: Sequence[DocumentId]) -> Mapping[DocumentId, int]:
        """Count the chunks of each document."""
        return await self._documents.count_chunks(document_ids)

    async def list_by_id(self, actor: Principal, document_ids: Sequence[DocumentId]) -> Sequence[Document]:
        """List those of the documents that the caller may see, in any order."""
        return await self._documents.list_documents(actor.within(), document_ids)

    async def list_chunks(self, actor: Principal, chunk_ids: Sequence[ChunkId]) -> Sequence[Chunk]:
        """List those of the chunks that the caller may see, in any order."""
        return await self._documents.list_chunks(actor.within(), chunk_ids)
