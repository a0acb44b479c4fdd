"""The canonical YAML form of a workflow: `dump` writes it, `load` reads it and tells line and column of every fault."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from domain.drafts import KEY_RULE, as_problem
from domain.errors import DocumentFault, FileProblem
from domain.problems import did_you_mean, shown
from domain.validation import ANY_NAMES, check
from domain.workflow import SLUG_PATTERN, Definition, GraphEdge, GraphNode
from domain.yaml_reader import MarkedValue, Place, read_yaml
from domain.yaml_writer import Flow, Row, write_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.json_value import Json
    from domain.kinds import NodeKind
    from domain.problems import Problem

_FIELDS: Final = ("name", "slug", "description", "inputSchema", "output", "settings", "nodes", "edges", "layout")
_POLICIES: Final = ("name", "when", "join", "forEach", "onError", "retry", "timeouts")
_END = r"(?P<key>[A-Za-z][A-Za-z0-9_]*)(?:\.(?P<port>.+?))?"
_ARROW = re.compile(r"\s+->\s+")
_EDGE_END = re.compile(_END)
_MAX_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class WorkflowDocument:
    """What a workflow file says, and where it says it."""

    name: str
    slug: str | None
    description: str | None
    definition: Definition
    marks: MarkedValue = field(repr=False, compare=False)
    edge_steps: tuple[tuple[str | int, ...], ...] = field(default=(), repr=False, compare=False)

    def place(self, problem: Problem) -> Place:
        """Return where the file holds what a problem is about, or what is nearest around it."""
        return self.marks.place(self._steps(problem.node_key, problem.edge, problem.path))

    def located(self, problems: Iterable[Problem]) -> list[FileProblem]:
        """Return the problems with their places, in the order of the file."""
        found = [(self.place(problem), problem) for problem in problems]
        found.sort(key=lambda pair: (pair[0].line, pair[0].column))
        return [FileProblem(place.line, place.column, one.message, one.hint, one.code) for place, one in found]

    def to_input(self) -> dict[str, Json]:
        """Return the fields that `CreateWorkflowInput` and `UpdateWorkflowInput` share, all of them present."""
        graph = self.definition.graph.model_dump(by_alias=True, exclude_defaults=True)
        return {
            "name": self.name,
            "slug": self.slug,
            "description": self.description,
            "graph": {"nodes": list(graph.get("nodes", ())), "edges": list(graph.get("edges", ()))},
            "inputSchema": self.definition.input_schema,
            "output": [{"name": one.name, "value": one.value} for one in self.definition.output],
            "settings": self.definition.settings.model_dump(by_alias=True),
        }

    def _steps(
        self, node_key: str | None, edge: tuple[str, str, str] | None, path: tuple[str, ...]
    ) -> tuple[str | int, ...]:
        if edge is not None:
            edges = self.definition.graph.edges
            triples = [(one.source, one.source_port, one.target) for one in edges]
            return self.edge_steps[triples.index(edge)] if edge in triples else ("edges",)
        steps = tuple(int(step) if step.isdecimal() else step for step in path)
        if node_key is None:
            return steps
        return ("nodes", node_key, *(steps[1:] if steps[:1] == ("config",) else steps))


def dump(name: str, slug: str | None, description: str | None, definition: Definition) -> str:
    """Return a workflow as YAML: stable order, defaults left out, the layout in a section of its own."""
    document: dict[str, Json | Row] = {"name": name}
    if slug is not None:
        document["slug"] = slug
    if description is not None:
        document["description"] = description
    if definition.input_schema is not None:
        document["inputSchema"] = definition.input_schema
    if definition.output:
        document["output"] = {one.name: one.value for one in definition.output}
    if settings := _plain(definition.settings):
        document["settings"] = settings
    if definition.graph.nodes:
        document["nodes"] = {node.key: _node(node) for node in definition.graph.nodes}
    if definition.graph.edges:
        document["edges"] = cast("Json", [_edge(edge) for edge in definition.graph.edges])
    layout = {node.key: Row((node.position.x, node.position.y)) for node in definition.graph.nodes if node.position}
    if layout:
        document["layout"] = cast("Json", layout)
    return write_yaml(document)


def load(text: str, kinds: Mapping[str, NodeKind] | None = None) -> WorkflowDocument:
    """Read a workflow file; with the kinds that are there, its graph is looked at as well.

    Raises:
        DocumentFault: not a workflow file, or (with `kinds`) one whose graph cannot be saved; every problem names line
            and column.
    """
    document = _Loader(read_yaml(text)).document()
    if kinds is not None:
        structural = [one for one in check(document.definition, kinds, ANY_NAMES) if one.is_structural]
        if structural:
            raise DocumentFault(document.located(structural)[:_MAX_PROBLEMS])
    return document


def _plain(piece: Any) -> dict[str, Json]:
    return cast("dict[str, Json]", piece.model_dump(by_alias=True, exclude_defaults=True))


def _node(node: GraphNode) -> dict[str, Json]:
    plain = _plain(node)
    written: dict[str, Json] = {"name": plain["name"]} if "name" in plain else {}
    written[node.kind] = node.values
    written |= {policy: plain[policy] for policy in _POLICIES if policy in plain and policy != "name"}
    on_error = plain.get("onError")
    if isinstance(on_error, dict) and list(on_error) == ["mode"]:
        written["onError"] = on_error["mode"]
    return written


def _edge(edge: GraphEdge) -> Json | Flow:
    """Write an edge as `a.port -> b`, or as an object on one line if that would read as something else."""
    source = edge.source if edge.source_port == "out" else f"{edge.source}.{edge.source_port}"
    text = f"{source} -> {edge.target}"
    try:
        is_told = _ends(text) == [edge]
    except ValueError:
        is_told = False
    if is_told:
        return text
    return Flow((("source", edge.source), ("sourcePort", edge.source_port), ("target", edge.target)))


def _ends(text: str) -> list[GraphEdge]:
    """Return the edges of `a -> b.port -> c`.

    Raises:
        ValueError: not such a text.
    """
    ends = [_EDGE_END.fullmatch(end) for end in _ARROW.split(text)]
    if len(ends) < 2 or (ends[-1] is not None and ends[-1]["port"] is not None):  # noqa: PLR2004  (an edge has two ends)
        raise ValueError(text)
    found: list[GraphEdge] = []
    for source, target in pairwise(ends):
        if source is None or target is None:
            raise ValueError(text)
        found.append(GraphEdge(source=source["key"], source_port=source["port"] or "out", target=target["key"]))
    return found


@dataclass(slots=True)
class _Loader:
    """Turns the tree of a file into a document, gathering problems."""

    marks: MarkedValue
    problems: list[FileProblem] = field(default_factory=list[FileProblem])
    edge_steps: list[tuple[str | int, ...]] = field(default_factory=list[tuple[str | int, ...]])

    def document(self) -> WorkflowDocument:
        tree = self.marks.value
        if not isinstance(tree, dict):
            raise DocumentFault([FileProblem(1, 1, "A workflow file is a mapping with `name`, `nodes` and `edges`.")])
        for name in tree:
            if name not in _FIELDS:
                hint = did_you_mean(name, _FIELDS) or f"The fields are {', '.join(_FIELDS)}."
                self._say((name,), f"There is no field {shown(name)}.", hint, "UNKNOWN_FIELD")
        name = self._text(tree, "name")
        if not name:
            self._say(("name",), "A workflow needs a `name`.")
        slug = self._text(tree, "slug")
        if slug is not None and re.fullmatch(SLUG_PATTERN, slug) is None:
            self._say(("slug",), "A slug is lower-case letters, digits and dashes between them, 64 at most.")
        description = self._text(tree, "description")
        definition = self._definition(tree)
        if definition is None or self.problems:
            ordered = sorted(self.problems, key=lambda problem: (problem.line, problem.column))
            raise DocumentFault(ordered[:_MAX_PROBLEMS])
        return WorkflowDocument(name or "", slug, description, definition, self.marks, tuple(self.edge_steps))

    def _definition(self, tree: dict[str, Json]) -> Definition | None:
        layout = self._layout(tree)
        nodes = [self._node(key, value, layout) for key, value in self._mapping(tree, ("nodes",)).items()]
        for key in layout.keys() - self._mapping(tree, ("nodes",)).keys():
            self._say(
                ("layout", key), f"There is no node {shown(key)}.", did_you_mean(key, self._mapping(tree, ("nodes",)))
            )
        edges = self._edges(tree)
        output = [{"name": name, "value": value} for name, value in self._mapping(tree, ("output",)).items()]
        raw = {
            "graph": {"nodes": nodes, "edges": edges},
            "inputSchema": tree.get("inputSchema"),
            "output": output,
            "settings": self._mapping(tree, ("settings",)),
        }
        if self.problems:
            return None
        try:
            return Definition.model_validate(raw)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                steps = self._file_steps(detail["loc"], list(self._mapping(tree, ("nodes",))))
                problem = as_problem(detail, None, detail["loc"][3:] or detail["loc"])
                self._say(steps, problem.message, problem.hint, problem.code)
            return None

    def _file_steps(self, loc: tuple[str | int, ...], keys: list[str]) -> tuple[str | int, ...]:
        """Translate the place of a value in the definition into its place in the file."""
        match loc:
            case ("graph", "nodes", int(place), "config", *rest):
                return ("nodes", keys[place], *rest)
            case ("graph", "nodes", int(place), "key"):
                return ("nodes", keys[place])
            case ("graph", "nodes", int(place), *rest):
                return ("nodes", keys[place], *rest)
            case ("graph", "edges", int(place), *_):
                return self.edge_steps[place]
            case ("graph", *rest):
                return tuple(rest)
            case _:
                return loc

    def _node(self, key: str, value: Json, layout: Mapping[str, Json]) -> dict[str, Json]:
        node: dict[str, Json] = {"key": key}
        if not isinstance(value, dict):
            self._say(("nodes", key), f"The node {shown(key)} must be a mapping such as `httpRequest: {{…}}`.")
            return node
        kinds = [name for name in value if name not in _POLICIES]
        node |= {name: item for name, item in value.items() if name in _POLICIES and item is not None}
        if len(kinds) == 1:
            config = value[kinds[0]]
            node["config"] = {kinds[0]: {} if config is None else config}
        else:
            self._say_kinds(key, kinds)
        if isinstance(node.get("onError"), str):
            node["onError"] = {"mode": node["onError"]}
        if key in layout:
            node["position"] = layout[key]
        return node

    def _say_kinds(self, key: str, kinds: list[str]) -> None:
        if not kinds:
            self._say(("nodes", key), f"The node {shown(key)} does not say what it does, such as `httpRequest: {{…}}`.")
        for extra in kinds[1:]:
            hint = did_you_mean(extra, _POLICIES) or did_you_mean(kinds[0], _POLICIES)
            self._say(
                ("nodes", key, extra),
                f"The node {shown(key)} has both {shown(kinds[0])} and {shown(extra)}.",
                hint,
                "UNKNOWN_FIELD",
            )

    def _layout(self, tree: dict[str, Json]) -> dict[str, Json]:
        layout: dict[str, Json] = {}
        for key, value in self._mapping(tree, ("layout",)).items():
            match value:
                case [int() | float() as x, int() | float() as y] if not isinstance(x, bool) and not isinstance(
                    y, bool
                ):
                    layout[key] = {"x": x, "y": y}
                case _:
                    self._say(("layout", key), "A position is two numbers, such as [200, 0].")
        return layout

    def _edges(self, tree: dict[str, Json]) -> list[dict[str, Json]]:
        listed = tree.get("edges")
        if listed is not None and not isinstance(listed, list):
            self._say(("edges",), "`edges` must be a list with entries such as `- a -> b`.")
            return []
        found: list[dict[str, Json]] = []
        for place, item in enumerate(listed or []):
            for edge in self._edge(item, ("edges", place)):
                found.append(edge)
                self.edge_steps.append(("edges", place))
        return found

    def _edge(self, item: Json, steps: tuple[str | int, ...]) -> list[dict[str, Json]]:
        if isinstance(item, dict):
            return [item]
        try:
            if isinstance(item, str):
                return [_plain_edge(edge) for edge in _ends(item)]
        except ValueError:
            pass
        self._say(steps, "An edge is written `a -> b`, or `a.port -> b`.", KEY_RULE)
        return []

    def _mapping(self, tree: dict[str, Json], steps: tuple[str]) -> dict[str, Json]:
        value = tree.get(steps[0])
        if value is None or isinstance(value, dict):
            return value or {}
        message = f"{shown(steps[0])} must be a mapping."
        if not any(problem.message == message for problem in self.problems):
            self._say(steps, message)
        return {}

    def _text(self, tree: dict[str, Json], name: str) -> str | None:
        value = tree.get(name)
        if value is None or isinstance(value, str):
            return value
        self._say((name,), f"{shown(name)} must be a text.", "Put it in quotes.")
        return None

    def _say(
        self, steps: tuple[str | int, ...], message: str, hint: str | None = None, code: str = "INVALID_VALUE"
    ) -> None:
        place = self.marks.place(steps)
        self.problems.append(FileProblem(place.line, place.column, message, hint, code))


def _plain_edge(edge: GraphEdge) -> dict[str, Json]:
    return {"source": edge.source, "sourcePort": edge.source_port, "target": edge.target}
