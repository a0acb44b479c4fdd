"""Runs on a log in memory, for what no engine with a database can be brought to at will."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from uuid_utils.compat import uuid7

from domain.errors import StillWanted
from domain.events import LoggedEvent
from domain.ids import RunId, WorkspaceId
from domain.json_codec import encode
from domain.ports.runs import ClaimedRun, Departure
from runtime.compiled import compile_run
from runtime.local_run import LocalRun
from tests.support.engines import Kinds, NoServices

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import timedelta
    from uuid import UUID

    from domain.events import Event
    from domain.kinds import NodeKind
    from domain.ports.runs import Group
    from domain.workflow import Definition


class MemoryHost:
    """Host and log of one run; a group is stored in the next turn of the event loop."""

    max_recoveries = 10
    cancel_grace_s = 5.0
    linger_s = 0.0
    max_events = 1_000_000
    max_output_bytes = 1_073_741_824

    def __init__(self) -> None:
        self.log = self
        self.services = NoServices()
        self.appended = 0
        """Groups that were handed over, stored or not yet."""
        self.events: list[Event] = []
        self.wanted: set[UUID] = set()
        """Commands that the run has not answered."""
        self.gone = asyncio.Event()
        self.spawned: Callable[[], object] = lambda: None
        """Called in the turn in which an attempt's task is made, before that has run."""

    def append(self, group: Group) -> None:
        """Store a group soon."""
        self.appended += 1
        asyncio.get_running_loop().call_soon(self._store, group)

    def _store(self, group: Group) -> None:
        if isinstance(group, Departure) and self.wanted - set(group.applied_commands):
            group.on_refused(group, StillWanted())
            return
        self.wanted -= set(group.applied_commands)
        self.events += group.events
        group.on_stored(group, len(self.events))

    def look(self) -> None:
        """There is nothing to look for."""

    def expire(self, approval: UUID) -> None:
        """Nobody was asked."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Begin a task."""
        asyncio.get_running_loop().call_soon(self.spawned)
        return asyncio.get_running_loop().create_task(work, name=name)

    def abandon(self, run_id: UUID) -> None:
        """Nothing is refused here."""

    def left(self, _run_id: RunId, _run: object) -> None:
        """Remember that the run is gone."""
        self.gone.set()

    def run(self, definition: Definition, *kinds: NodeKind) -> LocalRun:
        """Return a run that has not begun."""
        ids = RunId(uuid7()), WorkspaceId(uuid7()), uuid7()
        claimed = ClaimedRun(*ids, 1, 1, datetime.now(UTC), encode(None))  # pyright: ignore[reportArgumentType]
        return LocalRun(claimed, compile_run(definition, Kinds(*kinds)), self)  # pyright: ignore[reportArgumentType]


def past_of(run: LocalRun, ago: timedelta, events: Sequence[Event]) -> list[LoggedEvent]:
    """Return a log of so long ago."""
    at = datetime.now(UTC) - ago
    return [LoggedEvent(run.id, number, at, event) for number, event in enumerate(events, 1)]
