"""The vectors of one collection in memory, known by the `seq` of their chunks: a flat index, above a size a graph.

Everything here blocks and belongs in a thread; the locks are inside.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from domain.collections import VectorMetric
from persistence.vectors.guard import ReadWriteLock

if TYPE_CHECKING:
    from collections.abc import Generator

Floats: TypeAlias = NDArray[np.float32]
Seqs: TypeAlias = NDArray[np.int64]

# It has no types.
faiss: Any = cast("Any", _faiss)

NO_SEQ: Final = -1
_NONE: Final = np.empty(0, np.int64)
# Outside of these lengths the squares of 32 bits overflow or vanish, and the direction with them.
_SHORT: Final = 1e-15
_LONG: Final = 1e18
_MAX_DEAD: Final = 0.2
# A graph visited for a narrow choice of vectors finds few of them; comparing with all that are chosen is exact, and up to
# this share of the graph no slower.
_NARROW: Final = 0.2
# Vectors that the graph does not have yet are compared one by one; so many cost less than a millisecond.
_MAX_BESIDE_GRAPH: Final = 1_000
# How long a writer keeps readers away, in vectors added to a graph: some 10 ms.
_ABSORBED_AT_ONCE: Final = 64
_PLANNED_AT_ONCE: Final = 1_000
# FAISS compares the product of queries and dimension with it: above, a matrix product is faster. Measured: from 4 queries at 384.
_BLAS_THRESHOLD: Final = 1_536


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """When and how vectors become a graph (HNSW)."""

    flat_max: int = 10_000
    hnsw_m: int = 32
    hnsw_ef_construction: int = 40
    hnsw_ef_search: int = 64


def tune_threads(count: int) -> None:
    """Have FAISS use `count` threads in the calling thread, and matrix products where they are faster."""
    faiss.omp_set_num_threads(count)
    faiss.cvar.distance_compute_blas_threshold = _BLAS_THRESHOLD


@dataclass(slots=True)
class _Graph:
    """A graph of neighbours: vectors cannot leave it, so those that are dead are masked."""

    index: Any
    seqs: Seqs
    is_live: NDArray[np.bool_]
    dead: int = 0

    def rows(self) -> Floats:
        return _rows(faiss.downcast_index(self.index.storage))


@dataclass(slots=True)
class Rebuilding:
    """A new inside of an index, in the making: beside searches, in steps."""

    seqs: Seqs
    index: Any
    is_graph: bool
    done: list[Seqs] = field(default_factory=list[Seqs])
    place: int = 0


class FaissIndex:
    """Vectors by seq, in ascending order: first those of the graph, if there is one, then those beside it.

    Args:
        dimension: of every vector.
        metric: how near is measured; COSINE is the inner product of vectors that are normalised when they come in.
        options: when and how a graph is made.
    """

    def __init__(self, dimension: int, metric: VectorMetric, options: IndexOptions) -> None:
        self.dimension = dimension
        self.metric = metric
        self._options = options
        self._lock = ReadWriteLock()
        self._is_l2 = metric is VectorMetric.L2
        self._faiss_metric = faiss.METRIC_L2 if self._is_l2 else faiss.METRIC_INNER_PRODUCT
        self._flat: Any = self._new_flat()
        self._seqs = _NONE
        self._graph: _Graph | None = None
        self._is_absorbing = False
        self.last_seq = 0
        self.live = 0
        """How many vectors can be found."""
        self.dead = 0
        """How many vectors are only masked."""

    # ── size ──

    @property
    def has_graph(self) -> bool:
        """Whether there is a graph."""
        return self._graph is not None

    @property
    def size_bytes(self) -> int:
        """About how much memory the index takes."""
        of_graph = 0 if self._graph is None else len(self._graph.seqs)
        return (self.live + self.dead) * (self.dimension * 4 + 9) + of_graph * self._options.hnsw_m * 8

    def _count(self) -> None:
        graph = self._graph
        self.dead = 0 if graph is None else graph.dead
        self.live = len(self._seqs) + (0 if graph is None else len(graph.seqs) - graph.dead)

    def live_seqs(self) -> Seqs:
        """Return the seqs of all vectors that can be found, ascending."""
        with self._lock.reading():
            return self._live_seqs()

    # ── for snapshots ──

    @contextmanager
    def frozen(self) -> Generator[tuple[Any, dict[str, NDArray[Any]], int]]:
        """Keep writers away; yield what FAISS writes by itself, what has to be written beside it, and the last seq."""
        with self._lock.reading():
            if self._graph is None:
                yield self._flat, {"seqs": self._seqs}, self.last_seq
            else:
                beside = {"graph_seqs": self._graph.seqs, "is_live": self._graph.is_live, "seqs": self._seqs}
                yield self._graph.index, {**beside, "rows": _rows(self._flat)}, self.last_seq

    def thaw(self, index: Any, beside: dict[str, NDArray[Any]], last_seq: int) -> None:
        """Take what `frozen` gave into a new index.

        Raises:
            ValueError: the parts do not belong together.
        """
        is_graph = "graph_seqs" in beside
        seqs = beside["graph_seqs"] if is_graph else beside["seqs"]
        if index.d != self.dimension or index.metric_type != self._faiss_metric or index.ntotal != len(seqs):
            raise ValueError("the vectors are not those of the seqs")
        self.last_seq = last_seq
        if is_graph:
            is_live = beside["is_live"].astype(np.bool_)
            self._graph = _Graph(index, seqs, is_live, len(seqs) - int(np.count_nonzero(is_live)))
            self._flat.add(beside["rows"].reshape(-1, self.dimension))
        else:
            self._flat = index
        self._seqs = beside["seqs"]
        self._count()

    # ── changing ──

    def change(self, after: int, until: int, seqs: Seqs, vectors: Floats, removed: Seqs) -> None:
        """Follow the collection from seq `after` to `until`: add vectors, drop others; unknown ones are not missed.

        Nothing happens if the index is elsewhere than at `after`: somebody else has brought it on.
        """
        prepared = self._prepared(vectors)
        gone = np.unique(removed)
        with self._lock.writing():
            if self.last_seq != after:
                return
            if len(seqs):
                self._flat.add(prepared)
                self._seqs = np.concatenate([self._seqs, seqs])
            if len(gone):
                self._remove(gone)
            self._count()
            self.last_seq = until

    def _remove(self, gone: Seqs) -> None:
        places = _places(self._seqs, gone)
        if len(places):
            self._flat.remove_ids(places)
            self._seqs = np.delete(self._seqs, places)
        if self._graph is not None:
            masked = _places(self._graph.seqs, gone)
            self._graph.dead += int(np.count_nonzero(self._graph.is_live[masked]))
            self._graph.is_live[masked] = False

    # ── growing and shrinking beside searches ──

    def plan(self) -> Rebuilding | None:
        """Begin a new inside where one is due: the first graph, or one without the dead; None if all is well."""
        with self._lock.reading():
            is_due = self.live > self._options.flat_max
            if self._graph is not None:
                is_due = self._graph.dead > _MAX_DEAD * len(self._graph.seqs)
            if not is_due:
                return None
            seqs = self._live_seqs()
        if len(seqs) <= self._options.flat_max:
            return Rebuilding(seqs, self._new_flat(), is_graph=False)
        index = faiss.IndexHNSWFlat(self.dimension, self._options.hnsw_m, self._faiss_metric)
        index.hnsw.efConstruction = self._options.hnsw_ef_construction
        return Rebuilding(seqs, index, is_graph=True)

    def step(self, rebuilding: Rebuilding) -> bool:
        """Take the next thousand vectors into a new inside; False when it has all that were planned."""
        wanted = rebuilding.seqs[rebuilding.place : rebuilding.place + _PLANNED_AT_ONCE]
        if not len(wanted):
            return False
        with self._lock.reading():
            seqs, vectors = self._vectors(wanted)
        rebuilding.index.add(vectors)
        rebuilding.done.append(seqs)
        rebuilding.place += len(wanted)
        return True

    def install(self, rebuilding: Rebuilding) -> None:
        """Put a new inside in the old one's place; what was added meanwhile stays beside it, what was removed is dead."""
        done = np.concatenate(rebuilding.done) if rebuilding.done else _NONE
        with self._lock.writing():
            live = self._live_seqs()
            last = rebuilding.seqs[-1] if len(rebuilding.seqs) else NO_SEQ
            later, vectors = self._vectors(live[np.searchsorted(live, last, side="right") :])
            is_live = np.zeros(len(done), np.bool_)
            is_live[_places(done, live)] = True
            if rebuilding.is_graph:
                self._flat, self._seqs = self._new_flat(), _NONE
                dead = len(done) - int(np.count_nonzero(is_live))
                self._graph = _Graph(rebuilding.index, done, is_live, dead)
            else:
                self._flat, self._seqs, self._graph = rebuilding.index, done, None
                self._remove(done[~is_live])
            if len(later):
                self._flat.add(vectors)
                self._seqs = np.concatenate([self._seqs, later])
            self._count()

    def absorb(self) -> bool:
        """Take some of the vectors beside the graph into it; False when that was not due or there are no more."""
        with self._lock.writing():
            graph = self._graph
            if graph is None or len(self._seqs) < (1 if self._is_absorbing else _MAX_BESIDE_GRAPH):
                self._is_absorbing = False
                return False
            self._is_absorbing = True
            seqs = self._seqs[:_ABSORBED_AT_ONCE]
            graph.index.add(_rows(self._flat)[: len(seqs)].copy())
            graph.seqs = np.concatenate([graph.seqs, seqs])
            graph.is_live = np.concatenate([graph.is_live, np.ones(len(seqs), np.bool_)])
            self._flat.remove_ids(np.arange(len(seqs)))
            self._seqs = self._seqs[len(seqs) :]
            return True

    def _vectors(self, wanted: Seqs) -> tuple[Seqs, Floats]:
        """Return those of the wanted that are there, with their vectors."""
        graph = self._graph
        places = _places(self._seqs, wanted)
        if graph is None:
            return self._seqs[places], _rows(self._flat)[places]
        of_graph = _places(graph.seqs, wanted)
        of_graph = of_graph[graph.is_live[of_graph]]
        return (
            np.concatenate([graph.seqs[of_graph], self._seqs[places]]),
            np.concatenate([graph.rows()[of_graph], _rows(self._flat)[places]]),
        )

    # ── finding ──

    def search(self, queries: Floats, top_k: int, among: Seqs | None = None) -> tuple[Floats, Seqs]:
        """Return scores and seqs of the nearest vectors, `(n, top_k)` each, best first; seq -1 where there is no more.

        Args:
            queries: `(n, dim)` float32.
            top_k: how many for each.
            among: only these are looked at; all if None.
        """
        prepared = self._prepared(queries)
        with self._lock.reading():
            found = [self._search_flat(prepared, top_k, among)]
            if self._graph is not None:
                found.append(self._search_graph(self._graph, prepared, top_k, among))
        return _best(found, top_k)

    def _search_flat(self, queries: Floats, top_k: int, among: Seqs | None) -> tuple[Floats, Seqs]:
        if among is None:
            if not len(self._seqs):
                return _nothing(len(queries))
            distances, places = self._flat.search(queries, min(top_k, len(self._seqs)))
            return self._scores(distances), _seqs_at(self._seqs, places)
        return self._exact(queries, top_k, _rows(self._flat), self._seqs, _places(self._seqs, among))

    def _search_graph(self, graph: _Graph, queries: Floats, top_k: int, among: Seqs | None) -> tuple[Floats, Seqs]:
        chosen = graph.is_live
        if among is not None:
            chosen = np.zeros_like(graph.is_live)
            chosen[_places(graph.seqs, among)] = True
            chosen &= graph.is_live
        count = len(graph.seqs) - graph.dead if among is None else int(np.count_nonzero(chosen))
        if count <= max(top_k, _NARROW * len(graph.seqs)):
            return self._exact(queries, top_k, graph.rows(), graph.seqs, np.flatnonzero(chosen))
        options = faiss.SearchParametersHNSW(efSearch=max(self._options.hnsw_ef_search, 2 * top_k))
        if count < len(graph.seqs):
            bits = np.packbits(chosen, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            options.sel = selector
        distances, places = graph.index.search(queries, top_k, params=options)
        if bool(np.any(places < 0)):
            # The way to those that are left led through too many that are not chosen.
            return self._exact(queries, top_k, graph.rows(), graph.seqs, np.flatnonzero(chosen))
        return self._scores(distances), _seqs_at(graph.seqs, places)

    def _exact(self, queries: Floats, top_k: int, rows: Floats, seqs: Seqs, places: Seqs) -> tuple[Floats, Seqs]:
        """Compare with every one of the chosen rows."""
        if not len(places):
            return _nothing(len(queries))
        chosen = rows if len(places) == len(rows) else rows[places]
        distances, found = faiss.knn(queries, chosen, min(top_k, len(places)), metric=self._faiss_metric)
        return self._scores(distances), _seqs_at(seqs[places], found)

    def _scores(self, distances: Floats) -> Floats:
        return -np.sqrt(np.maximum(distances, 0)) if self._is_l2 else distances

    def _prepared(self, vectors: Floats) -> Floats:
        prepared = np.ascontiguousarray(vectors, np.float32)
        if self.metric is VectorMetric.COSINE and len(prepared):
            lengths = _lengths(prepared)
            is_off = ((lengths < _SHORT) | (lengths > _LONG)).ravel()
            if is_off.any():
                prepared = prepared.copy()
                largest = np.abs(prepared[is_off]).max(axis=1, keepdims=True)
                # What has no direction is as near to everything as to nothing.
                prepared[is_off] /= np.where(largest > 0, largest, 1)
                lengths[is_off] = _lengths(prepared[is_off])
            prepared = np.asarray(prepared / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
        return prepared

    def _live_seqs(self) -> Seqs:
        if self._graph is None:
            return self._seqs
        return np.concatenate([self._graph.seqs[self._graph.is_live], self._seqs])

    def _new_flat(self) -> Any:
        return faiss.IndexFlat(self.dimension, self._faiss_metric)


def _rows(flat: Any) -> Floats:
    """Return a view of a flat index's vectors; true until it changes."""
    if not flat.ntotal:
        return np.empty((0, flat.d), np.float32)
    return faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)


def _places(seqs: Seqs, wanted: Seqs) -> Seqs:
    """Return where those of the wanted seqs stand that are there; both ascending."""
    if not len(seqs) or not len(wanted):
        return _NONE
    places = np.searchsorted(seqs, wanted)
    places[places == len(seqs)] = 0
    return places[seqs[places] == wanted]


def _seqs_at(seqs: Seqs, places: Seqs) -> Seqs:
    return np.where(places < 0, NO_SEQ, seqs[places])


def _nothing(count: int) -> tuple[Floats, Seqs]:
    return np.empty((count, 0), np.float32), np.empty((count, 0), np.int64)


def _best(found: list[tuple[Floats, Seqs]], top_k: int) -> tuple[Floats, Seqs]:
    """Return the best of several results for each query."""
    if len(found) == 1:
        return found[0]
    scores = np.concatenate([one[0] for one in found], axis=1)
    seqs = np.concatenate([one[1] for one in found], axis=1)
    scores[seqs == NO_SEQ] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(seqs, order, axis=1)


def _lengths(vectors: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
