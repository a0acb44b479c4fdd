"""How much a run has written to its log, and when that is too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.run import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.events import Event


class RunSize:
    """Events of a run's log, and bytes that its nodes have returned and streamed; those of an earlier process as far as this one has read them."""

    __slots__ = ("_bytes", "_max_bytes", "_max_events")

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0

    def add(self, events: Iterable[Event]) -> None:
        """Count what events carry."""
        for event in events:
            self._bytes += len(getattr(event, "output", None) or b"") + len(getattr(event, "text", ""))

    def fault(self, last_seq: int) -> Failure | None:
        """Return what a run fails with whose log ends with `last_seq`; None while there is room."""
        if last_seq > self._max_events:
            message = (
                f"The run has logged {last_seq:,} events; at most {self._max_events:,} are allowed "
                "(ANABRANCH_LIMITS__EVENTS_PER_RUN)."
            )
            return Failure("TOO_MANY_EVENTS", message)
        if self._bytes > self._max_bytes:
            message = (
                f"The run's nodes have returned and streamed {self._bytes:,} bytes; at most {self._max_bytes:,} are allowed "
                "(ANABRANCH_LIMITS__OUTPUT_BYTES_PER_RUN)."
            )
            return Failure("TOO_MUCH_OUTPUT", message)
        return None
