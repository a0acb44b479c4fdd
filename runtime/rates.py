"""How often somebody may try something in this process: counted in memory, before anything is looked up or hashed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_BURST: Final = 30.0
_PER_S: Final = 0.5
_MOST_NETWORKS: Final = 10_000


class Tries:
    """A bucket of tries for each of many, such as networks, refilled with time."""

    def __init__(self, clock: Callable[[], datetime], burst: float, per_s: float) -> None:
        self._clock = clock
        self._burst = burst
        self._per_s = per_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float | None:
        """Spend a try; where there is none, return after how many seconds there will be one."""
        now, left = self._left(name)
        if left < 1:
            return (1 - left) / self._per_s
        self._keep(name, left - 1, now)
        return None

    def give_back(self, name: str) -> None:
        """Give back the try of somebody who was right."""
        now, left = self._left(name)
        self._keep(name, min(self._burst, left + 1), now)

    def _left(self, name: str) -> tuple[float, float]:
        now = self._clock().timestamp()
        left, at = self._buckets.get(name, (self._burst, now))
        return now, min(self._burst, left + max(0.0, now - at) * self._per_s)

    def _keep(self, name: str, left: float, now: float) -> None:
        self._buckets[name] = left, now
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_NETWORKS:
            # Who has not tried for longest has refilled most. With more networks than this the database still counts.
            self._buckets.popitem(last=False)


class NetworkTries(Tries):
    """Tries to sign in, by network; only those that fail are spent."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock, _BURST, _PER_S)
