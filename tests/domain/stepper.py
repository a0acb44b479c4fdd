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
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeSucceeded,
    RunCanceled,
    RunCancelRequested,
    RunFailed,
    RunQueued,
    RunRecovered,
    RunStarted,
    RunSucceeded,
)
from domain.plan import Plan, compile_plan
from domain.run import Failure, RunStatus, SkipReason
from domain.schedule import (
    Command,
    Finish,
    SkipNode,
    StartNode,
    State,
    StopNode,
    begin,
    decide,
    evolve,
    settle_failure,
    wake,
)
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
}


@dataclass(frozen=True)
class Case:
    """A graph, what its nodes will do, and when chance cancels it (after how many steps)."""

    definition: Definition
    steps: Sequence[Step]
    faults: Sequence[int]
    """How many attempts of each node fail retryably before the one that settles it."""
    cancel_after: int | None
    seed: int


@st.composite
def cases(draw: st.DrawFn, *, can_cancel: bool = True) -> Case:
    """Random graphs of up to 12 nodes."""
    count = draw(st.integers(1, 12))
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    steps: list[Step] = []
    faults: list[int] = []
    for index in range(count):
        on_error = draw(st.sampled_from(["STOP", "CONTINUE", "BRANCH"]))
        is_any = draw(st.booleans())
        sources = draw(st.lists(st.integers(0, index - 1), max_size=3, unique=True)) if index else []
        incoming = [(source, draw(st.sampled_from(["out", "out", "error"]))) for source in sources]
        is_wanted = draw(st.integers(0, 7)) != 0
        will_fail = draw(st.integers(0, 3)) == 0
        nodes.append(
            {
                "key": f"n{index}",
                "config": {"test": {}},
                "join": "ANY" if is_any else "ALL",
                "onError": {"mode": on_error},
                "when": None if is_wanted else "false",
                "retry": {"maximumAttempts": 3},
            }
        )
        edges.extend({"source": f"n{s}", "sourcePort": port, "target": f"n{index}"} for s, port in incoming)
        steps.append(Step(incoming, is_any, on_error, is_wanted, will_fail))
        faults.append(draw(st.integers(0, 2)))
    settings = {
        "maxParallelNodes": draw(st.integers(1, 3)),
        "failurePolicy": draw(st.sampled_from(["FAIL_FAST", "FINISH_BRANCHES"])),
    }
    definition = Definition.model_validate({"graph": {"nodes": nodes, "edges": edges}, "settings": settings})
    cancel_after = draw(st.none() | st.integers(0, 30)) if can_cancel else None
    return Case(definition, steps, faults, cancel_after, draw(st.integers(0, 2**16)))


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
    _step_count: int = 0

    def __post_init__(self) -> None:
        self.plan = compile_plan(self.case.definition)
        self.state = begin(self.plan)

    def run(self) -> Stepper:
        """Run from the beginning to the end."""
        self._advance([RunQueued(), RunStarted()])
        return self.finish()

    def recover(self, prefix: Sequence[LoggedEvent]) -> Stepper:
        """Go on behind a part of another stepper's log and run to the end."""
        for logged in prefix:
            evolve(self.state, logged.event, logged.at)
        self.log = list(prefix)
        if not self.state.is_started:
            self._advance([RunStarted()])
            return self.finish()
        restarted = [self.plan.nodes[index].key for index in self.state.running]
        self._advance([RunRecovered(self.state.recoveries + 1, restarted)])
        return self.finish()

    def finish(self) -> Stepper:
        """Let chance choose what ends next until the run does."""
        while self.status is None:
            self._step()
        return self

    def tries_before(self, index: int) -> int:
        """Count the failed attempts of a node in the log."""
        key = self.plan.nodes[index].key
        return sum(isinstance(e.event, NodeRetrying) and e.event.node_key == key for e in self.log)

    def ends(self) -> list[str | None]:
        """Return how each node ended by the log; None = it was never settled."""
        ends: list[str | None] = [None] * len(self.plan.nodes)
        for logged in self.log:
            end = END_OF.get(type(logged.event))
            if end is not None:
                index = self.plan.index[getattr(logged.event, "node_key", "")]
                assert ends[index] is None, "settled twice"
                ends[index] = end
        return ends

    # ── what an engine does ──

    def _step(self) -> None:
        self._step_count += 1
        if self._step_count == self.case.cancel_after:
            self._advance([RunCancelRequested()])
            return
        choices = [(index, True) for index in self.state.running]
        choices += [(index, False) for index in self.state.retrying]
        assert choices, "nothing is in flight, and the run has not ended"
        index, is_running = self.random.choice(choices)
        if not is_running:
            wake(self.state, index)
            self._advance([])
        elif index in self._stopping and self.random.random() < 0.7:
            self._advance([NodeCanceled(self.plan.nodes[index].key, None, self.state.nodes[index].execution)])
        else:
            self._advance([self._end(index)])

    def _end(self, index: int) -> Event:
        step, execution = self.case.steps[index], self.state.nodes[index].execution
        key, at = self.plan.nodes[index].key, self._at()
        if self.tries_before(index) < self.case.faults[index]:
            return settle_failure(self.state, index, NodeFault("LATER", "", is_retryable=True), 0.5, at)
        if step.will_fail:
            return settle_failure(self.state, index, NodeFault("NEVER", ""), 0.5, at)
        return NodeSucceeded(key, None, execution, ("out",), 1)

    def _at(self) -> datetime:
        return START + timedelta(seconds=len(self.log))

    def _log(self, event: Event) -> None:
        at = self._at()
        self.log.append(LoggedEvent(RUN, len(self.log) + 1, at, event))
        evolve(self.state, event, at)
        self.most_running = max(self.most_running, len(self.state.running))

    def _advance(self, events: Sequence[Event]) -> None:
        for event in events:
            self._log(event)
        while self.status is None:
            commands = decide(self.state)
            assert decide(self.state) == commands, "decide must not change anything"
            if not [self._obey(command) for command in commands if self._is_due(command)]:
                break

    def _is_due(self, command: Command) -> bool:
        return not (
            isinstance(command, StopNode) and command.index in self._stopping and command.index in self.state.running
        )

    def _obey(self, command: Command) -> None:
        match command:
            case StartNode(index, execution):
                self._check_start(index)
                key, is_wanted = self.plan.nodes[index].key, self.case.steps[index].is_wanted
                if execution > 1 or is_wanted:
                    self._log(NodeStarted(key, None, execution))
                else:
                    self._log(NodeSkipped(key, None, 0, SkipReason.CONDITION_FALSE))
            case SkipNode(index, reason):
                self._log(NodeSkipped(self.plan.nodes[index].key, None, 0, reason))
            case StopNode(index) if index in self.state.running:
                self._stopping.add(index)
            case StopNode(index):
                self._log(NodeCanceled(self.plan.nodes[index].key, None, self.state.nodes[index].execution))
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

    def _check_start(self, index: int) -> None:
        """Check by the log alone that the node's edges allow its start."""
        node = self.case.steps[index]
        taken, settled = 0, 0
        for source, port in node.incoming:
            key = self.plan.nodes[source].key
            for logged in self.log:
                event = logged.event
                if type(event) in END_OF and getattr(event, "node_key", "") == key:
                    settled += 1
                    taken += isinstance(event, NodeSucceeded | NodeFailed) and port in event.ports
        if node.incoming:
            assert taken
            assert node.is_any or settled == len(node.incoming)
        assert len(self.state.running) < self.plan.settings.max_parallel_nodes
