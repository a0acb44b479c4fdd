from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import func, select

from domain.collections import Chunking, EmbedderSpec, NewDocument
from domain.errors import Conflict, DatabaseUnavailable, InvalidInput
from domain.filters import read_filter
from domain.ports.collections import PreparedDocument
from domain.ports.paging import PageRequest
from persistence.collections import PostgresCollections, open_vectors
from persistence.tables import chunks
from tests.support.vectors import DIMENSION, found_keys, make_collection, many, prepared, random_vectors
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from domain.collections import Collection, Document
    from domain.ports.collections import Vectors
    from persistence.database import Database

NEW_DIMENSION = 4
NEW = EmbedderSpec("other", "better")
SHORT = Chunking(max_chars=200, overlap_chars=0)
ONE = np.eye(DIMENSION, dtype=np.float32)[0]


@pytest.fixture
async def store(database: Database, tmp_path: Path) -> AsyncGenerator[PostgresCollections]:
    async with open_vectors(database, tmp_path / "indexes") as opened:
        yield opened


@pytest.fixture
async def tales(database: Database, store: PostgresCollections) -> Collection:
    collection = await make_collection(database, store)
    await store.save_documents(collection, many(random_vectors(6)))
    return collection


def cut_anew(document: Document) -> tuple[Document, Sequence[str], Vectors]:
    """Return a document in two chunks, whose vectors say by a sign which one it is."""
    number = float(document.external_id or 0)
    vectors = np.array([[1, number, 0, 0], [-1, number, 0, 0]], np.float32)
    return document, [f"{document.text} new 0", f"{document.text} new 1"], vectors


async def chunks_by_generation(database: Database) -> dict[int, int]:
    statement = select(chunks.c.generation, func.count()).group_by(chunks.c.generation)
    async with database.connection() as connection:
        rows = await connection.execute(statement)
        return {row.generation: row[1] for row in rows}


