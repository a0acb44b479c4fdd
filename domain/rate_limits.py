"""How many requests may go to a connection, and whose turn it is: arithmetic over what all processes know of it.

Requests of any minute are counted in slots of a second: those of the last 62 count, so that a minute which begins
anywhere, with a second for the way to the other side, never sees more than it may. The whole of it may go at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from domain.errors import NodeFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVER_MODEL: Final = UUID(int=0)
"""Stands for the model of the server's own settings, which is no stored connection."""
LONGEST_PAUSE_S: Final = 3_600.0
"""How long one `Retry-After` may stop all that use a connection; whoever comes then may be told to wait again."""
_SLOTS: Final = 60
_COUNTED: Final = _SLOTS + 2
_DEAD_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Caps:
    """A connection as its limits see it; None = no limit."""

    key: UUID
    name: str
    max_concurrent: int | None = None
    requests_per_minute: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether requests have to be counted at all."""
        return self.max_concurrent is not None or self.requests_per_minute is not None


class NoRoom(NodeFault):
    """There is no room under the limits of a connection, and will be none soon."""

    def __init__(self, name: str, wait_s: float | None) -> None:
        soon = "" if wait_s is None else f" in about {math.ceil(wait_s)} s"
        message = f"The connection {name!r} takes no more requests for now; try again{soon or ' later'}."
        super().__init__("RATE_LIMITED", message, is_retryable=True, retry_after_s=wait_s)


@dataclass(slots=True)
class Share:
    """What one process has of a connection."""

    held: int = 0
    """Requests in flight."""
    waiting: int = 0
    since: float = 0.0
    """When the first of those that wait began to."""
    suspect_since: float | None = None
    """When its lock was first seen free."""


@dataclass(slots=True)
class LimitState:
    """What all processes know of a connection; times are seconds of the database's clock."""

    slots: dict[int, int] = field(default_factory=dict[int, int])
    """Requests by the number of the slot in which they were let through."""
    shares: dict[UUID, Share] = field(default_factory=dict["UUID", Share])
    """By the process's executor."""
    paused_until: float | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a process has in flight, and who waits in it: since when, in their order; None = has just come."""

    held: int
    queue: Sequence[float | None] = ()
    unsent: Sequence[float] = ()
    """When requests were let through that nobody has sent: they do not count any more."""


@dataclass(frozen=True, slots=True)
class Settled:
    """How many of those that wait may go, in how many seconds the others may (None = unknown), and who has to be told."""

    granted: int
    now: float
    waits_s: Sequence[float | None] = ()
    is_others_turn: bool = False
    """Whether room is left for those who wait in other processes."""
    is_counted: bool = False
    """Whether the end of a request makes room."""
    soon: int = 0
    """How many of those that wait have room within a minute, if nobody else comes."""


def settle(
    state: LimitState,
    caps: Caps,
    executor: UUID,
    ask: Ask,
    now: float,
    *,
    alive: Mapping[UUID, bool],
    window_s: float = 60.0,
) -> Settled:
    """Let through whoever may go, and note in the state what this process has of the connection now.

    Args:
        state: changed in place.
        caps: the limits as they are now.
        executor: who asks.
        ask: what for.
        now: seconds of the database's clock.
        alive: other executors whose lease runs, with whether they hold their lock; a free lock is believed when it was
            free for a second.
        window_s: the length of the minute.
    """
    _bury(state, executor, now, alive)
    others = [share for holder, share in state.shares.items() if holder != executor and share.waiting]
    rate = _Rate(state.slots, caps.requests_per_minute, now, window_s / _SLOTS)
    rate.refund(ask.unsent)
    free: float = math.inf
    if caps.max_concurrent is not None:
        in_flight = sum(share.held for holder, share in state.shares.items() if holder != executor)
        free = caps.max_concurrent - in_flight - ask.held
    pause_s = _pause_s(state.paused_until, now)
    room = 0 if pause_s else max(min(free, rate.room), 0)
    # The clock of whoever says since when he waits may be ahead.
    queue = [now if since is None else min(since, now) for since in ask.queue]
    granted = _granted(queue, room, others)
    rate.take(granted)
    left = queue[granted:]
    held = ask.held + granted if caps.max_concurrent is not None else 0
    if held or left:
        state.shares[executor] = Share(held, len(left), left[0] if left else now)
    else:
        state.shares.pop(executor, None)
    waits_s = [_wait_s(place, pause_s, free - granted, rate) for place in range(len(left))]
    is_others_turn = bool(others) and room > granted
    soon = 0 if pause_s else min(caps.requests_per_minute or 0, len(left))
    return Settled(granted, now, waits_s, is_others_turn, caps.max_concurrent is not None, soon)


def _pause_s(until: float | None, now: float) -> float:
    """Return how long a pause goes on; nobody asks for more than the longest: then the clock was set back, and it is over."""
    pause_s = max((until or 0.0) - now, 0.0)
    return 0.0 if pause_s > LONGEST_PAUSE_S + 1 else pause_s


def _bury(state: LimitState, executor: UUID, now: float, alive: Mapping[UUID, bool]) -> None:
    """Forget what processes had that are dead."""
    for holder, share in list(state.shares.items()):
        if holder == executor or alive.get(holder):
            share.suspect_since = None
        elif holder not in alive or (share.suspect_since is not None and now - share.suspect_since >= _DEAD_AFTER_S):
            del state.shares[holder]
        elif share.suspect_since is None or share.suspect_since > now:
            share.suspect_since = now


def _granted(queue: Sequence[float], room: float, others: Sequence[Share]) -> int:
    """Count those who may go; room is left for all in processes whose first has waited for longer."""
    for place, since in enumerate(queue):
        ahead = sum(share.waiting for share in others if share.since < since)
        if room - place <= ahead:
            return place
    return len(queue)


def _wait_s(place: int, pause_s: float, free: float, rate: _Rate) -> float | None:
    if pause_s:
        return pause_s
    return None if free <= 0 else rate.wait_s(place + 1) or None


class _Rate:
    """Requests of the last minute; slots that do not count any more are forgotten."""

    def __init__(self, slots: dict[int, int], limit: int | None, now: float, slot_s: float) -> None:
        self._slots, self._limit, self._now, self._slot_s = slots, limit, now, slot_s
        self._current = math.floor(now / slot_s)
        for slot in list(slots):
            if limit is None or slot <= self._current - _COUNTED:
                del slots[slot]
            elif slot > self._current:  # the clock was set back: they count as of now, and no longer than a minute
                slots[self._current] = slots.get(self._current, 0) + slots.pop(slot)

    @property
    def room(self) -> float:
        """How many may go now."""
        return math.inf if self._limit is None else self._limit - sum(self._slots.values())

    def take(self, count: int) -> None:
        """Count requests."""
        if count and self._limit is not None:
            self._slots[self._current] = self._slots.get(self._current, 0) + count

    def refund(self, unsent: Sequence[float]) -> None:
        """Count requests no more; only in the slot in which they were, since another one holds what was sent."""
        for at in unsent:
            slot = math.floor(at / self._slot_s)
            if self._slots.get(slot):
                self._slots[slot] -= 1

    def wait_s(self, count: int) -> float:
        """Return in how many seconds there will be room for so many, if nobody else comes."""
        if self._limit is None or count <= self.room:
            return 0.0
        rounds, rest = divmod(count - 1, self._limit)
        needed, slot = rest + 1 - self.room, self._current
        for slot in sorted(self._slots):
            needed -= self._slots[slot]
            if needed <= 0:
                break
        return max((slot + _COUNTED + rounds * _COUNTED) * self._slot_s - self._now, 0.0)
