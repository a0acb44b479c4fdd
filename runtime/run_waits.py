"""What the nodes of one run wait for, and when the run leaves memory because nothing works any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from uuid import UUID

from domain.errors import NodeFault
from domain.events import ApprovalAnswered, NodeWaiting
from domain.ids import Prefix, to_global
from domain.json_codec import decode
from domain.ports.companions import ClosedWaits
from domain.run import NO_USAGE, Failure, RunStatus, WaitReason
from domain.schedule import expire, wake
from domain.settlement import deadline
from domain.suspensions import Answered, Due, SubRunEnded
from runtime.attempt import idempotency_key
from runtime.execute import Failed, resume_node
from runtime.run_host import Host, guarded
from runtime.run_timers import RUN

if TYPE_CHECKING:
    from domain.events import Event
    from domain.ids import RunId
    from domain.ports.companions import Companion
    from domain.ports.runs import EndedChild, RunCommand
    from domain.schedule import State
    from domain.suspensions import Answer
    from runtime.compiled import CompiledRun
    from runtime.node_ends import NodeEnds
    from runtime.run_timers import RunTimers

_REST: Final = -1
"""The key of the timer of the run's departure: no slot is the same."""


_SHARED: Final = frozenset({WaitReason.APPROVAL, WaitReason.SUB_RUN})


def is_shared(wait: NodeWaiting) -> bool:
    """Whether others know of a wait, so that its end has to be told them."""
    return wait.reason in _SHARED


def _is_next(wait: NodeWaiting) -> bool:
    """Whether a wait ends when others are done with a connection: it has its place in the queue of this process."""
    return wait.reason is WaitReason.RATE_LIMIT and wait.until is None


class WaitingRun(Protocol):
    """What waits need of their run."""

    id: RunId
    host: Host
    compiled: CompiledRun
    state: State
    ends: NodeEnds
    timers: RunTimers
    groups_in_flight: int
    is_over: bool
    has_left: bool

    def advance(self, events: list[Event], *, companions: tuple[Companion, ...] = ()) -> None:
        """Fold events and go on; store companions with them."""
        ...

    def depart(self, until: datetime | None) -> None:
        """Append the departure of the run, which comes back by itself at a time, if there is one."""
        ...

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        ...


