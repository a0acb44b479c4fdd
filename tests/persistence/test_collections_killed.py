"""Collections outlive their processes: rows, index and search agree, and nothing is there twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from persistence.collections import PostgresCollections, open_vectors
from tests.support.listed import sole
from tests.support.vector_process import EAGER, KILLED_DIMENSION, numbered, start_process, vector_of
from tests.support.vectors import found_keys, make_collection

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from domain.collections import Collection
    from persistence.database import Database

SEED = int(os.environ.get("ANABRANCH_TEST_SEED", str(time.time_ns() % 1_000_000)))
ROUNDS = int(os.environ.get("ANABRANCH_TEST_ROUNDS", "10"))

_CHECKED = text("""
SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(DISTINCT external_id) FROM documents) AS keys,
       (SELECT count(*) FROM chunks k WHERE k.generation = c.generation) AS chunks,
       (SELECT count(*) FROM chunks k WHERE k.generation < c.generation) AS old,
       (SELECT count(*) FROM documents d
         WHERE (SELECT count(*) FROM chunks k
                 WHERE k.document_id = d.id AND k.generation = c.generation
                   AND k.text = d.text || ' ' || k.position) <> 2) AS wrong,
       c.document_count, c.chunk_count, c.generation
  FROM collections c
""")


@asynccontextmanager
async def stored(database: Database, directory: Path) -> AsyncGenerator[Collection]:
    async with open_vectors(database, directory, EAGER) as store:
        collection = await make_collection(database, store, dimension=KILLED_DIMENSION)
        await store.save_documents(collection, [numbered(number, 0) for number in range(400)])
    yield collection


def kill_at(process: subprocess.Popen[bytes], lines: int, delay_s: float) -> list[Any]:
    """Read so many lines, wait a moment, and kill; return all that was said."""
    assert process.stdout is not None
    said = [json.loads(process.stdout.readline()) for _ in range(lines)]
    time.sleep(delay_s)
    process.kill()
    rest = process.stdout.read().splitlines()
    process.wait(20)
    process.stdout.close()
    if process.stdin is not None:
        process.stdin.close()
    for line in rest:
        try:
            said.append(json.loads(line))
        except ValueError:
            break
    return said


async def check(database: Database, store: PostgresCollections, collection: Collection) -> Any:
    """Check that rows, counts, index and search agree; return what was counted."""
    async with database.connection() as connection:
        row = (await connection.execute(_CHECKED)).one()
        seqs = (
            (
                await connection.execute(
                    text("SELECT seq FROM chunks WHERE generation = :it ORDER BY seq"), {"it": row.generation}
                )
            )
            .scalars()
            .all()
        )
        versions = (await connection.execute(text("SELECT text FROM documents ORDER BY id"))).scalars().all()
    assert row.documents == row.keys == row.document_count == 400
    assert (row.chunks, row.chunk_count, row.old, row.wrong) == (800, 800, 0, 0)
    [now] = await store.list_by_id(frozenset({collection.workspace_id}), [collection.id])
    for number, version in (map(int, told.split()) for told in versions[::9]):
        assert await found_keys(store, now, vector_of(number, version), 1) == [str(number)]
    _, index = await store._indexes.synced(collection.id)
    assert index.live_seqs().tolist() == seqs
    return row


@pytest.mark.long
@pytest.mark.parametrize("work", ["ingest", "snapshot", "rebuild"])
async def test_a_process_that_is_killed_leaves_everything_in_agreement(
    database: Database, database_url: str, tmp_path: Path, work: str
) -> None:
    chance = random.Random(f"{SEED} {work}")
    print(f"ANABRANCH_TEST_SEED={SEED}")  # noqa: T201 -- shown when this fails
    interrupted = 0
    async with stored(database, tmp_path) as collection:
        for number in itertools.count():
            # A kill may always fall between two works: then there are more rounds, until one has fallen into a work.
            if number >= ROUNDS and (interrupted or number >= 5 * ROUNDS):
                break
            process = await asyncio.to_thread(
                start_process, work, database_url, tmp_path, collection, 1 + 1_000 * number
            )
            # The odd lines say that a work begins; at once or a little later, since a snapshot takes about 2 ms.
            delay_s = chance.choice((0.0, 0.002, 0.02)) * chance.random()
            said = await asyncio.to_thread(kill_at, process, chance.randrange(1, 40, 2), delay_s)
            interrupted += said[-1][0] != "saved"
            async with open_vectors(database, tmp_path, EAGER) as store:
                await check(database, store, collection)
                if work == "ingest":
                    saved = max((version for word, version in said if word == "saved"), default=0)
                    document = await store.find_document(collection.id, str(saved % 7))
                    assert saved == 0 or (document is not None and int(document.text.split()[1]) >= saved)
            if work == "rebuild":
                async with open_vectors(database, tmp_path, EAGER) as store:
                    for begun in await store.interrupted_rebuilds():
                        async with store.rebuild(begun) as going_on:
                            assert going_on.target.generation == begun.generation + 1
    assert interrupted > 0


class Other:
    """The other process: writes and searches as it is told."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """Read answers until there are no more, in a thread."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            _, number, *rest = json.loads(line)
            self._loop.call_soon_threadsafe(self._waiting.pop(number).set_result, rest)

    async def ask(self, do: str, number: int) -> list[Any]:
        """Have something done; return the answer."""
        asked = next(self._ids)
        # Held here: the thread takes it away as soon as the answer is there, which may be before it is awaited.
        answer = self._waiting[asked] = self._loop.create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": asked, "do": do, "number": number}).encode() + b"\n")
        self._process.stdin.flush()
        async with asyncio.timeout(30):
            return await answer


@pytest.mark.long
async def test_no_search_of_two_processes_misses_what_was_committed_before_it_began(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"ANABRANCH_TEST_SEED={SEED}")  # noqa: T201 -- shown when this fails
    numbers = iter(range(1_000, 2_000))
    async with (
        stored(database, tmp_path / "own") as collection,
        open_vectors(database, tmp_path / "own", EAGER) as store,
    ):
        process = await asyncio.to_thread(start_process, "serve", database_url, tmp_path / "other", collection, 0)
        other = Other(process)
        listening = asyncio.create_task(asyncio.to_thread(other.listen), name="listening")

        async def lane() -> None:
            for number in numbers:
                if chance.random() < 0.5:
                    await store.save_documents(collection, [numbered(number, 0)])
                    assert await other.ask("search", number) == [str(number)]
                else:
                    await other.ask("write", number)
                    assert await found_keys(store, collection, vector_of(number, 0), 1) == [str(number)]

        try:
            await asyncio.gather(*(lane() for _ in range(4)))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(listening, 30)
            assert process.stdout is not None
            process.stdout.close()
            assert await asyncio.to_thread(process.wait, 30) == 0
        assert await sole(store.count_documents([collection.id], None)) == 1_400
