"""The attempts of one run that are in flight: how they begin, stream, and are stopped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import structlog

from domain.events import NodeCanceled
from domain.run import NO_USAGE
from domain.settlement import deadline
from runtime.allowances import allowance_of
from runtime.attempt import NodeAttempt, idempotency_key
from runtime.deltas import DeltaStream
from runtime.execute import Suspended, execute_node
from runtime.run_host import Host, Work

if TYPE_CHECKING:
    from domain.events import Event, NodeOutputDelta
    from domain.ids import RunId, WorkspaceId
    from domain.run import Usage
    from domain.schedule import State
    from runtime.compiled import CompiledRun
    from runtime.execute import Outcome
    from runtime.run_timers import RunTimers
    from runtime.run_values import RunValues

_log = structlog.get_logger(__name__)


class WorkingRun(Protocol):
    """What attempts need of their run."""

    id: RunId
    workspace_id: WorkspaceId
    host: Host
    compiled: CompiledRun
    state: State
    values: RunValues
    timers: RunTimers
    is_over: bool

    def advance(self, events: list[Event]) -> None:
        """Fold events and go on."""
        ...

    def append(self, events: list[Event]) -> None:
        """Append events that change nothing of the state."""
        ...

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        ...

    def attempted(self, work: Work, outcome: Outcome) -> None:
        """Take the end of an attempt."""
        ...


class RunWorks:
    """Attempts by their slot."""

    def __init__(self, run: WorkingRun) -> None:
        self._run = run
        self._works: dict[int, Work] = {}
        self._stopping: set[int] = set()

    def begin(self, slot: int, execution: int) -> None:
        """Run a node (or item), unless it is pure and has been run, or is a node of which the items are run."""
        run = self._run
        index, item = run.compiled.plan.place(slot)
        node = run.compiled.nodes[index]
        if node.kind.is_pure or (item is None and node.items is not None):
            return
        if slot in self._stopping:
            run.advance([NodeCanceled(node.key, item, execution)])
            return
        stream = DeltaStream(node.key, item, execution, self._send_delta)
        repeats = idempotency_key(run.id, node.key, item)
        attempt = NodeAttempt(run.host.services, run.workspace_id, repeats, stream, allowance_of(run.state))
        first = run.state.attempts(slot).first_started_at
        attempt.waits_since = None if execution == 1 or first is None else first.timestamp()
        work = Work(attempt, stream, slot, execution)
        self._works[slot] = work
        name = f"node {node.key}" if item is None else f"node {node.key} item {item}"
        work.task = run.host.spawn(self._work(work), name)

    def told(self, slot: int, delta: NodeOutputDelta) -> None:
        """Tell that a piece of a node's text is in the log."""
        work = self._works.get(slot)
        if work is not None:
            work.stored(delta)

    def end(self, slot: int) -> list[Event]:
        """Forget an attempt, and return what it has written and nobody has logged."""
        work = self._works.pop(slot, None)
        return [] if work is None else [*work.stream.close()]

    def stop(self, slot: int) -> NodeCanceled | None:
        """Stop a node (or item); return its end at once where nothing is at work for it."""
        run, work = self._run, self._works.get(slot)
        is_running = slot in run.state.running
        if slot in self._stopping and is_running:
            return None
        if work is None and is_running:
            self._stopping.add(slot)  # its NodeStarted is on its way to the log: stopped as soon as it is stored
            return None
        run.timers.stop(slot)
        if work is None or work.task is None:
            return self._canceled(slot, run.state.attempts(slot).execution)
        self._stopping.add(slot)
        if work.is_storing:
            return None
        work.task.cancel()
        work.task.add_done_callback(lambda _: self._stopped(work))
        run.timers.after(slot, run.host.cancel_grace_s, self._abandon, work)
        return None

    def close(self) -> None:
        """Stop all attempts at once; they say nothing more."""
        for work in self._works.values():
            work.close()
        self._works.clear()  # each refers to this for its stream

    async def _work(self, work: Work) -> None:
        run = self._run
        try:
            outcome = await self._outcome(work)
        except asyncio.CancelledError:
            return  # raised, it would stay with the task, and its frames with the run in them until some collection
        except Exception:  # noqa: BLE001 -- a fault of ours: nobody else would tell of it, and the run would wait for ever
            if self._is_at_work(work):
                run.fault()
            return
        if run.is_over or not isinstance(outcome, Suspended):
            run.host.services.leave_queue(work.attempt.idempotency_key)  # it may not have taken its turn
        if not run.is_over and self._works.get(work.slot) is work:
            run.attempted(work, outcome)

    async def _outcome(self, work: Work) -> Outcome:
        run, slot = self._run, work.slot
        limit = deadline(run.state, slot)
        time_left_s = None if limit is None else max((limit - datetime.now(UTC)).total_seconds(), 0.0)
        node, scope = run.compiled.nodes[run.compiled.plan.place(slot)[0]], run.values.scope(run.state, slot)
        structlog.contextvars.bind_contextvars(run=str(run.id), node=node.key)  # of this task: whatever is logged in it
        return await execute_node(node, scope, work.attempt, time_left_s)

    def _send_delta(self, delta: NodeOutputDelta) -> None:
        if not self._run.is_over:
            self._run.append([delta])

    def _stopped(self, work: Work) -> None:
        """Log the end of a cancelled attempt, unless it came to an end of its own in that moment."""
        work.task = None
        if self._is_at_work(work):
            canceled = self._canceled(work.slot, work.execution, work.attempt.usage)
            self._run.advance([*self.end(work.slot), canceled])

    def _abandon(self, work: Work) -> None:
        if self._is_at_work(work):
            key = self._run.compiled.plan.nodes[self._run.compiled.plan.place(work.slot)[0]].key
            _log.error("node.ignores_cancellation", run=str(self._run.id), node=key)
            self._stopped(work)

    def _is_at_work(self, work: Work) -> bool:
        return self._works.get(work.slot) is work and not (work.is_storing or self._run.is_over)

    def _canceled(self, slot: int, execution: int, usage: Usage = NO_USAGE) -> NodeCanceled:
        plan = self._run.compiled.plan
        index, item = plan.place(slot)
        return NodeCanceled(plan.nodes[index].key, item, execution, usage)
