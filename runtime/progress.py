"""Following runs: the log after a cursor, then live, without gap or repeat; the log itself is the buffer.

A follower registers first, reads the backlog, then takes what is published, dropping what it has sent already. Its buffer
is bounded: one that overflows is emptied and the follower reads from the log when its client drains. All followers of a
run in this process share one read when another process appends to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from domain.errors import DatabaseUnavailable
from domain.events import TERMINAL, LoggedEvent, NodeOutputDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from domain.ids import RunId, WorkflowId, WorkspaceId
    from domain.ports.runs import Group, LogPart, RunReader
    from domain.run import Run
    from runtime.metrics import Metrics

_BUFFERED_EVENTS: Final = 256
_PAGE: Final = 64  # a client that does not read holds one; reading is a fiftieth of what telling them costs
_MOST_BYTES: Final = 2_097_152
"""Of the texts and outputs in a page, and in a buffer; one event may be larger."""
_POLL_S: Final = 1.0
"""How often a follower looks by itself, should a wake-up have been lost."""
_CHANGE_INTERVAL_S: Final = 0.25
_MAX_CHANGED: Final = 10_000
_RECENT_S: Final = 10.0
"""For how long a run that ended is told to whoever opens a list: its first page may have been read that long before."""
_MAX_TOLD: Final = 100

_log = structlog.get_logger(__name__)


class _Follower:
    """One client's place in one run: what was published and not yet taken, within bounds."""

    __slots__ = ("buffer", "held_bytes", "is_behind", "wake")

    def __init__(self) -> None:
        self.buffer: deque[LoggedEvent] = deque()
        self.held_bytes = 0
        self.is_behind = True
        self.wake = asyncio.Event()

    def publish(self, events: Sequence[LoggedEvent]) -> bool:
        """Offer events; False if there are too many for it to take."""
        self.wake.set()
        if not self.is_behind:
            self.buffer.extend(events)
            self.held_bytes += sum(map(_weight, events))
            if len(self.buffer) > _BUFFERED_EVENTS or self.held_bytes > _MOST_BYTES:
                self.clear()
                self.is_behind = True
                return False
        return True

    def take(self) -> LoggedEvent:
        event = self.buffer.popleft()
        self.held_bytes -= _weight(event)
        return event

    def clear(self) -> None:
        self.buffer.clear()
        self.held_bytes = 0

    def fall_behind(self) -> None:
        self.is_behind = True
        self.wake.set()


def _weight(logged: LoggedEvent) -> int:
    """Return the bytes (of texts the characters) of what may be large in an event."""
    held: bytes | str | None = getattr(logged.event, "output", None) or getattr(logged.event, "text", None)
    return len(held) if held else 0


class _Watcher:
    """One client's list of runs: which have changed since it looked."""

    __slots__ = ("changed", "is_behind", "unfinished", "wake", "workflow_id")

    def __init__(self, workflow_id: WorkflowId | None) -> None:
        self.workflow_id = workflow_id
        self.changed: dict[UUID, None] = {}
        self.unfinished: dict[UUID, None] = {}
        """Told runs that had not ended: when something was missed, they are looked at again."""
        self.is_behind = False
        self.wake = asyncio.Event()

    def touch(self, run_ids: Sequence[UUID]) -> None:
        self.changed.update(dict.fromkeys(run_ids))
        if len(self.changed) > _MAX_CHANGED or not run_ids:
            self.is_behind = True
        while len(self.changed) > _MAX_CHANGED:
            del self.changed[next(iter(self.changed))]
        self.wake.set()

    def told(self, run: Run) -> Run:
        if run.status.is_finished:
            self.unfinished.pop(run.id, None)
        elif len(self.unfinished) < _MAX_CHANGED:
            self.unfinished[run.id] = None
        return run


@dataclass(slots=True)
class _Watched:
    """A run with followers; `version` counts what they were told of it."""

    followers: dict[_Follower, None] = field(default_factory=dict[_Follower, None])
    version: int = 0


