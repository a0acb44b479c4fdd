"""What remembers collections and finds in them, and what makes vectors of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from domain.audit import Deed
    from domain.collections import (
        Chunk,
        Chunking,
        Collection,
        CollectionStats,
        Document,
        EmbedderSpec,
        Match,
        NewDocument,
    )
    from domain.filters import Condition
    from domain.ids import ChunkId, CollectionId, DocumentId, WorkspaceId
    from domain.ports.paging import Page, PageRequest

    Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def embed(self, texts: Sequence[str], *, is_query: bool = False) -> Vectors:
        """Return one vector for each text, `(n, dim)` float32, in their order; not normalised by the caller's contract.

        Raises:
            NodeFault: `CONNECTION_NOT_FOUND`, `MODEL_REFUSED`, `MODEL_UNAVAILABLE`, `RATE_LIMITED` (with `retry_after_s`),
                `INVALID_RESPONSE` (a wrong count, ragged lengths, NaN or infinity), `ADDRESS_REFUSED`.
        """
        ...


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document that is cut and embedded; `vectors` is `(len(chunks), dim)` float32, finite.

    `chunks` None = the text is as it was stored: only the metadata is written, nothing is embedded again.
    """

    new: NewDocument
    chunks: Sequence[str] | None
    vectors: Vectors | None


