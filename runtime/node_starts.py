"""How nodes and items of one run begin: which starts are put off, and what a start is logged as.

A pure node has no effects: it is computed here, when what leads to it is stored, and its start and end are one group. Of
pure items there may be ten thousand: they are computed in slices, and no more of them while the log is behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from domain.events import NodeExpanded, NodeProgressed, NodeSkipped, NodeStarted
from domain.run import SkipReason
from runtime.attempt import NodeAttempt
from runtime.execute import Failed, Suspended, execute_pure, expand_node, is_wanted
from runtime.suspending import suspend

if TYPE_CHECKING:
    from datetime import datetime

    from domain.events import Event, NodeEventBase
    from domain.ids import WorkspaceId
    from domain.schedule import State
    from runtime.compiled import CompiledRun
    from runtime.execute import ExecutableNode
    from runtime.node_ends import NodeEnds
    from runtime.run_host import Host
    from runtime.run_values import RunValues

_LONGEST_TURN_S: Final = 0.005
"""After this long no further pure node is computed in one turn of the event loop: other runs want theirs."""
_FULL_EVENTS: Final = 800
_FULL_BYTES: Final = 4 * 1_048_576
"""A group is stored in one commit, which takes 1,000 events and 8 MiB; what has begun is ended in the same group."""
_MOST_BEHIND: Final = 4
"""Groups on their way to the log behind which no pure item is computed: their outputs lie in memory."""
_PROGRESS_ITEMS: Final = 100
_PROGRESS_S: Final = 0.5


class StartingRun(Protocol):
    """What starts need of their run."""

    compiled: CompiledRun
    state: State
    values: RunValues
    ends: NodeEnds
    groups_in_flight: int

    def fold(self, event: Event, at: datetime) -> None:
        """Fold an event into the state."""
        ...


class NodeStarts:
    """Begins what the schedule says in one run."""

    def __init__(self, run: StartingRun, host: Host, workspace_id: WorkspaceId) -> None:
        self._run = run
        self._pure = NodeAttempt(host.services, workspace_id, "", None)
        self._unstored: set[int] = set()
        """Settled nodes whose end is still on its way to the log."""
        self._moved: set[int] = set()
        """Nodes of which items have ended since they were told of."""
        self._told: dict[int, tuple[int, float]] = {}
        """Items done, and when that was told, by node."""
        self._pause_at = 0.0
        self._events = 0
        self._bytes = 0
        self.is_interrupted = False
        """Whether something was put off that may begin in the next turn of the event loop."""

    def begin_group(self, now_s: float) -> None:
        """Measure what begins from now on: it goes into one group."""
        self._pause_at = now_s + _LONGEST_TURN_S
        self._events = self._bytes = 0

    def of(self, slot: int, execution: int, at: datetime) -> list[Event]:
        """Return the events of a start, already folded; none if it is put off, to be asked for again."""
        plan = self._run.compiled.plan
        index, item = plan.place(slot)
        node = self._run.compiled.nodes[index]
        if self._is_put_off(node, index, item):
            return []
        scope = self._run.values.scope(self._run.state, slot)
        if item is None and execution == 1 and node.when is not None and not is_wanted(node, scope):
            return self._fold([NodeSkipped(node.key, None, 0, SkipReason.CONDITION_FALSE)], at)
        started = self._fold([NodeStarted(node.key, item, execution)], at)
        if item is None and node.items is not None:
            return started + self._fold([self._expanded(node, index, execution)], at)
        if not node.kind.is_pure:
            return started
        outcome = execute_pure(node, scope, self._pure)
        if isinstance(outcome, Suspended):
            [end], _ = suspend(node.key, item, execution, outcome)
        else:
            end = self._run.ends.of(slot, execution, outcome)
            self._bytes += len(outcome.input or b"") + (0 if isinstance(outcome, Failed) else len(outcome.output))
        return started + self._fold([end], at)

    def settled(self, event: NodeEventBase) -> None:
        """Remember an end that is not stored yet."""
        index = self._run.compiled.plan.index[event.node_key]
        if event.item_index is None:
            self._unstored.add(index)
        else:
            self._moved.add(index)

    def stored(self, event: NodeEventBase) -> None:
        """Tell that an end is stored."""
        if event.item_index is None:
            self._unstored.discard(self._run.compiled.plan.index[event.node_key])

    def progress(self, now_s: float) -> list[Event]:
        """Return how far the items of nodes are, of which that has not been told for a while."""
        return [event for index in list(self._moved) for event in self._progress_of(index, now_s)]

    def _is_put_off(self, node: ExecutableNode, index: int, item: int | None) -> bool:
        is_pure = node.kind.is_pure
        if is_pure and not self._unstored.isdisjoint(self._run.compiled.plan.nodes[index].sources):
            return True  # asked again when their ends are stored
        if is_pure and item is not None and self._run.groups_in_flight >= _MOST_BEHIND:
            return True  # asked again when one of them is stored
        is_late = is_pure and asyncio.get_running_loop().time() > self._pause_at
        is_put_off = is_late or self._events >= _FULL_EVENTS or self._bytes >= _FULL_BYTES
        self.is_interrupted = self.is_interrupted or is_put_off
        return is_put_off

    def _expanded(self, node: ExecutableNode, index: int, execution: int) -> Event:
        run = self._run
        scope = run.values.scope(run.state, index)
        items = expand_node(node, scope)
        if isinstance(items, Failed):
            return run.ends.of(index, execution, items)
        run.values.open_list(index, scope, len(items), items)
        return NodeExpanded(node.key, None, execution, len(items))

    def _progress_of(self, index: int, now_s: float) -> list[Event]:
        items = self._run.state.lists.get(index)
        if items is None:  # its end says more
            self._moved.discard(index)
            self._told.pop(index, None)
            return []
        told, told_s = self._told.setdefault(index, (0, now_s))
        if items.done - told < _PROGRESS_ITEMS and now_s - told_s < _PROGRESS_S:
            return []
        self._moved.discard(index)
        self._told[index] = (items.done, now_s)
        key, execution = self._run.compiled.nodes[index].key, self._run.state.nodes[index].execution
        return [NodeProgressed(key, None, execution, items.done, items.count)]

    def _fold(self, events: list[Event], at: datetime) -> list[Event]:
        self._events += len(events)
        for event in events:
            self._run.fold(event, at)
        return events
