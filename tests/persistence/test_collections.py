from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import func, select
from uuid_utils.compat import uuid7

from domain.collections import CollectionStats, IndexKind, NewDocument, VectorMetric
from domain.errors import AlreadyExists, Conflict, CursorInvalid, InvalidInput, NotFound
from domain.filters import read_filter
from domain.ids import CollectionId, DocumentId
from domain.ports.collections import PreparedDocument
from domain.ports.paging import PageRequest
from persistence.collections import PostgresCollections, open_vectors
from persistence.tables import chunk_removals, chunks, collections, documents
from tests.support.identity import make_principal
from tests.support.listed import sole
from tests.support.vectors import (
    DIMENSION,
    exact_order,
    found_keys,
    make_collection,
    many,
    prepared,
    random_vectors,
    save_many,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.collections import Collection
    from persistence.database import Database

ONE, TWO, THREE = np.eye(DIMENSION, dtype=np.float32)[:3]


@pytest.fixture
async def store(database: Database, tmp_path: Path) -> AsyncGenerator[PostgresCollections]:
    async with open_vectors(database, tmp_path / "indexes") as opened:
        yield opened


@pytest.fixture
async def tales(database: Database, store: PostgresCollections) -> Collection:
    return await make_collection(database, store)


async def count(database: Database, table: Any) -> int:
    async with database.connection() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


# ── collections ──


async def test_a_collection_is_found_again_as_it_was_stored(store: PostgresCollections, tales: Collection) -> None:
    home = tales.workspace_id
    assert await store.find_by_name(home, "tales") == tales
    assert await store.list_by_id(frozenset({home}), [tales.id]) == [tales]
    assert await store.names(home) == {"tales"}
    assert await sole(store.count_by_workspace([home])) == 1
    assert (await sole(store.page_by_workspace([home], PageRequest(10)))).items == [tales]


async def test_another_workspace_sees_nothing_of_a_collection(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    [document] = await store.save_documents(tales, [prepared("a", ONE)])
    chunk = (await store.page_chunks([document.id], PageRequest(10)))[document.id].items[0]
    elsewhere = next(iter((await make_principal(database)).roles))
    assert await store.find_by_name(elsewhere, "tales") is None
    assert await store.list_by_id(frozenset({elsewhere}), [tales.id]) == []
    assert await store.list_documents(frozenset({elsewhere}), [document.id]) == []
    assert await store.list_chunks(frozenset({elsewhere}), [chunk.id]) == []
    assert await store.list_chunks(frozenset({tales.workspace_id}), [chunk.id]) == [chunk]
    with pytest.raises(NotFound):
        await store.save_documents(replace(tales, workspace_id=elsewhere), [prepared("b", TWO)])
    await store.remove(replace(tales, workspace_id=elsewhere))
    assert await sole(store.count_documents([tales.id], None)) == 1


async def test_a_name_is_taken_once_in_a_workspace(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    with pytest.raises(AlreadyExists):
        await store.add(replace(tales, id=CollectionId(uuid7())))
    assert await count(database, collections) == 1


async def test_a_collection_goes_with_everything_in_it(
    database: Database, store: PostgresCollections, tales: Collection, tmp_path: Path
) -> None:
    await store.save_documents(tales, many(random_vectors(20)))
    await store.remove_documents(tales, [], ["3"], None)
    await store.search(tales, random_vectors(1), 5)
    await store.remove(tales)
    for table in (collections, documents, chunks, chunk_removals):
        assert await count(database, table) == 0
    assert await asyncio.to_thread(lambda: list(tmp_path.glob("indexes/*"))) == []
    with pytest.raises(NotFound):
        await store.search(tales, random_vectors(1), 5)
    with pytest.raises(NotFound):
        await store.save_documents(tales, [prepared("a", ONE)])


# ── documents ──


async def test_documents_come_back_in_the_order_given_and_the_last_of_a_key_wins(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    given = [prepared("b", ONE), prepared("a", TWO, text="first"), prepared("a", THREE, text="second")]
    saved = await store.save_documents(tales, given)
    assert [(document.external_id, document.text) for document in saved] == [
        ("b", "b"),
        ("a", "second"),
        ("a", "second"),
    ]
    assert saved[1] == saved[2] == await store.find_document(tales.id, "a")
    assert await count(database, documents) == await count(database, chunks) == 2


async def test_a_document_is_replaced_with_all_its_chunks_and_keeps_its_id(
    store: PostgresCollections, tales: Collection
) -> None:
    [before] = await store.save_documents(tales, [prepared("a", ONE, TWO, text="long")])
    [after] = await store.save_documents(tales, [prepared("a", THREE, text="short")])
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert after.updated_at > before.updated_at
    assert [chunk.text for chunk in (await store.page_chunks([after.id], PageRequest(10)))[after.id].items] == [
        "short 0"
    ]
    assert await store.count_chunks([after.id]) == {after.id: 1}
    matches = (await store.search(tales, ONE.reshape(1, -1), 10))[0]
    assert [(match.chunk.text, match.score) for match in matches] == [("short 0", 0.0)]
    assert (await store.stats([tales.id]))[tales.id] == CollectionStats(1, 1, 1, 0, IndexKind.FLAT)


async def test_a_document_without_a_key_is_known_by_its_text(store: PostgresCollections, tales: Collection) -> None:
    given = PreparedDocument(NewDocument(None, "once", {"n": 1}), ["once"], np.array([ONE]))
    [first] = await store.save_documents(tales, [given])
    [second] = await store.save_documents(
        tales, [PreparedDocument(NewDocument(None, "once", {"n": 2}), ["once"], np.array([ONE]))]
    )
    assert first.id == second.id
    assert second.metadata == {"n": 2}
    assert await sole(store.count_documents([tales.id], None)) == 1


async def test_new_metadata_alone_embeds_nothing_again_and_is_what_filters_see(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    [before] = await store.save_documents(tales, [prepared("a", ONE, metadata={"lang": "en"})])
    chunk_ids = [chunk.id for chunk in (await store.page_chunks([before.id], PageRequest(10)))[before.id].items]
    new = NewDocument("a", "a", {"lang": "de"})
    assert await store.unchanged(tales, [new, NewDocument("a", "other", {}), NewDocument("b", "a", {})]) == [
        True,
        False,
        False,
    ]
    [after] = await store.save_documents(tales, [PreparedDocument(new, None, None)])
    assert (after.id, after.metadata) == (before.id, {"lang": "de"})
    assert [chunk.id for chunk in (await store.page_chunks([before.id], PageRequest(10)))[before.id].items] == chunk_ids
    for lang, keys in (("de", ["a"]), ("en", [])):
        condition = read_filter({"path": "lang", "eq": lang})
        assert await found_keys(store, tales, ONE, 5, condition=condition) == keys
    assert await count(database, chunk_removals) == 0


async def test_a_document_that_is_not_as_it_was_thought_to_be_is_prepared_again(
    database: Database, store: PostgresCollections, tales: Collection
) -> None:
    await store.save_documents(tales, [prepared("a", ONE, text="new")])
    for new in (NewDocument("a", "old", {"n": 1}), NewDocument("gone", "new", {})):
        with pytest.raises(Conflict):
            await store.save_documents(tales, [prepared("b", TWO), PreparedDocument(new, None, None)])
    assert await count(database, documents) == 1
    assert await found_keys(store, tales, TWO, 5) == ["a"]


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.zeros((1, DIMENSION + 1), np.float32), "have 9 numbers; the collection's have 8"),
        (np.full((1, DIMENSION), np.nan, np.float32), "not finite"),
        (np.full((1, DIMENSION), np.inf, np.float32), "not finite"),
        (np.zeros((2, DIMENSION), np.float32), "2 vectors for 1 chunks"),
        (np.zeros((1, DIMENSION), np.float64), "float64"),
        (np.zeros(DIMENSION, np.float32), "vectors have 8 numbers"),
    ],
    ids=["dimension", "NaN", "infinity", "count", "type", "shape"],
)
async def test_vectors_that_cannot_be_are_refused_before_anything_is_written(
    database: Database, store: PostgresCollections, tales: Collection, vectors: Any, words: str
) -> None:
    given = [prepared("good", ONE), PreparedDocument(NewDocument("bad", "bad", {}), ["bad"], vectors)]
    with pytest.raises(InvalidInput, match=words) as caught:
        await store.save_documents(tales, given)
    assert caught.value.path == ["documents", "1"]
    assert await count(database, documents) == 0
    assert (await store.stats([tales.id]))[tales.id].documents == 0


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["NUL", "half a pair"])
async def test_a_text_that_cannot_be_stored_is_refused(
    database: Database, store: PostgresCollections, tales: Collection, text: str
) -> None:
    for given in (prepared("a", ONE, text=text), prepared("a", ONE, metadata={"m": text})):
        with pytest.raises(InvalidInput) as caught:
            await store.save_documents(tales, [prepared("good", ONE), given])
        assert caught.value.path == ["documents", "1"]
    assert await count(database, documents) == 0


async def test_documents_are_deleted_by_any_of_what_is_given(
    store: PostgresCollections, tales: Collection, database: Database
) -> None:
    saved = await store.save_documents(tales, many(random_vectors(6)))
    await store.save_documents(tales, [prepared("x", ONE, metadata={"old": True})])
    condition = read_filter({"path": "old", "eq": True})
    assert await store.remove_documents(tales, [saved[0].id], ["1", "nobody's"], condition) == 3
    assert await store.remove_documents(tales, [], [], None) == 0
    assert await store.remove_documents(tales, [saved[0].id], [], None) == 0
    assert sorted(await found_keys(store, tales, ONE, 10)) == ["2", "3", "4", "5"]
    assert (await store.stats([tales.id]))[tales.id] == CollectionStats(4, 4, 4, 0, IndexKind.FLAT)


async def test_documents_are_paged_newest_first_and_filtered(store: PostgresCollections, tales: Collection) -> None:
    await store.save_documents(tales, [prepared(str(n), ONE, metadata={"n": n}) for n in range(7)])
    condition = read_filter({"path": "n", "gte": 2})
    first = await sole(store.page_documents([tales.id], condition, PageRequest(3)))
    second = await sole(store.page_documents([tales.id], condition, PageRequest(3, after=first.cursors[-1])))
    assert [document.external_id for document in first.items] == ["6", "5", "4"]
    assert [document.external_id for document in second.items] == ["3", "2"]
    assert await sole(store.count_documents([tales.id], condition)) == 5
    with pytest.raises(CursorInvalid):
        await sole(store.page_documents([tales.id], None, PageRequest(3, after="nonsense")))


async def test_chunks_are_paged_in_the_order_of_the_text_of_each_document(
    store: PostgresCollections, tales: Collection
) -> None:
    long, short = await store.save_documents(tales, [prepared("a", *random_vectors(12)), prepared("b", ONE)])
    ids = [short.id, long.id]

    async def read(request: PageRequest) -> tuple[list[str], list[str], tuple[bool, bool]]:
        pages = await store.page_chunks(ids, request)
        texts = [[chunk.text for chunk in pages[one].items] for one in ids]
        return texts[0], texts[1], (pages[long.id].has_previous, pages[long.id].has_next)

    assert await read(PageRequest(5)) == (["b 0"], [f"a {place}" for place in range(5)], (False, True))
    after = (await store.page_chunks(ids, PageRequest(5)))[long.id].cursors[-1]
    assert await read(PageRequest(20, after)) == ([], [f"a {place}" for place in range(5, 12)], (True, False))
    assert await read(PageRequest(2, is_backward=True)) == (["b 0"], ["a 10", "a 11"], (True, False))
    gone = DocumentId(uuid7())
    assert await store.count_chunks([*ids, gone]) == {short.id: 1, long.id: 12, gone: 0}
    with pytest.raises(CursorInvalid):
        await read(PageRequest(5, after="none"))


# ── finding ──


@pytest.mark.parametrize("metric", list(VectorMetric))
async def test_the_nearest_chunks_come_first_with_their_scores(
    database: Database, store: PostgresCollections, metric: VectorMetric
) -> None:
    collection = await make_collection(database, store, metric=metric)
    vectors, queries = random_vectors(300), random_vectors(5, seed=1)
    await save_many(store, collection, vectors)
    for query, matches in zip(queries, await store.search(collection, queries, 10), strict=True):
        order, scores = exact_order(vectors, query, metric)
        assert [int(match.document.external_id or "") for match in matches] == order[:10]
        assert [match.score for match in matches] == pytest.approx([scores[place] for place in order[:10]], abs=1e-5)
        [few] = await store.search(collection, query.reshape(1, -1), 10, None, float(scores[order[3]]) - 1e-4)
        assert len(few) == 4


async def test_a_document_comes_once_with_all_of_its_chunks_that_are_found(
    store: PostgresCollections, tales: Collection
) -> None:
    whole = PreparedDocument(NewDocument("whole", "alone", {"n": 2}), ["alone"], TWO.reshape(1, -1))
    saved = await store.save_documents(tales, [prepared("a", ONE, TWO, ONE), whole, prepared("b", TWO, ONE)])
    [found] = await store.search(tales, ONE.reshape(1, -1), 10)
    texts: dict[str | None, list[str]] = {document.external_id: [] for document in saved}
    for match in sorted(found, key=lambda match: match.chunk.position):
        texts[match.document.external_id].append(match.chunk.text)
        assert match.chunk.document_id == match.document.id
        assert match.document in saved
    assert texts == {"a": ["a 0", "a 1", "a 2"], "whole": ["alone"], "b": ["b 0", "b 1"]}
    assert len({id(match.document) for match in found}) == 3


async def test_what_has_no_direction_is_found_too(store: PostgresCollections, tales: Collection) -> None:
    await store.save_documents(tales, [prepared("zero", np.zeros(DIMENSION, np.float32)), prepared("one", ONE)])
    [matches] = await store.search(tales, ONE.reshape(1, -1), 5)
    assert [(match.document.external_id, match.score) for match in matches] == [("one", 1.0), ("zero", 0.0)]
    [matches] = await store.search(tales, np.zeros((1, DIMENSION), np.float32), 5)
    assert [match.score for match in matches] == [0.0, 0.0]


async def test_an_empty_collection_answers_with_nothing(store: PostgresCollections, tales: Collection) -> None:
    assert await store.search(tales, random_vectors(3), 5) == [[], [], []]


async def test_a_filter_is_applied_before_the_search(store: PostgresCollections, tales: Collection) -> None:
    vectors = random_vectors(400)
    await store.save_documents(
        tales,
        [prepared(str(place), vector, metadata={"five": place % 80 == 3}) for place, vector in enumerate(vectors)],
    )
    condition = read_filter({"path": "five", "eq": True})
    order, _ = exact_order(vectors, ONE, VectorMetric.COSINE)
    wanted = [str(place) for place in order if place % 80 == 3]
    assert await found_keys(store, tales, ONE, 10, condition=condition) == wanted
    assert await found_keys(store, tales, ONE, 2, condition=condition) == wanted[:2]
    assert await found_keys(store, tales, ONE, 2, condition=read_filter({"path": "none", "eq": 1})) == []


async def test_a_query_that_cannot_be_is_refused(store: PostgresCollections, tales: Collection) -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        await store.search(tales, np.full((1, DIMENSION), np.nan, np.float32), 5)
    with pytest.raises(Conflict, match="8 numbers"):
        await store.search(tales, np.zeros((1, DIMENSION - 1), np.float32), 5)


async def test_another_process_sees_what_was_committed_before_its_search_began(
    database: Database, store: PostgresCollections, tales: Collection, tmp_path: Path
) -> None:
    async with open_vectors(database, tmp_path / "other") as other:
        for number in range(5):
            await store.save_documents(tales, [prepared(str(number), ONE)])
            assert sorted(await found_keys(other, tales, ONE, 10)) == [str(n) for n in range(number + 1)]
        await other.remove_documents(tales, [], ["2", "4"], None)
        assert sorted(await found_keys(store, tales, ONE, 10)) == ["0", "1", "3"]
        await other.save_documents(tales, [prepared("1", TWO)])
        assert (await found_keys(store, tales, ONE, 10))[-1] == "1"
