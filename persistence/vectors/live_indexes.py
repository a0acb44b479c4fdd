"""The indexes that a process has in memory: followed before each search, grown, written to disk and dropped beside it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import AnabranchError
from persistence.vectors import snapshots
from persistence.vectors.faiss_index import FaissIndex, IndexOptions

if TYPE_CHECKING:
    from pathlib import Path

    from domain.ids import CollectionId
    from persistence.vectors.snapshots import Origin
    from persistence.vectors.tail import Standing, Tail
    from persistence.vectors.threads import VectorThreads

_CLOSE_TIMEOUT_S: Final = 10.0
_FEW: Final = 1_000
"""So many changes are read from rows faster than anybody notices: no snapshot is written for them when closing."""
_SHARE: Final = 5
"""A snapshot is written anew when a fifth of the collection has changed."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How indexes are kept."""

    index: IndexOptions = field(default_factory=IndexOptions)
    snapshot_after: int = 10_000
    max_memory_bytes: int = 2 * 1024**3
    max_documents: int = 1_000_000
    """Of a collection."""


@dataclass(slots=True)
class _Held:
    """An index in memory; `syncing` lets one at a time bring it on."""

    syncing: asyncio.Lock = field(default_factory=asyncio.Lock)
    origin: Origin | None = None
    index: FaissIndex | None = None
    saved_seq: int = 0


class LiveIndexes:
    """One index for each collection that is searched in this process."""

    def __init__(self, tail: Tail, threads: VectorThreads, directory: Path, options: VectorOptions) -> None:
        self._tail = tail
        self._threads = threads
        self._directory = directory
        self._options = options
        self._held: dict[CollectionId, _Held] = {}
        self._due: dict[CollectionId, None] = {}
        self._is_due = asyncio.Event()

    async def synced(self, collection_id: CollectionId) -> tuple[Standing, FaissIndex]:
        """Return an index that holds everything that was committed before the call, and where the collection stood.

        Raises:
            NotFound: the collection is gone.
        """
        standing = await self._tail.standing(collection_id)
        held = self._held.pop(collection_id, None) or _Held()
        # The last in the order is the one that was used last.
        self._held[collection_id] = held
        if (index := _ready(held, standing)) is not None:
            return standing, index
        async with held.syncing:
            if held.origin not in (None, standing.origin):
                # A rebuild took its place; whoever looked before that must not bring the old one back.
                standing = await self._tail.standing(collection_id)
            return standing, _ready(held, standing) or await self._follow(collection_id, held, standing)

    async def forget(self, collection_id: CollectionId) -> None:
        """Drop a collection that is gone, its snapshot included."""
        self._held.pop(collection_id, None)
        await self._threads.call(snapshots.remove, snapshots.path_of(self._directory, collection_id))

    async def run(self) -> None:
        """Do what is due beside searches, one index after another, until cancelled."""
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            while self._due:
                collection_id = next(iter(self._due))
                del self._due[collection_id]
                try:
                    await self._maintain(collection_id)
                except (AnabranchError, OSError, RuntimeError, MemoryError) as error:
                    # The rows are the truth, and the next change tries again.
                    _log.warning("vectors.maintenance_failed", collection=str(collection_id), error=repr(error))

    async def close(self) -> None:
        """Write snapshots of what has changed much, as far as there is time."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                for collection_id, held in list(self._held.items()):
                    await self._save(collection_id, held, _FEW)
        except OSError as error:
            # Out of time, or of space: what is not written is read from rows next time.
            _log.warning("vectors.snapshots_unfinished", error=repr(error))

    async def _follow(self, collection_id: CollectionId, held: _Held, standing: Standing) -> FaissIndex:
        index = held.index if held.origin == standing.origin else None
        if index is None or index.last_seq < standing.forgotten_seq:
            index = await self._load(collection_id, held, standing)
        is_new = not index.last_seq
        async for page in self._tail.pages(collection_id, standing, index.last_seq):
            await self._threads.call(index.change, page.after, page.until, page.seqs, page.vectors, page.removed)
        if is_new and index.live >= _FEW:
            _log.info("vectors.read_from_rows", collection=str(collection_id), chunks=index.live)
        held.origin, held.index = standing.origin, index
        self._due[collection_id] = None
        self._is_due.set()
        return index

    async def _load(self, collection_id: CollectionId, held: _Held, standing: Standing) -> FaissIndex:
        """Return what the snapshot holds; an empty index where there is no snapshot of use."""
        path, origin = snapshots.path_of(self._directory, collection_id), standing.origin
        index: FaissIndex | None = None
        try:
            index = await self._threads.call(snapshots.read, path, origin, self._options.index)
        except snapshots.SnapshotUnusable as error:
            _log.warning("vectors.snapshot_unusable", collection=str(collection_id), reason=str(error))
        if index is not None and index.last_seq > standing.last_seq:
            # Another process of this machine wrote it just now, or the database was put back to an older state.
            standing = await self._tail.standing(collection_id)
        if index is None or not standing.forgotten_seq <= index.last_seq <= standing.last_seq:
            if index is not None:
                _log.warning("vectors.snapshot_unusable", collection=str(collection_id), reason="it is of another time")
            held.saved_seq = 0
            return FaissIndex(origin.dimension, origin.metric, self._options.index)
        held.saved_seq = index.last_seq
        return index

    async def _maintain(self, collection_id: CollectionId) -> None:
        held = self._held.get(collection_id)
        if held is None or held.index is None:
            return
        index, call = held.index, self._threads.call
        if (rebuilding := await call(index.plan)) is not None:
            while await call(index.step, rebuilding):
                pass
            await call(index.install, rebuilding)
            held.saved_seq = 0
        while await call(index.absorb):
            pass
        await self._save(collection_id, held, max(self._options.snapshot_after, index.live // _SHARE))
        await self._make_room()

    async def _save(self, collection_id: CollectionId, held: _Held, changes: int) -> None:
        """Write a snapshot if there were so many changes since the last one."""
        index, origin = held.index, held.origin
        if index is None or origin is None or index.last_seq - held.saved_seq < changes:
            return
        path = snapshots.path_of(self._directory, collection_id)
        saved_seq = await self._threads.call(snapshots.write, index, origin, path)
        if self._held.get(collection_id) is held:
            held.saved_seq = saved_seq
        else:
            await self._threads.call(snapshots.remove, path)

    async def _make_room(self) -> None:
        """Drop what has not been searched for the longest time while all together take too much memory."""
        sizes = {one: held.index.size_bytes for one, held in self._held.items() if held.index is not None}
        for collection_id in list(sizes)[:-1]:
            if sum(sizes.values()) <= self._options.max_memory_bytes:
                return
            held = self._held.get(collection_id)
            if held is not None and held.syncing.locked():
                continue
            # It may have been deleted while another was written.
            if held is not None:
                await self._save(collection_id, held, _FEW)
                self._held.pop(collection_id, None)
            del sizes[collection_id]


def _ready(held: _Held, standing: Standing) -> FaissIndex | None:
    is_there = held.index is not None and held.origin == standing.origin and held.index.last_seq >= standing.last_seq
    return held.index if is_there else None
