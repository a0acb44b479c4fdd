"""One run in the memory of one process: the asyncio shell around `domain.schedule`.

Order: an end is folded into the state, what follows from it is decided and folded too, and all of that is appended as
one group; effects (running nodes, arming timers) begin when the group is stored. So a completed node is durable before
its successors run, and NodeStarted is durable before its node runs, at one commit for each node. A pure node has no
effects: it runs when what leads to it is stored, and its start and its end are one group.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import structlog

from domain.errors import AnabranchError, Fenced, NodeFault
from domain.events import (
    SETTLING,
    TERMINAL,
    Event,
    NodeCanceled,
    NodeOutputDelta,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    RunFailed,
    RunRecovered,
    RunStarted,
)
from domain.ports.runs import Group
from domain.run import Failure, SkipReason
from domain.schedule import (
    Command,
    Finish,
    SkipNode,
    StartNode,
    State,
    StopNode,
    begin,
    deadline,
    decide,
    evolve,
    expire,
    give_up,
    wake,
)
from runtime.attempt import NodeAttempt, idempotency_key
from runtime.deltas import DeltaStream
from runtime.execute import Failed, Succeeded, execute_node, execute_pure, is_wanted
from runtime.node_ends import NodeEnds, crash_end, run_end
from runtime.run_commands import Asked
from runtime.run_host import Host, Work, guarded
from runtime.run_timers import RUN, RunTimers
from runtime.run_values import RunValues

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.events import LoggedEvent
    from domain.ports.runs import ClaimedRun, RunCommand, RunLog
    from runtime.compiled import CompiledRun

_LONGEST_TURN_S: Final = 0.005
"""After this long no further pure node is computed in one turn of the event loop: other runs want theirs."""

_log = structlog.get_logger(__name__)


class LocalRun:
    """A run that this process executes."""

    def __init__(self, claimed: ClaimedRun, compiled: CompiledRun, host: Host) -> None:
        self.id = claimed.id
        self._workspace_id = claimed.workspace_id
        self.epoch = claimed.epoch
        self._compiled = compiled
        self._host = host
        self._log = host.log
        self._state: State = begin(compiled.plan)
        self._at = claimed.created_at
        self._values = RunValues(claimed, compiled)
        self._ends = NodeEnds(self._state, self._values, self._now)
        self._works: dict[int, Work] = {}
        self._timers = RunTimers()
        self._stopping: set[int] = set()
        self._unstored: set[int] = set()
        """Settled nodes whose end is still on its way to the log."""
        self._asked = Asked()
        self._pause_at = 0.0
        self._is_interrupted = False
        self._is_over = False
        self._is_failing = False
        self._pure = NodeAttempt(host.services, claimed.workspace_id, "", None)

    # ── what the engine asks for ──

    def start(self, commands: Sequence[RunCommand] = ()) -> None:
        """Begin a run that never began to work; what was asked of it meanwhile is done before anything else."""
        asked, ids = self._asked.take(commands)
        self._advance([RunStarted(), *asked], commands=ids)

    def open(self) -> Group:
        """Begin a run that is not stored yet, and return what is to be stored with it."""
        groups: list[Group] = []
        self._log = cast("RunLog", groups)
        self.start()
        self._log = self._host.log
        return groups[0]

    @guarded
    def recover(self, log: Sequence[LoggedEvent], commands: Sequence[RunCommand] = ()) -> None:
        """Go on from the stored log of a run whose executor is gone."""
        for logged in log:
            evolve(self._state, logged.event, logged.at)
            self._at = logged.at
            self._values.recall(logged.event)
        if not self._state.is_started:
            self.start(commands)
            return
        restarted = [self._compiled.plan.nodes[index].key for index in self._state.running]
        recovered = RunRecovered(self._state.recoveries + 1, restarted)
        if self._state.idle_recoveries >= self._host.max_recoveries:
            self._crash(recovered)
            return
        asked, ids = self._asked.take(commands)
        self._advance([recovered, *asked], commands=ids)
        for index, at in self._state.retrying.items():
            self._timers.at(index, at, self._woken, index)
        self._arm_run_timeout()

    def obey(self, commands: Sequence[RunCommand]) -> None:
        """Turn commands into events, in their order."""
        asked, ids = self._asked.take(commands)
        if asked and not self._is_over:
            self._advance(asked, commands=ids)

    def drop(self) -> None:
        """Throw the run's state away without another word to the log: it is somebody else's, or the process stops."""
        self._quit()
        self._host.left(self.id, self)

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        _log.exception("run.fault", run=str(self.id))
        self._fail(Failure("INTERNAL_ERROR", "The run's own bookkeeping failed."))

    def _quit(self) -> None:
        self._is_over = True
        self._timers.close()
        for work in self._works.values():
            work.close()

    # ── deciding ──

    @guarded
    def _advance(self, events: list[Event], *, commands: tuple[UUID, ...] = ()) -> None:
        """Fold events, decide and fold what follows until nothing does, and append all as one group."""
        loop = asyncio.get_running_loop()
        self._pause_at = loop.time() + _LONGEST_TURN_S
        at = self._now()
        for event in events:
            self._fold(event, at)
        while not self._is_over:
            answers = [event for command in decide(self._state) for event in self._answer(command, at)]
            if not answers:
                break
            events.extend(answers)
        if events:
            self._append(events, at, commands)
        if self._is_interrupted:
            self._is_interrupted = False
            if self._log is self._host.log:  # else it goes on when the run is stored
                loop.call_soon(self._advance, list[Event]())

    def _answer(self, command: Command, at: datetime) -> list[Event]:
        """Return the events that answer a command, already folded; none where the answer has to be waited for."""
        match command:
            case StartNode(index, execution):
                return self._start(index, execution, at)
            case SkipNode(index, reason):
                event: Event = NodeSkipped(self._compiled.plan.nodes[index].key, None, 0, reason)
            case Finish(status):
                self._is_over = True
                return [run_end(self._state, self._compiled, self._values, status, at)]
            case _:
                canceled = self._stop(command.index)
                if canceled is None:
                    return []
                event = canceled
        self._fold(event, at)
        return [event]

    def _start(self, index: int, execution: int, at: datetime) -> list[Event]:
        node = self._compiled.nodes[index]
        is_pure = node.kind.is_pure
        if is_pure and not self._unstored.isdisjoint(self._compiled.plan.nodes[index].sources):
            return []  # asked again when their ends are stored
        if is_pure and asyncio.get_running_loop().time() > self._pause_at:
            self._is_interrupted = True
            return []  # asked again in the next turn
        if execution == 1 and node.when is not None and not is_wanted(node, self._values.scope(self._state, index)):
            event: Event = NodeSkipped(node.key, None, 0, SkipReason.CONDITION_FALSE)
            self._fold(event, at)
            return [event]
        started = NodeStarted(node.key, None, execution)
        evolve(self._state, started, at)
        if not is_pure:
            return [started]
        outcome = execute_pure(node, self._values.scope(self._state, index), self._pure)
        end = self._ends.of(index, execution, outcome)
        self._fold(end, at)
        return [started, end]

    def _fold(self, event: Event, at: datetime) -> None:
        evolve(self._state, event, at)
        if isinstance(event, SETTLING):
            self._unstored.add(self._compiled.plan.index[event.node_key])

    def _crash(self, recovered: RunRecovered) -> None:
        at = self._now()
        evolve(self._state, recovered, at)
        give_up(self._state)
        stops = [command for command in decide(self._state) if isinstance(command, StopNode)]
        ends = [event for command in stops for event in self._answer(command, at)]
        self._is_over = True
        self._append([recovered, *ends, crash_end(self._state)], at, ())

    # ── appending, and what begins when a group is stored ──

    def _append(self, events: list[Event], at: datetime, commands: tuple[UUID, ...]) -> None:
        self._log.append(Group(self.id, self.epoch, at, events, self._stored, self._refused, commands))

    @guarded
    def _stored(self, group: Group, _base: int) -> None:
        for event in group.events:
            if isinstance(event, NodeOutputDelta):
                if (work := self._works.get(self._compiled.plan.index[event.node_key])) is not None:
                    work.stored(event)
            elif isinstance(event, SETTLING):
                self._unstored.discard(self._compiled.plan.index[event.node_key])
            elif isinstance(event, TERMINAL):
                self.drop()
            elif not self._is_over:
                self._take_effect(event)
        if self._state.ready and not self._is_over:
            self._advance([])

    def _take_effect(self, event: Event) -> None:
        """Do what an event that is durable now was logged for."""
        if isinstance(event, NodeStarted):
            self._begin(self._compiled.plan.index[event.node_key], event.execution)
        elif isinstance(event, NodeRetrying):
            index = self._compiled.plan.index[event.node_key]
            self._timers.at(index, event.next_attempt_at, self._woken, index)
        elif isinstance(event, RunStarted):
            self._arm_run_timeout()

    def _refused(self, _group: Group, error: AnabranchError) -> None:
        if isinstance(error, Fenced):
            _log.warning("run.fenced", run=str(self.id))
            self.drop()
        else:
            # The encoder lets nothing through that PostgreSQL refuses; should it ever, this run alone fails.
            self._fail(Failure("INVALID_OUTPUT", error.message))

    def _fail(self, failure: Failure) -> None:
        """End the run outside of its schedule, with an event that nothing can be wrong with."""
        if self._is_failing:
            self.drop()
            return
        self._is_failing = True
        self._append([RunFailed(failure)], self._now(), ())
        self._quit()  # it leaves when its end is stored: until then nobody may look for it as an orphan

    # ── a node's work ──

    def _begin(self, index: int, execution: int) -> None:
        """Run a node, unless it is pure and has been run."""
        node = self._compiled.nodes[index]
        key = node.key
        if node.kind.is_pure:
            return
        if index in self._stopping:
            self._advance([NodeCanceled(key, None, execution)])
            return
        stream = DeltaStream(key, None, execution, self._send_delta)
        repeats = idempotency_key(self.id, key, None)
        work = Work(NodeAttempt(self._host.services, self._workspace_id, repeats, stream), stream, execution)
        self._works[index] = work
        work.task = self._host.spawn(self._work(index, work), f"node {key}")

    async def _work(self, index: int, work: Work) -> None:
        node, limit = self._compiled.nodes[index], deadline(self._state, index)
        time_left_s = None if limit is None else max((limit - datetime.now(UTC)).total_seconds(), 0.0)
        outcome = await execute_node(node, self._values.scope(self._state, index), work.attempt, time_left_s)
        if not self._is_over and self._works.get(index) is work:
            self._attempted(index, work, outcome)

    @guarded
    def _attempted(self, index: int, work: Work, outcome: Succeeded | Failed) -> None:
        if isinstance(outcome, Succeeded) and outcome.write is not None:
            self._write(index, work, outcome)
        else:
            self._advance_after(index, self._ends.of(index, work.execution, outcome))

    def _advance_after(self, index: int, end: Event) -> None:
        work = self._works.pop(index, None)
        deltas: list[Event] = [] if work is None else [*work.stream.close()]
        self._advance([*deltas, end])

    # ── rows that are stored with the end of the node that writes them ──

    def _write(self, index: int, work: Work, outcome: Succeeded) -> None:
        """Append the end with its rows; it is folded when it is stored, since only then its output is known.

        What the run appends meanwhile comes behind it in the log, and neither changes what the other means.
        """
        work.is_storing = True
        if deltas := work.stream.close():
            self._append([*deltas], self._now(), ())
        end = self._ends.succeeded(index, work.execution, outcome)
        group = Group(self.id, self.epoch, self._now(), [end], self._written, self._not_written, write=outcome.write)
        self._log.append(group)

    @guarded
    def _written(self, group: Group, _base: int) -> None:
        end = cast("NodeSucceeded", group.events[0])
        if not self._is_over:
            self._works.pop(self._compiled.plan.index[end.node_key], None)
            self._values.keep(end.node_key, end.output or b"null")
            evolve(self._state, end, group.at)
            self._advance([])

    @guarded
    def _not_written(self, group: Group, error: AnabranchError) -> None:
        if not isinstance(error, NodeFault):
            self._refused(group, error)
        elif not self._is_over:
            end = cast("NodeSucceeded", group.events[0])
            index = self._compiled.plan.index[end.node_key]
            self._advance_after(index, self._ends.of(index, end.execution, Failed(error, end.input, end.usage)))

    def _send_delta(self, delta: NodeOutputDelta) -> None:
        if not self._is_over:
            self._append([delta], self._now(), ())

    # ── stopping ──

    def _stop(self, index: int) -> NodeCanceled | None:
        """Stop a node; return its end at once where nothing is at work for it."""
        if index in self._stopping and index in self._state.running:
            return None
        work = self._works.get(index)
        if work is None and index in self._state.running:
            self._stopping.add(index)  # its NodeStarted is on its way to the log: stopped as soon as it is stored
            return None
        self._timers.stop(index)
        if work is None or work.task is None:
            return NodeCanceled(self._compiled.plan.nodes[index].key, None, self._state.nodes[index].execution)
        self._stopping.add(index)
        if work.is_storing:
            return None
        work.task.cancel()
        work.task.add_done_callback(lambda _: self._stopped(index, work))
        self._timers.after(index, self._host.cancel_grace_s, self._abandon, index, work)
        return None

    def _stopped(self, index: int, work: Work) -> None:
        """Log the end of a cancelled attempt, unless it came to an end of its own in that moment."""
        if self._works.get(index) is work and not (work.is_storing or self._is_over):
            key = self._compiled.plan.nodes[index].key
            self._advance_after(index, NodeCanceled(key, None, work.execution, work.attempt.usage))

    def _abandon(self, index: int, work: Work) -> None:
        if self._works.get(index) is work and not (work.is_storing or self._is_over):
            _log.error("node.ignores_cancellation", run=str(self.id), node=self._compiled.plan.nodes[index].key)
            self._stopped(index, work)

    # ── time ──

    def _woken(self, index: int) -> None:
        wake(self._state, index)
        self._advance([])

    def _arm_run_timeout(self) -> None:
        timeout_ms, started_at = self._compiled.plan.settings.timeout_ms, self._state.started_at
        if timeout_ms is not None and started_at is not None and not self._is_over:
            self._timers.at(RUN, started_at + timedelta(milliseconds=timeout_ms), self._expired)

    def _expired(self) -> None:
        expire(self._state)
        self._advance([])

    def _now(self) -> datetime:
        """Return the time, never earlier than the run's last event."""
        self._at = max(self._at, datetime.now(UTC))
        return self._at
