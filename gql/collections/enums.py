"""The enums of collections, described."""

from __future__ import annotations

import gql.kinds  # noqa: F401 -- describes `SearchMode`, which a node's configuration has too
from domain.collections import ChunkSplit, IndexKind, VectorMetric
from gql.enums import expose

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
