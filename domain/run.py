"""A run and what its nodes did: statuses, errors, usage, the objects that queries show."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from domain.ids import ApiKeyId, ApprovalId, GraphId, NodeKey, RunId, UserId, WebhookId, WorkflowId, WorkspaceId


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


class WaitReason(StrEnum):
    """What a node waits for."""

    TIMER = "TIMER"
    APPROVAL = "APPROVAL"
    SUB_RUN = "SUB_RUN"
    RATE_LIMIT = "RATE_LIMIT"


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


MIXED_CURRENCY: Final = "XXX"
"""What ISO 4217 has for "no currency": the currency of a sum of different ones, inside only; outside it is null."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money; `cost` is None where no price is known, and in a sum of different currencies.

    The currency of such a sum is `MIXED_CURRENCY`, so that it stays one whatever is added to it.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None
    currency: str | None = None
    model: str | None = field(default=None, compare=False)
    """The model that was asked: then it is counted as that model's. None in sums, and in what others have counted."""

    def __add__(self, other: Usage) -> Usage:
        if self.currency and other.currency and self.currency != other.currency:
            cost, currency = None, MIXED_CURRENCY
        else:
            cost = other.cost if self.cost is None else self.cost if other.cost is None else self.cost + other.cost
            currency = self.currency or other.currency
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
            cost,
            currency,
            self.model if self.model == other.model else None,
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
    rerun_of: RunId | None = None
    """The run whose outputs it may reuse."""
    version: int | None = None
    """Number of the workflow's version that it runs; None for a draft."""
    parent_id: RunId | None = None
    """The run that called it."""
    parent_node_key: str | None = None
    api_key_id: ApiKeyId | None = None
    """The key that it, or the run that called it, was asked for with; the key may be gone."""
    webhook_id: WebhookId | None = None
    """The webhook that was called; it may be gone."""


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
    reused_from: RunId | None = None
    """The run that made its output, where it is REUSED."""


@dataclass(frozen=True, slots=True)
class NodeWait:
    """What a node waits for."""

    reason: WaitReason
    until: datetime | None
    approval_id: ApprovalId | None = None
    sub_run_id: RunId | None = None


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node at one point of its run's log."""

    node_run: NodeRun
    partial_text: str | None = None
    partial_reasoning: str | None = None
    wait: NodeWait | None = None
    item_count: int | None = None
    """Items of its `forEach`; None without it, or before they are known."""
    items_done: int | None = None
    items_failed: int | None = None
    items_waiting: tuple[int, ...] | None = None
    """Places of those that wait; each keeps its place of `maxParallelItems`, so there are no more than 100."""


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
    triggers: tuple[TriggerKind, ...] = ()
    error_codes: tuple[str, ...] = ()
    is_top_level: bool | None = None
    """Whether no other run called it."""
    labels: tuple[tuple[str, str], ...] = ()
    """With all of these."""
    concurrency_key: str | None = None


class RunLink(StrEnum):
    """How runs come from another one."""

    CALLED = "CALLED"
    """It called them; oldest first."""
    RERUN = "RERUN"
    """They were made from it with `rerunRun`, newest first; trials of single nodes do not count."""


class RunOrderField(StrEnum):
    """What runs are ordered by."""

    CREATED_AT = "CREATED_AT"
    FINISHED_AT = "FINISHED_AT"
    DURATION = "DURATION"


@dataclass(frozen=True, slots=True)
class RunOrder:
    """How runs are ordered; unfinished ones are last where they have no place."""

    field: RunOrderField = RunOrderField.CREATED_AT
    is_descending: bool = True


NEWEST_FIRST = RunOrder()
OLDEST_FIRST = RunOrder(is_descending=False)


@dataclass(frozen=True, slots=True)
class NodeRunQuery:
    """Which of a run's nodes and items; all that is given must hold."""

    node_keys: tuple[str, ...] = ()
    statuses: tuple[NodeRunStatus, ...] = ()
    is_item: bool | None = None
    """False = the nodes as a whole."""
