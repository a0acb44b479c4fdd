"""Workflow, graph, node, edge and their policies: frozen, and equal to what files and the API write."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from domain.bounds import Count
from domain.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.ids import GraphId, UserId, WorkflowId, WorkspaceId
    from domain.problems import Problem

KEY_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
MAX_NODES = 500
MAX_EDGES = 2_000


class Piece(BaseModel):
    """A frozen part of a workflow, written in camelCase."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        # Where any value may stand, NaN must be seen and refused, not become null.
        ser_json_inf_nan="constants",
    )


class JoinPolicy(StrEnum):
    """Which incoming edges a node waits for."""

    ALL = "ALL"
    ANY = "ANY"


class ErrorMode(StrEnum):
    """What happens when a node fails after its retries."""

    STOP = "STOP"
    CONTINUE = "CONTINUE"
    BRANCH = "BRANCH"


class ItemErrorPolicy(StrEnum):
    """What an item that fails does to its node."""

    FAIL = "FAIL"
    NULL = "NULL"
    DROP = "DROP"


class FailurePolicy(StrEnum):
    """What a failed node does to the other branches."""

    FAIL_FAST = "FAIL_FAST"
    FINISH_BRANCHES = "FINISH_BRANCHES"


class ConcurrencyStrategy(StrEnum):
    """What happens to a run above the limit."""

    QUEUE = "QUEUE"
    CANCEL_IN_PROGRESS = "CANCEL_IN_PROGRESS"
    CANCEL_NEWEST = "CANCEL_NEWEST"


# Databases and editors know one zero: -0.0 would come back as another document.
_Coordinate = Annotated[float, AfterValidator(lambda value: value + 0.0)]


class Position(Piece):
    """A point on an editor's canvas."""

    x: _Coordinate
    y: _Coordinate


# YAML reads the plain word NULL as null.
_ItemErrors = Annotated[
    ItemErrorPolicy, BeforeValidator(lambda value: ItemErrorPolicy.NULL if value is None else value)
]


class ForEach(Piece):
    """Runs a node once for each item of a list."""

    items: str
    max_parallel_items: Annotated[int, Field(ge=1, le=100)] = 8
    on_item_error: _ItemErrors = ItemErrorPolicy.FAIL


class ErrorPolicy(Piece):
    """What happens when a node fails after its retries."""

    mode: ErrorMode = ErrorMode.STOP
    default_output: Any = None


class Timeouts(Piece):
    """How long a node may take, in milliseconds; None = no limit."""

    start_to_close_ms: Count | None = 300_000
    schedule_to_close_ms: Count | None = None
    idle_ms: Count | None = None


class GraphNode(Piece):
    """One step of a graph."""

    key: Annotated[str, Field(pattern=KEY_PATTERN)]
    name: str | None = None
    config: Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]
    """One field: the kind's name, such as `httpRequest`, with the configuration as written."""
    position: Position | None = None
    when: str | None = None
    join: JoinPolicy = JoinPolicy.ALL
    for_each: ForEach | None = None
    on_error: ErrorPolicy = ErrorPolicy()
    retry: RetryPolicy = RetryPolicy()
    timeouts: Timeouts = Timeouts()

    @property
    def kind(self) -> str:
        """The kind's field in `NodeConfigInput`, such as `httpRequest`."""
        return next(iter(self.config))

    @property
    def values(self) -> dict[str, Any]:
        """The configuration as written, in camelCase."""
        return next(iter(self.config.values()))


class GraphEdge(Piece):
    """A directed edge between two nodes."""

    source: str
    source_port: str = "out"
    target: str


class Graph(Piece):
    """Nodes and edges; whether they form a sound graph is told by `domain.validation.check`."""

    nodes: Annotated[tuple[GraphNode, ...], Field(max_length=MAX_NODES)] = ()
    edges: Annotated[tuple[GraphEdge, ...], Field(max_length=MAX_EDGES)] = ()