class Progress:
    """Who follows which run in this process; hears of the events of runs."""

    def __init__(self, reader: RunReader, metrics: Metrics | None = None) -> None:
        self._reader = reader
        self._metrics = metrics
        self._watched: dict[UUID, _Watched] = {}
        self._watchers: dict[_Watcher, None] = {}
        self._reads: dict[tuple[UUID, int], tuple[asyncio.Future[LogPart], int]] = {}

    @property
    def follower_count(self) -> int:
        """Open followers of runs."""
        return sum(len(watched.followers) for watched in self._watched.values())

    # ── what wakes followers ──

    def stored(self, group: Group, base: int) -> None:
        """Publish a group that this process has just committed."""
        watched = self._watched.get(group.run_id)
        if watched is not None:
            watched.version += 1
            events = [
                LoggedEvent(group.run_id, seq, group.at, event) for seq, event in enumerate(group.events, base + 1)
            ]
            for follower in watched.followers:
                if not follower.publish(events) and self._metrics is not None:
                    self._metrics.overflowed()
        if not isinstance(group.events[-1], NodeOutputDelta):
            self._touch([group.run_id])

    def woken(self, run_ids: Sequence[UUID]) -> None:
        """Let the followers of these runs read; empty = all."""
        for run_id in run_ids or list(self._watched):
            watched = self._watched.get(run_id)
            if watched is not None:
                watched.version += 1
                for follower in watched.followers:
                    follower.fall_behind()
        self._touch(run_ids)

    def _touch(self, run_ids: Sequence[UUID]) -> None:
        for watcher in self._watchers:
            watcher.touch(run_ids)

    # ── following ──

    async def follow(self, run_id: RunId, after: int = 0) -> AsyncGenerator[LoggedEvent]:
        """Yield the events of a run behind seq `after`, then new ones as they are stored; ends after the last.

        Whether the caller may see the run, and whether the cursor is one of its, is the caller's business.
        """
        follower = _Follower()
        watched = self._watched.setdefault(run_id, _Watched())
        watched.followers[follower] = None
        try:
            async with aclosing(self._events(run_id, after, follower)) as events:
                async for event in events:
                    yield event
                    if isinstance(event.event, TERMINAL):
                        return
        finally:
            del watched.followers[follower]
            if not watched.followers:
                del self._watched[run_id]

    async def _events(self, run_id: RunId, after: int, follower: _Follower) -> AsyncGenerator[LoggedEvent]:
        while True:
            if follower.is_behind:
                # Cleared before the read: what is stored from now on is published into the buffer, or read, or both.
                follower.is_behind = False
                follower.clear()
                page, is_fresh = await self._read(run_id, after)
                for event in page.events:
                    after = event.seq
                    yield event
                if page.has_more or not is_fresh:
                    follower.is_behind = True
                    continue
            while follower.buffer and not follower.is_behind:
                event = follower.take()
                if event.seq > after + 1:
                    follower.is_behind = True  # something was stored by another process in between
                elif event.seq == after + 1:
                    after = event.seq
                    if self._metrics is not None:
                        self._metrics.delivered(max((datetime.now(UTC) - event.at).total_seconds(), 0.0))
                    yield event
            if not follower.is_behind:
                await self._wait(follower)

    async def _wait(self, follower: _Follower) -> None:
        follower.wake.clear()
        try:
            async with asyncio.timeout(_POLL_S):
                await follower.wake.wait()
        except TimeoutError:
            follower.is_behind = True

    async def _read(self, run_id: RunId, after: int) -> tuple[LogPart, bool]:
        """Read a page once for all followers that stand at the same place.

        Also return whether the page holds all that was told before: a read that somebody else began may be older.
        """
        key, version = (run_id, after), self._watched[run_id].version
        while (running := self._reads.get(key)) is not None:
            shared, begun_at = running
            await asyncio.wait([shared])
            if not shared.cancelled():
                return shared.result(), begun_at == version
        shared: asyncio.Future[LogPart] = asyncio.get_running_loop().create_future()
        self._reads[key] = shared, version
        try:
            page = await self._read_when_possible(run_id, after)
            shared.set_result(page)
            return page, True
        finally:
            shared.cancel()  # without effect on one that has its result
            del self._reads[key]

    async def _read_when_possible(self, run_id: RunId, after: int) -> LogPart:
        while True:
            try:
                return await self._reader.events_after(run_id, after, _PAGE, _MOST_BYTES)
            except DatabaseUnavailable:
                _log.warning("progress.database_away")
                await asyncio.sleep(_POLL_S)

    # ── lists ──

    async def changes(self, workspace_id: WorkspaceId, workflow_id: WorkflowId | None = None) -> AsyncGenerator[Run]:
        """Yield the unfinished runs of a workspace, or of one of its workflows (100 at most), then each that changes.

        Behind the unfinished ones come those that ended just now, 100 at most as well: a client that has read its list before
        would miss them.
        A run is told at most four times a second; its last state always is.
        """
        watcher = _Watcher(workflow_id)
        self._watchers[watcher] = None
        try:
            for run in await self._reader.unfinished(workspace_id, _MAX_TOLD, workflow_id):
                yield watcher.told(run)
            for run in await self._reader.just_ended(workspace_id, _RECENT_S, _MAX_TOLD, workflow_id):
                yield watcher.told(run)
            while True:
                await asyncio.sleep(_CHANGE_INTERVAL_S)
                if not watcher.changed and not watcher.is_behind:
                    await self._await_change(watcher)
                changed, watcher.changed = list(watcher.changed), {}
                for run in await self._changed(workspace_id, changed, watcher):
                    yield watcher.told(run)
        finally:
            del self._watchers[watcher]

    async def _await_change(self, watcher: _Watcher) -> None:
        watcher.wake.clear()
        await watcher.wake.wait()

    async def _changed(self, workspace_id: WorkspaceId, changed: list[UUID], watcher: _Watcher) -> Sequence[Run]:
        is_behind, watcher.is_behind = watcher.is_behind, False
        if is_behind:
            changed = list(dict.fromkeys((*changed, *watcher.unfinished)))
        try:
            runs = list(await self._reader.find_many(frozenset({workspace_id}), changed))
            if is_behind:
                known = {run.id for run in runs}
                unfinished = await self._reader.unfinished(workspace_id, _MAX_TOLD, watcher.workflow_id)
                runs += [run for run in unfinished if run.id not in known]
        except DatabaseUnavailable:
            watcher.touch(changed)
            watcher.is_behind = watcher.is_behind or is_behind
            return []
        return runs
