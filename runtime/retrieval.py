"""Searches in collections: what is asked for is made a vector, the nearest chunks are found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from domain.collections import MAX_TEXT_BYTES, MAX_VECTOR_NUMBER, SearchMode, VectorMetric
from domain.errors import Conflict, NodeFault, NotFound
from domain.texts import storable
from runtime.ingestion import check_dimension

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from domain.collections import Collection, Match, SearchQuery
    from domain.ports.collections import Collections
    from runtime.embedders import Embedders
    from runtime.metrics import Metrics

_ATTEMPTS: Final = 3


class Retrieval:
    """Finds documents in collections."""

    def __init__(self, collections: Collections, embedders: Embedders, metrics: Metrics | None = None) -> None:
        self._collections = collections
        self._embedders = embedders
        self._metrics = metrics

    async def search(self, collection: Collection, query: SearchQuery) -> Sequence[Match]:
        """Return the best matches, best first.

        Raises:
            NotFound: the collection is gone.
            Conflict: it was rebuilt again and again meanwhile.
            NodeFault: `NOT_SUPPORTED`, `INVALID_QUERY`, `INVALID_VECTOR`, `DIMENSION_MISMATCH`, and as `Embedder.embed`.
        """
        if query.mode is not SearchMode.SEMANTIC:
            message = f"The mode {query.mode.value} is not supported yet; use SEMANTIC."
            raise NodeFault("NOT_SUPPORTED", message)
        for attempt in range(1, _ATTEMPTS + 1):
            vectors = await self._vectors(collection, query)
            begun_at = time.perf_counter()
            try:
                found = await self._collections.search(
                    collection, vectors, query.top_k, query.condition, query.score_threshold
                )
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
                collection = await self._read_again(collection)
            else:
                if self._metrics is not None:
                    self._metrics.searched(time.perf_counter() - begun_at)
                return found[0]
        raise AssertionError("the last attempt returns or raises")

    async def _vectors(self, collection: Collection, query: SearchQuery) -> NDArray[np.float32]:
        if query.vector is not None:
            return read_vector(query.vector, collection)
        text = storable(query.text or "")
        if not text.strip():
            raise NodeFault("INVALID_QUERY", "There is nothing to search for: the text is empty.")
        if len(text) > MAX_TEXT_BYTES:
            raise NodeFault("INVALID_QUERY", f"The text to search for has more than {MAX_TEXT_BYTES:,} characters.")
        embedder = await self._embedders.find(collection.workspace_id, collection.embedder)
        vectors = await embedder.embed([text], is_query=True)
        check_dimension(vectors.shape[1], collection)
        return vectors

    async def _read_again(self, collection: Collection) -> Collection:
        found = await self._collections.list_by_id(frozenset({collection.workspace_id}), [collection.id])
        if not found:
            raise NotFound(f"The collection {collection.name!r} is gone.")
        return found[0]


def read_vector(numbers: Sequence[float], collection: Collection) -> NDArray[np.float32]:
    """Return numbers as a query, `(1, dim)` float32.

    Raises:
        NodeFault: `INVALID_VECTOR`: not as long as the collection's vectors, not finite, too large, or without a direction where
            the angle is measured.
    """
    if len(numbers) != collection.dimension:
        message = (
            f"The vector has {len(numbers):,} numbers, those of the collection {collection.name!r} have "
            f"{collection.dimension:,}."
        )
        raise NodeFault("INVALID_VECTOR", message)
    wrong = next((place for place, number in enumerate(numbers) if not abs(number) <= MAX_VECTOR_NUMBER), None)
    if wrong is not None:
        message = f"Number {wrong} of the vector (from 0) is larger than {MAX_VECTOR_NUMBER:.0e}, or none."
        raise NodeFault("INVALID_VECTOR", message)
    vector = np.asarray([numbers], np.float32)
    if collection.metric is VectorMetric.COSINE and not vector.any():
        raise NodeFault("INVALID_VECTOR", "All numbers of the vector are 0: it has no direction.")
    return vector
