"""How often one network may try to sign in to this process: counted in memory, before anything is looked up or hashed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_BURST: Final = 30.0
_PER_S: Final = 0.5
_MOST_NETWORKS: Final = 10_000


class NetworkTries:
    """A bucket of tries for each network, refilled with time; only tries that fail are spent."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, network: str) -> float | None:
        """Spend a try; where there is none, return after how many seconds there will be one."""
        now, left = self._left(network)
        if left < 1:
            return (1 - left) / _PER_S
        self._keep(network, left - 1, now)
        return None

    def give_back(self, network: str) -> None:
        """Give back the try of somebody who was right."""
        now, left = self._left(network)
        self._keep(network, min(_BURST, left + 1), now)

    def _left(self, network: str) -> tuple[float, float]:
        now = self._clock().timestamp()
        left, at = self._buckets.get(network, (_BURST, now))
        return now, min(_BURST, left + max(0.0, now - at) * _PER_S)

    def _keep(self, network: str, left: float, now: float) -> None:
        self._buckets[network] = left, now
        self._buckets.move_to_end(network)
        if len(self._buckets) > _MOST_NETWORKS:
            # Who has not tried for longest has refilled most. With more networks than this the database still counts.
            self._buckets.popitem(last=False)
