from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from domain.collections import IndexKind
from domain.errors import Conflict
from persistence.collections import PostgresCollections, open_vectors
from persistence.vectors.faiss_index import IndexOptions
from persistence.vectors.live_indexes import VectorOptions
from tests.support.vectors import found_keys, make_collection, random_vectors, save_many
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from domain.collections import Collection
    from persistence.database import Database

EAGER = VectorOptions(IndexOptions(flat_max=300, hnsw_m=8), snapshot_after=100)
QUERY = random_vectors(1, seed=77)[0]


async def files(directory: Path) -> list[Path]:
    return await asyncio.to_thread(lambda: sorted(directory.glob("*.faiss")))


async def filled(database: Database, store: PostgresCollections, count: int) -> Collection:
    collection = await make_collection(database, store)
    await save_many(store, collection, random_vectors(count))
    return collection


async def searched(database: Database, directory: Path, count: int) -> tuple[Collection, list[str]]:
    """Open, fill, search and close; return what a query finds."""
    async with open_vectors(database, directory) as store:
        collection = await filled(database, store, count)
        return collection, await found_keys(store, collection, QUERY, 10)


async def written(database: Database, directory: Path, count: int = 1_200) -> tuple[Collection, Path, list[str]]:
    """Return a collection with a snapshot, and what a query finds in it."""
    collection, keys = await searched(database, directory, count)
    [path] = await files(directory)
    return collection, path, keys


async def test_an_index_is_written_at_the_end_and_followed_from_there(database: Database, tmp_path: Path) -> None:
    collection, path, keys = await written(database, tmp_path)
    with capture_logs() as logs:
        async with open_vectors(database, tmp_path) as store:
            await store.remove_documents(collection, [], keys[:3], None)
            await save_many(store, collection, QUERY.reshape(1, -1), first=5_000)
            assert await found_keys(store, collection, QUERY, 8) == ["5000", *keys[3:]]
            # Rows that the snapshot has are not read again: they can be wrong.
            async with database.connection() as connection:
                await connection.execute(text("UPDATE chunks SET embedding = '' WHERE seq <= 1200"))
            async with open_vectors(database, tmp_path) as other:
                assert await found_keys(other, collection, QUERY, 8) == ["5000", *keys[3:]]
    assert logs == []
    assert await files(tmp_path) == [path]


@pytest.mark.parametrize("damage", ["torn", "empty", "rotten"])
async def test_a_damaged_snapshot_is_made_good_from_the_rows_with_a_warning(
    database: Database, tmp_path: Path, damage: str
) -> None:
    collection, path, keys = await written(database, tmp_path)
    whole = await asyncio.to_thread(path.read_bytes)
    middle = len(whole) // 2
    torn = {"torn": whole[:middle], "empty": b"", "rotten": whole[:middle] + b"?" + whole[middle + 1 :]}[damage]
    await asyncio.to_thread(path.write_bytes, torn)
    with capture_logs() as logs:
        async with open_vectors(database, tmp_path) as store:
            assert await found_keys(store, collection, QUERY, 10) == keys
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("vectors.snapshot_unusable", "warning"),
        ("vectors.read_from_rows", "info"),
    ]
    async with open_vectors(database, tmp_path) as store:
        assert await found_keys(store, collection, QUERY, 10) == keys


async def test_a_snapshot_of_a_later_time_than_the_database_is_not_believed(database: Database, tmp_path: Path) -> None:
    collection, _, keys = await written(database, tmp_path)
    async with database.connection() as connection:
        # As after a backup was put back.
        await connection.execute(text("DELETE FROM chunks WHERE seq > 600"))
        await connection.execute(text("UPDATE collections SET last_seq = 600"))
    with capture_logs() as logs:
        async with open_vectors(database, tmp_path) as store:
            found = await found_keys(store, collection, QUERY, 10)
    assert found[:3] == [key for key in keys if int(key) < 600][:3]
    assert [log["reason"] for log in logs] == ["it is of another time"]


async def test_an_index_older_than_the_removals_that_are_kept_is_read_anew(database: Database, tmp_path: Path) -> None:
    async with open_vectors(database, tmp_path / "a") as store, open_vectors(database, tmp_path / "b") as other:
        collection = await filled(database, store, 50)
        keys = await found_keys(other, collection, QUERY, 50)
        await store.remove_documents(collection, [], keys[:10], None)
        async with database.connection() as connection:
            await connection.execute(text("UPDATE chunk_removals SET at = at - interval '25 hours'"))
        await store.remove_documents(collection, [], keys[10:11], None)
        async with database.connection() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM chunk_removals"))).scalar_one() == 1
        assert await found_keys(other, collection, QUERY, 50) == keys[11:]
        assert await found_keys(store, collection, QUERY, 50) == keys[11:]


