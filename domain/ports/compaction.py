"""What merges the streamed text of runs that have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Compaction(Protocol):
    """Merges the pieces of ended runs; whoever goes on behind any piece still gets the whole text."""

    async def compact(self, ended_before: datetime, limit: int) -> int:
        """Merge the texts of the next runs that ended before a time; return how many, 0 while another process does it.

        Raises:
            DatabaseUnavailable: the database does not answer; then nothing is changed.
        """
        ...
