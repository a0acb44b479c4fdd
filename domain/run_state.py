"""Where a run is: what `domain.evolution` makes of its log and `domain.schedule` decides by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.items import Attempts, ItemList
from domain.run import NO_USAGE, Failure, SkipReason, Usage

if TYPE_CHECKING:
    from datetime import datetime

    from domain.events import NodeWaiting
    from domain.plan import Plan


@dataclass(slots=True)
class NodeProgress(Attempts):
    """Where one node is."""

    edges_settled: int = 0
    edges_taken: int = 0
    is_behind_failure: bool = False
    failure: Failure | None = None


@dataclass(slots=True)
class State:
    """Where a run is.

    Made by `begin`, changed by `evolve` and by `wake`, `told_to_stop`, `expire`, `break_off`, `stop_for` and `give_up` alone.
    `running`, `retrying` and `waiting` hold slots (see `Plan`): of nodes and of items.
    """

    plan: Plan
    nodes: list[NodeProgress]
    unsettled: int
    ready: dict[int, None] = field(default_factory=dict)
    """Nodes that may start for the first time, in the order in which they became ready."""
    woken: dict[int, None] = field(default_factory=dict)
    """Nodes that have begun and may be started again: before `ready`, for what they were woken for does not wait."""
    to_skip: dict[int, SkipReason] = field(default_factory=dict)
    running: dict[int, None] = field(default_factory=dict)
    retrying: dict[int, datetime] = field(default_factory=dict)
    waiting: dict[int, NodeWaiting] = field(default_factory=dict)
    """What is not at work until an answer comes; nodes among it take no room of `maxParallelNodes`."""
    lists: dict[int, ItemList] = field(default_factory=dict[int, ItemList])
    """The items of nodes with `forEach` that have begun and not ended, by the index of the node."""
    due: dict[int, None] = field(default_factory=dict)
    """Nodes among these of whose items something has to be done."""
    items_running: int = 0
    """How many of `running` are items."""
    stopping: set[int] = field(default_factory=set[int])
    """Those of `running` that were told to stop."""
    reused: dict[int, set[int]] = field(default_factory=dict[int, "set[int]"])
    """Items that stand as an earlier run left them, by the index of their node."""
    is_started: bool = False
    is_finished: bool = False
    is_canceling: bool = False
    is_stopping: bool = False
    """Whether nothing may start any more: the run failed fast, timed out or is being cancelled."""
    is_paused: bool = False
    """Whether nothing may start for now; what is in flight ends, and time goes on."""
    started_at: datetime | None = None
    failure: Failure | None = None
    usage: Usage = NO_USAGE
    departures: int = 0
    """How many times the run has left memory."""
    is_away: bool = False
    """Whether it has left memory and not come back."""
    resumptions: int = 0
    """How often it has gone on, after a pause or back in memory."""
    events: int = 0
    """How many events have changed the state: pieces of texts, progress and what only readers need do not count."""
    recoveries: int = 0
    idle_recoveries: int = 0
    """Recoveries since a node last succeeded."""

    def attempts(self, slot: int) -> Attempts:
        """Return the attempts of a node, or of an item that has begun and not ended."""
        if slot < len(self.nodes):
            return self.nodes[slot]
        rounds, index = divmod(slot, len(self.nodes))
        return self.lists[index].begun[rounds - 1]

    def halt(self, slot: int) -> None:
        """Take a slot out of what is at work or waits."""
        if slot in self.running:
            del self.running[slot]
            if slot >= len(self.nodes):
                self.items_running -= 1
            if slot in self.stopping:
                self.stopping.remove(slot)
                self._count_stopping(slot, -1)
        self.retrying.pop(slot, None)
        self.waiting.pop(slot, None)

    def stop(self, slot: int) -> None:
        """Remember that what is at work was told to stop."""
        if slot in self.running and slot not in self.stopping:
            self.stopping.add(slot)
            self._count_stopping(slot, 1)

    def _count_stopping(self, slot: int, change: int) -> None:
        index, item = self.plan.place(slot)
        if item is not None:
            self.lists[index].stopping += change
            self.look(index)

    def make_ready(self, slot: int) -> None:
        """Let a node, or an item that has begun, be started again."""
        index, item = self.plan.place(slot)
        if item is None:
            self.woken[index] = None
        else:
            self.lists[index].ready[item] = None
            self.look(index)

    def look(self, index: int) -> None:
        """See whether something has to be done for the items of a node."""
        if self.lists[index].has_work:
            self.due[index] = None
        else:
            self.due.pop(index, None)


def begin(plan: Plan) -> State:
    """Return the state of a run whose log is empty."""
    state = State(plan, [NodeProgress() for _ in plan.nodes], len(plan.nodes))
    for node in plan.nodes:
        if node.incoming_count == 0:
            state.ready[node.index] = None
    return state
