"""The entries of a run's log: facts, one class for each type of event.

Plain slotted classes, since a run makes thousands of them: they are checked only when they come from outside.
`node_key`, `item_index` and `execution` stand in columns of their own, the other facts in the row's `data`.
Payloads (`input`, `output`) are bytes of JSON known to be storable; the log keeps them in `node_runs` and `runs`, so an
event that was read back has None there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from domain.run import NO_USAGE, DeltaChannel, Failure, SkipReason, Usage, WaitReason

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(slots=True)
class RunEventBase:
    """What all events of a run as a whole share."""

    type: ClassVar[str] = ""


@dataclass(slots=True)
class NodeEventBase:
    """What all events of a node share; `execution` counts its starts from 1, 0 = none began."""

    type: ClassVar[str] = ""
    node_key: str
    item_index: int | None
    execution: int


@dataclass(slots=True)
class RunQueued(RunEventBase):
    """The run was accepted; always the first event."""

    type: ClassVar[str] = "RunQueued"


@dataclass(slots=True)
class RunStarted(RunEventBase):
    """The run began to work."""

    type: ClassVar[str] = "RunStarted"


@dataclass(slots=True)
class RunRecovered(RunEventBase):
    """Another process took the run over."""

    type: ClassVar[str] = "RunRecovered"
    recovery_count: int
    restarted: list[str]


@dataclass(slots=True)
class RunWaiting(RunEventBase):
    """Nothing works any more, and the run leaves memory; `count` numbers its departures from 1."""

    type: ClassVar[str] = "RunWaiting"
    count: int
    until: datetime | None
    """When something happens by itself; None where only somebody's answer is awaited."""


@dataclass(slots=True)
class RunPaused(RunEventBase):
    """A person stopped the run for a while; `count` numbers its pauses from 1."""

    type: ClassVar[str] = "RunPaused"
    count: int
    by: UUID | None = None


@dataclass(slots=True)
class RunResumed(RunEventBase):
    """The run goes on, after a pause or back in memory; `count` numbers these events from 1."""

    type: ClassVar[str] = "RunResumed"
    count: int
    by: UUID | None = None


@dataclass(slots=True)
class RunCancelRequested(RunEventBase):
    """Someone asked the run to stop."""

    type: ClassVar[str] = "RunCancelRequested"
    by: UUID | None = None
    reason: str | None = None


@dataclass(slots=True)
class RunSucceeded(RunEventBase):
    """The run ended well; last event."""

    type: ClassVar[str] = "RunSucceeded"
    duration_ms: int
    usage: Usage = NO_USAGE
    output: bytes | None = None


@dataclass(slots=True)
class RunFailed(RunEventBase):
    """The run's work failed; last event."""

    type: ClassVar[str] = "RunFailed"
    failure: Failure
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class RunCanceled(RunEventBase):
    """The run was stopped; last event."""

    type: ClassVar[str] = "RunCanceled"
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class RunCrashed(RunEventBase):
    """The run lost its process too many times; last event."""

    type: ClassVar[str] = "RunCrashed"
    failure: Failure
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class NodeStarted(NodeEventBase):
    """An attempt began."""

    type: ClassVar[str] = "NodeStarted"


@dataclass(slots=True)
class NodeExpanded(NodeEventBase):
    """A `forEach` gave its list; its items follow, each with events of its own. Of the node as a whole."""

    type: ClassVar[str] = "NodeExpanded"
    item_count: int


@dataclass(slots=True)
class NodeProgressed(NodeEventBase):
    """So many items of a `forEach` have ended; said now and then, for those who watch. Of the node as a whole."""

    type: ClassVar[str] = "NodeProgressed"
    items_done: int
    item_count: int


@dataclass(slots=True)
class NodeOutputDelta(NodeEventBase):
    """A piece of text that a node writes; `offset` in UTF-16 code units of the attempt's text of that channel."""

    type: ClassVar[str] = "NodeOutputDelta"
    channel: DeltaChannel
    text: str
    offset: int


