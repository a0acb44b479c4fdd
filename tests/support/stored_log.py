"""Runs and a log in memory, for what follows them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

from domain.errors import DatabaseUnavailable
from domain.events import LoggedEvent
from domain.ids import RunId, WorkflowId, WorkspaceId
from domain.ports.runs import Group, LogPart
from runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.events import Event
    from domain.run import Run

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WORKSPACE = WorkspaceId(uuid7())


class Stored:
    """Runs and one log in memory, and the `Progress` that reads them; reads take time, and writes happen meanwhile."""

    def __init__(self, latency_s: float = 0.001) -> None:
        self.run_id = RunId(uuid7())
        self.log: list[LoggedEvent] = []
        self.runs: dict[UUID, Run] = {}
        self.latency_s = latency_s
        self.read_count = 0
        self.failures = 0
        self.fits = 1_000
        """How many events fit into the bytes of a page."""
        self.progress = Progress(self)  # pyright: ignore[reportArgumentType] -- only reads of Progress are answered

    async def events_after(self, run_id: RunId, after: int, limit: int, max_bytes: int) -> LogPart:
        """Read a page, as it was in the midst of the read."""
        assert run_id == self.run_id
        self.read_count += 1
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable
        await asyncio.sleep(self.latency_s / 2)
        assert max_bytes > 0
        events = self.log[after : after + min(limit, self.fits)]
        page = LogPart(events, has_more=len(events) == limit or len(self.log) > after + len(events))
        await asyncio.sleep(self.latency_s / 2)
        return page

    async def find_many(self, within: frozenset[WorkspaceId], run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Read runs."""
        self.read_count += 1
        if self.failures:
            self.failures -= 1
            raise DatabaseUnavailable
        return [
            self.runs[run_id] for run_id in run_ids if run_id in self.runs and self.runs[run_id].workspace_id in within
        ]

    async def unfinished(
        self, workspace_id: WorkspaceId, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Read unfinished runs."""
        found = [run for run in self.runs.values() if run.workspace_id == workspace_id and not run.status.is_finished]
        found = [run for run in found if workflow_id in {None, run.workflow_id}]
        return found[-limit:]

    async def just_ended(
        self, workspace_id: WorkspaceId, within_s: float, limit: int, workflow_id: WorkflowId | None = None
    ) -> Sequence[Run]:
        """Read runs that ended; `NOW` is when the test began."""
        since = NOW + timedelta(seconds=asyncio.get_running_loop().time() - within_s)
        found = [run for run in self.runs.values() if run.workspace_id == workspace_id and run.finished_at is not None]
        found = [run for run in found if run.finished_at > since and workflow_id in {None, run.workflow_id}]
        return found[-limit:]

    def write(self, *events: Event, is_told: bool = True, is_own: bool = True) -> None:
        """Store a group; tell of it as this process's own, as another's, or not at all."""
        base = len(self.log)
        group = Group(self.run_id, 1, NOW, list(events), ignore, ignore)
        self.log += [LoggedEvent(self.run_id, base + place, NOW, event) for place, event in enumerate(events, 1)]
        if is_told and is_own:
            self.progress.stored(group, base)
        elif is_told:
            self.progress.woken([self.run_id])

    async def followed(self, after: int = 0, pauses: Sequence[float] = ()) -> list[int]:
        """Follow to the end, at the pace of a slow client."""
        seqs: list[int] = []
        async for logged in self.progress.follow(self.run_id, after):
            seqs.append(logged.seq)
            if pauses:
                await asyncio.sleep(pauses[len(seqs) % len(pauses)])
        return seqs


def ignore(_group: Group, _answer: object) -> None:
    """Nobody waits for the answer."""
