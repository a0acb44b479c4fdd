from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.collections import VectorMetric
from persistence.vectors import faiss_index
from persistence.vectors.faiss_index import NO_SEQ, FaissIndex, IndexOptions
from tests.support.vectors import clustered_vectors, exact_order, random_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.ports.collections import Vectors

SMALL = IndexOptions(flat_max=50, hnsw_m=8)
NONE = np.empty(0, np.int64)


class Model:
    """An index, and what it should hold."""

    def __init__(self, metric: VectorMetric = VectorMetric.COSINE, options: IndexOptions = SMALL, dim: int = 8) -> None:
        self.index = FaissIndex(dim, metric, options)
        self.vectors: dict[int, Vectors] = {}

    def change(self, vectors: Vectors, removed: Iterable[int] = ()) -> None:
        after = self.index.last_seq
        seqs = np.arange(after + 1, after + 1 + len(vectors))
        gone = np.array(list(removed), np.int64)
        self.index.change(after, after + len(vectors) + 1, seqs, vectors, gone)
        self.vectors |= dict(zip(seqs.tolist(), vectors, strict=True))
        for seq in gone.tolist():
            self.vectors.pop(seq, None)

    def rebuild(self) -> bool:
        rebuilding = self.index.plan()
        if rebuilding is None:
            return False
        while self.index.step(rebuilding):
            pass
        self.index.install(rebuilding)
        return True

    def nearest(self, query: Vectors, top_k: int, among: set[int] | None = None) -> list[int]:
        seqs = [seq for seq in self.vectors if among is None or seq in among]
        if not seqs:
            return []
        order, _ = exact_order(np.array([self.vectors[seq] for seq in seqs]), query, self.index.metric)
        return [seqs[place] for place in order[:top_k]]

    def found(self, query: Vectors, top_k: int, among: set[int] | None = None) -> list[int]:
        chosen = None if among is None else np.array(sorted(among), np.int64)
        _, seqs = self.index.search(query.reshape(1, -1), top_k, chosen)
        return [seq for seq in seqs[0].tolist() if seq != NO_SEQ]


@pytest.mark.parametrize("metric", list(VectorMetric))
def test_a_flat_index_finds_exactly_what_is_nearest(metric: VectorMetric) -> None:
    model = Model(metric, IndexOptions())
    model.change(random_vectors(200))
    model.change(random_vectors(100, seed=1), range(1, 120, 3))
    for query in random_vectors(5, seed=2):
        assert model.found(query, 10) == model.nearest(query, 10)
        among = set(range(50, 300, 7))
        assert model.found(query, 10, among) == model.nearest(query, 10, among)
    assert (model.index.live, model.index.dead) == (len(model.vectors), 0)


@pytest.mark.parametrize("metric", list(VectorMetric))
def test_a_graph_finds_nearly_always_what_is_nearest(metric: VectorMetric) -> None:
    model = Model(metric, IndexOptions(flat_max=100), 32)
    model.change(clustered_vectors(3_000, 32, clusters=60))
    assert model.rebuild()
    assert model.index.has_graph
    hits = 0
    for query in clustered_vectors(50, 32, seed=3, clusters=60):
        hits += len(set(model.found(query, 10)) & set(model.nearest(query, 10)))
    assert hits >= 0.95 * 500


def test_what_is_removed_never_takes_a_place_of_what_is_left() -> None:
    model = Model(options=IndexOptions(flat_max=100), dim=32)
    model.change(clustered_vectors(3_000, 32, clusters=60))
    model.rebuild()
    numbers = np.random.default_rng(5)
    # Less than what makes the graph be built anew, and the neighbourhood of a query as a whole.
    query = clustered_vectors(1, 32, seed=9, clusters=60)[0]
    model.change(random_vectors(0, 32), model.nearest(query, 100))
    model.change(random_vectors(0, 32), numbers.choice(sorted(model.vectors), 400, replace=False).tolist())
    assert model.index.dead == 500
    for one in [query, *clustered_vectors(30, 32, seed=4, clusters=60)]:
        found = model.found(one, 50)
        assert len(set(found)) == 50
        assert set(found) <= set(model.vectors)
    assert set(model.found(query, 20)) & set(model.nearest(query, 20))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5])
