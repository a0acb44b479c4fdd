"""A run and what its nodes did: statuses, errors, usage, the objects that queries show."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from domain.ids import GraphId, NodeKey, RunId, UserId, WorkflowId, WorkspaceId


class RunStatus(StrEnum):
    """Where a run is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    CRASHED = "CRASHED"

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more."""
        return self in FINISHED


FINISHED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED, RunStatus.CRASHED})


class NodeRunStatus(StrEnum):
    """Where a node, or one of its items, is in a run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    WAITING = "WAITING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELED = "CANCELED"
    REUSED = "REUSED"


SETTLED = frozenset(
    {
        NodeRunStatus.SUCCEEDED,
        NodeRunStatus.FAILED,
        NodeRunStatus.SKIPPED,
        NodeRunStatus.CANCELED,
        NodeRunStatus.REUSED,
    }
)


class TriggerKind(StrEnum):
    """What starts runs."""

    MANUAL = "MANUAL"
    API_KEY = "API_KEY"
    SCHEDULE = "SCHEDULE"
    WEBHOOK = "WEBHOOK"
    SUBWORKFLOW = "SUBWORKFLOW"
    RERUN = "RERUN"
    TRY_NODE = "TRY_NODE"


class DeltaChannel(StrEnum):
    """The kind of a streamed text."""

    TEXT = "TEXT"
    REASONING = "REASONING"


class SkipReason(StrEnum):
    """Why a node is left out."""

    NO_EDGE_TAKEN = "NO_EDGE_TAKEN"
    CONDITION_FALSE = "CONDITION_FALSE"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt, a node or a run failed."""

    code: str
    message: str
    is_retryable: bool = False
    node_key: str | None = None
    item_index: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money; `cost` is None where no price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None
    currency: str | None = None

    def __add__(self, other: Usage) -> Usage:
        cost = other.cost if self.cost is None else self.cost if other.cost is None else self.cost + other.cost
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
            cost,
            self.currency or other.currency,
        )


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one graph with one input."""

    id: RunId
    workspace_id: WorkspaceId
    workflow_id: WorkflowId
    graph_id: GraphId
    status: RunStatus
    last_seq: int
    node_count: int
    nodes_done: int
    trigger: TriggerKind
    triggered_by: UserId | None
    priority: int
    labels: tuple[tuple[str, str], ...]
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None
    usage: Usage = NO_USAGE
    idempotency_key: str | None = None
    concurrency_key: str | None = None


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What one node, or one item of it, did in a run; without its payloads."""

    run_id: RunId
    node_key: NodeKey
    item_index: int | None
    status: NodeRunStatus
    attempts: int
    failure: Failure | None = None
    usage: Usage = NO_USAGE
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node at one point of its run's log."""

    node_run: NodeRun
    partial_text: str | None = None
    partial_reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """All started nodes of a run at the point `seq` of its log."""

    seq: int
    status: RunStatus
    nodes: tuple[NodeState, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class NodePayloads:
    """What a node worked on and what it returned, as JSON was written; None where there is none or it is too long."""

    input: bytes | None
    output: bytes | None
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs; all that is given must hold."""

    workflow_ids: tuple[WorkflowId, ...] = ()
    statuses: tuple[RunStatus, ...] = ()
    created_from: datetime | None = None
    created_until: datetime | None = None
