"""An engine without tasks or a clock: it obeys the schedule, and chance decides what ends next."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import strategies as st

from domain.errors import NodeFault
from domain.events import (
    TERMINAL,
    Event,
    LoggedEvent,
    NodeCanceled,
    NodeEventBase,
    NodeExpanded,
    NodeFailed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    NodeWaiting,
    RunCanceled,
    RunCancelRequested,
    RunFailed,
    RunPaused,
    RunQueued,
    RunRecovered,
    RunResumed,
    RunStarted,
    RunSucceeded,
    RunWaiting,
)
from domain.plan import Plan, compile_plan
from domain.run import Failure, RunStatus, SkipReason, WaitReason
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
    told_to_stop,
    wake,
)
from domain.settlement import failed_list, settle_failure
from domain.workflow import Definition
from tests.domain.oracle import Step

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

RUN = UUID(int=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
END_OF: dict[type[Event], str] = {
    NodeSucceeded: "SUCCEEDED",
    NodeFailed: "FAILED",
    NodeSkipped: "SKIPPED",
    NodeCanceled: "CANCELED",
    NodeReused: "REUSED",
}


@dataclass(frozen=True)
class Case:
    """A graph, what its nodes will do, and when chance cancels it (after how many steps)."""

    definition: Definition
    steps: Sequence[Step]
    faults: Sequence[int]
    """How many attempts of each node fail retryably before the one that settles it; see `Stepper.faults_of` for items."""
    cancel_after: int | None
    seed: int
    waits: Sequence[bool]
    """Whether each attempt of each node (of every second of its items) waits for an answer before it ends."""
    pauses: float = 0.0
    """How likely a pause is before each step."""


@st.composite
def cases(draw: st.DrawFn, *, can_cancel: bool = True, has_lists: bool = False) -> Case:
    """Random graphs of up to 12 nodes."""
    count = draw(st.integers(1, 12))
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    steps: list[Step] = []
    faults: list[int] = []
    waits: list[bool] = []
    for index in range(count):
        on_error = draw(st.sampled_from(["STOP", "CONTINUE", "BRANCH"]))
        is_any = draw(st.booleans())
        sources = draw(st.lists(st.integers(0, index - 1), max_size=3, unique=True)) if index else []
        incoming = [(source, draw(st.sampled_from(["out", "out", "error"]))) for source in sources]
        is_wanted = draw(st.integers(0, 7)) != 0
        will_fail = draw(st.integers(0, 3)) == 0
        items = (
            draw(st.lists(st.integers(0, 4).map(lambda n: n == 0), max_size=6))
            if has_lists and draw(st.booleans())
            else None
        )
        on_item_error = draw(st.sampled_from(["FAIL", "NULL", "DROP"]))
        each = {"items": "input", "maxParallelItems": draw(st.integers(1, 4)), "onItemError": on_item_error}
        nodes.append(
            {
                "key": f"n{index}",
                "config": {"test": {}},
                "join": "ANY" if is_any else "ALL",
                "onError": {"mode": on_error},
                "forEach": None if items is None else each,
                "when": None if is_wanted else "false",
                "retry": {"maximumAttempts": 3},
            }
        )
        edges.extend({"source": f"n{s}", "sourcePort": port, "target": f"n{index}"} for s, port in incoming)
        steps.append(Step(incoming, is_any, on_error, is_wanted, will_fail, items, on_item_error))
        faults.append(draw(st.integers(0, 2)))
        waits.append(draw(st.integers(0, 2)) == 0)
    settings = {
        "maxParallelNodes": draw(st.integers(1, 3)),
        "failurePolicy": draw(st.sampled_from(["FAIL_FAST", "FINISH_BRANCHES"])),
    }
    definition = Definition.model_validate({"graph": {"nodes": nodes, "edges": edges}, "settings": settings})
    cancel_after = draw(st.none() | st.integers(0, 30)) if can_cancel else None
    pauses = draw(st.sampled_from([0.0, 0.0, 0.2, 0.6]))
    return Case(definition, steps, faults, cancel_after, draw(st.integers(0, 2**16)), waits, pauses)


@dataclass
class Stepper:
    """One run of a case; `log` is all that would be stored."""

    case: Case
    random: random.Random
    plan: Plan = field(init=False)
    state: State = field(init=False)
    log: list[LoggedEvent] = field(default_factory=list[LoggedEvent])
    status: RunStatus | None = None
    most_running: int = 0
    _stopping: set[int] = field(default_factory=set[int])
    _taken: set[str] = field(default_factory=set[str])
    _items_taken: dict[str, set[int]] = field(default_factory=dict[str, "set[int]"])
    _step_count: int = 0

    def __post_init__(self) -> None:
        self.plan = compile_plan(self.case.definition)
        self.state = begin(self.plan)

    def run(self) -> Stepper:
        """Run from the beginning to the end."""
        self._advance([RunQueued(), RunStarted()])
        return self.finish()

    def rerun(self, kept: Sequence[Event]) -> Stepper:
        """Run from the beginning to the end, where some nodes stand as another run left them."""
        self._advance([RunQueued(), *kept, RunStarted()])
        return self.finish()

    def recover(self, prefix: Sequence[LoggedEvent]) -> Stepper:
        """Go on behind a part of another stepper's log and run to the end."""
        for logged in prefix:
            evolve(self.state, logged.event, logged.at)
            self._count(logged.event)
        self.log = list(prefix)
        if not self.state.is_started:
            self._advance([RunStarted()])
            return self.finish()
        if self.state.is_away:
            self._advance([RunResumed(self.state.resumptions + 1)])
        elif not self.state.is_paused or self.state.running:
            restarted = dict.fromkeys(self._place(slot)[0] for slot in self.state.running)
            self._advance([RunRecovered(self.state.recoveries + 1, list(restarted))])
        else:
            self._advance([])
        return self.finish()

    def finish(self) -> Stepper:
        """Let chance choose what ends next until the run does."""
        while self.status is None:
            self._step()
        return self

    def faults_of(self, slot: int) -> int:
        """Return how many attempts of a node (or item) fail retryably before the one that settles it."""
        index, item = self.plan.place(slot)
        return self.case.faults[index] if item is None else (self.case.faults[index] + item) % 3

    def is_list(self, slot: int) -> bool:
        """Whether it is a node of which the items are run."""
        index, item = self.plan.place(slot)
        return item is None and self.case.steps[index].items is not None

    def tries_before(self, slot: int) -> int:
        """Count the failed attempts of a node (or item) in the log."""
        place = self._place(slot)
        return sum(
            isinstance(e.event, NodeRetrying) and (e.event.node_key, e.event.item_index) == place for e in self.log
        )

    def ends(self) -> list[str | None]:
        """Return how each node ended by the log; None = it was never settled."""
        ends = self.slot_ends()
        return [ends.get(index) for index in range(len(self.plan.nodes))]

    def slot_ends(self) -> dict[int, str]:
        """Return how nodes and items ended by the log."""
        ends: dict[int, str] = {}
        for event in (logged.event for logged in self.log):
            end = END_OF.get(type(event))
            if end is not None and isinstance(event, NodeEventBase):
                slot = self.plan.slot_of(event)
                assert slot not in ends, "settled twice"
                assert self.plan.index[event.node_key] not in ends, "an item ended after its node"
                ends[slot] = end
        return ends

    # ── what an engine does ──

    def _step(self) -> None:
        self._step_count += 1
        if self._step_count == self.case.cancel_after:
            self._advance([RunCancelRequested()])
            return
        if self._is_paused_or_resumed():
            return
        choices = [(slot, True) for slot in (*self.state.running, *self.state.waiting)]
        choices += [(slot, False) for slot in self.state.retrying]
        assert choices, "nothing is in flight, and the run has not ended"
        is_ready = self.state.woken or self.state.ready or self.state.due
        is_busy = self.state.running or is_ready or self.state.is_stopping or self.state.is_paused
        if not is_busy and self.random.random() < 0.3:
            self._log(RunWaiting(self.state.departures + 1, None))
            self._log(RunResumed(self.state.resumptions + 1))
        slot, is_running = self.random.choice(choices)
        place = (*self._place(slot), self.state.attempts(slot).execution)
        index, item = self.plan.place(slot)
        will_wait = self.case.waits[index] and (item or 0) % 2 == 0
        if slot in self.state.running and will_wait and slot not in self._stopping:
            self._advance([NodeWaiting(*place, WaitReason.APPROVAL, None)])
        elif not is_running:
            wake(self.state, slot)
            self._advance([])
        elif slot in self._stopping and self.random.random() < 0.7:
            self._advance([NodeCanceled(*place)])
        else:
            self._advance([self._end(slot)])

    def _is_paused_or_resumed(self) -> bool:
        """Let chance pause the run, or let it go on: always where nothing else would happen any more."""
        state = self.state
        if not state.is_paused:
            is_chosen = not state.is_stopping and self.random.random() < self.case.pauses
            if is_chosen:
                self._advance([RunPaused(1 + sum(isinstance(logged.event, RunPaused) for logged in self.log))])
            return is_chosen
        is_over = not (state.running or state.waiting or state.retrying)
        if is_over or self.random.random() < 0.2:
            self._advance([RunResumed(state.resumptions + 1)])
            return True
        return False

    def _place(self, slot: int) -> tuple[str, int | None]:
        index, item = self.plan.place(slot)
        return self.plan.nodes[index].key, item

    def _end(self, slot: int) -> Event:
        (index, item), execution, at = self.plan.place(slot), self.state.attempts(slot).execution, self._at()
        step = self.case.steps[index]
        if self.tries_before(slot) < self.faults_of(slot):
            return settle_failure(self.state, slot, NodeFault("LATER", "", is_retryable=True), 0.5, at)
        if step.will_fail if item is None else (step.items or ())[item]:
            return settle_failure(self.state, slot, NodeFault("NEVER", ""), 0.5, at)
        return NodeSucceeded(*self._place(slot), execution, ("out",), 1)

    def _at(self) -> datetime:
        return START + timedelta(seconds=len(self.log))

    def _log(self, event: Event) -> None:
        at = self._at()
        self.log.append(LoggedEvent(RUN, len(self.log) + 1, at, event))
        evolve(self.state, event, at)
        self._count(event)

    def _advance(self, events: Sequence[Event]) -> None:
        for event in events:
            self._log(event)
        while self.status is None:
            commands = decide(self.state)
            assert decide(self.state) == commands, "decide must not change anything"
            if not [self._obey(command) for command in commands]:
                break

    def _obey(self, command: Command) -> None:
        match command:
            case StartNode(slot, execution):
                self._check_start(slot)
                self._start(slot, execution)
            case EndItems(index, None):
                key, execution = self.plan.nodes[index].key, self.state.nodes[index].execution
                self._log(NodeSucceeded(key, None, execution, ("out",), 1))
            case EndItems(index, failure):
                self._log(failed_list(self.state, index, failure or Failure("?", "?")))
            case SkipNode(index, reason):
                self._log(NodeSkipped(self.plan.nodes[index].key, None, 0, reason))
            case StopNode(slot) if slot in self.state.running:
                assert slot not in self._stopping, "told to stop twice"
                self._stopping.add(slot)
                told_to_stop(self.state, slot)
            case StopNode(slot):
                self._log(NodeCanceled(*self._place(slot), self.state.attempts(slot).execution))
            case Finish(status):
                self._finish(status)

    def _finish(self, status: RunStatus) -> None:
        match status:
            case RunStatus.SUCCEEDED:
                end: Event = RunSucceeded(1)
            case RunStatus.CANCELED:
                end = RunCanceled()
            case _:
                end = RunFailed(self.state.failure or Failure("?", "?"))
        assert isinstance(end, TERMINAL)
        self._log(end)
        self.status = status

    def _start(self, slot: int, execution: int) -> None:
        index, item = self.plan.place(slot)
        key, step = self.plan.nodes[index].key, self.case.steps[index]
        if item is None and execution == 1 and not step.is_wanted:
            self._log(NodeSkipped(key, None, 0, SkipReason.CONDITION_FALSE))
            return
        self._log(NodeStarted(key, item, execution))
        if item is None and step.items is not None:
            self._log(NodeExpanded(key, None, execution, len(step.items)))

    def _count(self, event: Event) -> None:
        """Follow which nodes take a place (at work themselves, or begun with `forEach`), and which items do."""
        if not isinstance(event, NodeEventBase):
            return
        if event.item_index is not None:
            items = self._items_taken.setdefault(event.node_key, set())
            if isinstance(event, NodeStarted):
                items.add(event.item_index)
            elif type(event) in END_OF:
                items.discard(event.item_index)
            return
        if isinstance(event, NodeStarted):
            self._taken.add(event.node_key)
        elif not isinstance(event, NodeExpanded):
            self._taken.discard(event.node_key)
        self.most_running = max(self.most_running, len(self._taken))

    def _check_start(self, slot: int) -> None:
        """Check by the log alone that the run is not paused and that the graph and the limits allow a start."""
        turns = [logged.event for logged in self.log if isinstance(logged.event, RunPaused | RunResumed)]
        assert not (turns and isinstance(turns[-1], RunPaused)), "nothing starts during a pause"
        index, item = self.plan.place(slot)
        node, each = self.case.steps[index], self.plan.nodes[index].node.for_each
        if item is not None:
            assert each is not None
            begun = self._items_taken.get(self.plan.nodes[index].key, set())
            assert item in begun or len(begun) < each.max_parallel_items
            return
        taken, settled = 0, 0
        for source, port in node.incoming:
            key = self.plan.nodes[source].key
            for event in (logged.event for logged in self.log if isinstance(logged.event, NodeEventBase)):
                if type(event) in END_OF and event.node_key == key and event.item_index is None:
                    settled += 1
                    taken += isinstance(event, NodeSucceeded | NodeFailed | NodeReused) and port in event.ports
        if node.incoming:
            assert taken
            assert node.is_any or settled == len(node.incoming)
