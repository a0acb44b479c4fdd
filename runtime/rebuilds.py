"""Rebuilds of collections: taken up wherever they were left, by one process at a time, in the background."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import Conflict, DatabaseUnavailable, NodeFault, NotFound
from runtime.chunking import cut_all
from runtime.ingestion import embed_all
from runtime.patience import WAITER, Background

if TYPE_CHECKING:
    from domain.collections import Collection
    from domain.ids import CollectionId
    from domain.ports.collections import Collections, RebuildWork
    from runtime.embedders import Embedders

_POLL_S: Final = 5.0
"""How often rebuilds are looked for that another process has left."""
_DOCUMENTS: Final = 50
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0

_log = structlog.get_logger(__name__)


class Rebuilder:
    """Does the rebuilds that were begun, one after the other. `run` is its life."""

    def __init__(self, collections: Collections, embedders: Embedders, *, poll_s: float = _POLL_S) -> None:
        self._collections = collections
        self._embedders = embedders
        self._poll_s = poll_s
        self._wake = asyncio.Event()
        self._pauses: dict[CollectionId, tuple[float, float]] = {}
        """When a rebuild that failed is tried again, and how long that pause is."""

    def wake(self, collection_id: CollectionId) -> None:
        """Look for rebuilds now instead of at the next poll; that of this collection has just begun."""
        self._pauses.pop(collection_id, None)
        self._wake.set()

    async def run(self) -> None:
        """Rebuild until cancelled; what is not finished then can be taken up by any process."""
        WAITER.set(Background())
        while True:
            self._wake.clear()
            try:
                found = await self._collections.interrupted_rebuilds()
                self._pauses = {one.id: self._pauses[one.id] for one in found if one.id in self._pauses}
                for collection in found:
                    if self._pauses.get(collection.id, (0.0, 0.0))[0] <= time.monotonic():
                        await self._attempt(collection)
            except DatabaseUnavailable:
                pass
            except Exception:  # noqa: BLE001 -- rebuilds stay begun, and are looked for again
                _log.exception("rebuild.failed")
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _attempt(self, collection: Collection) -> None:
        try:
            async with self._collections.rebuild(collection) as work:
                await self._finish(work)
        except (Conflict, NotFound):
            return  # another process has it, another rebuild took its place, or the collection is gone
        except DatabaseUnavailable:
            raise
        except NodeFault as fault:
            pause_s = self._pause(collection.id, fault.retry_after_s or 0.0)
            _log.warning(
                "rebuild.postponed",
                collection=str(collection.id),
                code=fault.code,
                reason=fault.message,
                again_s=pause_s,
            )
        except Exception:  # noqa: BLE001 -- whatever one rebuild meets, the others go on
            _log.exception("rebuild.failed", collection=str(collection.id), again_s=self._pause(collection.id, 0.0))
        else:
            self._pauses.pop(collection.id, None)
            _log.info("rebuild.finished", collection=str(collection.id))

    def _pause(self, collection_id: CollectionId, least_s: float) -> float:
        """Have a rebuild wait, longer each time; return how long."""
        _, last_s = self._pauses.get(collection_id, (0.0, _FIRST_PAUSE_S / 2))
        pause_s = max(min(last_s * 2, _LONGEST_PAUSE_S), least_s)
        self._pauses[collection_id] = (time.monotonic() + pause_s, pause_s)
        return pause_s

    async def _finish(self, work: RebuildWork) -> None:
        try:
            await self._fill(work)
        except NodeFault as fault:
            await work.note_fault(fault.code)
            raise

    async def _fill(self, work: RebuildWork) -> None:
        """Embed what the new generation lacks until it can take the old one's place."""
        target = work.target
        embedder = await self._embedders.find(target.workspace_id, target.embedder)
        while True:
            documents = await work.pending(_DOCUMENTS)
            if not documents and await work.finish():
                return
            chunks = await cut_all([document.text for document in documents], target.chunking)
            pieces = await embed_all(embedder, chunks, target)
            await work.save(
                [(document, one.chunks, one.vectors) for document, one in zip(documents, pieces, strict=True)]
            )
