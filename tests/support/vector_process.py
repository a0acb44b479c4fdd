"""A process that writes, searches or rebuilds collections until it is killed: `python -m tests.support.vector_process`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from domain.collections import EmbedderSpec
from domain.ids import CollectionId, WorkspaceId
from persistence.collections import open_vectors
from persistence.database import open_database
from persistence.vectors.faiss_index import IndexOptions
from persistence.vectors.live_indexes import VectorOptions
from tests.support.vectors import prepared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domain.collections import Collection
    from domain.ports.collections import PreparedDocument, Vectors
    from persistence.collections import PostgresCollections

    Work = Callable[[PostgresCollections, Collection, int], Awaitable[None]]

KILLED_DIMENSION = 16
# Everything happens often: graphs, snapshots, compaction.
EAGER = VectorOptions(IndexOptions(flat_max=500, hnsw_m=8), snapshot_after=100)
NEW = EmbedderSpec(None, "numbers anew")


def vector_of(number: int, version: int) -> Vectors:
    """Return the vector that a document and no other has."""
    return np.random.default_rng((number, version)).standard_normal(KILLED_DIMENSION, np.float32)


def numbered(number: int, version: int) -> PreparedDocument:
    """Return a document of two chunks; a version has other ones."""
    vectors = (vector_of(number, version), -vector_of(number, version))
    return prepared(str(number), *vectors, text=f"{number} {version}", metadata={"version": version})


async def ingest(store: PostgresCollections, collection: Collection, start: int) -> None:
    """Write new documents and replace old ones, and search in between."""
    for version in range(start, start + 1_000):
        say("began", version)
        await store.save_documents(collection, [numbered(number, version) for number in range(version % 7, 400, 7)])
        say("saved", version)
        await store.search(collection, vector_of(0, 0).reshape(1, -1), 5)


async def snapshot(store: PostgresCollections, collection: Collection, start: int) -> None:
    """Write a snapshot, again and again."""
    indexes: Any = store._indexes
    await store.search(collection, vector_of(0, 0).reshape(1, -1), 5)
    for version in range(start, start + 1_000):
        await store.save_documents(collection, [numbered(version % 400, version)])
        await indexes.synced(collection.id)
        say("began", version)
        await indexes._save(collection.id, indexes._held[collection.id], 1)
        say("saved", version)


async def rebuild(store: PostgresCollections, collection: Collection, start: int) -> None:
    """Rebuild, again and again; go on where another stopped."""
    for version in range(start, start + 1_000):
        [now] = await store.list_by_id(frozenset({collection.workspace_id}), [collection.id])
        if not now.is_rebuilding:
            now = await store.begin_rebuild(now, NEW, KILLED_DIMENSION, now.chunking)
        async with store.rebuild(now) as work:
            say("began", version)
            while not await work.finish():
                documents = await work.pending(20)
                cut: list[Any] = []
                for document in documents:
                    again = numbered(*map(int, document.text.split()))
                    cut.append((document, again.chunks, again.vectors))
                await work.save(cut)
                say("some", version)
        say("saved", version)


async def serve(store: PostgresCollections, collection: Collection, _start: int) -> None:
    """Write or search as the lines on the standard input say; answer each with a line."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as group:
        while line := await reader.readline():
            group.create_task(_answer(store, collection, json.loads(line)))


async def _answer(store: PostgresCollections, collection: Collection, asked: dict[str, Any]) -> None:
    number: int = asked["number"]
    if asked["do"] == "write":
        await store.save_documents(collection, [numbered(number, 0)])
        say("done", asked["id"])
    else:
        [[match]] = await store.search(collection, vector_of(number, 0).reshape(1, -1), 1)
        say("done", asked["id"], match.document.external_id)


def say(*words: object) -> None:
    """Tell the parent."""
    sys.stdout.write(f"{json.dumps(words)}\n")
    sys.stdout.flush()


WORKS: dict[str, Work] = {"ingest": ingest, "snapshot": snapshot, "rebuild": rebuild, "serve": serve}


def start_process(work: str, url: str, directory: Path, collection: Collection, start: int) -> subprocess.Popen[bytes]:
    """Start this module in a process."""
    given = (work, url, str(directory), str(collection.id), str(collection.workspace_id), str(start))
    return subprocess.Popen(  # noqa: S603 -- ourselves
        [sys.executable, "-m", "tests.support.vector_process", *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


async def _main(arguments: list[str]) -> None:
    work, url, directory, collection_id, workspace_id, start = arguments
    async with open_database(url) as database, open_vectors(database, Path(directory), EAGER) as store:
        within = frozenset({WorkspaceId(UUID(workspace_id))})
        [collection] = await store.list_by_id(within, [CollectionId(UUID(collection_id))])
        await WORKS[work](store, collection, int(start))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
