from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from domain.collections import Chunking, ChunkSplit, SearchMode, SearchQuery, VectorMetric
from domain.errors import (
    AlreadyExists,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    UpstreamFailed,
    UserFault,
)
from domain.filters import read_filter
from domain.identity import Role
from domain.ids import CollectionId
from domain.ports.paging import PageRequest
from runtime.collections import CollectionDraft, EmbedderChoice
from tests.support.collections import Library, open_library
from tests.support.listed import sole
from tests.support.local_embedder import DIMENSION
from tests.support.openai_endpoint import openai_endpoint, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from pathlib import Path

    from runtime.collections import CollectionService


@pytest.fixture
async def library(database_url: str, data_dir: Path) -> AsyncGenerator[Library]:
    async with open_library(database_url, data_dir) as library:
        yield library


def service(library: Library) -> CollectionService:
    return library.services.collections


async def fault_of(work: Awaitable[object]) -> UserFault:
    with pytest.raises(UserFault) as caught:
        await work
    return caught.value


async def test_a_collection_has_the_length_of_its_models_vectors(library: Library) -> None:
    made = await library.make()
    assert made.dimension == DIMENSION
    assert made.embedder.model == "all-minilm-l6-v2-int8"
    assert await service(library).find(library.owner, made.id) == made
    assert await service(library).find_by_name(library.owner, made.workspace_id, "library") == made
    assert await service(library).names(made.workspace_id) == {"library"}
    page = await sole(service(library).page_by_workspace([made.workspace_id], PageRequest(10)))
    assert page.items == [made]


async def test_what_is_not_acceptable_is_told_with_its_path_and_nothing_is_made(library: Library) -> None:
    create = service(library).create
    drafts = [
        (CollectionDraft("no name"), ["input", "name"]),
        (CollectionDraft("a", chunking=Chunking(max_chars=99)), ["input", "chunking", "maxChars"]),
        (
            CollectionDraft("a", chunking=Chunking(max_chars=100, overlap_chars=51)),
            ["input", "chunking", "overlapChars"],
        ),
        (CollectionDraft("a", EmbedderChoice("gone")), ["input", "embedder", "connection"]),
        (CollectionDraft("a", EmbedderChoice(None, "other")), ["input", "embedder", "model"]),
    ]
    for draft, path in drafts:
        fault = await fault_of(create(library.owner, None, draft))
        assert (type(fault), fault.path) == (InvalidInput, path)
    assert await sole(service(library).count_by_workspace([next(iter(library.owner.roles))])) == 0


async def test_a_name_is_taken_once(library: Library) -> None:
    await library.make()
    assert type(await fault_of(library.make())) is AlreadyExists


async def test_viewers_read_and_search_but_do_not_write(library: Library) -> None:
    made = await library.make()
    await library.fill(made)
    viewer = replace(library.owner, roles=dict.fromkeys(library.owner.roles, Role.VIEWER))
    assert await service(library).search(viewer, made.id, SearchQuery(text="cat"))
    for work in (
        service(library).create(viewer, None, CollectionDraft("b")),
        service(library).delete(viewer, made.id),
        service(library).rebuild(viewer, made.id),
        library.services.documents.upsert(viewer, made.id, []),
        library.services.documents.delete(viewer, made.id, [], [], None),
    ):
        assert type(await fault_of(work)) is Forbidden
    assert await library.keys(made, "kitten", 1) == ["cat"]


async def test_a_search_finds_what_means_the_same(library: Library) -> None:
    made = await library.make()
    await library.fill(made)
    assert await library.keys(made, "a small cat is asleep", 1) == ["cat"]
    assert await library.keys(made, "baking", 1) == ["bread"]
    only = read_filter({"path": "key", "ne": "cat"})
    found = await library.find(made, "a small cat is asleep", condition=only)
    assert {match.document.external_id for match in found} == {"dates", "bread"}


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (SearchQuery(text="x", top_k=0), ["input", "topK"]),
        (SearchQuery(text="x", top_k=101), ["input", "topK"]),
        (SearchQuery(text="x", mode=SearchMode.KEYWORD), ["input", "mode"]),
        (SearchQuery(text="x", mode=SearchMode.HYBRID), ["input", "mode"]),
        (SearchQuery(text=" \n"), ["input", "text"]),
        (SearchQuery(), ["input", "text"]),
        (SearchQuery(vector=[1.0, 2.0]), ["input", "vector"]),
        (SearchQuery(vector=[]), ["input", "vector"]),
        (SearchQuery(vector=[float("nan")] * DIMENSION), ["input", "vector"]),
        (SearchQuery(vector=[float("inf")] * DIMENSION), ["input", "vector"]),
        (SearchQuery(vector=[1e39] * DIMENSION), ["input", "vector"]),
        (SearchQuery(vector=[0.0] * DIMENSION), ["input", "vector"]),
    ],
)
async def test_what_cannot_be_searched_for_is_told_with_its_path(
    library: Library, query: SearchQuery, path: list[str]
) -> None:
    made = await library.make()
    await library.fill(made)
    fault = await fault_of(service(library).search(library.owner, made.id, query))
    assert (type(fault), fault.path) == (InvalidInput, path)


