"""What a run in memory needs of its engine, and what it knows of an attempt in flight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine
    from uuid import UUID

    from domain.ports.runs import RunLog
    from runtime.attempt import NodeAttempt, NodeServices
    from runtime.deltas import DeltaStream


class Host(Protocol):
    """What a run needs of its engine."""

    log: RunLog
    services: NodeServices
    max_recoveries: int
    cancel_grace_s: float

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run a node's work as a task that the engine owns."""
        ...

    def left(self, run_id: UUID, run: object) -> None:
        """Forget a run that has ended or is somebody else's."""
        ...


@dataclass(slots=True)
class Work:
    """An attempt in flight."""

    attempt: NodeAttempt
    stream: DeltaStream
    execution: int
    task: asyncio.Task[None] | None = None
    is_storing: bool = False
    """Whether its rows are on their way to the database, together with its end: nothing stops it any more."""
