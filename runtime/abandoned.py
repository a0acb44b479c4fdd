"""Runs of which even the end was refused: in nobody's memory, and this process's by the database until they end.

Each is taken up again from its log, later every time and not for ever: what is wrong may be wrong for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

_FIRST_PAUSE_S: Final = 1.0
_MAX_RUNS: Final = 1_000

_log = structlog.get_logger(__name__)


class Abandoned:
    """How often runs were abandoned, and when each may be taken up again; times are those of one monotonic clock."""

    def __init__(self, max_returns: int) -> None:
        self._max_returns = max_returns
        self._runs: dict[UUID, tuple[int, float]] = {}

    def add(self, run_id: UUID, now_s: float) -> None:
        """Remember a run that was abandoned once more."""
        times, _ = self._runs.pop(run_id, (0, 0.0))
        pause_s = _FIRST_PAUSE_S * 2**times if times < self._max_returns else float("inf")
        if pause_s == float("inf"):
            _log.error("engine.run_given_up", run=str(run_id), times=times + 1)
        self._runs[run_id] = times + 1, now_s + pause_s
        if len(self._runs) > _MAX_RUNS:
            del self._runs[next(iter(self._runs))]

    def resting(self, now_s: float) -> Sequence[UUID]:
        """Return the runs that are not to be taken up yet."""
        return [run_id for run_id, (_, at_s) in self._runs.items() if at_s > now_s]

    def is_due(self, now_s: float) -> bool:
        """Whether a run may be taken up again, said once for each time that one was abandoned."""
        due = [run_id for run_id, (_, at_s) in self._runs.items() if float("-inf") < at_s <= now_s]
        for run_id in due:
            self._runs[run_id] = self._runs[run_id][0], float("-inf")
        return bool(due)