async def test_a_graph_and_a_snapshot_are_made_beside_searches(database: Database, tmp_path: Path) -> None:
    async with open_vectors(database, tmp_path, EAGER) as store:
        collection = await filled(database, store, 400)
        keys = await found_keys(store, collection, QUERY, 400)
        assert len(set(keys)) == 400
        _, index = await store._indexes.synced(collection.id)
        await until(lambda: index.has_graph)
        await until(lambda: asyncio.to_thread(lambda: bool(list(tmp_path.glob("*.faiss")))))
        assert (await store.stats([collection.id]))[collection.id].index_kind is IndexKind.HNSW
        await store.remove_documents(collection, [], keys[:30], None)
        assert (await store.stats([collection.id]))[collection.id].dead == 30
        assert set(await found_keys(store, collection, QUERY, 400)) == set(keys[30:])
        await store.remove_documents(collection, [], keys[30:90], None)
        assert (await store.stats([collection.id]))[collection.id].dead == 0
        assert set(await found_keys(store, collection, QUERY, 400)) == set(keys[90:])
        await until(lambda: index.dead == 0)
        assert set(await found_keys(store, collection, QUERY, 400)) == set(keys[90:])


async def test_what_was_not_searched_for_the_longest_time_makes_room(database: Database, tmp_path: Path) -> None:
    tight = VectorOptions(max_memory_bytes=100_000)
    async with open_vectors(database, tmp_path, tight) as store:
        collections = [await filled(database, store, 1_100) for _ in range(3)]
        found = [await found_keys(store, collection, QUERY, 5) for collection in collections]
        await until(lambda: list(store._indexes._held) == [collection.id for collection in collections[1:]])
        assert len(await files(tmp_path)) == 1
        assert [await found_keys(store, collection, QUERY, 5) for collection in collections] == found


async def test_a_collection_that_is_deleted_while_room_is_made_is_not_missed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_vectors(database, tmp_path) as store:
        collections = [await filled(database, store, 10) for _ in range(3)]
        for collection in collections:
            await found_keys(store, collection, QUERY, 5)
        indexes = store._indexes

        async def deleting(*_: object) -> None:
            await store.remove(collections[1])

        monkeypatch.setattr(indexes, "_save", deleting)
        monkeypatch.setattr(indexes, "_options", VectorOptions(max_memory_bytes=1))
        await indexes._make_room()
        assert list(indexes._held) == [collections[2].id]


async def test_many_searches_at_once_read_the_rows_once(database: Database, tmp_path: Path) -> None:
    async with open_vectors(database, tmp_path) as store:
        collection = await filled(database, store, 300)
        found = await asyncio.gather(*(found_keys(store, collection, QUERY, 20) for _ in range(30)))
        assert len(found[0]) == len(set(found[0])) == 20
        assert all(one == found[0] for one in found)
        _, index = await store._indexes.synced(collection.id)
        assert index.live == 300


async def test_a_cancelled_search_leaves_an_index_that_can_be_searched(database: Database, tmp_path: Path) -> None:
    async with open_vectors(database, tmp_path) as store:
        collection = await filled(database, store, 300)
        for turns in range(0, 30, 3):
            search = asyncio.create_task(found_keys(store, collection, QUERY, 20))
            for _ in range(turns):
                await asyncio.sleep(0)
            search.cancel()
            await asyncio.gather(search, return_exceptions=True)
            await save_many(store, collection, random_vectors(10, seed=turns), first=1_000 + turns * 10)
        _, index = await store._indexes.synced(collection.id)
        assert index.live == 400
        assert len(set(await found_keys(store, collection, QUERY, 100))) == 100


async def test_a_search_with_a_collection_from_before_a_rebuild_says_so(database: Database, tmp_path: Path) -> None:
    async with open_vectors(database, tmp_path) as store:
        collection = await filled(database, store, 1)
        begun = await store.begin_rebuild(collection, collection.embedder, 3, collection.chunking)
        async with store.rebuild(begun) as work:
            [document] = await work.pending(5)
            await work.save([(document, ["a"], np.ones((1, 3), np.float32))])
            assert await work.finish()
        with pytest.raises(Conflict, match="3 numbers"):
            await found_keys(store, collection, QUERY, 5)


async def test_a_disk_that_is_full_costs_a_snapshot_and_nothing_else(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("persistence.vectors.snapshots.os.fsync", full)
    with capture_logs() as logs:
        _, keys = await searched(database, tmp_path, 1_200)
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["vectors.snapshots_unfinished"]
    assert (await files(tmp_path), len(keys)) == ([], 10)
