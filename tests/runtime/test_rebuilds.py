from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.collections import Chunking, SearchQuery
from domain.errors import Conflict
from tests.support.collections import Library, open_library
from tests.support.openai_endpoint import Answer, openai_endpoint, refusal, vector_of, vectors

if TYPE_CHECKING:
    from pathlib import Path

    from domain.collections import Collection


async def until_rebuilt(library: Library, collection: Collection) -> Collection:
    """Wait until a collection is not being rebuilt."""
    service = library.services.collections
    async with asyncio.timeout(30), aclosing(service.changes(library.owner, collection.id)) as changes:
        async for one in changes:
            if not one.is_rebuilding:
                return one
    raise AssertionError("deleted meanwhile")


async def test_other_chunks_take_the_place_of_the_old_ones(database_url: str, data_dir: Path) -> None:
    async with open_library(database_url, data_dir) as library:
        made = await library.make(max_chars=200, overlap_chars=0)
        await library.fill(made, long="One sentence of many. " * 50, short="Short.")
        before = (await library.services.collections.stats([made.id]))[made.id]
        begun = await library.services.collections.rebuild(library.owner, made.id, chunking=Chunking(max_chars=400))
        assert begun.is_rebuilding
        done = await until_rebuilt(library, made)
        after = (await library.services.collections.stats([made.id]))[made.id]
        assert (done.chunking.max_chars, done.generation) == (400, made.generation + 1)
        assert (after.documents, after.live, after.dead) == (2, after.chunks, 0)
        assert after.chunks < before.chunks
        assert await library.keys(done, "short", 1) == ["short"]


async def test_another_embedder_with_longer_vectors_is_searched_in_once_it_is_done(
    database_url: str, data_dir: Path
) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        await library.fill(made)
        endpoint.dimension = 16
        service = library.services.collections
        begun = await service.rebuild(library.owner, made.id, await library.connect(endpoint.base_url, "other"))
        assert begun.is_rebuilding
        with pytest.raises(Conflict):
            await service.rebuild(library.owner, made.id)
        done = await until_rebuilt(library, made)
        assert (made.dimension, done.dimension, done.embedder.connection) == (8, 16, "other")
        found = await service.search(library.owner, made.id, SearchQuery(text="A kitten sleeps in the sun.", top_k=1))
        assert [match.document.external_id for match in found] == ["cat"]


async def test_searches_go_on_in_the_old_index_while_the_new_one_cannot_be_made(
    database_url: str, data_dir: Path
) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        await library.fill(made)
        probe = Answer(body=vectors([vector_of("probe", 16)]))
        endpoint.script(probe, refusal(503, "down"))
        begun = await library.services.collections.rebuild(
            library.owner, made.id, await library.connect(endpoint.base_url, "other")
        )
        await endpoint.received(len(endpoint.requests) + 1)
        assert begun.is_rebuilding
        assert await library.keys(made, "A kitten sleeps in the sun.", 1) == ["cat"]
        await library.fill(made, new="Something new.")
        assert await library.keys(made, "Something new.", 1) == ["new"]


async def test_a_rebuild_whose_embedder_is_gone_gives_way_to_another(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        made = await library.make(embedder=await library.connect(endpoint.base_url))
        await library.fill(made)
        probe = Answer(body=vectors([vector_of("probe", 8)]))
        endpoint.script(probe, refusal(404, "gone"))
        service, asked = library.services.collections, len(endpoint.requests)
        await service.rebuild(library.owner, made.id, await library.connect(endpoint.base_url, "other"))
        await endpoint.received(asked + 2)
        third = await library.connect(endpoint.base_url, "third")
        async with asyncio.timeout(30):
            while True:
                try:
                    await service.rebuild(library.owner, made.id, third)
                except Conflict:
                    continue
                break
        done = await until_rebuilt(library, made)
        assert done.embedder.connection == "third"
        assert await library.keys(done, "A kitten sleeps in the sun.", 1) == ["cat"]


async def test_a_rebuild_that_a_process_left_is_taken_up_by_the_next(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint:
        async with open_library(database_url, data_dir, endpoint.allowed) as library:
            made = await library.make(embedder=await library.connect(endpoint.base_url))
            await library.fill(made)
            other = await library.connect(endpoint.base_url, "other")
            endpoint.script(Answer(body=vectors([vector_of("probe", 8)])), refusal(503, "down"))
            asked = len(endpoint.requests)
            await library.services.collections.rebuild(library.owner, made.id, other)
            await endpoint.received(asked + 2)
        async with open_library(database_url, data_dir, endpoint.allowed) as again:
            owner = replace(library, services=again.services)
            done = await until_rebuilt(owner, made)
            assert done.embedder.connection == "other"
            assert await owner.keys(done, "A kitten sleeps in the sun.", 1) == ["cat"]
