"""Idempotency keys in the statements that make runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from uuid_utils.compat import uuid7

from domain.errors import KeyTaken, NotFound
from domain.ids import RunId, WorkflowId
from domain.ports.new_runs import KeyHolder
from domain.run import RunQuery
from domain.workflow import ConcurrencyPolicy, ConcurrencyStrategy
from persistence import starts
from tests.support.engines import World, bare_world
from tests.support.kinds import graph

if TYPE_CHECKING:
    from domain.ports.new_runs import NewRun
    from persistence.database import Database, DirectConnection


async def keyed(w: World, key: str = "k", request_hash: bytes = b"h") -> NewRun:
    return replace(w.new_run(await w.add(graph("a"))), idempotency_key=key, request_hash=request_hash)


async def commands(w: World, run_id: RunId) -> list[str]:
    async with w.database.direct() as connection:
        rows = await connection.fetch("SELECT command_key FROM run_commands WHERE run_id = $1", run_id)
    return [row["command_key"] for row in rows]


async def count(w: World) -> int:
    return await w.reader.count(w.workspace_id, RunQuery())


async def test_a_key_stands_for_one_run_of_its_workspace(database: Database) -> None:
    w, elsewhere = bare_world(database), bare_world(database)
    first, other = await keyed(w), await keyed(elsewhere)
    await w.queue.add(first)
    with pytest.raises(KeyTaken):
        await w.queue.add(await keyed(w), w.executor)
    assert await count(w) == 1
    assert await w.queue.find_key(w.workspace_id, "k") == KeyHolder(first.id, b"h")
    assert await w.queue.find_key(elsewhere.workspace_id, "k") is None
    await elsewhere.queue.add(other)
    await w.queue.add(await keyed(w, "another"))
    (shown,) = await w.reader.find_many(frozenset({w.workspace_id}), [first.id])
    assert shown.idempotency_key == "k"


async def test_a_run_that_takes_a_key_over_asks_the_former_to_stop(database: Database) -> None:
    w = bare_world(database)
    first = await keyed(w)
    await w.queue.add(first)
    second = replace(await keyed(w), replaces=first.id)
    await w.queue.add(second)
    assert await commands(w, first.id) == ["cancel"]
    assert await w.queue.find_key(w.workspace_id, "k") == KeyHolder(second.id, b"h")
    (former,) = await w.reader.find_many(frozenset({w.workspace_id}), [first.id])
    assert former.idempotency_key == "k", "it still tells what it was called with"


async def test_a_key_that_somebody_else_took_over_first_is_not_taken_a_second_time(database: Database) -> None:
    w = bare_world(database)
    first = await keyed(w)
    await w.queue.add(first)
    second = replace(await keyed(w), replaces=first.id)
    await w.queue.add(second)
    with pytest.raises(KeyTaken):
        await w.queue.add(replace(await keyed(w), replaces=first.id))
    with pytest.raises(KeyTaken):
        await w.queue.add(replace(await keyed(w, "another"), replaces=second.id))
    assert await commands(w, second.id) == []
    assert await count(w) == 2


async def test_a_key_is_not_given_up_for_a_run_that_cannot_be_made(database: Database) -> None:
    w = bare_world(database)
    first = await keyed(w)
    await w.queue.add(first)
    orphan = replace(await keyed(w), replaces=first.id, workflow_id=WorkflowId(uuid7()))
    with pytest.raises(NotFound):
        await w.queue.add(orphan)
    assert await w.queue.find_key(w.workspace_id, "k") == KeyHolder(first.id, b"h")
    assert await commands(w, first.id) == []


async def test_a_key_is_free_when_its_run_is_deleted(database: Database) -> None:
    w = bare_world(database)
    first = await keyed(w)
    await w.queue.add(first)
    async with database.direct() as connection:
        await connection.execute("DELETE FROM runs WHERE id = $1", first.id)
    assert await w.queue.find_key(w.workspace_id, "k") is None
    await w.queue.add(await keyed(w))


async def test_two_runs_that_stop_each_others_predecessors_at_once_are_both_started(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = bare_world(database)
    place = await w.add(graph("a"))

    def new(key: str, limit: int, replaces: RunId | None = None) -> NewRun:
        policy = ConcurrencyPolicy(max_runs=limit, strategy=ConcurrencyStrategy.CANCEL_IN_PROGRESS)
        run = replace(w.new_run(place), concurrency_key="line", turns=policy)
        return replace(run, idempotency_key=key, request_hash=b"h", replaces=replaces)

    first, second = new("1", 2), new("2", 2)
    for run in (first, second):
        await w.queue.add(run)
    both, frees, free_key = asyncio.Barrier(2), 0, starts._free_key

    async def free_together(connection: DirectConnection, run: NewRun) -> None:
        nonlocal frees
        frees += 1
        is_repeated = frees > 2
        await free_key(connection, run)
        if not is_repeated:
            await both.wait()

    monkeypatch.setattr(starts, "_free_key", free_together)
    heirs = [new("1", 1, first.id), new("2", 1, second.id)]
    await asyncio.gather(*(w.queue.add(heir) for heir in heirs))
    assert frees > 2, "PostgreSQL took one of them back"
    for former, heir in zip((first, second), heirs, strict=True):
        assert await commands(w, former.id) == ["cancel"]
        assert await w.queue.find_key(w.workspace_id, heir.idempotency_key or "") == KeyHolder(heir.id, b"h")
