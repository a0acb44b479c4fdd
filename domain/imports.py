"""What an import may do, and why it is refused, told by the places of the file."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from domain.drafts import too_deep
from domain.errors import (
    AlreadyExists,
    DocumentFault,
    FileProblem,
    GraphHasProblems,
    InvalidInput,
    NodeFault,
    UserFault,
)
from domain.json_codec import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.document import WorkflowDocument
    from domain.json_value import Json

MAX_FILE_PROBLEMS: Final = 100
_DOCUMENT: Final = ("input", "document")
_MADE_OF_FILE: Final = frozenset({"name", "slug", "description", "inputSchema", "output", "settings", "graph"})


class ImportMode(StrEnum):
    """Whether a workflow with the same slug may be changed."""

    CREATE = "CREATE"
    UPSERT = "UPSERT"


def refuse_unstorable(document: WorkflowDocument) -> None:
    """Find the values of a file that no workflow can hold, each with its place.

    Raises:
        DocumentFault: U+0000, half of a surrogate pair, a number beyond 64 bits, or nesting beyond 64 levels.
    """
    problems = [*_unstorable(document, document.marks.value, ()), *_nested_too_deep(document)]
    if problems:
        raise DocumentFault(problems[:MAX_FILE_PROBLEMS])


def told_by_file(document: WorkflowDocument, fault: UserFault) -> UserFault:
    """Return a fault of storing the document's workflow with the places of the file; what is not of the file stays."""
    if isinstance(fault, GraphHasProblems):
        structural = [problem for problem in fault.problems if problem.is_structural]
        return DocumentFault(document.located(structural or fault.problems)[:MAX_FILE_PROBLEMS])
    if isinstance(fault, AlreadyExists):
        return AlreadyExists(fault.message, path=_DOCUMENT)
    match fault.path:
        case ["input", first, *rest] if isinstance(fault, InvalidInput) and first in _MADE_OF_FILE:
            steps = (*(() if first == "graph" else (first,)), *(int(one) if one.isdecimal() else one for one in rest))
            place = document.marks.place(steps)
            return DocumentFault([FileProblem(place.line, place.column, fault.message)])
        case _:
            return fault


def _unstorable(document: WorkflowDocument, value: Json, steps: tuple[str | int, ...]) -> Iterator[FileProblem]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _refused(document, name, (*steps, name))
            yield from _unstorable(document, item, (*steps, name))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _unstorable(document, item, (*steps, place))
    else:
        yield from _refused(document, value, steps)


def _refused(document: WorkflowDocument, value: Json, steps: tuple[str | int, ...]) -> Iterator[FileProblem]:
    try:
        encode(value)
    except NodeFault as fault:
        place = document.marks.place(steps)
        told = fault.message.removeprefix("The output ").removeprefix("output ").rstrip(".")
        yield FileProblem(place.line, place.column, f"This value {told}.", None, "NOT_STORABLE")


def _nested_too_deep(document: WorkflowDocument) -> Iterator[FileProblem]:
    definition = document.definition
    values: list[tuple[tuple[str, ...], Json]] = [(("inputSchema",), definition.input_schema)]
    values += [(("output", one.name), one.value) for one in definition.output]
    for node in definition.graph.nodes:
        values.append((("nodes", node.key, node.kind), node.values))
        values.append((("nodes", node.key, "onError", "defaultOutput"), node.on_error.default_output))
    for steps, value in values:
        if (told := too_deep(value)) is not None:
            place = document.marks.place(steps)
            yield FileProblem(place.line, place.column, f"The value {told}.", None, "TOO_DEEP")
