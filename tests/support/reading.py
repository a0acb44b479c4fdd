"""Documents that read everything of a schema: one for each field of each type that can be started from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLSchema,
    get_named_type,
    is_interface_type,
    is_leaf_type,
    is_required_argument,
    is_union_type,
)

from tests.support.matrix import made_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PAGE = 2
_LONG_PAGE = 50
"""Of the list that is read itself: an event of each type is among the first."""


@dataclass(frozen=True)
class Reading:
    """One document, with the names of the arguments that it gives, as `Type.field(argument:)`."""

    document: str
    variables: dict[str, object]
    arguments: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    """Where the field stands in the data."""


@dataclass(frozen=True)
class _Frame:
    """What stands around a field."""

    body: str
    path: tuple[str, ...]
    node_id: str | None = None


@dataclass(frozen=True)
class Reader:
    """Writes documents; `values` stand for arguments, by their place such as `Workspace.workflow.slug`."""

    schema: GraphQLSchema
    values: Mapping[str, object]
    ids: Mapping[str, object] = field(default_factory=dict[str, object])

    def of_node(self, kind: str, node_id: str) -> Iterator[Reading]:
        """Yield for each field of a type that has ids the documents that read it of one object."""
        for name in self._kind(kind).fields:
            for given in self._givens(kind, name):
                body = f"node(id: $node) {{ __typename ... on {kind} {{ %s }} }}"
                yield self._reading(kind, name, given, _Frame(body, ("node",), node_id))

    def of_query(self, wanted: Iterable[str]) -> Iterator[Reading]:
        """Yield documents that read root fields, and those behind them where these give one object without an id."""
        root = cast("Any", self.schema.query_type)
        for name in wanted:
            for given in self._givens("Query", name):
                yield self._reading("Query", name, given, _Frame("%s", ()))
            behind = _named(root.fields[name].type)
            is_plain = not any(is_required_argument(one) for one in root.fields[name].args.values())
            if is_plain and not is_leaf_type(behind) and not {"id", "pageInfo"} & behind.fields.keys():
                for inner in behind.fields:
                    for given in self._givens(behind.name, inner):
                        body = f"{name} {{ __typename %s }}"
                        yield self._reading(behind.name, inner, given, _Frame(body, (name,)))

    def selection(self, kind: Any, above: tuple[str, ...] = ()) -> str:
        """Return all that can be read of a type without ids, as deep as it goes; of what has an id, the id."""
        named = _named(kind)
        if is_leaf_type(named):
            return ""
        if "id" in getattr(named, "fields", ()):
            return "{ __typename id }"
        if is_union_type(named) or is_interface_type(named):
            shared = f"{self._fields(named, above)} " if is_interface_type(named) else "__typename "
            members = [*_interfaces_below(self.schema, named), *self.schema.get_possible_types(named)]
            return f"{{ {shared}{' '.join(f'... on {one.name} {{ {self._fields(one, above)} }}' for one in members)} }}"
        return f"{{ {self._fields(named, above)} }}"

    def _fields(self, named: Any, above: tuple[str, ...]) -> str:
        if named.name in above:
            return "__typename"
        chosen = ["__typename"]
        for name, declared in named.fields.items():
            inner = _named(declared.type)
            if any(is_required_argument(argument) for argument in declared.args.values()):
                continue
            if is_leaf_type(inner):
                chosen.append(name)
            else:
                page = f"(first: {_PAGE})" if "first" in declared.args else ""
                chosen.append(f"{name}{page} {self.selection(inner, (*above, named.name))}")
        return " ".join(chosen)

    def _givens(self, kind: str, name: str) -> Iterator[tuple[str, ...]]:
        """Yield which arguments are given together: pages are read forwards and backwards, with all else that can be given."""
        arguments: Any = self._kind(kind).fields[name].args
        others = tuple(one for one in arguments if one not in {"first", "after", "last", "before"})
        if {"first", "last"} <= arguments.keys():
            yield ("first", "after", *others)
            yield ("last", "before", *others)
        else:
            yield others

    def _reading(self, kind: str, name: str, given: tuple[str, ...], frame: _Frame) -> Reading:
        declared: Any = self._kind(kind).fields[name]
        variables = {} if frame.node_id is None else {"node": frame.node_id}
        declarations = [*("$node: ID!" for _ in variables), *(f"${one}: {declared.args[one].type}" for one in given)]
        head = f"query Read({', '.join(declarations)})" if declarations else "query Read"
        passed = f"({', '.join(f'{one}: ${one}' for one in given)})" if given else ""
        values = {one: self._value(kind, name, one, declared.args[one].type) for one in given}
        body = frame.body % f"{name}{passed} {self.selection(declared.type)}"
        names = tuple(f"{kind}.{name}({one}:)" for one in given)
        return Reading(f"{head} {{ {body} }}", {**variables, **values}, names, (*frame.path, name))

    def _value(self, kind: str, name: str, argument: str, declared: Any) -> object:
        if argument in {"first", "last"}:
            return _LONG_PAGE
        if argument in {"after", "before"}:
            return None
        path = f"{kind}.{name}.{argument}"
        return made_up(declared, path, self.ids, self.values)

    def _kind(self, name: str) -> Any:
        return self.schema.type_map[name]


def _named(kind: Any) -> Any:
    return cast("Any", get_named_type(kind))


def _interfaces_below(schema: GraphQLSchema, named: Any) -> list[Any]:
    if not is_interface_type(named):
        return []
    return list(schema.get_implementations(named).interfaces)


def identified(data: object) -> Iterator[tuple[str, str]]:
    """Yield the type and the id of all objects in an answer that have both."""
    if isinstance(data, list):
        for one in cast("list[object]", data):
            yield from identified(one)
    elif isinstance(data, dict):
        fields = cast("dict[str, object]", data)
        if "__typename" in fields and "id" in fields:
            yield str(fields["__typename"]), str(fields["id"])
        for value in fields.values():
            yield from identified(value)


def answered(data: object) -> Iterator[str]:
    """Yield `Type.field` for all that stands in an answer whose objects say their types."""
    if isinstance(data, list):
        for one in cast("list[object]", data):
            yield from answered(one)
    elif isinstance(data, dict):
        fields = cast("dict[str, object]", data)
        kind = fields.get("__typename")
        for name, value in fields.items():
            if kind is not None and name != "__typename":
                yield f"{kind}.{name}"
            yield from answered(value)
