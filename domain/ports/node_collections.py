"""What nodes may do with the vector collections of their workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.collections import Document, Match, NewDocument, SearchQuery


@dataclass(frozen=True, slots=True)
class Written:
    """What a write of documents left: the documents in the order given, and how many chunks they have together."""

    documents: Sequence[Document]
    chunks: int


class NodeCollections(Protocol):
    """Collections by their names.

    Both raise `NodeFault`: `COLLECTION_NOT_FOUND`, `INVALID_VECTOR`, `NOT_SUPPORTED`, and those of `Embedder.embed`.
    """

    async def search(self, name: str, query: SearchQuery) -> Sequence[Match]:
        """Find the best matches, best first."""
        ...

    async def upsert(self, name: str, documents: Sequence[NewDocument], moved: Callable[[], None]) -> Written:
        """Write documents, all or none; those of equal key replace. `moved` is called whenever some are prepared."""
        ...
