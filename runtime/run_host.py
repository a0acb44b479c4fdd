"""What a run in memory needs of its engine, and what it knows of an attempt in flight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from uuid import UUID

    from domain.events import NodeOutputDelta
    from domain.ports.runs import RunLog
    from runtime.attempt import NodeAttempt, NodeServices
    from runtime.deltas import DeltaStream


class Host(Protocol):
    """What a run needs of its engine."""

    log: RunLog
    services: NodeServices
    max_recoveries: int
    cancel_grace_s: float
    linger_s: float
    """How long a run in which nothing works stays in memory."""
    max_events: int
    max_output_bytes: int

    def look(self) -> None:
        """Look for commands now."""
        ...

    def expire(self, approval_id: UUID) -> None:
        """Let a question that ran out be closed; the run gets a command when that is stored."""
        ...

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run a node's work as a task that the engine owns."""
        ...

    def abandon(self, run_id: UUID) -> None:
        """Take a run up again after a while of which even the end was refused: it has left, and is in nobody's memory."""
        ...

    def left(self, run_id: UUID, run: object) -> None:
        """Forget a run that has ended or is somebody else's."""
        ...


@dataclass(slots=True)
class Work:
    """An attempt in flight."""

    attempt: NodeAttempt
    stream: DeltaStream
    slot: int
    execution: int
    task: asyncio.Task[None] | None = None
    """None when it was stopped, too: one that was stopped before its first step keeps its frame, which refers to this."""
    is_storing: bool = False
    """Whether its rows are on their way to the database, together with its end: nothing stops it any more."""

    def stored(self, delta: NodeOutputDelta) -> None:
        """Tell that a piece of text is in the log, if it is this attempt's."""
        if self.execution == delta.execution:
            self.stream.stored(delta)

    def close(self) -> None:
        """Stop at once and say nothing more."""
        self.stream.close()
        if self.task is not None:
            self.task.cancel()
            self.task = None
            self.task = (
                None  # how it ends refers to its frames, and these to this: nothing else would free them at once
            )


class Fallible(Protocol):
    """A run that can be ended for a fault of ours."""

    @property
    def has_left(self) -> bool:
        """Whether the run is in memory no more: what still calls it comes too late."""
        ...

    def fault(self) -> None:
        """Fail the run; called where an exception is being handled."""
        ...


Run = TypeVar("Run", bound=Fallible)
Given = ParamSpec("Given")


def guarded(method: Callable[Concatenate[Run, Given], None]) -> Callable[Concatenate[Run, Given], None]:
    """Make a method end its run where it raises, since nobody else would; and do nothing in a run that has left."""

    @wraps(method)
    def call(self: Run, *args: Given.args, **kwargs: Given.kwargs) -> None:
        if self.has_left:
            return
        try:
            method(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 -- a fault of ours in one run must not end the runs of all
            self.fault()

    return call
