"""A run as the API tells of it: the opened run, and its events as frozen objects."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from domain.run import DeltaChannel, NodeRunStatus, RunStatus
from gql.client.faults import ClientFault


class Told(BaseModel):
    """Something that the API tells; fields that are not known here are left out, so that newer servers do no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Failure(Told):
    """Why a run, a node or an attempt failed."""

    code: str
    message: str
    node_key: str | None = None
    attempt: int | None = None


class Usage(Told):
    """Tokens, all zero where no model was called; and what they cost, where that is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None
    currency: str | None = None


class Event(Told):
    """An entry of a run's log; `type` is the name of its GraphQL type."""

    type: Annotated[str, Field(alias="__typename")]
    cursor: str
    seq: int
    at: datetime


class NodeEvent(Event):
    """Something that happened to a node; `attempt` counts from 1, 0 where none began."""

    node_key: str
    item_index: int | None = None
    attempt: int


class NodeOutputDelta(NodeEvent):
    """A piece of text; `offset` in UTF-16 code units of the attempt's text of that channel."""

    channel: DeltaChannel
    text: str
    offset: int


class NodeExpanded(NodeEvent):
    """The items of the node's list are known."""

    item_count: int | None = None


class NodeProgressed(NodeExpanded):
    """Items were settled."""

    items_done: int = 0


class NodeSucceeded(NodeEvent):
    """The node ended well; `output` is None where it is too large for an event."""

    duration_ms: int = 0
    usage: Usage = Usage()
    output: Any = None


class NodeRetrying(NodeEvent):
    """An attempt failed and there will be another."""

    error: Failure
    next_attempt_at: datetime


class PersonName(Told):
    """Who did something."""

    name: str


class QuestionName(Told):
    """A question to a person, in one line, and its answer if there is one."""

    title: str
    action: str | None = None
    answered_by: PersonName | None = None


class Wait(Told):
    """What a node waits for, and until when at the latest."""

    reason: str
    until: datetime | None = None
    approval: QuestionName | None = None


class NodeWaiting(NodeEvent, Wait):
    """The node waits."""


class ApprovalEvent(NodeEvent):
    """The node asks a person, or was answered."""

    approval: QuestionName


class NodeFailed(NodeEvent):
    """The node failed in all its attempts."""

    error: Failure


class NodeSkipped(NodeEvent):
    """The node is left out."""

    skip_reason: str


class RunName(Told):
    """Which run is meant."""

    id: str


class NodeReused(NodeEvent):
    """The node is not done again: what another run made stands; None where that run is gone."""

    from_run: RunName | None = None


class RunRecovered(Event):
    """Another process took the run over."""

    restarted_node_keys: tuple[str, ...] = ()


class Match(Told):
    """A piece of a document that a search found; `text` is what was embedded."""

    text: str
    score: float


class Matches(Told):
    """The output of a search."""

    matches: tuple[Match, ...]


class RunEnded(Event):
    """The run's last event, whichever it is; `output` and `usage` only after success."""

    output: Any = None
    is_output_truncated: bool = False
    duration_ms: int | None = None
    usage: Usage | None = None
    error: Failure | None = None

    @property
    def status(self) -> RunStatus:
        """The status that the run has for ever."""
        return _ENDS[self.type]


_ENDS = {
    "RunSucceeded": RunStatus.SUCCEEDED,
    "RunFailed": RunStatus.FAILED,
    "RunCanceled": RunStatus.CANCELED,
    "RunCrashed": RunStatus.CRASHED,
}
_CLASSES: dict[str, type[Event]] = {
    "NodeExpanded": NodeExpanded,
    "NodeProgressed": NodeProgressed,
    "NodeOutputDelta": NodeOutputDelta,
    "NodeSucceeded": NodeSucceeded,
    "NodeRetrying": NodeRetrying,
    "NodeWaiting": NodeWaiting,
    "ApprovalRequested": ApprovalEvent,
    "ApprovalAnswered": ApprovalEvent,
    "NodeFailed": NodeFailed,
    "NodeSkipped": NodeSkipped,
    "NodeReused": NodeReused,
    "RunRecovered": RunRecovered,
    **dict.fromkeys(_ENDS, RunEnded),
}


class GraphNode(Told):
    """A node of the graph that a run has pinned."""

    key: str
    name: str
    kind: str


class GraphEdge(Told):
    """An edge of that graph."""

    source: str
    source_port: str = "out"
    target: str


class RunGraph(Told):
    """The graph that a run has pinned."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


class NodeState(Told):
    """A node at the point of the snapshot."""

    key: str
    status: NodeRunStatus
    attempt: int = 0
    item_count: int | None = None
    items_done: int | None = None
    items_failed: int | None = None
    items_waiting: tuple[int, ...] | None = None
    partial_text: str | None = None
    waiting: Wait | None = None
    error: Failure | None = None
    usage: Usage = Usage()
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Snapshot(Told):
    """The state of a run at `cursor`; following from there misses nothing."""

    cursor: str
    status: RunStatus
    nodes: tuple[NodeState, ...]


class WorkflowName(Told):
    """What a run's workflow is called."""

    slug: str
    name: str


class OpenedRun(Told):
    """A run with the snapshot that a view begins from."""

    id: str
    status: RunStatus
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    output: Any = None
    error: Failure | None = None
    usage: Usage = Usage()
    workflow: WorkflowName
    graph: RunGraph
    snapshot: Snapshot


def read_event(raw: object) -> Event:
    """Return the event that one `next` message carries.

    Raises:
        ClientFault: it is none.
    """
    if not isinstance(raw, dict):
        raise ClientFault("The stream brought something that is not an event.")
    name = str(raw.get("__typename"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    fallback = NodeEvent if "nodeKey" in raw else Event
    try:
        return _CLASSES.get(name, fallback).model_validate(raw)
    except ValidationError as error:
        raise ClientFault(f"The stream brought an event of an unknown shape: {name}.") from error


def read_matches(output: object) -> tuple[Match, ...]:
    """Return the matches of a search's output; none where it has another shape."""
    try:
        return Matches.model_validate(output).matches
    except ValidationError:
        return ()


class _PageInfo(Told):
    has_next_page: bool
    end_cursor: str | None = None


class _LogPage(Told):
    page_info: _PageInfo
    nodes: tuple[Any, ...]


def read_log_page(raw: object) -> tuple[list[Event], str | None]:
    """Return the events of a page of a run's log, and the cursor of the next page; None where there is none.

    Raises:
        ClientFault: it is none.
    """
    try:
        page = _LogPage.model_validate(raw)
    except ValidationError as error:
        raise ClientFault("The server told of the run's log in an unknown shape.") from error
    events = [read_event(node) for node in page.nodes]
    return events, page.page_info.end_cursor if page.page_info.has_next_page else None


def read_usage(raw: object) -> Usage:
    """Return what was used.

    Raises:
        ClientFault: it is not usage as this client knows it.
    """
    try:
        return Usage.model_validate(raw)
    except ValidationError as fault:
        raise ClientFault("The server told of usage in an unknown shape.") from fault


def read_run(raw: object) -> OpenedRun:
    """Return the run of an `OpenRun` answer.

    Raises:
        ClientFault: it is none.
    """
    try:
        return OpenedRun.model_validate(raw)
    except ValidationError as error:
        raise ClientFault("The server told of the run in an unknown shape.") from error
