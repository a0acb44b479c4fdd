"""Plain data, as files and the API write it, made into graphs and definitions; what does not fit becomes problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from domain.errors import GraphHasProblems, InvalidInput, LimitExceeded, NodeFault
from domain.json_codec import encode
from domain.layout import bare
from domain.problems import Problem, did_you_mean, shown, worst_first
from domain.workflow import MAX_EDGES, MAX_NODES, Definition, Graph, GraphNode, OutputField, WorkflowSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from domain.json_value import Json

MAX_DEPTH: Final = 64
MAX_OUTPUT_FIELDS: Final = 100
KEY_RULE: Final = "A key is a letter, then letters, digits and underscores, 64 at most."


def read_graph(nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]] = ()) -> Graph:
    """Return the graph of nodes and edges as `GraphInput` writes them.

    Raises:
        LimitExceeded: more than 500 nodes or 2,000 edges; nothing else is looked at then.
        GraphHasProblems: values that no graph can hold, each with node and path.
    """
    _refuse_more(nodes, MAX_NODES, "nodes")
    _refuse_more(edges, MAX_EDGES, "edges")
    raw = {"nodes": list(nodes), "edges": list(edges)}
    try:
        graph = Graph.model_validate(raw)
    except ValidationError as error:
        raise GraphHasProblems(_problems(error, nodes), path=["input", "graph"]) from error
    if problems := [problem for node in graph.nodes if (problem := _deep(node)) is not None]:
        raise GraphHasProblems(worst_first(problems), path=["input", "graph"])
    return graph


def read_node(raw: Mapping[str, Any], path: Sequence[str]) -> GraphNode:
    """Return a node as `GraphNodeInput` writes it; `path` is where it was given.

    Raises:
        GraphHasProblems: values that no node can hold.
    """
    try:
        return read_graph([raw]).nodes[0]
    except GraphHasProblems as fault:
        raise GraphHasProblems(fault.problems, "The node cannot be saved like this.", path=path) from fault


def read_settings(raw: Mapping[str, Any]) -> WorkflowSettings:
    """Return settings as `WorkflowSettingsInput` writes them.

    Raises:
        InvalidInput: a value out of its bounds.
    """
    try:
        return WorkflowSettings.model_validate(raw)
    except ValidationError as error:
        raise _invalid(error, "settings") from error


def read_output(raw: Sequence[Mapping[str, Any]]) -> tuple[OutputField, ...]:
    """Return the fields of an output mapping.

    Raises:
        InvalidInput: two fields of one name, or a value nested too deep.
        LimitExceeded: more than 100 fields.
    """
    if len(raw) > MAX_OUTPUT_FIELDS:
        message = f"A workflow returns at most {MAX_OUTPUT_FIELDS} fields."
        raise LimitExceeded(message, limit=MAX_OUTPUT_FIELDS, actual=len(raw), path=["input", "output"])
    try:
        fields = Definition.model_validate({"output": list(raw)}).output
    except ValidationError as error:
        raise _invalid(error) from error
    for place, one in enumerate(fields):
        if (fault := too_deep(one.value)) is not None:
            raise InvalidInput(f"The output {shown(one.name)} {fault}.", path=["input", "output", str(place), "value"])
    return fields


def canonical_json(definition: Definition) -> bytes:
    """Return a definition as it is stored and hashed: without layout and defaults, in the order in which it was written.

    Raises:
        InvalidInput: a value that the database cannot hold, such as U+0000 or half of a surrogate pair, with its place.
    """
    try:
        return encode(cast("Json", bare(definition).model_dump(mode="json", by_alias=True, exclude_defaults=True)))
    except PydanticSerializationError:
        raise InvalidInput("A text of the workflow holds half of a surrogate pair.", path=["input"]) from None
    except NodeFault as fault:
        told = fault.message.removeprefix("The output").removeprefix("output").removeprefix(".")
        raise InvalidInput(f"In the workflow, {told}", path=["input"]) from fault


def too_deep(value: Json) -> str | None:
    """Tell why a value is not taken: nested deeper than 64 levels."""
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return None
    return f"is nested deeper than {MAX_DEPTH} levels"


def as_problem(error: ErrorDetails, node_key: str | None, steps: Sequence[str | int]) -> Problem:
    """Return the problem that tells of a value which pydantic refused, at `steps` inside the node or workflow."""
    code, message, hint = "INVALID_VALUE", f"{error['msg']}.", None
    name = str(steps[-1]) if steps else ""
    if error["type"] == "extra_forbidden":
        code, message = "UNKNOWN_FIELD", f"There is no field {shown(name)} here."
        hint = did_you_mean(name, [str(one.alias) for one in GraphNode.model_fields.values()])
    elif tuple(steps) == ("key",):
        code, message = "INVALID_KEY", f"{shown(str(error['input']))} cannot be a node's key."
        hint = KEY_RULE
    elif error["type"] == "missing":
        message = f"The field {shown(name)} is missing."
    elif error["type"] == "value_error":
        message = f"{_sentence(str(error.get('ctx', {}).get('error', error['msg'])))}."
    return Problem(code, message, node_key=node_key, path=tuple(map(str, steps))[:30], hint=hint, is_structural=True)


def _problems(error: ValidationError, nodes: Sequence[Mapping[str, Any]]) -> list[Problem]:
    problems: list[Problem] = []
    for detail in error.errors(include_url=False):
        steps = list(detail["loc"])
        if len(steps) > 1 and steps[0] == "nodes" and isinstance(steps[1], int):
            problems.append(as_problem(detail, _key(nodes[steps[1]]), steps[2:]))
        else:
            problems.append(as_problem(detail, None, steps))
    return worst_first(problems)


def _key(node: object) -> str | None:
    key = node.get("key") if isinstance(node, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return key if isinstance(key, str) else None


def _deep(node: GraphNode) -> Problem | None:
    values: list[tuple[tuple[str, ...], Json]] = [
        (("config", node.kind), node.values),
        (("onError", "defaultOutput"), node.on_error.default_output),
    ]
    for path, value in values:
        if (fault := too_deep(value)) is not None:
            message = f"The value {fault}."
            return Problem("INVALID_VALUE", message, node_key=node.key, path=path, is_structural=True)
    return None


def _inside(value: Json) -> Sequence[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list | tuple) else ()


def _refuse_more(items: Sequence[object], limit: int, what: str) -> None:
    if len(items) > limit:
        message = f"A graph has at most {limit:,} {what}."
        raise LimitExceeded(message, limit=limit, actual=len(items), path=["input", "graph", what])


def _invalid(error: ValidationError, *above: str) -> InvalidInput:
    detail = error.errors(include_url=False)[0]
    problem = as_problem(detail, None, detail["loc"])
    return InvalidInput(problem.message, path=["input", *above, *problem.path])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
