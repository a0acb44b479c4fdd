"""Collections for tests: numbers that look like embeddings, and documents that are cut into one chunk each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from uuid_utils.compat import uuid7

from domain.collections import Chunking, Collection, EmbedderSpec, NewDocument, VectorMetric
from domain.ids import CollectionId
from domain.ports.collections import PreparedDocument
from tests.support.identity import START, make_principal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.json_value import Json
    from domain.ports.collections import Collections, Vectors
    from persistence.database import Database

DIMENSION = 8


def random_vectors(count: int, dimension: int = DIMENSION, *, seed: int = 0) -> Vectors:
    """Return vectors that point everywhere."""
    return np.random.default_rng(seed).standard_normal((count, dimension), np.float32)


def clustered_vectors(count: int, dimension: int, *, seed: int = 0, clusters: int = 1_000) -> Vectors:
    """Return vectors that lie together in groups, as those of texts do."""
    numbers = np.random.default_rng(seed)
    # The groups are the same for every seed, so that queries lie where the vectors are.
    middles = np.random.default_rng(1).standard_normal((clusters, dimension), np.float32)
    noise = numbers.standard_normal((count, dimension), np.float32)
    chosen: Vectors = middles[numbers.integers(0, clusters, count)]
    noise *= 0.7
    noise += chosen
    return noise


async def make_collection(database: Database, collections: Collections, **more: Any) -> Collection:
    """Store a collection in a workspace of its own."""
    workspace_id = more.pop("workspace_id", None)
    if workspace_id is None:
        workspace_id = next(iter((await make_principal(database)).roles))
    fields: dict[str, Any] = {
        "id": CollectionId(uuid7()),
        "workspace_id": workspace_id,
        "name": "tales",
        "embedder": EmbedderSpec(None, "numbers"),
        "dimension": DIMENSION,
        "metric": VectorMetric.COSINE,
        "chunking": Chunking(),
        "generation": 1,
        "is_rebuilding": False,
        "created_at": START,
        "updated_at": START,
    }
    collection = Collection(**{**fields, **more})
    await collections.add(collection)
    return collection


def prepared(
    key: str, *vectors: Sequence[float] | Vectors, text: str | None = None, metadata: Json = None
) -> PreparedDocument:
    """Return a document with one chunk for each vector."""
    text = key if text is None else text
    new = NewDocument(key, text, {} if metadata is None else metadata)
    return PreparedDocument(new, [f"{text} {place}" for place in range(len(vectors))], np.array(vectors, np.float32))


def many(vectors: Vectors, *, first: int = 0, metadata: Json = None) -> list[PreparedDocument]:
    """Return documents `0`, `1`, … with one chunk each."""
    return [prepared(str(first + place), vector, metadata=metadata) for place, vector in enumerate(vectors)]


async def save_many(
    collections: Collections, collection: Collection, vectors: Vectors, *, first: int = 0, metadata: Json = None
) -> None:
    """Write documents `first`, `first + 1`, …, a thousand at a time."""
    for start in range(0, len(vectors), 1_000):
        given = many(vectors[start : start + 1_000], first=first + start, metadata=metadata)
        await collections.save_documents(collection, given)


async def found_keys(
    collections: Collections, collection: Collection, query: Vectors, top_k: int, **more: Any
) -> list[str]:
    """Return the keys of the documents that a query finds."""
    matches = await collections.search(collection, query.reshape(1, -1), top_k, **more)
    return [match.document.external_id or "" for match in matches[0]]


def exact_order(vectors: Vectors, query: Vectors, metric: VectorMetric) -> tuple[list[int], Vectors]:
    """Return the places of vectors from the nearest on, and the scores of all, by definition."""
    if metric is VectorMetric.L2:
        scores = -np.linalg.norm(vectors - query, axis=1)
    else:
        scores = vectors @ query
        if metric is VectorMetric.COSINE:
            scores = scores / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
    return np.argsort(-scores, kind="stable").tolist(), scores
