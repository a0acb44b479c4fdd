"""The items of a `forEach` as the schedule sees them: which come next, which have begun, how they ended.

A node under `forEach` begins, tells how many items its list has, and ends when all of them have ended, or when one has
failed that may not and the others are stopped. It takes one place of `maxParallelNodes` from its begin to its end; of its
items at most `maxParallelItems` have begun and not ended, also while they wait. The cost of an event does not depend on
the length of the list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.run import NodeRunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.run import Failure


@dataclass(slots=True)
class Attempts:
    """The attempts of a node, or of one of its items."""

    status: NodeRunStatus = NodeRunStatus.PENDING
    execution: int = 0
    tries: int = 0
    first_started_at: datetime | None = None
    next_attempt_at: datetime | None = None

    def started(self, execution: int, at: datetime) -> None:
        """Begin another attempt."""
        self.status = NodeRunStatus.RUNNING
        self.execution = execution
        self.tries += 1
        if self.first_started_at is None:
            self.first_started_at = at

    def interrupted(self) -> None:
        """Lose an attempt for which the node is not to blame: it costs none of its tries."""
        self.tries -= 1
        self.status = NodeRunStatus.RETRYING


@dataclass(slots=True)
class ItemList:
    """The items of a node that has begun and not ended."""

    count: int
    most_at_once: int
    reused: set[int]
    """Items that have ended in an earlier run, and well."""
    next: int = 0
    """The first item that has never begun; those behind it have not either."""
    done: int = 0
    begun: dict[int, Attempts] = field(default_factory=dict[int, Attempts])
    """Items that have begun and not ended."""
    ready: dict[int, None] = field(default_factory=dict[int, None])
    """Those of them that are to be started again: their backoff is over, or a crash cut them off."""
    stopping: int = 0
    """How many of those that have begun were told to stop and are still at work."""
    failure: Failure | None = None
    """Why the node fails, when its items have ended or are stopped."""

    def __post_init__(self) -> None:
        self.done = len(self.reused)
        self._skip_reused()

    @property
    def is_over(self) -> bool:
        """Whether the node can end."""
        return not self.begun if self.failure is not None else self.done == self.count

    @property
    def has_work(self) -> bool:
        """Whether there is something to do for the list now."""
        if self.failure is not None:
            return not self.begun or self.stopping < len(self.begun)
        has_next = self.next < self.count and len(self.begun) < self.most_at_once
        return self.done == self.count or bool(self.ready) or has_next

    def startable(self) -> Iterator[tuple[int, int]]:
        """Yield the items that may start now, with the number of the attempt."""
        for item in self.ready:
            yield item, self.begun[item].execution + 1
        room, item = self.most_at_once - len(self.begun), self.next
        while room > 0 and item < self.count:
            if item not in self.reused:
                room -= 1
                yield item, 1
            item += 1

    def start(self, item: int) -> Attempts:
        """Tell that an item starts; return its attempts."""
        self.ready.pop(item, None)
        attempts = self.begun.get(item)
        if attempts is None:
            attempts = self.begun[item] = Attempts()
            self.next = max(self.next, item + 1)
            self._skip_reused()
        return attempts

    def end(self, item: int, failure: Failure | None) -> None:
        """Tell that an item has ended; with a failure that its node does not outlive."""
        self.ready.pop(item, None)
        del self.begun[item]
        self.done += 1
        self.failure = self.failure or failure

    def _skip_reused(self) -> None:
        while self.next in self.reused:
            self.next += 1
