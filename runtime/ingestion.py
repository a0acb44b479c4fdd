"""Documents on their way into a collection: cut, embedded where they are new, and written all or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from domain.collections import MAX_DOCUMENTS
from domain.errors import Conflict, LimitExceeded, NodeFault, NotFound
from domain.ports.collections import PreparedDocument
from domain.ports.node_collections import Written
from runtime.chunking import cut_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from domain.collections import Collection, NewDocument
    from domain.ports.collections import Collections, Embedder
    from runtime.embedders import Embedders

SLICE: Final = 256
"""Chunks between two reports of progress."""
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Pieces:
    """The chunks of a text and their vectors, `(len(chunks), dim)` float32."""

    chunks: Sequence[str]
    vectors: NDArray[np.float32]


class Ingestion:
    """Writes documents into collections."""

    def __init__(self, collections: Collections, embedders: Embedders) -> None:
        self._collections = collections
        self._embedders = embedders

    async def upsert(
        self, collection: Collection, documents: Sequence[NewDocument], moved: Callable[[], None] | None = None
    ) -> Written:
        """Write documents; `moved` is called whenever some of them are embedded.

        Raises:
            LimitExceeded: more than 1,000 documents.
            NotFound: the collection is gone.
            Conflict: it changed again and again meanwhile.
            NodeFault: as `Embedder.embed`, or `DIMENSION_MISMATCH`.
        """
        if len(documents) > MAX_DOCUMENTS:
            message = f"At most {MAX_DOCUMENTS:,} documents at once, not {len(documents):,}."
            raise LimitExceeded(message, limit=MAX_DOCUMENTS, actual=len(documents), path=["input", "documents"])
        made: dict[str, Pieces] = {}
        for attempt in range(1, _ATTEMPTS + 1):
            chunks = await cut_all([document.text for document in documents], collection.chunking)
            prepared = await self._prepared(collection, documents, chunks, made, moved)
            try:
                saved = await self._collections.save_documents(collection, prepared)
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            else:
                # The same key twice in one call is one document, the last one's.
                by_id = {document.id: len(cut) for document, cut in zip(saved, chunks, strict=True)}
                return Written(saved, sum(by_id.values()))
            current = await self._read_again(collection)
            if (current.embedder, current.chunking) != (collection.embedder, collection.chunking):
                made.clear()
            collection = current
        raise AssertionError("the last attempt returns or raises")

    async def _prepared(
        self,
        collection: Collection,
        documents: Sequence[NewDocument],
        chunks: Sequence[Sequence[str]],
        made: dict[str, Pieces],
        moved: Callable[[], None] | None,
    ) -> list[PreparedDocument]:
        """Embed what is new; `made` remembers it, should the write have to be prepared again."""
        is_unchanged = await self._collections.unchanged(collection, documents)
        new = {
            document.text: pieces
            for document, pieces, is_same in zip(documents, chunks, is_unchanged, strict=True)
            if not is_same and document.text not in made
        }
        if new:
            embedder = await self._embedders.find(collection.workspace_id, collection.embedder)
            found = await embed_all(embedder, list(new.values()), collection, moved)
            made.update(zip(new, found, strict=True))
        return [
            PreparedDocument(document, None, None)
            if is_same
            else PreparedDocument(document, made[document.text].chunks, made[document.text].vectors)
            for document, is_same in zip(documents, is_unchanged, strict=True)
        ]

    async def _read_again(self, collection: Collection) -> Collection:
        found = await self._collections.list_by_id(frozenset({collection.workspace_id}), [collection.id])
        if not found:
            raise NotFound(f"The collection {collection.name!r} is gone.")
        return found[0]


async def embed_all(
    embedder: Embedder, texts: Iterable[Sequence[str]], collection: Collection, moved: Callable[[], None] | None = None
) -> list[Pieces]:
    """Return the vectors of the chunks of several texts, checked against the collection.

    Raises:
        NodeFault: as `Embedder.embed`, or `DIMENSION_MISMATCH`.
    """
    cut = list(texts)
    flat = [chunk for chunks in cut for chunk in chunks]
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(flat), SLICE):
        part = await embedder.embed(flat[start : start + SLICE])
        check_dimension(part.shape[1], collection)
        parts.append(part)
        if moved is not None:
            moved()
    whole = np.concatenate(parts) if parts else np.empty((0, collection.dimension), np.float32)
    ends = np.cumsum([len(chunks) for chunks in cut])
    return [Pieces(chunks, whole[end - len(chunks) : end]) for chunks, end in zip(cut, ends, strict=True)]


def check_dimension(found: int, collection: Collection) -> None:
    """Refuse vectors that are not as long as the collection's.

    Raises:
        NodeFault: `DIMENSION_MISMATCH`.
    """
    if found != collection.dimension:
        message = (
            f"The model {collection.embedder.model!r} gives vectors of {found} numbers now, those of the collection "
            f"{collection.name!r} have {collection.dimension}: rebuild the collection."
        )
        raise NodeFault("DIMENSION_MISMATCH", message)
