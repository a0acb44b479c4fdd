"""What people ask of a run, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from domain.events import Event, RunCancelRequested

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.ports.runs import RunCommand


class Asked:
    """The commands that a run has turned into events; each is answered once, however often it is read."""

    def __init__(self) -> None:
        self._seen: set[UUID] = set()

    def take(self, commands: Sequence[RunCommand]) -> tuple[list[Event], tuple[UUID, ...]]:
        """Return the events of commands that are new here, in their order, and the ids that they answer."""
        new = [command for command in commands if command.kind == "cancel" and command.id not in self._seen]
        self._seen.update(command.id for command in new)
        return [_cancel_requested(command) for command in new], tuple(command.id for command in new)


def _cancel_requested(command: RunCommand) -> RunCancelRequested:
    payload = command.payload if isinstance(command.payload, dict) else {}
    by, reason = payload.get("by"), payload.get("reason")
    return RunCancelRequested(None if by is None else UUID(str(by)), None if reason is None else str(reason))
