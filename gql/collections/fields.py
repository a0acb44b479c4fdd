"""Making, filling, searching, rebuilding and watching collections."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, cast

import strawberry
from strawberry.scalars import JSON

from domain import collections as domain
from domain.identity import Permission
from domain.ids import CollectionId, Prefix
from gql.collections.inputs import (
    CreateCollectionInput,
    DeleteCollectionInput,
    DeleteDocumentsInput,
    RebuildCollectionInput,
    SearchInput,
    UpsertDocumentsInput,
)
from gql.collections.types import Chunk, Collection, Document
from gql.context import Info
from gql.fields import mutation, query, subscription
from gql.filters import condition_of
from gql.ids import find_id, from_id, to_id, workspace_id_of
from gql.payloads import Payload


@strawberry.type(description="One match of a search.")
class SearchMatch:
    """One match of a search."""

    text: str = strawberry.field(description="The text that matched.")
    score: float = strawberry.field(description="How well; larger is better, comparable within one mode only.")
    document: Document = strawberry.field(description="The document.")
    chunk: Chunk = strawberry.field(description="The piece of it.")
    metadata: JSON | None = strawberry.field(description="The document's metadata.")

    @classmethod
    def of(cls, match: domain.Match) -> SearchMatch:
        """Convert a match of the domain."""
        return cls(
            text=match.chunk.text,
            score=match.score,
            document=Document.of(match.document),
            chunk=Chunk.of(match.chunk),
            metadata=cast("JSON | None", match.document.metadata),
        )


@strawberry.type(description="What a search found.")
class SearchResult:
    """What a search found."""

    matches: list[SearchMatch] = strawberry.field(description="The matches, best first; at most 100.")
    elapsed_ms: float = strawberry.field(description="How long the search took.")


@strawberry.type(description="What `createCollection` gives.")
class CreateCollectionPayload(Payload):
    """What `createCollection` gives."""

    collection: Collection | None = strawberry.field(default=None, description="The new collection.")


@strawberry.type(description="What `deleteCollection` gives.")
class DeleteCollectionPayload(Payload):
    """What `deleteCollection` gives."""

    deleted_collection_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of the collection that is gone."
    )


@strawberry.type(description="What `upsertDocuments` gives.")
class UpsertDocumentsPayload(Payload):
    """What `upsertDocuments` gives."""

    documents: list[Document] | None = strawberry.field(
        default=None, description="The documents in the order given, 1,000 at most; all or none are written."
    )
    collection: Collection | None = strawberry.field(default=None, description="The collection.")


@strawberry.type(description="What `deleteDocuments` gives.")
class DeleteDocumentsPayload(Payload):
    """What `deleteDocuments` gives."""

    deleted_count: int | None = strawberry.field(default=None, description="How many are gone.")
    collection: Collection | None = strawberry.field(default=None, description="The collection.")


@strawberry.type(description="What `rebuildCollection` gives.")
class RebuildCollectionPayload(Payload):
    """What `rebuildCollection` gives."""

    collection: Collection | None = strawberry.field(
        default=None, description="The collection; `stats.isRebuilding` tells when it is done."
    )


@strawberry.type
class CollectionQuery:
    """Reading and searching collections."""

    @query(Permission.READ, description="One collection; null where there is none.")
    async def collection(
        self,
        info: Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")],  # noqa: A002
    ) -> Collection | None:
        """Find a collection."""
        id_, service = find_id(Prefix.COLLECTION, id), info.context.services.collections
        found = None if id_ is None else await service.find(info.context.principal, CollectionId(id_))
        return None if found is None else Collection.of(found)

    @query(Permission.READ, description="Finds documents; an unknown collection is the error NOT_FOUND.")
    async def search(
        self,
        info: Info,
        input: Annotated[SearchInput, strawberry.argument(description="What to search for.")],  # noqa: A002
    ) -> SearchResult:
        """Search in a collection."""
        begun = time.perf_counter()
        id_ = CollectionId(from_id(Prefix.COLLECTION, input.collection_id, "input", "collectionId"))
        found = await info.context.services.collections.search(info.context.principal, id_, input.query())
        elapsed_ms = (time.perf_counter() - begun) * 1_000
        return SearchResult(matches=[SearchMatch.of(match) for match in found], elapsed_ms=elapsed_ms)


@strawberry.type
class CollectionMutation:
    """Changing collections and their documents."""

    @mutation(Permission.WRITE, description="Makes a collection.")
    async def create_collection(
        self,
        info: Info,
        input: Annotated[CreateCollectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> CreateCollectionPayload:
        """Make a collection."""
        given = input.workspace_id
        workspace_id = workspace_id_of(given, "input", "workspaceId")
        made = await info.context.services.collections.create(info.context.principal, workspace_id, input.draft())
        return CreateCollectionPayload(collection=Collection.of(made))

    @mutation(
        Permission.WRITE, description="Deletes a collection with its documents; refused while published nodes use it."
    )
    async def delete_collection(
        self,
        info: Info,
        input: Annotated[DeleteCollectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteCollectionPayload:
        """Delete a collection."""
        id_ = CollectionId(from_id(Prefix.COLLECTION, input.id, "input", "id"))
        await info.context.services.collections.delete(info.context.principal, id_)
        return DeleteCollectionPayload(deleted_collection_id=to_id(Prefix.COLLECTION, id_))

    @mutation(
        Permission.WRITE, description="Writes documents; those whose text has not changed are not embedded again."
    )
    async def upsert_documents(
        self,
        info: Info,
        input: Annotated[UpsertDocumentsInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> UpsertDocumentsPayload:
        """Write documents."""
        id_ = CollectionId(from_id(Prefix.COLLECTION, input.collection_id, "input", "collectionId"))
        service, actor = info.context.services.documents, info.context.principal
        collection, written = await service.upsert(actor, id_, input.checked())
        documents = [Document.of(one) for one in written]
        return UpsertDocumentsPayload(documents=documents, collection=Collection.of(collection))

    @mutation(Permission.WRITE, description="Deletes documents that match any of what is given.")
    async def delete_documents(
        self,
        info: Info,
        input: Annotated[DeleteDocumentsInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> DeleteDocumentsPayload:
        """Delete documents."""
        id_ = CollectionId(from_id(Prefix.COLLECTION, input.collection_id, "input", "collectionId"))
        keys, condition = input.external_ids or [], condition_of(input.filter, "input", "filter")
        service, actor = info.context.services.documents, info.context.principal
        collection, count = await service.delete(actor, id_, input.ids(), keys, condition)
        return DeleteDocumentsPayload(deleted_count=count, collection=Collection.of(collection))

    @mutation(
        Permission.WRITE,
        description="Builds the index anew, with another embedder or other chunks if given; searches go on meanwhile.",
    )
    async def rebuild_collection(
        self,
        info: Info,
        input: Annotated[RebuildCollectionInput, strawberry.argument(description="What is asked for.")],  # noqa: A002
    ) -> RebuildCollectionPayload:
        """Begin a rebuild."""
        id_ = CollectionId(from_id(Prefix.COLLECTION, input.id, "input", "id"))
        embedder = input.embedder.choice() if input.embedder else None
        chunking = input.chunking.chunking() if input.chunking else None
        begun = await info.context.services.collections.rebuild(info.context.principal, id_, embedder, chunking)
        return RebuildCollectionPayload(collection=Collection.of(begun))


@strawberry.type
class CollectionSubscription:
    """Watching collections."""

    @subscription(
        Permission.READ,
        description="A collection whenever its documents or its index changed, at most once a second; completes when it "
        "is deleted.",
    )
    async def collection_changed(
        self,
        info: Info,
        collection_id: Annotated[strawberry.ID, strawberry.argument(description="The collection.")],
    ) -> AsyncGenerator[Collection]:
        """Watch a collection."""
        id_ = CollectionId(from_id(Prefix.COLLECTION, collection_id, "collectionId"))
        async with aclosing(info.context.services.collections.changes(info.context.principal, id_)) as changes:
            async for collection in changes:
                yield Collection.of(collection)
