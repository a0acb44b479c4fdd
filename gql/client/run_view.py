"""What a watcher knows of a run: the snapshot, and every event since folded into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.run import SETTLED, DeltaChannel, NodeRunStatus, RunStatus
from gql.client.events import (
    ApprovalEvent,
    NodeEvent,
    NodeExpanded,
    NodeFailed,
    NodeOutputDelta,
    NodeProgressed,
    NodeRetrying,
    NodeReused,
    NodeSkipped,
    NodeSucceeded,
    NodeWaiting,
    RunEnded,
    Wait,
)
from gql.client.faults import ClientFault

if TYPE_CHECKING:
    from datetime import datetime

    from gql.client.events import Event, Failure, NodeState, OpenedRun, Usage

_RUN_STATUSES = {
    "RunQueued": RunStatus.QUEUED,
    "RunStarted": RunStatus.RUNNING,
    "RunRecovered": RunStatus.RUNNING,
    "RunWaiting": RunStatus.WAITING,
    "RunPaused": RunStatus.PAUSED,
    "RunResumed": RunStatus.RUNNING,
    "RunCancelRequested": RunStatus.CANCELING,
}
_NODE_STATUSES = {
    "NodeStarted": NodeRunStatus.RUNNING,
    "NodeRetrying": NodeRunStatus.RETRYING,
    "NodeWaiting": NodeRunStatus.WAITING,
    "NodeSucceeded": NodeRunStatus.SUCCEEDED,
    "NodeFailed": NodeRunStatus.FAILED,
    "NodeSkipped": NodeRunStatus.SKIPPED,
    "NodeCanceled": NodeRunStatus.CANCELED,
    "NodeReused": NodeRunStatus.REUSED,
}


class Text:
    """A text that grows by pieces placed in UTF-16 code units, as JavaScript counts; a piece may end inside a pair."""

    def __init__(self, begin: str = "") -> None:
        self._units = bytearray(begin.encode("utf-16-le", "surrogatepass"))

    def splice(self, piece: str, offset: int) -> None:
        """Overwrite from `offset` on.

        Raises:
            ClientFault: the piece would leave a gap.
        """
        if not 0 <= 2 * offset <= len(self._units):
            raise ClientFault(f"The stream left a gap: a piece begins at {offset}, the text ends at {len(self)}.")
        del self._units[2 * offset :]
        self._units += piece.encode("utf-16-le", "surrogatepass")

    def __len__(self) -> int:
        return len(self._units) // 2

    def __str__(self) -> str:
        return self._units.decode("utf-16-le", "replace")


@dataclass(slots=True)
class Items:
    """How far the items of a node are; they are counted, not kept."""

    count: int | None = None
    """None before the list is known, and for a node without one."""
    done: int = 0
    failed: int = 0
    waiting: set[int] = field(default_factory=set[int])
    """Which of them wait: no more than may begin at once."""


@dataclass(slots=True)
class NodeView:
    """A node as it stands."""

    key: str
    name: str
    kind: str
    sources: tuple[str, ...]
    status: NodeRunStatus = NodeRunStatus.PENDING
    attempt: int = 0
    text: Text = field(default_factory=Text)
    error: Failure | None = None
    total_tokens: int = 0
    output: Any = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_attempt_at: datetime | None = None
    note: str | None = None
    wait: Wait | None = None
    items: Items = field(default_factory=Items)

    def begin_from(self, state: NodeState) -> None:
        """Take over what the snapshot says."""
        self.status, self.attempt, self.error = state.status, state.attempt, state.error
        self.wait = state.waiting
        self.text = Text(state.partial_text or "")
        self.total_tokens = state.usage.total_tokens
        self.items = Items(
            state.item_count, state.items_done or 0, state.items_failed or 0, set(state.items_waiting or ())
        )
        self.started_at, self.finished_at = state.started_at, state.finished_at
        if state.status is NodeRunStatus.REUSED:
            self.note = "reused"

    def apply(self, event: NodeEvent) -> None:
        """Fold one event; an event of an item is counted, and leaves the node's own state alone."""
        if event.item_index is not None:
            self._count(event)
            return
        if event.attempt < self.attempt:
            return
        if event.attempt > self.attempt:
            self.attempt, self.text = event.attempt, Text()
        self.status = _NODE_STATUSES.get(event.type, self.status)
        self.wait = self._wait_after(event)
        if self.started_at is None and event.attempt > 0:
            self.started_at = event.at
        self._take(event)

    def _wait_after(self, event: NodeEvent) -> Wait | None:
        """Return what the node waits for now."""
        if isinstance(event, ApprovalEvent) and event.type == "ApprovalRequested":
            return (self.wait or Wait(reason="APPROVAL")).model_copy(update={"approval": event.approval})
        return event if isinstance(event, NodeWaiting) else None

    def _count(self, event: NodeEvent) -> None:
        if event.item_index is not None and (status := _NODE_STATUSES.get(event.type)) is not None:
            change = self.items.waiting.add if status is NodeRunStatus.WAITING else self.items.waiting.discard
            change(event.item_index)
        if isinstance(event, NodeSucceeded):
            self.total_tokens += event.usage.total_tokens
        if _NODE_STATUSES.get(event.type) in SETTLED:
            self.items.done += 1
            self.items.failed += isinstance(event, NodeFailed)

    def _take(self, event: NodeEvent) -> None:
        """Take over what only events of this type tell."""
        match event:
            case NodeOutputDelta(channel=DeltaChannel.TEXT):
                self.text.splice(event.text, event.offset)
            case NodeProgressed():
                self.items.done = max(self.items.done, event.items_done)
            case NodeExpanded():
                self.items.count = event.item_count
            case NodeRetrying():
                self.error, self.next_attempt_at = event.error, event.next_attempt_at
            case NodeFailed():
                self.error, self.finished_at = event.error, event.at
            case NodeSucceeded():
                self.error, self.finished_at = None, event.at
                self.total_tokens = max(self.total_tokens, event.usage.total_tokens)
                self.output = event.output
            case NodeSkipped():
                self.note = event.skip_reason
            case NodeReused():
                self.finished_at = event.at
                self.note = f"reused from {event.from_run.id}" if event.from_run else "reused"
            case _ if event.type == "NodeCanceled":
                self.finished_at = event.at
            case _:
                pass