def test_a_choice_of_vectors_is_searched_whatever_its_size(share: float) -> None:
    model = Model(options=IndexOptions(flat_max=100), dim=32)
    model.change(clustered_vectors(3_000, 32, clusters=60))
    model.rebuild()
    model.change(clustered_vectors(50, 32, seed=8, clusters=60))
    among = set(np.random.default_rng(6).choice(sorted(model.vectors), int(3_000 * share), replace=False).tolist())
    hits = wanted = 0
    for query in clustered_vectors(20, 32, seed=7, clusters=60):
        found, nearest = model.found(query, 10, among), model.nearest(query, 10, among)
        assert len(found) == len(nearest)
        assert set(found) <= among
        hits, wanted = hits + len(set(found) & set(nearest)), wanted + len(nearest)
    assert hits >= (0.95 if share == 0.5 else 1) * wanted


def test_a_graph_with_many_dead_is_built_without_them_and_a_small_one_becomes_flat_again() -> None:
    model = Model()
    model.change(random_vectors(200))
    assert model.rebuild()
    model.change(random_vectors(0), range(1, 41))
    assert not model.rebuild(), "a fifth may be dead"
    model.change(random_vectors(0), [41])
    assert model.rebuild()
    assert (model.index.live, model.index.dead, model.index.has_graph) == (159, 0, True)
    model.change(random_vectors(0), range(42, 160))
    assert model.rebuild()
    assert (model.index.live, model.index.dead, model.index.has_graph) == (41, 0, False)
    query = random_vectors(1, seed=3)[0]
    assert model.found(query, 50) == model.nearest(query, 50)
    model.change(random_vectors(0), list(model.vectors))
    assert model.found(query, 50) == []


def test_an_index_that_somebody_else_brought_on_is_not_changed_twice() -> None:
    index = FaissIndex(8, VectorMetric.COSINE, SMALL)
    seqs = np.arange(1, 4)
    index.change(0, 3, seqs, random_vectors(3), NONE)
    index.change(0, 3, seqs, random_vectors(3), NONE)
    assert (index.live, index.last_seq) == (3, 3)


@pytest.mark.parametrize("factor", [1e-40, 1e-25, 1e15, 1e30, 1e37])
def test_a_direction_is_found_however_long_its_vector_is(factor: float) -> None:
    query = random_vectors(1, seed=3)
    index = FaissIndex(8, VectorMetric.COSINE, SMALL)
    vectors = np.concatenate([random_vectors(3), query, query])
    vectors[3] *= np.float32(factor)
    index.change(0, 5, np.arange(1, 6), vectors, NONE)
    for asked in (query, query * np.float32(factor)):
        scores, seqs = index.search(asked, 2)
        assert set(seqs[0].tolist()) == {4, 5}
        assert scores[0] == pytest.approx([1, 1], abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 40), st.sampled_from(["", "build", "late", "absorb"])), max_size=8
    )
)
def test_whatever_happens_meanwhile_exactly_what_is_live_is_found(steps: list[tuple[int, int, str]]) -> None:
    model = Model()
    numbers = np.random.default_rng(len(steps))
    for place, (added, removed, then) in enumerate(steps):
        rebuilding = model.index.plan() if then == "late" else None
        if rebuilding is not None:
            model.index.step(rebuilding)
        gone: list[int] = numbers.permutation(sorted(model.vectors))[:removed].tolist()
        model.change(random_vectors(added, seed=place), gone)
        if rebuilding is not None:
            while model.index.step(rebuilding):
                pass
            model.index.install(rebuilding)
        if then == "build":
            model.rebuild()
        if then == "absorb":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(faiss_index, "_MAX_BESIDE_GRAPH", 10)
                while model.index.absorb():
                    pass
        assert model.index.live == len(model.vectors)
        assert model.index.live_seqs().tolist() == sorted(model.vectors)
        query = random_vectors(1, seed=99)[0]
        everything = model.found(query, len(model.vectors) + 1)
        assert sorted(everything) == sorted(model.vectors)
        among = set(sorted(model.vectors)[::9])
        assert model.found(query, 5, among) == model.nearest(query, 5, among)


def test_readers_and_a_writer_share_an_index() -> None:
    model = Model(options=IndexOptions(flat_max=200))
    model.change(random_vectors(300))
    stop = threading.Event()
    faults: list[BaseException] = []

    def read(seed: int) -> None:
        try:
            query = random_vectors(1, seed=seed)
            while not stop.is_set():
                _, seqs = model.index.search(query, 20)
                assert len(set(seqs[0].tolist())) == 20
        except BaseException as error:  # noqa: BLE001 -- told below
            faults.append(error)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for place in range(100):
        model.change(random_vectors(20, seed=place), sorted(model.vectors)[:18])
        if place % 20 == 0:
            model.rebuild()
    stop.set()
    for thread in threads:
        thread.join(20)
    assert faults == []
    assert model.index.live_seqs().tolist() == sorted(model.vectors)
