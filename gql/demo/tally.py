"""What the demo claims, counted: what arrived against what the log holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gql.client.events import NodeEvent, RunRecovered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gql.client.events import Event


@dataclass(slots=True)
class Kill:
    """One SIGKILL in mid-stream: how many pieces of the answer had come, and which nodes had ended well by then."""

    pieces: int
    done: frozenset[str]
    recovery_s: float | None = None
    """From the kill to the first event of the run's new life, as the client saw it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: what was counted, and what it has to be."""

    what: str
    counted: int
    expected: int

    @property
    def is_true(self) -> bool:
        """Whether it holds."""
        return self.counted == self.expected

    def __str__(self) -> str:
        return f"{self.what} {self.counted}, and it has to be {self.expected}"


@dataclass(slots=True)
class Tally:
    """All that arrived, in the order of its arrival, repeats included."""

    arrived: list[Event] = field(default_factory=list["Event"])
    kills: list[Kill] = field(default_factory=list[Kill])

    def claims(self, log: Sequence[Event], kills_wanted: int) -> list[Claim]:
        """Return what has to hold of the events, when the run's whole log is read back after its end."""
        by_seq = {event.seq: event for event in self.arrived}
        matched = sum(by_seq.get(event.seq) == event for event in log)
        starts = Counter(
            event.node_key for event in log if isinstance(event, NodeEvent) and event.type == "NodeStarted"
        )
        done = frozenset[str]().union(*(kill.done for kill in self.kills))
        return [
            Claim("kills in mid-stream", len(self.kills), kills_wanted),
            Claim("recoveries", sum(isinstance(event, RunRecovered) for event in log), kills_wanted),
            Claim("nodes kept", sum(starts[key] == 1 for key in done), max(len(done), min(1, len(self.kills)))),
            # Events are numbered without a gap: what the log itself has lost shows in its last number.
            Claim("events lost", max((event.seq for event in log), default=0) - matched, 0),
            Claim("events doubled", len(self.arrived) - matched, 0),
        ]