class OutputField(Piece):
    """One named value of a run's output; texts inside `value` are templates."""

    name: str
    value: Any = None


class ConcurrencyPolicy(Piece):
    """How many runs of a workflow work at once."""

    key: str | None = None
    max_runs: Count
    strategy: ConcurrencyStrategy = ConcurrencyStrategy.QUEUE


class WorkflowSettings(Piece):
    """Limits and policies of a workflow's runs."""

    timeout_ms: Count | None = None
    max_parallel_nodes: Annotated[int, Field(ge=1, le=500)] = 16
    failure_policy: FailurePolicy = FailurePolicy.FAIL_FAST
    concurrency: ConcurrencyPolicy | None = None
    max_tool_rounds: Annotated[int, Field(ge=0, le=50)] = 8
    max_tokens: Count | None = None
    max_cost: Annotated[str, Field(pattern=r"^\d{1,12}(\.\d{1,12})?$")] | None = None


class Definition(Piece):
    """All of a workflow that decides what its runs do: what is hashed and pinned by every run.

    A draft's nodes have positions as well, which count for nothing there (see `domain.layout`).
    """

    graph: Graph = Graph()
    input_schema: Any = None
    output: Annotated[tuple[OutputField, ...], Field(max_length=100)] = ()
    settings: WorkflowSettings = WorkflowSettings()

    @model_validator(mode="after")
    def _names_of_outputs_are_unique(self) -> Definition:
        names = [one.name for one in self.output]
        if len(set(names)) != len(names):
            raise ValueError("two output fields have the same name")
        return self


class Unset(Enum):
    """The value of what a change leaves as it is."""

    UNSET = "UNSET"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class WorkflowDraft:
    """A workflow to be made; the slug is made from the name if None."""

    name: str
    slug: str | None = None
    description: str | None = None
    definition: Definition = field(default_factory=Definition)


@dataclass(frozen=True, slots=True)
class WorkflowChange:
    """A change of a draft; what is UNSET stays."""

    name: str | Unset = UNSET
    slug: str | Unset = UNSET
    description: str | Unset | None = UNSET
    graph: Graph | Unset = UNSET
    input_schema: Any | Unset = UNSET
    output: tuple[OutputField, ...] | Unset = UNSET
    settings: Mapping[str, Any] | Unset = UNSET
    """Fields of `WorkflowSettings` in camelCase; those that are absent stay."""


@dataclass(frozen=True, slots=True)
class Published:
    """The version that was published last."""

    number: int
    graph_id: GraphId


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named definition under editing; `problems` are those found when it was saved."""

    id: WorkflowId
    workspace_id: WorkspaceId
    slug: str
    name: str
    description: str | None
    revision: int
    graph_id: GraphId
    definition: Definition
    problems: tuple[Problem, ...]
    created_at: datetime
    updated_at: datetime
    updated_by: UserId | None
    published: Published | None = None

    @property
    def has_unpublished_changes(self) -> bool:
        """Whether the draft differs in meaning from the published version; always before the first publication."""
        return self.published is None or self.published.graph_id != self.graph_id

    @property
    def is_runnable(self) -> bool:
        """Whether the draft has no problem of severity ERROR."""
        return not any(problem.is_error for problem in self.problems)

    def with_problems(self, problems: tuple[Problem, ...]) -> Workflow:
        """Return the same workflow with other problems."""
        return replace(self, problems=problems)


class WorkflowOrderField(StrEnum):
    """What workflows are ordered by."""

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


@dataclass(frozen=True, slots=True)
class WorkflowOrder:
    """How workflows are ordered."""

    field: WorkflowOrderField = WorkflowOrderField.NAME
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """Which workflows; None = whichever."""

    search: str | None = None
    """Text in name, slug or description, in upper or lower case."""
    slugs: tuple[str, ...] | None = None
    is_published: bool | None = None
    is_runnable: bool | None = None
