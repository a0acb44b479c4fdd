"""Documents for every root field of the schema, with arguments made up by type; what the permission matrix asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_object_type,
    is_required_argument,
    is_required_input_field,
    is_union_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import GraphQLSchema

_MAX_DEPTH = 5
_SCALARS: Mapping[str, object] = {
    "String": "matrix",
    "Int": 1,
    "Float": 1.0,
    "Boolean": False,
    "DateTime": "2030-01-01T00:00:00Z",
    "JSON": {},
    "Decimal": "1",
}


@dataclass(frozen=True)
class RootField:
    """A field of a root type; `ids` are the places of all ids in its arguments, such as `deleteSecret.input.id`."""

    operation: str
    name: str
    definition: Any
    ids: tuple[str, ...] = field(default=())

    def document(self) -> str:
        """Return an operation of this field alone, its arguments as variables."""
        arguments = self.definition.args
        declared = ", ".join(f"${name}: {argument.type}" for name, argument in arguments.items())
        passed = ", ".join(f"{name}: ${name}" for name in arguments)
        head = f"{self.operation} Ask({declared})" if declared else f"{self.operation} Ask"
        return f"{head} {{ {self.name}{f'({passed})' if passed else ''}{_selection(self.definition)} }}"

    def variables(self, ids: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
        """Return variables: what is required is made up by type, with `values` and `ids` in their places.

        Raises:
            LookupError: a required id is not among `ids`.
        """
        made: dict[str, object] = {}
        for name, argument in self.definition.args.items():
            path = f"{self.name}.{name}"
            if is_required_argument(argument) or _is_wanted(path, [*ids, *values]):
                made[name] = _value(argument.type, path, ids, values)
        return made


def root_fields(schema: GraphQLSchema) -> Iterator[RootField]:
    """Yield every root field of the schema."""
    roots = [
        ("query", schema.query_type),
        ("mutation", schema.mutation_type),
        ("subscription", schema.subscription_type),
    ]
    for operation, root in roots:
        fields = cast("dict[str, Any]", root.fields if root else {})
        for name, definition in fields.items():
            ids = [
                place
                for argument, declared in definition.args.items()
                for place in id_places(declared.type, f"{name}.{argument}")
            ]
            yield RootField(operation, name, definition, tuple(ids))


def _named(kind: Any) -> Any:
    """The type without its lists and non-nulls; graphql-core's generics have no parameters here."""
    return cast("Any", get_named_type(kind))


def id_places(kind: Any, path: str, depth: int = 0) -> Iterator[str]:
    """Yield the places of all ids in an argument of a type."""
    named = _named(kind)
    if named.name == "ID":
        yield path
    elif is_input_object_type(named) and depth < _MAX_DEPTH:
        for name, declared in named.fields.items():
            # What contains itself, such as a filter, names no more ids further down than at its top.
            if _named(declared.type) is not named:
                yield from id_places(declared.type, f"{path}.{name}", depth + 1)


def _is_wanted(path: str, places: list[str]) -> bool:
    return any(place == path or place.startswith(f"{path}.") for place in places)


def _value(kind: Any, path: str, ids: Mapping[str, object], values: Mapping[str, object]) -> object:
    if path in values:
        return values[path]
    if isinstance(kind, GraphQLNonNull):
        return _value(cast("Any", kind).of_type, path, ids, values)
    if isinstance(kind, GraphQLList):
        return [_value(cast("Any", kind).of_type, path, ids, values)] if _is_wanted(path, [*ids, *values]) else []
    if is_input_object_type(kind):
        return _input_object(kind, path, ids, values)
    if kind.name == "ID":
        return ids[path]
    return next(iter(kind.values)) if is_enum_type(kind) else _SCALARS[kind.name]


def _input_object(kind: Any, path: str, ids: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    chosen = {
        name: declared
        for name, declared in kind.fields.items()
        if is_required_input_field(declared) or _is_wanted(f"{path}.{name}", [*ids, *values])
    }
    if kind.is_one_of and not chosen:
        chosen = dict([next(iter(kind.fields.items()))])
    return {name: _value(declared.type, f"{path}.{name}", ids, values) for name, declared in chosen.items()}


def _selection(definition: Any) -> str:
    """Everything flat of the answer: scalars, `id` of objects, and all of the user errors."""
    kind = _named(definition.type)
    if is_leaf_type(kind):
        return ""
    if is_union_type(kind):
        return " { __typename }"
    chosen = ["__typename"]
    for name, declared in kind.fields.items():
        inner = _named(declared.type)
        if any(is_required_argument(argument) for argument in declared.args.values()):
            continue
        if is_leaf_type(inner):
            chosen.append(name)
        elif name == "userErrors":
            chosen.append("userErrors { __typename message code path }")
        elif is_object_type(inner):
            chosen.append(f"{name} {{ __typename {'id' if 'id' in inner.fields else ''} }}")
    return f" {{ {' '.join(chosen)} }}"


def made_up(kind: Any, path: str, ids: Mapping[str, object], values: Mapping[str, object]) -> object:
    """Return a value of an input type: what is required is made up, with `ids` and `values` in their places."""
    return _value(kind, path, ids, values)
