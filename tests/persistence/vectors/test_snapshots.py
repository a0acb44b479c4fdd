from __future__ import annotations

import os
from time import time
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from domain.collections import VectorMetric
from persistence.vectors import snapshots
from persistence.vectors.faiss_index import FaissIndex, IndexOptions
from persistence.vectors.snapshots import Origin, SnapshotUnusable
from tests.support.vectors import random_vectors

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = IndexOptions(flat_max=100, hnsw_m=8)
ORIGIN = Origin(uuid4().hex, 1, None, "numbers", 8, VectorMetric.COSINE)
NONE = np.empty(0, np.int64)


def index(count: int, *, is_graph: bool = False) -> FaissIndex:
    made = FaissIndex(8, VectorMetric.COSINE, OPTIONS)
    made.change(0, count, np.arange(1, count + 1), random_vectors(count), NONE)
    if is_graph:
        rebuilding = made.plan()
        assert rebuilding is not None
        while made.step(rebuilding):
            pass
        made.install(rebuilding)
        # Some beside the graph, some dead in it.
        made.change(count, count + 10, np.arange(count + 1, count + 11), random_vectors(10, seed=1), np.arange(3, 9))
    return made


def read(path: Path) -> FaissIndex:
    found = snapshots.read(path, ORIGIN, OPTIONS)
    assert found is not None
    return found


@pytest.mark.parametrize("is_graph", [False, True], ids=["flat", "graph"])
def test_what_was_written_is_read(tmp_path: Path, *, is_graph: bool) -> None:
    path = tmp_path / "new" / "a.faiss"
    written = index(200, is_graph=is_graph)
    assert snapshots.write(written, ORIGIN, path) == written.last_seq
    found = read(path)
    assert (found.last_seq, found.live, found.dead) == (written.last_seq, written.live, written.dead)
    assert found.has_graph is is_graph
    query = random_vectors(3, seed=2)
    for one, other in zip(found.search(query, 10), written.search(query, 10), strict=True):
        assert one.tolist() == other.tolist()
    assert [path.name for path in path.parent.iterdir()] == ["a.faiss"]
    found.change(found.last_seq, 500, np.arange(400, 402), random_vectors(2), np.arange(1, 3))
    assert found.live == written.live


def test_an_empty_index_can_be_written(tmp_path: Path) -> None:
    snapshots.write(index(0), ORIGIN, tmp_path / "a.faiss")
    assert read(tmp_path / "a.faiss").live == 0


def test_where_there_is_no_snapshot_there_is_none(tmp_path: Path) -> None:
    assert snapshots.read(tmp_path / "a.faiss", ORIGIN, OPTIONS) is None


@pytest.mark.parametrize(
    "other",
    [
        Origin(uuid4().hex, 1, None, "numbers", 8, VectorMetric.COSINE),
        Origin(ORIGIN.collection, 2, None, "numbers", 8, VectorMetric.COSINE),
        Origin(ORIGIN.collection, 1, "x", "numbers", 8, VectorMetric.COSINE),
        Origin(ORIGIN.collection, 1, None, "others", 8, VectorMetric.COSINE),
        Origin(ORIGIN.collection, 1, None, "numbers", 9, VectorMetric.COSINE),
        Origin(ORIGIN.collection, 1, None, "numbers", 8, VectorMetric.L2),
    ],
    ids=["collection", "generation", "connection", "model", "dimension", "metric"],
)
def test_the_snapshot_of_another_index_is_of_no_use(tmp_path: Path, other: Origin) -> None:
    snapshots.write(index(10), ORIGIN, tmp_path / "a.faiss")
    with pytest.raises(SnapshotUnusable, match="another index"):
        snapshots.read(tmp_path / "a.faiss", other, OPTIONS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_torn_or_rotten_snapshot_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.faiss"
    snapshots.write(index(150, is_graph=data.draw(st.booleans())), ORIGIN, path)
    written = path.read_bytes()
    whole = bytearray(written)
    place = data.draw(st.integers(0, len(whole) - 1))
    match data.draw(st.sampled_from(["cut", "flip", "zeros"])):
        case "cut":
            torn = whole[:place]
        case "flip":
            torn = whole
            torn[place] ^= 1 << data.draw(st.integers(0, 7))
        case _:
            torn = whole[:place] + bytes(len(whole) - place)
    # A graph may end in zeros anyway.
    assume(bytes(torn) != written)
    path.write_bytes(torn)
    with pytest.raises(SnapshotUnusable):
        snapshots.read(path, ORIGIN, OPTIONS)


def test_a_snapshot_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.faiss"
    snapshots.write(index(10), ORIGIN, path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        snapshots.write(index(20), ORIGIN, path)
    assert read(path).live == 10
    assert [one.name for one in tmp_path.iterdir()] == ["a.faiss"]


def test_what_nobody_owns_is_swept_away(tmp_path: Path) -> None:
    kept, gone = uuid4(), uuid4()
    for name in (f"{kept.hex}.faiss", f"{gone.hex}.faiss", "old.faiss.1.new", "young.faiss.2.new", "other.txt"):
        (tmp_path / name).touch()
    os.utime(tmp_path / "old.faiss.1.new", (time() - 7_200, time() - 7_200))
    snapshots.sweep(tmp_path, [kept])
    assert {path.name for path in tmp_path.iterdir()} == {f"{kept.hex}.faiss", "young.faiss.2.new", "other.txt"}
    snapshots.sweep(tmp_path / "none", [])
