from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from persistence.collection_rows import CHANNEL
from persistence.collections import PostgresCollections, open_vectors
from tests.support.vectors import DIMENSION, make_collection, prepared

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from domain.ids import CollectionId
    from persistence.database import Database

ONE = np.eye(DIMENSION, dtype=np.float32)[0]


@pytest.fixture
async def store(database: Database, tmp_path: Path) -> AsyncGenerator[PostgresCollections]:
    async with open_vectors(database, tmp_path / "indexes") as opened:
        yield opened


async def heard(changes: AsyncIterator[None]) -> bool:
    async with asyncio.timeout(20):
        return await anext(changes, "end") is None


@asynccontextmanager
async def following(store: PostgresCollections, collection_id: CollectionId) -> AsyncGenerator[AsyncGenerator[None]]:
    async with aclosing(store.changes(collection_id)) as changes:
        assert await heard(changes)  # it is followed now
        yield changes


async def test_a_follower_hears_of_changes_in_any_process_and_of_the_end(
    database: Database, store: PostgresCollections, tmp_path: Path
) -> None:
    collection = await make_collection(database, store)
    other_one = await make_collection(database, store)
    async with open_vectors(database, tmp_path / "other") as other, following(store, collection.id) as changes:
        waiting = asyncio.create_task(heard(changes))
        await asyncio.sleep(0)
        await other.save_documents(other_one, [prepared("a", ONE)])
        await other.save_documents(collection, [prepared("a", ONE)])
        assert await waiting
        await other.remove(collection)
        assert not await heard(changes)


async def test_many_changes_are_told_at_most_once_a_second(database: Database, store: PostgresCollections) -> None:
    collection = await make_collection(database, store)
    async with following(store, collection.id) as changes:
        waiting = asyncio.create_task(heard(changes))
        loop = asyncio.get_running_loop()
        while not waiting.done():
            await store.save_documents(collection, [prepared("a", ONE)])
        started = loop.time()
        await store.save_documents(collection, [prepared("a", ONE)])
        assert await heard(changes)
        assert loop.time() - started > 0.9


async def test_a_lost_wake_up_costs_no_more_than_a_look(
    database: Database, store: PostgresCollections, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = await make_collection(database, store)
    monkeypatch.setattr("persistence.chunk_writes.CHANNEL", CHANNEL + "_unheard")
    async with following(store, collection.id) as changes:
        waiting = asyncio.create_task(heard(changes))
        await store.save_documents(collection, [prepared("a", ONE)])
        await store.save_documents(collection, [prepared("b", ONE)])
        assert await waiting


async def test_nobody_follows_what_is_not_there(database: Database, store: PostgresCollections) -> None:
    collection = await make_collection(database, store)
    await store.remove(collection)
    async with aclosing(store.changes(collection.id)) as changes:
        assert not await heard(changes)