async def test_searches_answer_from_the_old_generation_until_the_new_one_takes_its_place(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    begun = await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    assert begun.is_rebuilding
    assert (begun.generation, begun.embedder, begun.dimension) == (1, tales.embedder, DIMENSION)
    async with store.rebuild(begun) as work:
        assert (work.target.generation, work.target.embedder, work.target.chunking) == (2, NEW, SHORT)
        assert [document.external_id for document in await work.pending(4)] == ["0", "1", "2", "3"]
        await work.save([cut_anew(document) for document in await work.pending(4)])
        assert not await work.finish()
        assert len(await found_keys(store, begun, ONE, 10)) == 6
        assert (await store.stats([tales.id]))[tales.id].chunks == 6
        await work.save([cut_anew(document) for document in await work.pending(4)])
        assert await work.pending(4) == []
        assert await work.finish()
    after = await store.find_by_name(tales.workspace_id, "tales")
    assert after is not None
    assert (after.generation, after.embedder, after.dimension, after.chunking) == (2, NEW, NEW_DIMENSION, SHORT)
    assert not after.is_rebuilding
    assert (await store.stats([tales.id]))[tales.id].chunks == 12
    assert await chunks_by_generation(database) == {2: 12}
    assert await found_keys(store, after, np.array([1, 5, 0, 0], np.float32), 1) == ["5"]
    with pytest.raises(Conflict, match="4 numbers, by better"):
        await store.search(tales, ONE.reshape(1, -1), 5)
    with pytest.raises(Conflict, match="rebuilt"):
        await store.save_documents(tales, [prepared("x", ONE)])


async def test_what_is_written_meanwhile_is_in_both_generations(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    begun = await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    async with store.rebuild(begun) as work:
        read = await work.pending(10)
        await work.save([cut_anew(document) for document in read[:3]])
        # 0 was cut anew already, 4 was only read; 1 gets new metadata alone, 5 goes.
        await store.save_documents(begun, [prepared("0", ONE, text="zero"), prepared("4", ONE, text="four")])
        await store.save_documents(begun, [PreparedDocument(NewDocument("1", "1", {"m": 1}), None, None)])
        await store.remove_documents(begun, [], ["5"], None)
        await work.save([cut_anew(document) for document in read[3:]])
        assert {(document.external_id, document.text) for document in await work.pending(10)} == {
            ("0", "zero"),
            ("4", "four"),
        }
        assert not await work.finish()
        await work.save([cut_anew(document) for document in await work.pending(10)])
        assert await work.finish()
    after = await store.find_by_name(tales.workspace_id, "tales")
    assert after is not None
    assert await chunks_by_generation(database) == {2: 10}
    query = np.array([1, 0, 0, 0], np.float32)
    assert sorted(await found_keys(store, after, query, 20)) == sorted(["0", "1", "2", "3", "4"] * 2)
    assert await found_keys(store, after, query, 1, condition=read_filter({"path": "m", "eq": 1})) == ["1"]
    document = await store.find_document(after.id, "0")
    assert document is not None
    assert [chunk.text for chunk in (await store.page_chunks([document.id], PageRequest(5)))[document.id].items] == [
        "zero new 0",
        "zero new 1",
    ]


async def test_one_process_at_a_time_rebuilds_and_another_goes_on_where_it_stopped(
    store: PostgresCollections, tales: Collection
) -> None:
    begun = await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    assert await store.interrupted_rebuilds() == [begun]
    with pytest.raises(Conflict, match="already"):
        await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    async with store.rebuild(begun) as work:
        assert await store.interrupted_rebuilds() == []
        with pytest.raises(Conflict, match="Another process"):
            await AsyncExitStack().enter_async_context(store.rebuild(begun))
        await work.save([cut_anew(document) for document in await work.pending(4)])
    assert await store.interrupted_rebuilds() == [begun]
    async with store.rebuild(begun) as work:
        assert [document.external_id for document in await work.pending(10)] == ["4", "5"]
        await work.save([cut_anew(document) for document in await work.pending(10)])
        assert await work.finish()
    assert await store.interrupted_rebuilds() == []
    with pytest.raises(Conflict, match="not being rebuilt"):
        await AsyncExitStack().enter_async_context(store.rebuild(begun))


async def test_a_rebuild_that_failed_is_replaced_and_what_it_wrote_goes(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    begun = await store.begin_rebuild(tales, EmbedderSpec(None, "gone"), DIMENSION, SHORT)
    async with store.rebuild(begun) as stale:
        [first, second] = await stale.pending(2)
        await stale.save([(first, ["a"], ONE.reshape(1, -1))])
        await stale.note_fault("MODEL_REFUSED")
        await stale.save([(second, ["b"], ONE.reshape(1, -1))])
        again = await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
        for late in (stale.save([(first, ["c"], ONE.reshape(1, -1))]), stale.finish(), stale.note_fault("LATE")):
            with pytest.raises(Conflict, match="took this one's place"):
                await late
    with pytest.raises(Conflict, match="already"):
        await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    async with store.rebuild(again) as work:
        await work.save([cut_anew(document) for document in await work.pending(10)])
        assert await work.finish()
        new = work.target
    assert [
        (one.embedder, one.generation) for one in await store.list_by_id(frozenset({tales.workspace_id}), [tales.id])
    ] == [(NEW, new.generation)]
    assert await chunks_by_generation(database) == {new.generation: 12}


async def test_vectors_of_another_length_are_refused_in_a_rebuild(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    begun = await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    async with store.rebuild(begun) as work:
        [document] = await work.pending(1)
        with pytest.raises(InvalidInput, match="have 8 numbers"):
            await work.save([(document, ["a"], ONE.reshape(1, -1))])
        assert len(await work.pending(10)) == 6
    assert await chunks_by_generation(database) == {1: 6}


async def test_a_rebuild_that_lost_its_lock_writes_no_more(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    begun = await store.begin_rebuild(tales, NEW, NEW_DIMENSION, SHORT)
    async with store.rebuild(begun) as work:
        documents = await work.pending(10)
        assert work._connection is not None
        work._connection.terminate()
        await until(lambda: work._connection is None or work._connection.is_closed())
        with pytest.raises(DatabaseUnavailable):
            await work.save([cut_anew(document) for document in documents])
        with pytest.raises(DatabaseUnavailable):
            await work.finish()
    assert await chunks_by_generation(database) == {1: 6}
