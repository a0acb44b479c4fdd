"""Wakes those who follow a collection: told by the database, and by a look each second in case that was lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

import structlog
from sqlalchemy import select

from persistence.collection_rows import CHANNEL
from persistence.database import TROUBLES, close_direct
from persistence.tables import collections

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from domain.ids import CollectionId
    from persistence.database import Database, DirectConnection

    Mark: TypeAlias = tuple[int, int, bool]
    """How far a collection is: its last seq, its generation, whether it is being rebuilt."""

_PERIOD_S: Final = 1.0
_REST_S: Final = 0.05
_TIMEOUT_S: Final = 5.0

_LOOK: Final = """
SELECT id, last_seq, generation, rebuild IS NOT NULL AS is_rebuilding FROM collections WHERE id = ANY($1::uuid[])
"""
_MARKS: Final = select(
    collections.c.last_seq, collections.c.generation, collections.c.rebuild.is_not(None).label("is_rebuilding")
)

_log = structlog.get_logger(__name__)


class CollectionChanges:
    """One look for all followers of a process; `run` is the task that looks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followers: dict[CollectionId, set[_Follower]] = {}
        self._is_followed = asyncio.Event()
        self._wake = asyncio.Event()

    async def follow(self, collection_id: CollectionId) -> AsyncGenerator[None]:
        """Yield once it is followed, then whenever it changed, at most once a second; end when it is deleted."""
        async with self._database.single() as connection:
            row = (await connection.execute(_MARKS.where(collections.c.id == collection_id))).first()
        if row is None:
            return
        follower = _Follower((row.last_seq, row.generation, row.is_rebuilding))
        self._followers.setdefault(collection_id, set()).add(follower)
        self._is_followed.set()
        self._wake.set()
        try:
            yield
            while await follower.changed():
                yield
                await asyncio.sleep(_PERIOD_S)
        finally:
            of_it = self._followers[collection_id]
            of_it.discard(follower)
            if not of_it:
                del self._followers[collection_id]
            if not self._followers:
                self._is_followed.clear()

    async def run(self) -> None:
        """Look until cancelled, while anybody follows; connect again when the connection is lost."""
        while True:
            await self._is_followed.wait()
            connection: DirectConnection | None = None
            try:
                connection = await self._database.open_direct()
                await connection.add_listener(CHANNEL, self._heard)
                while self._followers:
                    await self._look(connection)
            except TROUBLES as error:
                _log.warning("collection_changes.connection_lost", error=type(error).__name__)
                await asyncio.sleep(_PERIOD_S)
            finally:
                if connection is not None:
                    await close_direct(connection)

    async def _look(self, connection: DirectConnection) -> None:
        """Look now, and then wait until it is worth while to look again."""
        self._wake.clear()
        followed = list(self._followers)
        rows = await connection.fetch(_LOOK, followed, timeout=_TIMEOUT_S)
        marks = {row["id"]: (row["last_seq"], row["generation"], row["is_rebuilding"]) for row in rows}
        for collection_id in followed:
            for follower in self._followers.get(collection_id, ()):
                follower.see(marks.get(collection_id))
        await asyncio.sleep(_REST_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PERIOD_S):
                await self._wake.wait()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if UUID(str(payload)) in self._followers:
            self._wake.set()


class _Follower:
    """Remembers what was seen last, and whether that is news."""

    def __init__(self, mark: Mark) -> None:
        self._seen = mark
        self._is_gone = False
        self._news = asyncio.Event()

    def see(self, mark: Mark | None) -> None:
        """Take note of where the collection is now; None = it is gone."""
        if mark is None:
            self._is_gone = True
            self._news.set()
        elif mark != self._seen:
            self._seen = mark
            self._news.set()

    async def changed(self) -> bool:
        """Wait for news; False when the collection is gone."""
        await self._news.wait()
        self._news.clear()
        return not self._is_gone