class Collections(Protocol):
    """Collections, their documents and chunks. Rows are the truth; the index follows them."""

    # ── collections ──

    async def add(self, collection: Collection) -> None:
        """Store a new collection.

        Raises:
            AlreadyExists: the name is taken in the workspace.
        """
        ...

    async def list_by_id(
        self, within: frozenset[WorkspaceId], collection_ids: Sequence[CollectionId]
    ) -> Sequence[Collection]:
        """List those of the collections that are within, in any order."""
        ...

    async def find_by_name(self, workspace_id: WorkspaceId, name: str) -> Collection | None:
        """Find a collection by its name."""
        ...

    async def page_by_workspace(
        self, workspace_ids: Sequence[WorkspaceId], request: PageRequest
    ) -> Mapping[WorkspaceId, Page[Collection]]:
        """Read the same page of the collections of each of the workspaces, by name."""
        ...

    async def count_by_workspace(self, workspace_ids: Sequence[WorkspaceId]) -> Mapping[WorkspaceId, int]:
        """Count the collections of each of the workspaces."""
        ...

    async def names(self, workspace_id: WorkspaceId) -> frozenset[str]:
        """Return the names of a workspace's collections."""
        ...

    async def remove(self, collection: Collection, *, deed: Deed | None = None) -> None:
        """Delete a collection with everything in it, its snapshot included.

        Raises:
            InUse: published nodes use it.
        """
        ...

    async def forget(self, collection_ids: Sequence[CollectionId]) -> None:
        """Drop what this process and its disk keep of collections that are gone."""
        ...

    async def stats(self, collection_ids: Sequence[CollectionId]) -> Mapping[CollectionId, CollectionStats]:
        """Return how much collections hold."""
        ...

    # ── documents ──

    async def unchanged(self, collection: Collection, documents: Sequence[NewDocument]) -> Sequence[bool]:
        """Tell of each document whether its text is stored already under the same key and cut as the collection cuts."""
        ...

    async def save_documents(self, collection: Collection, documents: Sequence[PreparedDocument]) -> Sequence[Document]:
        """Write documents, all or none, in one transaction under the collection's row lock; those of equal key replace.

        Of several documents with one key the last wins. Returns them as they are stored, in the order given.

        Raises:
            NotFound: the collection is gone.
            Conflict: it was rebuilt since `collection` was read, or an `unchanged` document has changed: prepare again.
        """
        ...

    async def remove_documents(
        self,
        collection: Collection,
        document_ids: Sequence[DocumentId],
        external_ids: Sequence[str],
        condition: Condition | None,
    ) -> int:
        """Delete the documents that match any of what is given; return how many."""
        ...

    async def page_documents(
        self, collection_ids: Sequence[CollectionId], condition: Condition | None, request: PageRequest
    ) -> Mapping[CollectionId, Page[Document]]:
        """Read the same page of the documents of each of the collections, newest first."""
        ...

    async def count_documents(
        self, collection_ids: Sequence[CollectionId], condition: Condition | None
    ) -> Mapping[CollectionId, int]:
        """Count the documents of each of the collections."""
        ...

    async def find_document(self, collection_id: CollectionId, external_id: str) -> Document | None:
        """Find a document by its own key."""
        ...

    async def list_documents(
        self, within: frozenset[WorkspaceId], document_ids: Sequence[DocumentId]
    ) -> Sequence[Document]:
        """List those of the documents that are within, in any order."""
        ...

    async def page_chunks(
        self, document_ids: Sequence[DocumentId], request: PageRequest
    ) -> Mapping[DocumentId, Page[Chunk]]:
        """Read the same page of the chunks of each document, in the order of its text.

        Raises:
            CursorInvalid: a cursor of another list.
        """
        ...

    async def count_chunks(self, document_ids: Sequence[DocumentId]) -> Mapping[DocumentId, int]:
        """Count the chunks of each document."""
        ...

    async def list_chunks(self, within: frozenset[WorkspaceId], chunk_ids: Sequence[ChunkId]) -> Sequence[Chunk]:
        """List those of the chunks that are within, in any order."""
        ...

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

        Every chunk that was committed before the call began is seen, whichever process wrote it. The condition, on the
        documents' metadata, is applied before the search, so that it never empties a result that has matches. Scores:
        COSINE -1 to 1, INNER_PRODUCT any, L2 the negative distance.

        Raises:
            NotFound: the collection is gone.
            Conflict: it was rebuilt with another dimension since `collection` was read.
        """
        ...

    # ── rebuilding ──

    async def begin_rebuild(
        self, collection: Collection, embedder: EmbedderSpec, dimension: int, chunking: Chunking
    ) -> Collection:
        """Note durably that the collection is to be built anew; searches go on in the old generation.

        Raises:
            Conflict: it is being rebuilt already, and that has not failed so far.
        """
        ...

    async def interrupted_rebuilds(self) -> Sequence[Collection]:
        """Return the collections whose rebuild was begun and that no living process works on."""
        ...

    def rebuild(self, collection: Collection) -> RebuildWork:
        """Return the work of a begun rebuild, to be entered (`async with`) by the one process that does it."""
        ...

    # ── changes ──

    def changes(self, collection_id: CollectionId) -> AsyncGenerator[None]:
        """Yield once it is followed, then whenever its documents or its index changed, in any process.

        At most once a second; what changed meanwhile is one change. Ends when it is deleted.
        """
        ...


class RebuildWork(Protocol):
    """A rebuild in the hands of one process: it holds a lock that dies with the process, so that another can go on.

    What was written before an interruption is kept: `pending` gives only what is missing in the new generation.
    """

    async def __aenter__(self) -> Self:
        """Take the rebuild.

        Raises:
            Conflict: another process has it, or there is none.
        """
        ...

    async def __aexit__(self, *_: object) -> None:
        """Let the rebuild go; what is not finished can be taken again."""
        ...

    @property
    def target(self) -> Collection:
        """The collection as it will be: embedder, dimension, chunking and generation."""
        ...

    async def pending(self, limit: int) -> Sequence[Document]:
        """Return documents that are not in the new generation as they are now, oldest first; empty = nothing is missing."""
        ...

    async def save(self, documents: Sequence[tuple[Document, Sequence[str], Vectors]]) -> None:
        """Write the chunks of documents in the new generation; a document that changed meanwhile is pending again."""
        ...

    async def note_fault(self, code: str) -> None:
        """Note that the rebuild failed: it is tried again, but from now on another may take its place."""
        ...

    async def finish(self) -> bool:
        """Let the new generation take the old one's place, in one transaction; False while something is pending."""
        ...
