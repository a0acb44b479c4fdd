from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from uuid_utils.compat import uuid7

from domain.errors import CursorExpired, DatabaseUnavailable, NotFound
from domain.ids import WorkflowId
from domain.workflow_changes import ToldChange, WorkflowChangeKind
from runtime import workflow_changes
from runtime.workflow_changes import WorkflowFollowers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from domain.identity import Principal
    from domain.ids import WorkspaceId

NOW = datetime(2026, 11, 25, tzinfo=UTC)
TALE = WorkflowId(uuid7())


class Book:
    """Changes as they are stored, and which workflows there are."""

    def __init__(self) -> None:
        self.told: list[ToldChange] = []
        self.faults = 0
        self.read_count = 0
        self.is_there = True

    def tell(self, *kinds: WorkflowChangeKind) -> None:
        for kind in kinds:
            self.told.append(ToldChange(TALE, len(self.told) + 1, kind, 1, None, (), NOW))

    async def find(self, within: frozenset[WorkspaceId], workflow_id: WorkflowId) -> object | None:
        """Find a workflow."""
        del within
        return object() if self.is_there and workflow_id == TALE else None

    async def find_last(self, workflow_id: WorkflowId) -> int | None:
        """Return the number of the last change."""
        return len(self.told) if self.is_there and workflow_id == TALE else None

    async def list(self, workflow_id: WorkflowId, after: int, limit: int) -> Sequence[ToldChange]:
        """List changes."""
        assert workflow_id == TALE
        self.read_count += 1
        if self.faults:
            self.faults -= 1
            raise DatabaseUnavailable
        return [one for one in self.told if one.number > after][:limit]


class Caller:
    """Somebody who may see everything."""

    def within(self) -> frozenset[WorkspaceId]:
        """Return no restriction."""
        return frozenset()


ADA = cast("Principal", Caller())
EDITED, MOVED, DELETED = WorkflowChangeKind.EDITED, WorkflowChangeKind.MOVED, WorkflowChangeKind.DELETED


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def followers(book: Book, monkeypatch: pytest.MonkeyPatch) -> WorkflowFollowers:
    monkeypatch.setattr(workflow_changes, "_POLL_S", 60.0)
    monkeypatch.setattr(workflow_changes, "_RETRY_S", 0.0)
    return WorkflowFollowers(book, cast("Any", book))


async def following(book: Book, stream: AsyncGenerator[ToldChange]) -> asyncio.Task[ToldChange]:
    """Return a task that waits for the next change, once it does."""
    reads = book.read_count
    waiting = asyncio.create_task(anext(stream), name="follower")  # pyright: ignore[reportArgumentType]
    while book.read_count == reads and not waiting.done():
        await asyncio.sleep(0)
    return waiting


async def test_a_follower_is_told_what_comes_after_it_began_and_ends_after_the_deletion(
    book: Book, followers: WorkflowFollowers
) -> None:
    book.tell(EDITED, EDITED)
    async with aclosing(followers.follow(ADA, TALE)) as stream:
        waiting = await following(book, stream)
        assert followers.follower_count == 1
        book.tell(MOVED, EDITED, DELETED)
        followers.woken([TALE])
        assert await waiting == book.told[2]
        assert [one async for one in stream] == book.told[3:]
    assert followers.follower_count == 0


async def test_a_wake_up_for_all_wakes_and_one_for_another_does_not(book: Book, followers: WorkflowFollowers) -> None:
    async with aclosing(followers.follow(ADA, TALE)) as stream:
        waiting = await following(book, stream)
        reads = book.read_count
        followers.woken([uuid7()])
        for _ in range(5):
            await asyncio.sleep(0)
        assert book.read_count == reads
        book.tell(EDITED)
        followers.woken([])
        assert await waiting == book.told[0]


async def test_without_any_wake_up_a_follower_looks_by_itself(
    book: Book, followers: WorkflowFollowers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_changes, "_POLL_S", 0.001)
    async with aclosing(followers.follow(ADA, TALE)) as stream:
        waiting = await following(book, stream)
        book.tell(EDITED)
        async with asyncio.timeout(10):
            assert await waiting == book.told[0]


async def test_a_slow_reader_holds_one_page_and_reads_the_rest_when_it_comes_to_it(
    book: Book, followers: WorkflowFollowers
) -> None:
    async with aclosing(followers.follow(ADA, TALE)) as stream:
        waiting = await following(book, stream)
        book.tell(*[MOVED] * 250)
        followers.woken([TALE])
        seen = [await waiting]
        # However often it is woken, nothing more is read while it does not ask.
        reads = book.read_count
        for _ in range(1_000):
            followers.woken([TALE])
        assert book.read_count == reads
        book.tell(DELETED)
        seen += [one async for one in stream]
    assert seen == book.told
    assert book.read_count == reads + 2


async def test_a_reader_that_is_a_day_late_is_told_that_it_missed_something(
    book: Book, followers: WorkflowFollowers
) -> None:
    async with aclosing(followers.follow(ADA, TALE)) as stream:
        waiting = await following(book, stream)
        book.told = [ToldChange(TALE, 3, EDITED, 1, None, (), NOW)]
        followers.woken([TALE])
        with pytest.raises(CursorExpired):
            await waiting


async def test_a_database_that_is_away_for_a_while_loses_nothing(book: Book, followers: WorkflowFollowers) -> None:
    async with aclosing(followers.follow(ADA, TALE)) as stream:
        waiting = await following(book, stream)
        book.tell(EDITED)
        book.faults = 3
        followers.woken([TALE])
        assert await waiting == book.told[0]


async def test_what_the_caller_does_not_see_cannot_be_followed(book: Book, followers: WorkflowFollowers) -> None:
    for workflow_id, is_there in ((WorkflowId(uuid7()), True), (TALE, False)):
        book.is_there = is_there
        with pytest.raises(NotFound) as caught:
            await anext(followers.follow(ADA, workflow_id))
        assert caught.value.path == ["workflowId"]
    assert followers.follower_count == 0
