"""One run in the memory of one process: the asyncio shell around `domain.schedule`.

Order: an end is folded into the state, what follows from it is decided and folded too, and all of that is appended as
one group; effects (running nodes, arming timers) begin when the group is stored. So a completed node is durable before
its successors run, and NodeStarted is durable before its node runs, at one commit for each node. A pure node has no
effects: it runs when what leads to it is stored, and its start and its end are one group.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import structlog

from domain.errors import AnabranchError, Fenced, StillWanted
from domain.events import (
    SETTLING,
    TERMINAL,
    Event,
    NodeOutputDelta,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeWaiting,
    RunFailed,
    RunRecovered,
    RunStarted,
    RunWaiting,
)
from domain.ports.companions import ClosedWaits, outside_schedule
from domain.ports.runs import Departure, Group
from domain.run import Failure
from domain.schedule import (
    Command,
    EndItems,
    Finish,
    SkipNode,
    StartNode,
    State,
    StopNode,
    begin,
    decide,
    evolve,
    give_up,
    stop_for,
    told_to_stop,
)
from runtime.node_ends import NodeEnds, comeback, crash_end, run_end
from runtime.node_starts import NodeStarts
from runtime.run_commands import Asked
from runtime.run_host import Host, Work, guarded
from runtime.run_size import RunSize
from runtime.run_timers import RunTimers
from runtime.run_values import RunValues
from runtime.run_waits import RunWaits, is_shared
from runtime.run_works import RunWorks
from runtime.work_ends import WorkEnds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.events import LoggedEvent
    from domain.ports.companions import Companion
    from domain.ports.runs import ClaimedRun, RunCommand, RunLog
    from runtime.compiled import CompiledRun
    from runtime.execute import Outcome

_log = structlog.get_logger(__name__)


class LocalRun:
    """A run that this process executes."""

    def __init__(self, claimed: ClaimedRun, compiled: CompiledRun, host: Host) -> None:
        self.id = claimed.id
        self.workspace_id = claimed.workspace_id
        self._farewell = claimed.farewell
        self.epoch = claimed.epoch
        self.compiled = compiled
        self.host = host
        self._log = host.log
        self.state: State = begin(compiled.plan)
        self._at = claimed.created_at
        self.values = RunValues(claimed, compiled)
        self.ends = NodeEnds(self.state, self.values, self.now)
        self._size = RunSize(host.max_events, host.max_output_bytes)
        self.timers = RunTimers()
        self._works = RunWorks(self)
        self._waits = RunWaits(self)
        self._work_ends = WorkEnds(self, self._works, self._waits)
        self._starts = NodeStarts(self, host, claimed.workspace_id)
        self.groups_in_flight = 0
        """Groups on their way to the log."""
        self._asked = Asked(self.state)
        self._owed: list[UUID] = []
        """Commands that changed nothing: the run's departure answers them."""
        self._companions: list[Companion] = []
        """What goes with the group that is being made."""
        self.is_over = False
        self.has_left = False
        self._last_word: RunFailed | None = None
        """Its end outside of its schedule, on the way to the log."""

    # ── what the engine asks for ──

    @guarded
    def start(self, commands: Sequence[RunCommand] = ()) -> None:
        """Begin a run that never began to work; what was asked of it meanwhile is done before anything else."""
        events, ids = self._asked.take(commands, self._waits.answered, [RunStarted()])
        self.advance(events, commands=ids)

    def open(self) -> Group:
        """Begin a run that is not stored yet, and return what is to be stored with it."""
        groups: list[Group] = []
        self._log = cast("RunLog", groups)
        self.start()
        self._log = self.host.log
        return groups[0]

    @guarded
    def recover(self, log: Sequence[LoggedEvent], commands: Sequence[RunCommand] = ()) -> None:
        """Go on from the stored log of a run whose executor is gone."""
        for logged in log:
            evolve(self.state, logged.event, logged.at)
            self._at = logged.at
            self.values.recall(self.state, logged.event)
        self._size.add(logged.event for logged in log)
        for index in self.state.lists:
            self.ends.check(index)
        if not self.state.is_started:
            self.start(commands)
            return
        first = comeback(self.state)
        if isinstance(first, RunRecovered) and self.state.idle_recoveries >= self.host.max_recoveries:
            self._crash(first)
            return
        self._waits.expire_run()  # nothing may begin in a run whose time has passed meanwhile
        events, ids = self._asked.take(commands, self._waits.answered, [] if first is None else [first])
        self.advance(events, commands=ids)
        self._waits.arm_all()
        self._waits.rest()

    @guarded
    def obey(self, commands: Sequence[RunCommand]) -> None:
        """Turn commands into events, in their order."""
        asked, ids = self._asked.take(commands, self._waits.answered)
        if asked and not self.is_over:
            self.advance(asked, commands=ids)
        elif ids:
            self._owed.extend(ids)
            self._waits.rest()

    def drop(self) -> None:
        """Throw the run's state away without another word to the log: it is somebody else's, or the process stops."""
        if not self.has_left:
            self._quit()
            self.host.left(self.id, self)
            self.has_left = True
            # They know the run: without them nothing holds it, and its memory is free at once, not at a collection.
            del self._works, self._waits, self._work_ends, self._starts, self.ends

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        _log.exception("run.fault", run=str(self.id))
        if not self.has_left:
            self._fail(Failure("INTERNAL_ERROR", "The run's own bookkeeping failed."))

    def _quit(self) -> None:
        self.is_over = True
        self.timers.close()
        self._works.close()
        self._waits.close()

    # ── deciding ──

    @guarded
    def advance(
        self, events: list[Event], *, commands: tuple[UUID, ...] = (), companions: tuple[Companion, ...] = ()
    ) -> None:
        """Fold events, decide and fold what follows until nothing does, and append all as one group."""
        if self.is_over:
            return  # its end is on the way to the log, and nothing may come behind that
        loop = asyncio.get_running_loop()
        self._starts.begin_group(loop.time())
        at = self.now()
        self._companions = [*companions]
        for event in events:
            self.fold(event, at)
        while not self.is_over:
            answers = [event for command in decide(self.state) for event in self._answer(command, at)]
            if not answers:
                break
            events.extend(answers)
        events.extend(self._starts.progress(loop.time()))
        if events:
            self._append(events, at, commands)
        else:
            self._owed.extend(commands)
        if self._starts.is_interrupted:
            self._starts.is_interrupted = False
            if self._log is self.host.log:  # else it goes on when the run is stored
                loop.call_soon(self.advance, list[Event]())

    def _answer(self, command: Command, at: datetime) -> list[Event]:
        """Return the events that answer a command, already folded; none where the answer has to be waited for."""
        match command:
            case StartNode(slot, execution):
                return self._starts.of(slot, execution, at)
            case SkipNode(index, reason):
                event: Event = NodeSkipped(self.compiled.plan.nodes[index].key, None, 0, reason)
            case EndItems(index, failure):
                event = self.ends.of_items(index, failure)
            case Finish(status):
                self.is_over = True
                self._companions += self._farewell
                return [run_end(self.state, self.compiled, self.values, status, at)]
            case StopNode(slot):
                wait = self.state.waiting.get(slot)
                self._waits.give_up(slot)
                canceled = self._works.stop(slot)
                if canceled is None:
                    told_to_stop(self.state, slot)
                    return []
                if wait is not None and is_shared(wait):
                    self._close_wait(wait)
                event = canceled
        self.fold(event, at)
        return [event]

    def _close_wait(self, wait: NodeWaiting) -> None:
        """Have a wait closed that others know of; where all end, one statement closes all."""
        closed = ClosedWaits() if self.state.is_stopping else ClosedWaits(wait.node_key, wait.item_index)
        if closed not in self._companions[-1:]:
            self._companions.append(closed)

    def fold(self, event: Event, at: datetime) -> None:
        """Fold an event into the state, and remember an end that is not stored yet."""
        evolve(self.state, event, at)
        if isinstance(event, SETTLING):
            self._starts.settled(event)

    def _crash(self, recovered: RunRecovered) -> None:
        at = self.now()
        evolve(self.state, recovered, at)
        give_up(self.state)
        ends: list[Event] = []
        while stops := [command for command in decide(self.state) if isinstance(command, StopNode)]:
            ends += [event for command in stops for event in self._answer(command, at)]
        self.is_over = True
        self._companions = [ClosedWaits(), *self._farewell]
        self._append([recovered, *ends, crash_end(self.state)], at, ())

    # ── appending, and what begins when a group is stored ──

    def append(self, events: list[Event]) -> None:
        """Append events that change nothing of the state."""
        self._append(events, self.now(), ())

    def depart(self, until: datetime | None) -> None:
        """Append the departure of the run; it is dropped when that is stored, and stays if it is refused."""
        events: list[Event] = [] if self.state.is_paused else [RunWaiting(self.state.departures + 1, until)]
        owed, self._owed = tuple(self._owed), []
        self.groups_in_flight += 1
        group = Departure(self.id, self.epoch, self.now(), events, self._stored, self.refused, owed)
        group.until = until
        self._log.append(group)

    def _append(self, events: list[Event], at: datetime, commands: tuple[UUID, ...]) -> None:
        self.groups_in_flight += 1
        group = Group(self.id, self.epoch, at, events, self._stored, self.refused, commands)
        if self._companions:
            group.companions, self._companions = tuple(self._companions), []
        self._log.append(group)

    @guarded
    def _stored(self, group: Group, base: int) -> None:
        self.groups_in_flight -= 1
        self._size.add(group.events)
        for event in group.events:
            self.follow(event)
        if isinstance(group, Departure) or isinstance(group.events[-1], TERMINAL):
            self.drop()
            return
        excess = self._size.fault(base + len(group.events))
        if excess is not None and not (self.is_over or self.state.is_stopping):
            stop_for(self.state, excess)
            self.advance([])
        if (self.state.woken or self.state.ready or self.state.due) and not self.is_over:
            self.advance([])
        if self.state.waiting or self.state.retrying or self.state.is_paused:
            self._waits.rest()

    def follow(self, event: Event) -> None:
        """Do what follows from an event that is durable now."""
        if isinstance(event, NodeOutputDelta):
            self._works.told(self.compiled.plan.slot_of(event), event)
        elif isinstance(event, SETTLING):
            self._starts.stored(event)
        elif self.is_over:
            return
        elif isinstance(event, NodeStarted):
            self._works.begin(self.compiled.plan.slot_of(event), event.execution)
        elif isinstance(event, NodeRetrying):
            self._waits.arm_retry(self.compiled.plan.slot_of(event), event.next_attempt_at)
        elif isinstance(event, NodeWaiting):
            self._waits.arm(self.compiled.plan.slot_of(event))
        elif isinstance(event, RunStarted):
            self._waits.arm_run()

    @guarded
    def refused(self, group: Group, error: AnabranchError) -> None:
        """Take the refusal of a group."""
        self.groups_in_flight -= 1
        if isinstance(error, StillWanted):
            self._owed.extend(group.applied_commands)
            self.host.look()
            self._waits.rest()  # the command may have been read while the departure was on its way
        elif isinstance(error, Fenced):
            _log.warning("run.fenced", run=str(self.id))
            self.drop()
        elif group.events and group.events[0] is self._last_word:
            _log.error("run.end_refused", run=str(self.id), reason=error.message)
            self.drop()
            self.host.abandon(self.id)
        else:
            # The encoder lets nothing through that PostgreSQL refuses; should it ever, this run alone fails.
            self._fail(Failure("INVALID_OUTPUT", error.message))

    def _fail(self, failure: Failure) -> None:
        """End the run outside of its schedule, with an event that nothing can be wrong with; whatever fails next, once."""
        if self._last_word is not None:
            return
        self._last_word = RunFailed(failure)
        self._companions = [*outside_schedule(self._farewell)]
        self._append([self._last_word], self.now(), ())
        self._quit()  # it leaves when its end is stored: until then nobody may look for it as an orphan

    @guarded
    def attempted(self, work: Work, outcome: Outcome) -> None:
        """Take the end of an attempt."""
        self._work_ends.take(work, outcome)

    def now(self) -> datetime:
        """Return the time, never earlier than the run's last event."""
        self._at = max(self._at, datetime.now(UTC))
        return self._at
