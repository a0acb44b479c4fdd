"""What differs between two states of a workflow, as data."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import strawberry
from strawberry.scalars import JSON

from domain import diffs as domain
from domain.json_changes import ChangeKind
from domain.json_changes import FieldChange as Change
from domain.layout import arranged
from domain.versions import VersionTrack
from domain.workflow import Definition, Workflow
from domain.workflow import Position as PositionOfNode
from gql.absent import ABSENT
from gql.context import Info
from gql.definitions import load_definition
from gql.enums import expose
from gql.graphs import GraphEdge, GraphNode, Position
from gql.kinds import VersionChoiceInput
from gql.versions import load_numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

expose(
    ChangeKind,
    name="FieldChangeKind",
    description="What happened to a value.",
    values={
        ChangeKind.ADDED: "It is new; `before` is null.",
        ChangeKind.REMOVED: "It is gone; `after` is null.",
        ChangeKind.CHANGED: "It is another.",
    },
)


@strawberry.type(description="A value that differs.")
class FieldChange:
    """A value that differs."""

    kind: ChangeKind = strawberry.field(description="What happened to it.")
    path: list[str] = strawberry.field(
        description="The way to it, such as `config`, `llmCall`, `prompt`, with places in lists from 0; at most 70 steps."
    )
    before: JSON | None = strawberry.field(description="What it was.")
    after: JSON | None = strawberry.field(description="What it is.")


def _changes(changes: Sequence[Change]) -> list[FieldChange]:
    return [
        FieldChange(kind=one.kind, path=list(one.path), before=one.before, after=one.after)  # pyright: ignore[reportArgumentType]
        for one in changes
    ]


def _position(given: PositionOfNode | None) -> Position | None:
    return None if given is None else Position(x=given.x, y=given.y)


@strawberry.type(description="A node that both sides have, with what differs in it.")
class NodeDiff:
    """A node that both sides have, with what differs in it."""

    node_key: str = strawberry.field(description="Key of the node; a node with another key is another node.")
    changes: list[FieldChange] = strawberry.field(
        description="What differs, down to the leaves; at most 100, and what differs in more places is given whole."
    )


@strawberry.type(description="A node that both sides have and draw in different places.")
class NodeMove:
    """A node that both sides have and draw in different places."""

    node_key: str = strawberry.field(description="Key of the node.")
    before: Position | None = strawberry.field(description="Where it was; null = laid out by the editor.")
    after: Position | None = strawberry.field(description="Where it is; null = laid out by the editor.")


@strawberry.type(description="What turns one state of a workflow into another; layout and order stand apart.")
class WorkflowDiff:
    """What turns one state of a workflow into another."""

    is_empty: bool = strawberry.field(description="Whether nothing of meaning differs; layout and order do not count.")
    nodes_added: list[GraphNode] = strawberry.field(description="Nodes that are new; at most 500.")
    nodes_removed: list[GraphNode] = strawberry.field(description="Nodes that are gone; at most 500.")
    nodes_changed: list[NodeDiff] = strawberry.field(description="Nodes in which something differs; at most 500.")
    edges_added: list[GraphEdge] = strawberry.field(description="Edges that are new; at most 2,000.")
    edges_removed: list[GraphEdge] = strawberry.field(description="Edges that are gone; at most 2,000.")
    input_schema: list[FieldChange] = strawberry.field(description="What differs in the input's schema; at most 100.")
    output: list[FieldChange] = strawberry.field(
        description="What differs in what a run returns, by the names of the fields; at most 100."
    )
    settings: list[FieldChange] = strawberry.field(description="What differs in limits and policies; at most 100.")
    nodes_moved: list[NodeMove] = strawberry.field(
        description="Layout: nodes of both sides that are drawn in different places; at most 500."
    )
    is_reordered: bool = strawberry.field(
        description="Whether nodes, edges or output fields of both sides are written in another order."
    )

    @classmethod
    def of(cls, diff: domain.WorkflowDiff) -> WorkflowDiff:
        """Convert a diff of the domain."""
        return cls(
            is_empty=diff.is_empty,
            nodes_added=[GraphNode.of(node) for node in diff.nodes_added],
            nodes_removed=[GraphNode.of(node) for node in diff.nodes_removed],
            nodes_changed=[
                NodeDiff(node_key=one.node_key, changes=_changes(one.changes)) for one in diff.nodes_changed
            ],
            edges_added=[GraphEdge(**dict(edge)) for edge in diff.edges_added],
            edges_removed=[GraphEdge(**dict(edge)) for edge in diff.edges_removed],
            input_schema=_changes(diff.input_schema),
            output=_changes(diff.output),
            settings=_changes(diff.settings),
            nodes_moved=[
                NodeMove(node_key=one.node_key, before=_position(one.before), after=_position(one.after))
                for one in diff.nodes_moved
            ],
            is_reordered=diff.is_reordered,
        )


def _which(given: VersionChoiceInput | None, otherwise: VersionTrack) -> int | VersionTrack:
    named = given or None
    return otherwise if named is None else named.track or named.number or 0


async def _state(info: Info, workflow: Workflow, which: int | VersionTrack) -> Definition | None:
    """Load a state of a workflow; the versions and graphs of all that are compared at once."""
    if which is VersionTrack.DRAFT:
        return workflow.definition
    number = which if isinstance(which, int) else workflow.published and workflow.published.number
    found = None if number is None else await info.context.loaders.load(load_numbered, (workflow.id, number))
    if found is None:
        return None
    definition = await info.context.loaders.load(load_definition, found.version.graph_id)
    return arranged(definition, found.version.layout)


@strawberry.type
class DiffOfWorkflow:
    """What `Workflow` shows of this feature."""

    workflow: strawberry.Private[Workflow]

    @strawberry.field(
        description="In what two versions differ, or the draft and a version; null where one of them does not exist."
    )
    async def diff(
        self,
        info: Info,
        from_: Annotated[
            VersionChoiceInput | None,
            strawberry.argument(name="from", description="The one side; the published version if absent."),
        ] = ABSENT,
        to: Annotated[
            VersionChoiceInput | None, strawberry.argument(description="The other side; the draft if absent.")
        ] = ABSENT,
    ) -> WorkflowDiff | None:
        """Compare two states."""
        chosen = _which(from_, VersionTrack.PUBLISHED), _which(to, VersionTrack.DRAFT)
        before, after = await asyncio.gather(*(_state(info, self.workflow, which) for which in chosen))
        return None if before is None or after is None else WorkflowDiff.of(domain.diff(before, after))