async def test_what_is_unknown_is_not_found(library: Library) -> None:
    unknown = CollectionId(uuid4())
    for work in (
        service(library).delete(library.owner, unknown),
        service(library).rebuild(library.owner, unknown),
        service(library).search(library.owner, unknown, SearchQuery(text="x")),
        library.services.documents.upsert(library.owner, unknown, []),
        anext(service(library).changes(library.owner, unknown)),
    ):
        assert type(await fault_of(work)) is NotFound


async def test_a_deleted_collection_is_gone_with_all_that_was_in_it(library: Library) -> None:
    made = await library.make()
    await library.fill(made)
    await service(library).delete(library.owner, made.id)
    assert await service(library).find(library.owner, made.id) is None
    assert await service(library).names(made.workspace_id) == frozenset()
    again = await library.make()
    assert (await service(library).stats([again.id]))[again.id].documents == 0


async def test_each_way_an_endpoint_fails_has_one_outcome_and_makes_nothing(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint, open_library(database_url, data_dir, endpoint.allowed) as library:
        choice = await library.connect(endpoint.base_url)
        endpoint.script(refusal(429, "later", {"Retry-After": "60"}))
        limited = await fault_of(library.make(embedder=await library.connect(endpoint.base_url, "busy")))
        assert (type(limited), "later" in limited.message) == (RateLimited, True)
        endpoint.script(refusal(503, "down"))
        assert type(await fault_of(library.make(embedder=choice))) is UpstreamFailed
        endpoint.script(refusal(401, "who are you"))
        refused = await fault_of(library.make(embedder=choice))
        assert (type(refused), "who are you" in refused.message) == (InvalidInput, True)
        assert await sole(service(library).count_by_workspace([next(iter(library.owner.roles))])) == 0
        made = await library.make(embedder=choice)
        assert (made.dimension, made.embedder.model) == (8, "embedding-1")
    # Nobody listens there any more.
    async with open_library(database_url, data_dir, endpoint.allowed) as again:
        owner = replace(library, services=again.services)
        assert type(await fault_of(owner.find(made, "x"))) is UpstreamFailed
        assert type(await fault_of(owner.fill(made))) is UpstreamFailed
        assert (await service(owner).stats([made.id]))[made.id].documents == 0


async def test_a_private_endpoint_that_is_no_longer_allowed_is_refused(database_url: str, data_dir: Path) -> None:
    async with openai_endpoint() as endpoint:
        async with open_library(database_url, data_dir, endpoint.allowed) as library:
            made = await library.make(embedder=await library.connect(endpoint.base_url))
        asked = len(endpoint.requests)
        async with open_library(database_url, data_dir) as again:
            fault = await fault_of(replace(library, services=again.services).find(made, "x"))
        assert (type(fault), len(endpoint.requests)) == (UpstreamFailed, asked)
        assert "ANABRANCH_OUTBOUND__ALLOWED" in fault.message or "private" in fault.message


async def test_a_watcher_sees_changes_and_the_end(library: Library) -> None:
    made = await library.make()
    async with aclosing(service(library).changes(library.owner, made.id)) as changes:
        async with asyncio.timeout(20):
            assert (await anext(changes)).id == made.id
            await library.fill(made)
            seen = await anext(changes)
            assert seen.id == made.id
            assert seen.updated_at >= made.updated_at
            await service(library).delete(library.owner, made.id)
            assert [one.id async for one in changes] in ([], [made.id])


async def test_metrics_and_cuts_are_kept(library: Library) -> None:
    draft = CollectionDraft("l2", metric=VectorMetric.L2, chunking=Chunking(ChunkSplit.SENTENCE, 200, 20))
    made = await service(library).create(library.owner, None, draft)
    await library.fill(made)
    found = await library.find(made, "a kitten", 1)
    assert found[0].score <= 0
    again = await service(library).find(library.owner, made.id)
    assert again is not None
    assert (again.metric, again.chunking) == (draft.metric, draft.chunking)
