"""Who hears what processes that share a database do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class LogListener(Protocol):
    """Hears what processes do to runs and workflows; a wake-up may be lost."""

    def woken(self, run_ids: Sequence[UUID]) -> None:
        """Look at these runs; another process appended to them. Empty = look at all."""
        ...

    def commanded(self, run_ids: Sequence[UUID]) -> None:
        """Look at the commands of these runs. Empty = look at all."""
        ...

    def edited(self, workflow_ids: Sequence[UUID]) -> None:
        """Look at the changes of these workflows. Empty = look at all."""
        ...

    def limited(self, connection: UUID | None, pause_s: float | None) -> None:
        """Ask again for a connection: there may be room, or it may not be used for so long. None = look at all."""
        ...