@dataclass(slots=True)
class NodeRetrying(NodeEventBase):
    """An attempt failed and there will be another at `next_attempt_at`."""

    type: ClassVar[str] = "NodeRetrying"
    failure: Failure
    next_attempt_at: datetime
    input: bytes | None = None
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class NodeWaiting(NodeEventBase):
    """The node is not at work any more and waits for an answer, until a time at the latest."""

    type: ClassVar[str] = "NodeWaiting"
    reason: WaitReason
    until: datetime | None
    approval: UUID | None = None
    sub_run: UUID | None = None
    input: bytes | None = None
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class ApprovalRequested(NodeEventBase):
    """A person is asked."""

    type: ClassVar[str] = "ApprovalRequested"
    approval: UUID


@dataclass(slots=True)
class ApprovalAnswered(NodeEventBase):
    """The question was answered, or it ran out: then `action` is None."""

    type: ClassVar[str] = "ApprovalAnswered"
    approval: UUID
    action: str | None
    by: UUID | None


@dataclass(slots=True)
class NodeSucceeded(NodeEventBase):
    """The node ended well; its output is durable."""

    type: ClassVar[str] = "NodeSucceeded"
    ports: tuple[str, ...]
    duration_ms: int
    usage: Usage = NO_USAGE
    output: bytes | None = None
    input: bytes | None = None


@dataclass(slots=True)
class NodeFailed(NodeEventBase):
    """The node failed in all its attempts; `ports` are those whose edges are taken all the same."""

    type: ClassVar[str] = "NodeFailed"
    failure: Failure
    ports: tuple[str, ...] = ()
    input: bytes | None = None
    output: bytes | None = None
    usage: Usage = NO_USAGE


@dataclass(slots=True)
class NodeSkipped(NodeEventBase):
    """The node is left out, and its edges are not taken."""

    type: ClassVar[str] = "NodeSkipped"
    reason: SkipReason


@dataclass(slots=True)
class NodeReused(NodeEventBase):
    """The node is not done again: how it ended in `from_run` stands, its output, ports and failure included.

    Logged when the run is made, before RunStarted.
    """

    type: ClassVar[str] = "NodeReused"
    from_run: UUID
    ports: tuple[str, ...]
    failure: Failure | None = None
    """Why it failed there, if it did and its edges were taken all the same."""
    output: bytes | None = None

    @property
    def has_output(self) -> bool:
        """Whether an output stands for it: not where its failure took the port `error`."""
        return self.failure is None or self.ports == ("out",)


@dataclass(slots=True)
class NodeCanceled(NodeEventBase):
    """The node was stopped."""

    type: ClassVar[str] = "NodeCanceled"
    usage: Usage = NO_USAGE
    input: bytes | None = None


NodeEvent: TypeAlias = (
    NodeStarted
    | NodeExpanded
    | NodeProgressed
    | NodeOutputDelta
    | NodeRetrying
    | NodeWaiting
    | ApprovalRequested
    | ApprovalAnswered
    | NodeSucceeded
    | NodeFailed
    | NodeSkipped
    | NodeReused
    | NodeCanceled
)
RunLevelEvent: TypeAlias = (
    RunQueued
    | RunStarted
    | RunRecovered
    | RunWaiting
    | RunPaused
    | RunResumed
    | RunCancelRequested
    | RunSucceeded
    | RunFailed
    | RunCanceled
    | RunCrashed
)
Event: TypeAlias = NodeEvent | RunLevelEvent

SETTLING = (NodeSucceeded, NodeFailed, NodeSkipped, NodeReused, NodeCanceled)
"""After one of these a node (or item) changes no more."""
TERMINAL = (RunSucceeded, RunFailed, RunCanceled, RunCrashed)


@dataclass(slots=True)
class LoggedEvent:
    """An event with its place in the log of its run."""

    run_id: UUID
    seq: int
    at: datetime
    event: Event
