"""What people may ask of runs that are under way: a pause, that it goes on, and of many at once to stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from domain.errors import Conflict
from domain.run import RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATH: Final[Sequence[str]] = ("input", "id")


@dataclass(frozen=True, slots=True)
class Steered:
    """What has been asked of a run so far, whether or not its owner has obeyed yet."""

    status: RunStatus
    pauses: int = 0
    resumptions: int = 0
    is_cancel_asked: bool = False

    @property
    def is_paused(self) -> bool:
        """Whether the last that was asked is a pause."""
        return self.pauses > self.resumptions


@dataclass(frozen=True, slots=True)
class CanceledRuns:
    """How many runs one call has asked to stop."""

    count: int
    has_more: bool
    """Whether there are more that match."""


def next_pause(run: Steered) -> int:
    """Return the number of the pause that is asked for now, from 1.

    Raises:
        Conflict: the run has ended, is being stopped, or is paused.
    """
    _refuse_ended(run)
    if run.is_paused:
        raise Conflict("The run is paused already; `resumeRun` lets it go on.", path=_PATH)
    return run.pauses + 1


def next_resumption(run: Steered) -> int:
    """Return the number of the pause that is to end now.

    Raises:
        Conflict: the run has ended, is being stopped, or is not paused.
    """
    _refuse_ended(run)
    if not run.is_paused:
        raise Conflict(f"The run is not paused ({run.status.value}).", path=_PATH)
    return run.pauses


def _refuse_ended(run: Steered) -> None:
    if run.status.is_finished:
        raise Conflict(f"The run has ended already ({run.status.value}).", path=_PATH)
    if run.is_cancel_asked or run.status is RunStatus.CANCELING:
        raise Conflict("The run is being stopped; nothing else can be asked of it.", path=_PATH)
