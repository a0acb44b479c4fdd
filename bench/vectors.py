"""Search and snapshots of 100,000 vectors, each beside raw FAISS in the same breath."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from domain.collections import NewDocument, VectorMetric
from domain.ports.collections import PreparedDocument
from persistence.collections import open_vectors
from persistence.database import open_database
from persistence.embedded import embedded_postgres
from persistence.migrate import migrate
from persistence.vectors import snapshots
from persistence.vectors.faiss_index import IndexOptions, faiss, tune_threads
from persistence.vectors.live_indexes import VectorOptions
from tests.support.vectors import clustered_vectors, make_collection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from domain.collections import Collection
    from domain.ports.collections import Vectors
    from persistence.collections import PostgresCollections
    from persistence.database import Database

COUNT, DIMENSION, TOP_K = 100_000, 384, 10
"""What is promised, is promised for these."""
_QUERIES = 64
_SHIPPED_THRESHOLD = 128_000
"""Below this product of queries and dimension, FAISS as it is shipped uses no matrix product."""
_ALWAYS_FLAT = IndexOptions(flat_max=10 * COUNT)


async def measure_vectors(passes: int) -> dict[str, float]:
    """Return the figures of search and snapshots."""
    vectors = await asyncio.to_thread(clustered_vectors, COUNT, DIMENSION)
    queries = await asyncio.to_thread(clustered_vectors, 10 * _QUERIES, DIMENSION, seed=2)
    raw = faiss.IndexFlatIP(DIMENSION)
    await asyncio.to_thread(raw.add, _unit(vectors))
    async with _database() as (database, directory):
        async with open_vectors(database, directory / "flat", VectorOptions(_ALWAYS_FLAT)) as store:
            collection = await make_collection(database, store, dimension=DIMENSION)
            figures = {"vectors: chunks written/s": COUNT / await _spent(lambda: _fill(store, collection, vectors))}
            figures["vectors: index read from rows, s"] = await _spent(
                lambda: store.search(collection, queries[:1], TOP_K)
            )
            for batch in (1, _QUERIES):
                figures |= await _beside_raw(_Pair("flat", store, collection, raw, queries), batch, passes)
        async with open_vectors(database, directory / "graph") as store:
            figures |= await _graph(store, collection, raw, queries, passes)
        figures |= await asyncio.to_thread(_loading, directory, passes)
    return figures


@dataclass(frozen=True)
class _Pair:
    """A collection, and the same vectors in FAISS alone."""

    name: str
    store: PostgresCollections
    collection: Collection
    raw: Any
    queries: Vectors


async def _beside_raw(pair: _Pair, batch: int, passes: int) -> dict[str, float]:
    """Search through the repository and in FAISS alone, by turns."""
    threads = pair.store._searches._threads  # noqa: SLF001 -- the same threads for both
    ours: list[float] = []
    alone: list[float] = []
    shipped: list[float] = []
    tuned = faiss.cvar.distance_compute_blas_threshold
    is_flat_batch = batch > 1 and pair.name == "flat"
    for place in range(passes * (10 if batch == 1 else 2)):
        start = place * batch % len(pair.queries)
        some = pair.queries[start : start + batch]
        given = _unit(some)
        alone.append(await _spent(lambda given=given: threads.call(pair.raw.search, given, TOP_K)))
        ours.append(await _spent(lambda some=some: pair.store.search(pair.collection, some, TOP_K)))
        if is_flat_batch:
            faiss.cvar.distance_compute_blas_threshold = _SHIPPED_THRESHOLD
            shipped.append(await _spent(lambda given=given: threads.call(pair.raw.search, given, TOP_K)))
            faiss.cvar.distance_compute_blas_threshold = tuned
    ratio = median(theirs / own for theirs, own in zip(alone, ours, strict=True))
    return {
        f"vectors: {pair.name}, {batch} at once, ms": median(ours) * 1e3,
        f"vectors: {pair.name}, {batch} at once, raw ms": median(alone) * 1e3,
        f"vectors: {pair.name}, {batch} at once, of raw": ratio,
        **({f"vectors: {pair.name}, {batch} at once, raw as shipped, ms": median(shipped) * 1e3} if shipped else {}),
    }


async def _graph(
    store: PostgresCollections, collection: Collection, flat: Any, queries: Vectors, passes: int
) -> dict[str, float]:
    """Wait for the graph, and compare it with exact search and with FAISS alone."""

    async def build() -> None:
        await store.search(collection, queries[:1], TOP_K)
        _, index = await store._indexes.synced(collection.id)  # noqa: SLF001 -- to see the graph
        while not index.has_graph:  # noqa: ASYNC110 -- it is a thread's doing
            await asyncio.sleep(0.1)

    figures = {"vectors: graph built beside searches, s": await _spent(build)}
    _, index = await store._indexes.synced(collection.id)  # noqa: SLF001 -- the same
    graph: Any = index._graph  # noqa: SLF001 -- raw FAISS on the same graph
    graph.index.hnsw.efSearch = IndexOptions().hnsw_ef_search
    for batch in (1, _QUERIES):
        figures |= await _beside_raw(_Pair("graph", store, collection, graph.index, queries), batch, passes)
    _, wanted = await asyncio.to_thread(flat.search, _unit(queries), TOP_K)
    found = await store.search(collection, queries, TOP_K)
    hits = [
        len({int(match.document.external_id or -1) for match in matches} & set(places))
        for matches, places in zip(found, wanted.tolist(), strict=True)
    ]
    figures["vectors: graph, recall@10"] = sum(hits) / (TOP_K * len(hits))
    return figures


def _loading(directory: Path, passes: int) -> dict[str, float]:
    """Read the snapshots that were written at the end, beside what FAISS takes for its part."""
    tune_threads(2)
    figures: dict[str, float] = {}
    for name, options in (("flat", _ALWAYS_FLAT), ("graph", IndexOptions())):
        [path] = (directory / name).glob("*.faiss")
        described, _ = snapshots._description(path)  # noqa: SLF001 -- to read it without the repository
        origin = snapshots.Origin(**described["origin"] | {"metric": VectorMetric(described["origin"]["metric"])})
        own = directory / f"{name}.raw"
        faiss.write_index(faiss.read_index(str(path)), str(own))
        ratios: list[float] = []
        spans: list[float] = []
        for _ in range(passes):
            started = time.perf_counter()
            faiss.read_index(str(own))
            between = time.perf_counter()
            snapshots.read(path, origin, options)
            spans.append(time.perf_counter() - between)
            ratios.append(spans[-1] / (between - started))
        figures[f"vectors: {name} snapshot loaded, ms"] = median(spans) * 1e3
        figures[f"vectors: {name} snapshot loaded, of FAISS's own"] = median(ratios)
    return figures


async def _fill(store: PostgresCollections, collection: Collection, vectors: Vectors) -> None:
    for start in range(0, len(vectors), 1_000):
        given = [
            PreparedDocument(
                NewDocument(str(start + place), "x" * 400, {"n": place}), ["x" * 400], vector.reshape(1, -1)
            )
            for place, vector in enumerate(vectors[start : start + 1_000])
        ]
        await store.save_documents(collection, given)


@asynccontextmanager
async def _database() -> AsyncGenerator[tuple[Database, Path]]:
    with TemporaryDirectory(prefix="anabranch-bench-") as name:
        directory = Path(name)
        await asyncio.to_thread(directory.chmod, 0o755)
        async with embedded_postgres(directory) as url:
            await migrate(url)
            async with open_database(url) as database:
                yield database, directory


async def _spent(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
