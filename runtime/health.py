"""Whether this process can do its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import AnabranchError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.local import LocalEngine


class Health:
    """What `/readyz` tells."""

    def __init__(self, check_database: Callable[[], Awaitable[None]], engine: LocalEngine) -> None:
        self._check_database = check_database
        self._engine = engine

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
