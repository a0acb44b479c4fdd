"""Whether this process can do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import AnabranchError
from domain.run import RunStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from domain.ports.runs import RunReader
    from runtime.local import LocalEngine


class Health:
    """What `/readyz` and `/metrics` ask the database."""

    def __init__(self, check_database: Callable[[], Awaitable[None]], engine: LocalEngine, reader: RunReader) -> None:
        self._check_database = check_database
        self._engine = engine
        self._reader = reader

    async def reasons(self) -> list[str]:
        """Return why the process is not ready; empty when it is."""
        reasons: list[str] = []
        try:
            await self._check_database()
        except AnabranchError:
            # Not the error's own text: it may name hosts.
            reasons.append("The database does not answer.")
        if not self._engine.is_open:
            reasons.append("The engine does not execute runs.")
        return reasons

    async def unfinished(self) -> Mapping[RunStatus, int] | None:
        """Return how many runs of all processes have not ended, by status; None while the database does not answer."""
        try:
            counts = await self._reader.unfinished_counts()
        except AnabranchError:
            return None
        return {status: counts.get(status, 0) for status in RunStatus if not status.is_finished}
