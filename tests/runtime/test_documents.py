from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.collections import MAX_METADATA_BYTES, MAX_TEXT_BYTES, NewDocument, check_document
from domain.errors import InvalidInput, LimitExceeded, RateLimited, UpstreamFailed
from domain.filters import read_filter
from domain.ports.paging import PageRequest
from tests.support.collections import TEXTS, Library, documents, open_library
from tests.support.listed import sole
from tests.support.openai_endpoint import Answer, openai_endpoint, refusal, vector_of, vectors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from typing import Any

    from domain.collections import Collection, CollectionStats


@pytest.fixture
async def library(database_url: str, data_dir: Path) -> AsyncGenerator[Library]:
    async with open_library(database_url, data_dir) as library:
        yield library


async def stats(library: Library, collection: Collection) -> CollectionStats:
    return (await library.services.collections.stats([collection.id]))[collection.id]


@pytest.mark.parametrize(
    ("given", "kind", "path"),
    [
        ((None, "", None), InvalidInput, "text"),
        ((None, " \n\u2028", None), InvalidInput, "text"),
        ((None, "a\0b", None), InvalidInput, "text"),
        ((None, "\ud800", None), InvalidInput, "text"),
        ((None, "é" * (MAX_TEXT_BYTES // 2) + "a", None), LimitExceeded, "text"),
        ((None, "x" * 5_000_000, None), LimitExceeded, "text"),
        (("", "text", None), InvalidInput, "externalId"),
        (("k" * 513, "text", None), InvalidInput, "externalId"),
        ((None, "text", [1]), InvalidInput, "metadata"),
        ((None, "text", {"a": "b\0"}), InvalidInput, "metadata"),
        ((None, "text", {"a": float("nan")}), InvalidInput, "metadata"),
        ((None, "text", {"a": "x" * MAX_METADATA_BYTES}), LimitExceeded, "metadata"),
    ],
)
def test_a_document_that_cannot_be_stored_is_told_with_its_path(given: Any, kind: type, path: str) -> None:
    with pytest.raises((InvalidInput, LimitExceeded)) as caught:
        check_document(given[0], given[1], given[2], ["input", "documents", "3"])
    assert (type(caught.value), caught.value.path) == (kind, ["input", "documents", "3", path])


async def test_documents_come_back_in_the_order_given_and_are_found(library: Library) -> None:
    made = await library.make()
    collection, written = await library.services.documents.upsert(library.owner, made.id, documents())
    assert [document.external_id for document in written] == list(TEXTS)
    assert [document.text for document in written] == list(TEXTS.values())
    assert collection.updated_at >= made.updated_at
    service = library.services.documents
    assert await service.find_by_key(made, "cat") == written[0]
    assert await service.find_by_key(made, "gone") is None
    assert await service.find_by_key(made, "\0") is None
    assert {one.id for one in await service.list_by_id(library.owner, [one.id for one in written])} == {
        one.id for one in written
    }
    page = await sole(service.page([made.id], read_filter({"path": "key", "eq": "cat"}), PageRequest(10)))
    assert list(page.items) == [written[0]]
    chunks = (await service.page_chunks([written[0].id], PageRequest(10)))[written[0].id]
    assert [(chunk.position, chunk.text) for chunk in chunks.items] == [(0, TEXTS["cat"])]
    assert await service.count_chunks([written[0].id]) == {written[0].id: 1}


async def test_only_texts_that_are_new_are_embedded(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        await library.fill(made)
        asked = len(endpoint.requests)
        changed = {**TEXTS, "cat": "A cat chases a mouse."}
        _, written = await library.services.documents.upsert(library.owner, made.id, documents(**changed))
        assert [request.body["input"] for request in endpoint.requests[asked:]] == [["A cat chases a mouse."]]
        again = [replace(document, metadata={"n": 1}) for document in documents(**changed)]
        _, rewritten = await library.services.documents.upsert(library.owner, made.id, again)
        assert len(endpoint.requests) == asked + 1
        assert [one.id for one in rewritten] == [one.id for one in written]
        assert [one.metadata for one in rewritten] == [{"n": 1}] * 3
        assert (await stats(library, made)).documents == 3


async def test_equal_texts_of_one_call_are_embedded_once(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        await library.fill(made, a="The same.", b="The same.", c="Another.")
        assert endpoint.requests[-1].body["input"] == ["The same.", "Another."]
        assert (await stats(library, made)).documents == 3


async def test_writers_of_the_same_documents_at_once_leave_each_of_them_once(library: Library) -> None:
    made = await library.make()
    await asyncio.gather(*(library.fill(made, **{f"k{n}": f"Text {n}." for n in range(5)}) for _ in range(4)))
    counted = await stats(library, made)
    assert (counted.documents, counted.chunks, counted.live) == (5, 5, 5)


async def test_nothing_is_written_when_the_embedder_fails_for_a_part(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        many = {f"k{number}": f"Text {number}." for number in range(35)}
        for broken, kind in (
            (refusal(500, "broken"), UpstreamFailed),
            (Answer(body=vectors([[1.0] * 8])), UpstreamFailed),
            (refusal(429, "later", {"Retry-After": "60"}), RateLimited),  # nobody asks again before that
        ):
            endpoint.script(Answer(body=vectors([vector_of(str(n), 8) for n in range(10)])), broken)
            with pytest.raises(kind):
                await library.fill(made, **many)
            assert (await stats(library, made)).documents == 0
            endpoint.clear()


async def test_a_model_whose_vectors_have_grown_is_refused_before_anything_is_written(
    database_url: str, data_dir: Path
) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        await library.fill(made, a="One.")
        endpoint.dimension = 16
        with pytest.raises(
            InvalidInput, match="gives vectors of 16 numbers now, those of the collection 'library' have 8"
        ):
            await library.fill(made, b="Two.")
        with pytest.raises(InvalidInput, match="vectors of 16 numbers now"):
            await library.find(made, "x")
        assert (await stats(library, made)).documents == 1


async def test_a_server_whose_model_was_exchanged_says_what_to_do(database_url: str, data_dir: Path) -> None:
    async with open_library(database_url, data_dir) as library:
        made = await library.make()
    async with open_library(database_url, data_dir, model="newer") as again:
        owner = replace(library, services=again.services)
        with pytest.raises(
            InvalidInput, match="embeds with 'newer', not with 'all-minilm-l6-v2-int8': choose that, or rebuild"
        ):
            await owner.find(made, "x")


async def test_a_missing_model_is_one_sentence_and_nothing_is_made(database_url: str, data_dir: Path) -> None:
    async with open_library(database_url, data_dir, model="gone", model_path=data_dir) as library:
        with pytest.raises(UpstreamFailed, match=r"cannot be loaded from .*: it lacks config\.json, model\.onnx"):
            await library.make()
        assert await sole(library.services.collections.count_by_workspace([next(iter(library.owner.roles))])) == 0


async def test_documents_are_deleted_by_id_by_key_and_by_metadata(library: Library) -> None:
    made, service = await library.make(), library.services.documents
    _, written = await service.upsert(library.owner, made.id, documents(a="A.", b="B.", c="C.", d="D."))
    condition = read_filter({"path": "key", "eq": "c"})
    _, count = await service.delete(library.owner, made.id, [written[0].id], ["b", "gone"], condition)
    assert count == 3
    assert await library.keys(made, "anything") == ["d"]


async def test_too_many_documents_are_refused(library: Library) -> None:
    made = await library.make()
    with pytest.raises(LimitExceeded):
        await library.services.documents.upsert(library.owner, made.id, [NewDocument(None, "x", None)] * 1_001)
    with pytest.raises(LimitExceeded):
        await library.services.documents.delete(library.owner, made.id, [], ["x"] * 1_001, None)
