"""Collections, documents and chunks as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType

from domain import collections as domain
from domain.errors import NotFound
from domain.ids import ChunkId, CollectionId, DocumentId, Prefix, WorkspaceId, to_global
from domain.uses import Usable, UseKind
from gql.absent import ABSENT
from gql.collections.enums import ChunkSplit, IndexKind, VectorMetric
from gql.context import Context, Info
from gql.filters import Filter, condition_of
from gql.ids import to_id
from gql.lookup import find_node, register_node
from gql.nodes import Node
from gql.paging import After, Before, Connection, Edge, First, Last, page_request
from gql.uses import NodeUse, load_uses

_WORKSPACE: Any = LazyType[Any, Any]("Workspace", "gql.identity")
WhichDocuments = Annotated[Filter, strawberry.argument(description="Which of them, by metadata.")]


@strawberry.type(description="What makes vectors of texts.")
class Embedder:
    """What makes vectors of texts."""

    connection: str | None = strawberry.field(description="Name of the connection; null = the built-in model.")
    model: str = strawberry.field(description="The model's name.")


@strawberry.type(description="How texts are cut into chunks.")
class Chunking:
    """How texts are cut into chunks."""

    split_by: ChunkSplit = strawberry.field(description="Where a cut may be.")
    max_chars: int = strawberry.field(description="The longest chunk, in characters.")
    overlap_chars: int = strawberry.field(description="How much two neighbours share, in characters.")


@strawberry.type(description="How much a collection holds.")
class CollectionStats:
    """How much a collection holds."""

    documents: int = strawberry.field(description="Documents.")
    chunks: int = strawberry.field(description="Chunks of all documents.")
    live: int = strawberry.field(description="Vectors in the index that can be found.")
    dead: int = strawberry.field(
        description="Vectors in the index that were replaced or deleted; a rebuild drops them."
    )
    index_kind: IndexKind = strawberry.field(description="How the index searches.")
    is_rebuilding: bool = strawberry.field(
        description="Whether the index is being built anew; searches still answer from the old one."
    )


@strawberry.type(description="A piece of a document: what is embedded and found.")
class Chunk(Node):
    """A piece of a document."""

    document_id: strawberry.Private[DocumentId]
    id: strawberry.ID = strawberry.field(description="Its id.")
    position: int = strawberry.field(description="Its place in the document, from 0.")
    text: str = strawberry.field(description="Its text.")

    @strawberry.field(description="The document.")
    async def document(self, info: Info) -> Annotated[Document, strawberry.lazy("gql.collections.types")]:
        """Load the document."""
        return _there(await info.context.loaders.load(load_documents, self.document_id))

    @classmethod
    def of(cls, chunk: domain.Chunk) -> Chunk:
        """Convert a chunk of the domain."""
        return cls(
            document_id=chunk.document_id, id=to_id(Prefix.CHUNK, chunk.id), position=chunk.position, text=chunk.text
        )


@strawberry.type(description="A chunk on a page.")
class ChunkEdge(Edge[Chunk]):
    """A chunk on a page."""

    node: Chunk = strawberry.field(description="The chunk.")


@strawberry.type(description="Chunks, page by page.")
class ChunkConnection(Connection[Chunk, ChunkEdge]):
    """Chunks, page by page."""


@strawberry.type(description="A document of a collection.")
class Document(Node):
    """A document of a collection."""

    stored: strawberry.Private[domain.Document]
    id: strawberry.ID = strawberry.field(description="Its id.")
    external_id: str | None = strawberry.field(
        description="Its own key, unique in the collection; null = known by its text's hash."
    )
    text: str = strawberry.field(description="Its text.")
    metadata: JSON | None = strawberry.field(description="What filters can compare.")
    created_at: datetime = strawberry.field(description="When it was first written.")
    updated_at: datetime = strawberry.field(description="When it was last written.")

    @strawberry.field(description="The collection.")
    async def collection(self, info: Info) -> Annotated[Collection, strawberry.lazy("gql.collections.types")]:
        """Load the collection."""
        return _there(await info.context.loaders.load(load_collections, self.stored.collection_id))

    @strawberry.field(description="Its pieces, in the order of the text.")
    async def chunks(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> ChunkConnection:
        """List the chunks."""
        service, loaders, owner = info.context.services.documents, info.context.loaders, self.stored.id
        page = await loaders.load_for(service.page_chunks, owner, page_request(first, after, last, before))
        return ChunkConnection.of(page, Chunk.of, lambda: loaders.load_for(service.count_chunks, owner))

    @classmethod
    def of(cls, document: domain.Document) -> Document:
        """Convert a document of the domain."""
        return cls(
            stored=document,
            id=to_id(Prefix.DOCUMENT, document.id),
            external_id=document.external_id,
            text=document.text,
            metadata=cast("JSON | None", document.metadata),
            created_at=document.created_at,
            updated_at=document.updated_at,
        )


@strawberry.type(description="A document on a page.")
class DocumentEdge(Edge[Document]):
    """A document on a page."""

    node: Document = strawberry.field(description="The document.")


@strawberry.type(description="Documents, page by page.")
class DocumentConnection(Connection[Document, DocumentEdge]):
    """Documents, page by page."""


@strawberry.type(description="A named space of vectors with one embedder.")
class Collection(Node):
    """A named space of vectors with one embedder."""

    stored: strawberry.Private[domain.Collection]
    id: strawberry.ID = strawberry.field(description="Its id.")
    name: str = strawberry.field(description="Unique in the workspace; what nodes use.")
    embedder: Embedder = strawberry.field(description="What makes vectors of texts.")
    dimension: int = strawberry.field(description="The length of its vectors.")
    metric: VectorMetric = strawberry.field(description="How near is measured.")
    chunking: Chunking = strawberry.field(description="How texts are cut.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When its documents last changed.")

    @strawberry.field(description="The workspace it belongs to.", graphql_type=_WORKSPACE)
    async def workspace(self, info: Info) -> object:
        """Load the workspace."""
        return await find_node(info, to_global(Prefix.WORKSPACE, self.stored.workspace_id))

    @strawberry.field(description="How much it holds.")
    async def stats(self, info: Info) -> CollectionStats:
        """Count."""
        counted = await info.context.loaders.load(load_stats, self.stored.id)
        return CollectionStats(
            documents=counted.documents,
            chunks=counted.chunks,
            live=counted.live,
            dead=counted.dead,
            index_kind=counted.index_kind,
            is_rebuilding=self.stored.is_rebuilding,
        )

    @strawberry.field(description="Its documents, newest first.")
    async def documents(  # noqa: PLR0917 -- GraphQL names every argument
        self,
        info: Info,
        filter: WhichDocuments = ABSENT,  # noqa: A002
        first: First = ABSENT,
        after: After = ABSENT,
        last: Last = ABSENT,
        before: Before = ABSENT,
    ) -> DocumentConnection:
        """List the documents."""
        service, loaders, owner = info.context.services.documents, info.context.loaders, self.stored.id
        condition = condition_of(filter, "filter")
        page = await loaders.load_for(service.page, owner, condition, page_request(first, after, last, before))
        return DocumentConnection.of(page, Document.of, lambda: loaders.load_for(service.count, owner, condition))

    @strawberry.field(description="One document by its own key; null where there is none.")
    async def document(
        self,
        info: Info,
        external_id: Annotated[str, strawberry.argument(description="The key that it was written with.")],
    ) -> Document | None:
        """Find a document by its own key."""
        found = await info.context.services.documents.find_by_key(self.stored, external_id)
        return Document.of(found) if found else None

    @strawberry.field(description="Nodes that use it; at most 100 are listed.")
    async def used_by(self, info: Info) -> list[NodeUse]:
        """Load the nodes that use it."""
        return await info.context.loaders.load(
            load_uses, Usable(self.stored.workspace_id, UseKind.COLLECTION, self.name)
        )

    @classmethod
    def of(cls, collection: domain.Collection) -> Collection:
        """Convert a collection of the domain."""
        embedder, cut = collection.embedder, collection.chunking
        return cls(
            stored=collection,
            id=to_id(Prefix.COLLECTION, collection.id),
            name=collection.name,
            embedder=Embedder(connection=embedder.connection, model=embedder.model),
            dimension=collection.dimension,
            metric=collection.metric,
            chunking=Chunking(split_by=cut.split_by, max_chars=cut.max_chars, overlap_chars=cut.overlap_chars),
            created_at=collection.created_at,
            updated_at=collection.updated_at,
        )


@strawberry.type(description="A collection on a page.")
class CollectionEdge(Edge[Collection]):
    """A collection on a page."""

    node: Collection = strawberry.field(description="The collection.")


@strawberry.type(description="Collections, page by page.")
class CollectionConnection(Connection[Collection, CollectionEdge]):
    """Collections, page by page."""


@strawberry.type
class CollectionsOfWorkspace:
    """What `Workspace` shows of this feature."""

    workspace_id: strawberry.Private[WorkspaceId]

    @strawberry.field(description="Its vector collections, by name.")
    async def collections(
        self, info: Info, first: First = ABSENT, after: After = ABSENT, last: Last = ABSENT, before: Before = ABSENT
    ) -> CollectionConnection:
        """List the collections."""
        service, loaders, owner = info.context.services.collections, info.context.loaders, self.workspace_id
        page = await loaders.load_for(service.page_by_workspace, owner, page_request(first, after, last, before))
        return CollectionConnection.of(page, Collection.of, lambda: loaders.load_for(service.count_by_workspace, owner))

    @strawberry.field(description="One collection by its name; null where there is none.")
    async def collection(
        self, info: Info, name: Annotated[str, strawberry.argument(description="The name, as nodes use it.")]
    ) -> Collection | None:
        """Find a collection by its name."""
        actor, service = info.context.principal, info.context.services.collections
        found = await service.find_by_name(actor, self.workspace_id, name)
        return Collection.of(found) if found else None


# ── loading ──


async def load_collections(context: Context, ids: list[CollectionId]) -> Sequence[Collection | None]:
    """Load collections by id; None for those that the caller may not see."""
    found = await context.services.collections.list_by_id(context.principal, ids)
    by_id = {one.id: Collection.of(one) for one in found}
    return [by_id.get(key) for key in ids]


async def load_documents(context: Context, ids: list[DocumentId]) -> Sequence[Document | None]:
    """Load documents by id; None for those that the caller may not see."""
    found = await context.services.documents.list_by_id(context.principal, ids)
    by_id = {one.id: Document.of(one) for one in found}
    return [by_id.get(key) for key in ids]


async def load_chunks(context: Context, ids: list[ChunkId]) -> Sequence[Chunk | None]:
    """Load chunks by id; None for those that the caller may not see."""
    found = await context.services.documents.list_chunks(context.principal, ids)
    by_id = {one.id: Chunk.of(one) for one in found}
    return [by_id.get(key) for key in ids]


async def load_stats(context: Context, ids: list[CollectionId]) -> Sequence[domain.CollectionStats]:
    """Count collections that the caller has seen; one that was deleted meanwhile holds nothing."""
    found = await context.services.collections.stats(ids)
    nothing = domain.CollectionStats(0, 0, 0, 0, IndexKind.FLAT)
    return [found.get(key, nothing) for key in ids]


def _there(found: Any) -> Any:
    if found is None:
        raise NotFound("It was deleted meanwhile.")
    return found


async def _find_collection(info: Info, value: UUID) -> Collection | None:
    return await info.context.loaders.load(load_collections, CollectionId(value))


async def _find_document(info: Info, value: UUID) -> Document | None:
    return await info.context.loaders.load(load_documents, DocumentId(value))


async def _find_chunk(info: Info, value: UUID) -> Chunk | None:
    return await info.context.loaders.load(load_chunks, ChunkId(value))


register_node(Prefix.COLLECTION, _find_collection)
register_node(Prefix.DOCUMENT, _find_document)
register_node(Prefix.CHUNK, _find_chunk)
