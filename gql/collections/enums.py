"""The enums of collections, described; whoever names them in a type takes them from here."""

from __future__ import annotations

import gql.kinds  # noqa: F401  # pyright: ignore[reportUnusedImport] - describes `SearchMode`, which a node has too
from domain.collections import ChunkSplit, IndexKind, SearchMode, VectorMetric
from gql.enums import expose

__all__ = ["ChunkSplit", "IndexKind", "SearchMode", "VectorMetric"]

expose(
    VectorMetric,
    description="How near is measured; scores are always larger for what is nearer.",
    values={
        VectorMetric.COSINE: "The angle.",
        VectorMetric.INNER_PRODUCT: "The inner product.",
        VectorMetric.L2: "The Euclidean distance.",
    },
)
expose(
    ChunkSplit,
    description="Where a text may be cut.",
    values={
        ChunkSplit.PARAGRAPH: "Between paragraphs.",
        ChunkSplit.SENTENCE: "Between sentences.",
        ChunkSplit.NONE: "Nowhere: one chunk for each document.",
    },
)
expose(
    IndexKind,
    description="How an index searches.",
    values={
        IndexKind.FLAT: "Compares with every vector: exact.",
        IndexKind.HNSW: "Follows a graph of neighbours: approximate.",
        IndexKind.IVF: "Looks into the nearest cells: approximate.",
    },
)
