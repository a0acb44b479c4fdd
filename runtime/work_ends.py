"""How attempts of one run end: most ends are decided on at once, some are stored first, with what goes with them.

Rows that a node writes, its question and the run that it calls are stored with its end or its wait in one transaction of
their own. It is folded into the state when that is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from domain.errors import AnabranchError, NodeFault
from domain.events import NodeSucceeded
from domain.ports.runs import Group
from runtime.execute import Failed, Succeeded
from runtime.run_host import Host, Work, guarded
from runtime.suspending import suspend

if TYPE_CHECKING:
    from datetime import datetime

    from domain.data_tables import RowWrite
    from domain.events import Event, NodeWaiting
    from domain.ids import RunId
    from domain.ports.companions import Companion
    from runtime.compiled import CompiledRun
    from runtime.execute import Outcome
    from runtime.node_ends import NodeEnds
    from runtime.run_waits import RunWaits
    from runtime.run_works import RunWorks


class EndingRun(Protocol):
    """What ends of attempts need of their run."""

    id: RunId
    epoch: int
    host: Host
    compiled: CompiledRun
    ends: NodeEnds
    groups_in_flight: int
    is_over: bool

    @property
    def has_left(self) -> bool:
        """Whether the run is in memory no more."""
        ...

    def now(self) -> datetime:
        """Return the time, never earlier than the run's last event."""
        ...

    def fold(self, event: Event, at: datetime) -> None:
        """Fold an event into the state."""
        ...

    def follow(self, event: Event) -> None:
        """Do what follows from an event that is durable."""
        ...

    def append(self, events: list[Event]) -> None:
        """Append events that change nothing of the state."""
        ...

    def advance(self, events: list[Event]) -> None:
        """Fold events and go on."""
        ...

    def refused(self, group: Group, error: AnabranchError) -> None:
        """Take the refusal of a group."""
        ...

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        ...


class WorkEnds:
    """The ends of one run's attempts."""

    def __init__(self, run: EndingRun, works: RunWorks, waits: RunWaits) -> None:
        self._run = run
        self._works = works
        self._waits = waits

    @property
    def has_left(self) -> bool:
        """Whether the run is in memory no more."""
        return self._run.has_left

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        self._run.fault()

    def take(self, work: Work, outcome: Outcome) -> None:
        """Take the end of an attempt."""
        run = self._run
        if isinstance(outcome, Failed) or (isinstance(outcome, Succeeded) and outcome.write is None):
            end = run.ends.of(work.slot, work.execution, outcome)
            run.advance([*self._works.end(work.slot), end])
        elif isinstance(outcome, Succeeded):
            end = run.ends.succeeded(work.slot, work.execution, outcome)
            self._store_apart(work, [end], outcome.write, ())
        else:
            index, item = run.compiled.plan.place(work.slot)
            events, companions = suspend(run.compiled.nodes[index].key, item, work.execution, outcome)
            self._store_apart(work, events, None, companions)

    def _store_apart(
        self, work: Work, events: list[Event], write: RowWrite | None, companions: tuple[Companion, ...]
    ) -> None:
        """Append an end with its rows, or a wait with its question; it is folded when that is stored.

        What the run appends meanwhile comes behind it in the log, and neither changes what the other means.
        """
        run = self._run
        work.is_storing = True
        if deltas := work.stream.close():
            run.append([*deltas])
        run.groups_in_flight += 1
        group = Group(run.id, run.epoch, run.now(), events, self._written, self._not_written)
        group.write, group.companions = write, companions
        run.host.log.append(group)

    @guarded
    def _written(self, group: Group, _base: int) -> None:
        run = self._run
        run.groups_in_flight -= 1
        if run.is_over:
            return
        first = cast("NodeSucceeded | NodeWaiting", group.events[0])
        slot = run.compiled.plan.slot_of(first)
        self._works.end(slot)
        if isinstance(first, NodeSucceeded):
            run.ends.keep(slot, first.output or b"null")
        for event in group.events:
            run.fold(event, group.at)
            run.follow(event)
        run.advance([])
        self._waits.rest()

    @guarded
    def _not_written(self, group: Group, error: AnabranchError) -> None:
        run = self._run
        if not isinstance(error, NodeFault):
            run.refused(group, error)
            return
        run.groups_in_flight -= 1
        if not run.is_over:
            end = cast("NodeSucceeded | NodeWaiting", group.events[0])
            slot = run.compiled.plan.slot_of(end)
            failed = run.ends.of(slot, end.execution, Failed(error, end.input, end.usage))
            run.advance([*self._works.end(slot), failed])
