"""What people ask of a run, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from domain.events import Event, RunCancelRequested, RunPaused, RunResumed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.ports.runs import RunCommand
    from domain.schedule import State


class Asked:
    """The commands that a run has turned into events; each is answered once, however often it is read."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seen: set[UUID] = set()

    def take(
        self,
        commands: Sequence[RunCommand],
        answered: Callable[[RunCommand], list[Event]],
        first: Sequence[Event] = (),
    ) -> tuple[list[Event], tuple[UUID, ...]]:
        """Return `first` and the events of commands that are new here, in their order, and the ids that they answer.

        `answered` makes events of an answer that a node waits for: none if it does not wait any more.
        """
        new = [command for command in commands if command.id not in self._seen]
        self._seen.update(command.id for command in new)
        events = [*first]
        for command in new:
            match command.kind:
                case "cancel":
                    events.append(_cancel_requested(command))
                case "pause" | "resume":
                    events += self._steered(command, events)
                case _:
                    events += answered(command)
        return events, tuple(command.id for command in new)

    def _steered(self, command: RunCommand, before: Sequence[Event]) -> list[Event]:
        """Return the event of a pause or a resumption; none where the run is stopping, or is so already."""
        if self._state.is_stopping or any(isinstance(event, RunCancelRequested) for event in before):
            return []
        changes = [event for event in before if isinstance(event, (RunPaused, RunResumed))]
        is_paused = isinstance(changes[-1], RunPaused) if changes else self._state.is_paused
        payload = cast("dict[str, Any]", command.payload)
        by = None if payload["by"] is None else UUID(payload["by"])
        if command.kind == "pause":
            return [] if is_paused else [RunPaused(payload["number"], by)]
        resumed = sum(isinstance(event, RunResumed) for event in before)
        return [RunResumed(self._state.resumptions + resumed + 1, by)] if is_paused else []


def _cancel_requested(command: RunCommand) -> RunCancelRequested:
    payload = command.payload if isinstance(command.payload, dict) else {}
    by, reason = payload.get("by"), payload.get("reason")
    return RunCancelRequested(None if by is None else UUID(str(by)), None if reason is None else str(reason))