class RunWaits:
    """The waits of one run."""

    def __init__(self, run: WaitingRun) -> None:
        self._run = run

    @property
    def has_left(self) -> bool:
        """Whether the run is in memory no more."""
        return self._run.has_left

    def fault(self) -> None:
        """Fail the run because of the exception that is being handled."""
        self._run.fault()

    def arm(self, slot: int) -> None:
        """Set the timer of a node that waits, unless it waits for an answer without an end or not any more."""
        wait = self._run.state.waiting.get(slot)
        if wait is None:
            return
        if wait.sub_run is not None:
            self._run.host.look()  # it is queued: whoever has room may begin it now
        due = self._due_at(slot)
        if wait.reason is WaitReason.RATE_LIMIT and not self._queues(slot, wait) and wait.until is None:
            due = datetime.now(UTC)  # its place was lost with the process that had it
        if due is not None:
            self._run.timers.at(slot, due, self._due, slot)

    def arm_retry(self, slot: int, at: datetime) -> None:
        """Set the timer of a node's next attempt."""
        self._run.timers.at(slot, at, self._woken, slot)

    def arm_run(self) -> None:
        """Set the timer of the run as a whole, if its time is bounded."""
        end = self._end_of_run()
        if end is not None:
            self._run.timers.at(RUN, end, self._expired)

    def arm_all(self) -> None:
        """Set all timers of a run that comes into memory with a past; times that have passed are due at once."""
        if not self._run.is_over:
            for slot, at in self._run.state.retrying.items():
                self.arm_retry(slot, at)
            for slot in self._run.state.waiting:
                self.arm(slot)
            self.arm_run()

    def rest(self) -> None:
        """Let the run leave memory after a while, if nothing works."""
        if self._is_idle:
            self._run.timers.after(_REST, self._run.host.linger_s, self._leave)

    def give_up(self, slot: int) -> None:
        """Give up the place that a node has in the queue of a connection, if it has one.

        It may have one that does not wait: its wait is on its way to the log, or its turn has come and it is to begin again.
        """
        index, item = self._run.compiled.plan.place(slot)
        key = self._run.compiled.plan.nodes[index].key
        self._run.host.services.leave_queue(idempotency_key(self._run.id, key, item))

    def expire_run(self) -> None:
        """Stop the run if its time is over already."""
        end = self._end_of_run()
        if end is not None and end <= datetime.now(UTC):
            expire(self._run.state)

    def close(self) -> None:
        """Give up all places: the run leaves memory."""
        state = self._run.state
        for slot in (*state.waiting, *state.woken, *state.running):
            self.give_up(slot)

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is at work, ready, or on its way to the log."""
        run, state = self._run, self._run.state
        is_ready = (state.woken or state.ready or state.due) and not state.is_paused
        is_at_work = run.groups_in_flight or state.running or is_ready or state.to_skip
        return not (is_at_work or state.is_stopping or run.is_over)

    def _end_of_run(self) -> datetime | None:
        timeout_ms, started_at = self._run.compiled.plan.settings.timeout_ms, self._run.state.started_at
        return None if timeout_ms is None or started_at is None else started_at + timedelta(milliseconds=timeout_ms)

    def _queues(self, slot: int, wait: NodeWaiting) -> bool:
        """Have a node woken when it is its turn, if it has a place in the queue of a connection in this process."""

        def wake() -> bool:
            if self._run.is_over or self._run.state.waiting.get(slot) is not wait:
                return False
            self._run.timers.stop(slot)
            self._woken(slot)
            return not self._run.state.is_paused

        return self._run.host.services.on_room(idempotency_key(self._run.id, wait.node_key, wait.item_index), wake)

    def _woken(self, slot: int) -> None:
        wake(self._run.state, slot)
        self._run.advance([])

    def _expired(self) -> None:
        expire(self._run.state)
        self._run.advance([])

    def _due_at(self, slot: int) -> datetime | None:
        state = self._run.state
        return min((at for at in (state.waiting[slot].until, deadline(state, slot)) if at is not None), default=None)

    @guarded
    def _due(self, slot: int) -> None:
        """End a wait whose time has come: the one it was meant for, or that of all the node's attempts."""
        run = self._run
        wait, limit = run.state.waiting[slot], deadline(run.state, slot)
        if wait.reason is WaitReason.RATE_LIMIT and (limit is None or limit > datetime.now(UTC)):
            self._woken(slot)
        elif wait.reason is WaitReason.RATE_LIMIT or wait.until is None or (limit is not None and limit < wait.until):
            self.give_up(slot)
            failed = Failed(NodeFault("TIMED_OUT", "The node waited longer than all its attempts may take."), None)
            end = run.ends.of(slot, wait.execution, failed)
            run.advance([end], companions=(ClosedWaits(wait.node_key, wait.item_index),) if is_shared(wait) else ())
        elif wait.approval is not None:
            run.host.expire(wait.approval)
        else:
            run.advance([self._resumed(slot, wait, Due(max(wait.until, datetime.now(UTC))))])

    def answered(self, command: RunCommand) -> list[Event]:
        """Return the events of an answer that came; none if no node waits for it any more."""
        payload = cast("dict[str, Any]", command.payload)
        if command.child is not None:
            return self._by_sub_run(command.child)
        if command.kind == "child":
            return self._by_deleted(UUID(payload["run"]))
        return self._by_person(payload) if command.kind == "approval" else []

    def _by_person(self, payload: dict[str, Any]) -> list[Event]:
        slot, wait = self._wait_of(payload["node"], payload.get("item"))
        if wait is None or wait.approval is None or wait.execution != payload["execution"]:
            return []
        at, by, action = datetime.fromisoformat(payload["at"]), payload["by"], payload["action"]
        told = ApprovalAnswered(
            wait.node_key, wait.item_index, wait.execution, wait.approval, action, None if by is None else UUID(by)
        )
        return [told, self._resumed(slot, wait, Answered(action, payload["values"], payload["email"], at))]

    def _by_sub_run(self, child: EndedChild) -> list[Event]:
        slot, wait = self._wait_of(child.node_key, child.item_index)
        if wait is None or wait.sub_run != child.id:
            return []
        output = None if child.output is None else decode(child.output)
        ended = SubRunEnded(to_global(Prefix.RUN, child.id), child.status, output, child.failure, child.usage)
        return [self._resumed(slot, wait, ended)]

    def _by_deleted(self, run_id: UUID) -> list[Event]:
        """Return the end of the node whose sub-run ended, but was deleted with its workflow before anybody read how."""
        failure = Failure("RUN_DELETED", "Its run was deleted.")
        ended = SubRunEnded(to_global(Prefix.RUN, run_id), RunStatus.FAILED, None, failure, NO_USAGE)
        waiting = [(slot, wait) for slot, wait in self._run.state.waiting.items() if wait.sub_run == run_id]
        return [self._resumed(slot, wait, ended) for slot, wait in waiting]

    def _wait_of(self, key: str, item: int | None) -> tuple[int, NodeWaiting | None]:
        plan = self._run.compiled.plan
        slot = plan.slot(plan.index[key], item)
        return slot, self._run.state.waiting.get(slot)

    def _resumed(self, slot: int, wait: NodeWaiting, answer: Answer) -> Event:
        """Return the end of a node by the answer that it waited for."""
        self._run.timers.stop(slot)
        index, _ = self._run.compiled.plan.place(slot)
        return self._run.ends.of(slot, wait.execution, resume_node(self._run.compiled.nodes[index], answer))

    @guarded
    def _leave(self) -> None:
        """Leave memory, unless something works again or will soon."""
        state = self._run.state
        if not self._is_idle or (not state.is_paused and any(map(_is_next, state.waiting.values()))):
            return
        dues = list(filter(None, map(self._due_at, state.waiting)))
        if not state.is_paused:
            dues += state.retrying.values()
        due = min((*dues, *filter(None, [self._end_of_run()])), default=None)
        if due is None or due > datetime.now(UTC) + timedelta(seconds=self._run.host.linger_s):
            self._run.depart(due)
