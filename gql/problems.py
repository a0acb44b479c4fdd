"""Faults of graphs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import strawberry

from gql.enums import expose
from gql.graphs import GraphEdge

if TYPE_CHECKING:
    from domain.problems import Problem


class Severity(StrEnum):
    """How bad a problem is."""

    ERROR = "ERROR"
    WARNING = "WARNING"


expose(
    Severity,
    description="How bad a problem is.",
    values={
        Severity.ERROR: "The draft can be saved but neither published nor run.",
        Severity.WARNING: "It will run, though perhaps not as meant.",
    },
)


@strawberry.type(description="A fault of a graph.")
class GraphProblem:
    """A fault of a graph."""

    code: str = strawberry.field(
        description="Stable code, such as `UNKNOWN_REFERENCE`, `NOT_AN_ANCESTOR`, `UNKNOWN_COLLECTION`, "
        "`TEMPLATE_SYNTAX` or `UNREACHABLE_NODE`."
    )
    message: str = strawberry.field(description="For people; may change.")
    severity: Severity = strawberry.field(description="How bad it is.")
    node_key: str | None = strawberry.field(description="Key of the node, if it is about one.")
    edge: GraphEdge | None = strawberry.field(description="The edge, if it is about one.")
    path: list[str] = strawberry.field(
        description="The way to the faulty value, such as `config`, `llmCall`, `prompt`; at most 30 steps."
    )
    hint: str | None = strawberry.field(description="What to do about it, if that is known.")

    @classmethod
    def of(cls, problem: Problem) -> GraphProblem:
        """Convert a problem of the domain."""
        edge = problem.edge
        return cls(
            code=problem.code,
            message=problem.message,
            severity=Severity.ERROR if problem.is_error else Severity.WARNING,
            node_key=problem.node_key,
            edge=GraphEdge(source=edge[0], source_port=edge[1], target=edge[2]) if edge else None,
            path=list(problem.path),
            hint=problem.hint,
        )
