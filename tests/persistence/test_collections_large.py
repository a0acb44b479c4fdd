"""A hundred thousand chunks: what filters and deletes promise holds for a graph too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sqlalchemy import text

from domain.filters import read_filter
from persistence.collections import open_vectors
from tests.support.vectors import clustered_vectors, found_keys, make_collection, prepared, save_many
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from persistence.database import Database

COUNT, DIMENSION = 100_000, 64


@pytest.mark.long
async def test_filters_and_deletes_never_empty_a_result_of_100_000(database: Database, tmp_path: Path) -> None:
    numbers = np.random.default_rng(3)
    queries = clustered_vectors(60, DIMENSION, seed=5)
    async with open_vectors(database, tmp_path) as store:
        collection = await make_collection(database, store, dimension=DIMENSION)
        await save_many(store, collection, clustered_vectors(COUNT, DIMENSION), metadata={"rare": False})
        rare = {str(number) for number in numbers.choice(COUNT, 5, replace=False).tolist()}
        vectors = clustered_vectors(5, DIMENSION, seed=6)
        await store.save_documents(
            collection,
            [prepared(key, vector, metadata={"rare": True}) for key, vector in zip(rare, vectors, strict=True)],
        )
        await found_keys(store, collection, queries[0], 10)
        _, index = await store._indexes.synced(collection.id)
        await until(lambda: index.has_graph, timeout_s=60)

        is_rare = read_filter({"path": "rare", "eq": True})
        for query in queries[:20]:
            assert set(await found_keys(store, collection, query, 10, condition=is_rare)) == rare

        left = {str(number) for number in range(COUNT)}
        gone = numbers.permutation(COUNT)[: COUNT * 3 // 10]
        for start in range(0, len(gone), 1_000):
            keys = [str(number) for number in gone[start : start + 1_000].tolist()]
            assert await store.remove_documents(collection, [], keys, None) == len(keys)
            left -= set(keys)
            for top_k in (1, 10, 100):
                found = await found_keys(store, collection, queries[start // 1_000], top_k)
                assert len(found) == top_k
                assert set(found) <= left
        await until(lambda: index.dead < COUNT // 10, timeout_s=60)
        assert index.live == len(left)
        exact = read_filter({"not": {"path": "none", "eq": 1}})
        async with database.connection() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM chunks"))).scalar_one() == len(left)
        assert len(await found_keys(store, collection, queries[0], 100, condition=exact)) == 100