@dataclass(slots=True)
class RunView:
    """A run as it stands; `nodes` in an order in which every node comes after its sources."""

    id: str
    workflow: str
    status: RunStatus
    nodes: dict[str, NodeView]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    output: Any = None
    error: Failure | None = None
    usage: Usage | None = None
    delta_count: int = 0

    @classmethod
    def of(cls, run: OpenedRun) -> RunView:
        """Open a view from the run's snapshot."""
        sources: dict[str, list[str]] = {node.key: [] for node in run.graph.nodes}
        for edge in run.graph.edges:
            if edge.target in sources and edge.source not in sources[edge.target]:
                sources[edge.target].append(edge.source)
        nodes = {
            node.key: NodeView(node.key, node.name, node.kind, tuple(sources[node.key])) for node in run.graph.nodes
        }
        for state in run.snapshot.nodes:
            if state.key in nodes:
                nodes[state.key].begin_from(state)
        is_over = run.snapshot.status.is_finished
        return cls(
            id=run.id,
            workflow=run.workflow.slug,
            status=run.snapshot.status,
            nodes=_in_order(nodes),
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at if is_over else None,
            output=run.output if is_over else None,
            error=run.error if is_over else None,
            usage=run.usage if is_over else None,
        )

    def apply(self, event: Event) -> None:
        """Fold one event."""
        match event:
            case NodeEvent():
                if event.node_key in self.nodes:
                    self.nodes[event.node_key].apply(event)
                self.delta_count += isinstance(event, NodeOutputDelta)
            case RunEnded():
                self.status, self.finished_at = event.status, event.at
                self.output, self.error, self.usage = event.output, event.error, event.usage
            case _:
                self.status = _RUN_STATUSES.get(event.type, self.status)
                if event.type == "RunStarted":
                    self.started_at = event.at


def _in_order(nodes: dict[str, NodeView]) -> dict[str, NodeView]:
    """Return the nodes so that each comes after its sources, otherwise as they were."""
    ordered: dict[str, NodeView] = {}
    waiting = dict(nodes)
    while waiting:
        ready = [key for key, node in waiting.items() if all(source not in waiting for source in node.sources)]
        for key in ready or list(waiting):  # a cycle cannot be run; should one come, it is shown as it is
            ordered[key] = waiting.pop(key)
    return ordered
