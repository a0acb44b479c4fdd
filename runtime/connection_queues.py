"""Those who wait in this process for room under the limits of one connection, in their order."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from domain.rate_limits import Ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.rate_limits import Caps, Settled


_LONGEST_POLL_S: Final = 5.0
"""Limits may be changed while somebody waits for a time."""


class Ticket:
    """A place in the queue of a connection."""

    __slots__ = (
        "decided",
        "gives_up_at",
        "granted_at",
        "is_granted",
        "is_left",
        "is_soon",
        "name",
        "queue",
        "room_at",
        "since",
        "wake",
    )

    def __init__(
        self, queue: ConnectionQueue, name: str | None, gives_up_at: float | None, since: float | None
    ) -> None:
        self.queue = queue
        self.name = name
        self.gives_up_at = gives_up_at
        """When whoever waits here wants to be told that it takes longer; None = never."""
        self.since = since
        self.room_at: float | None = None
        """When there will be room, as far as that is known."""
        self.is_soon = False
        """Whether that is in the next minute, if nobody else comes."""
        self.is_granted = False
        self.granted_at = 0.0
        """When it was let through, by the database's clock."""
        self.is_left = False
        """Whether nobody stands here: the node is out of work until it is woken."""
        self.wake: Callable[[], bool] | None = None
        """Tells the node that it may go; False = it is not interested any more."""
        self.decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def decide(self) -> None:
        """Let whoever stands here look."""
        if not self.decided.done():
            self.decided.set_result(None)

    def expect(self, room_at: float | None) -> None:
        """Note when there will be room, and let whoever stands here look if that is too late."""
        self.room_at = room_at
        if room_at is not None and self.gives_up_at is not None and room_at > self.gives_up_at:
            self.decide()

    def stand(self, gives_up_at: float | None) -> None:
        """Be here again."""
        self.is_left = False
        self.gives_up_at = gives_up_at
        if self.decided.done() and not self.is_granted:
            self.decided = asyncio.get_running_loop().create_future()


class ConnectionQueue:
    """The queue of one connection, and how many requests of this process are in flight."""

    __slots__ = ("_changed", "_unsent", "caps", "held", "is_counted", "next_at", "tickets")

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.held = 0
        self.is_counted = caps.max_concurrent is not None
        self.tickets: dict[Ticket, None] = {}
        self.next_at: float | None = None
        """When it is asked again; None = never, since nothing has changed and nobody waits."""
        self._changed = False
        self._unsent: list[float] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self.held or self.tickets or self.next_at is not None)

    def change(self, now: float) -> None:
        """Ask as soon as possible: something is different."""
        self.next_at = now
        self._changed = True

    def refund(self, ticket: Ticket) -> None:
        """Have a request counted no more that was let through, but not sent."""
        self._unsent.append(ticket.granted_at)

    def ask(self) -> tuple[list[Ticket], Ask]:
        """Return who waits, and what is asked for them: first who has waited for longest, also if he was away."""
        self._changed = False
        waiting = sorted(self.tickets, key=lambda ticket: math.inf if ticket.since is None else ticket.since)
        # Without an answer it is not known whether they were taken off: they are never told twice.
        unsent, self._unsent = self._unsent, []
        return waiting, Ask(self.held, [ticket.since for ticket in waiting], unsent)

    def answer(self, asked: list[Ticket], settled: Settled, now: float, poll_s: float) -> list[Ticket]:
        """Take an answer and return those who may go; `poll_s` is when to ask again if nothing happens."""
        self.is_counted = settled.is_counted
        for ticket in asked:
            # Of a process whose clock is ahead, or by a clock that was set back: as if he had come now.
            ticket.since = settled.now if ticket.since is None else min(ticket.since, settled.now)
        granted = [ticket for ticket in asked[: settled.granted] if ticket in self.tickets]
        for ticket in granted:
            ticket.granted_at = settled.now
            del self.tickets[ticket]
        if len(granted) < settled.granted:
            self._changed = True  # somebody has gone meanwhile: the room is given back
            self._unsent += [settled.now] * (settled.granted - len(granted))
        for place, (ticket, wait_s) in enumerate(zip(asked[settled.granted :], settled.waits_s, strict=True)):
            ticket.is_soon = place < settled.soon
            ticket.expect(None if wait_s is None else now + wait_s)
        first_s = next(iter(settled.waits_s), None)
        if self._changed:
            self.next_at = now
        elif self.tickets:
            self.next_at = now + (poll_s if first_s is None else min(first_s, _LONGEST_POLL_S))
        else:
            self.next_at = None
        return granted
