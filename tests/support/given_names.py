"""What values of inputs hold: fields of inputs and values of enums, as `Type.name`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from graphql import get_named_type, is_enum_type, is_input_object_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphql import GraphQLSchema


def named_in(kind: Any, value: object) -> Iterator[str]:
    """Yield the names that a value of an input type really holds; what is null is not given."""
    named = cast("Any", get_named_type(kind))
    if isinstance(value, list) and named.name != "JSON":
        for one in cast("list[object]", value):
            yield from named_in(named, one)
    elif is_input_object_type(named) and isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            if inner is not None:
                yield f"{named.name}.{name}"
                yield from named_in(cast("Any", named).fields[name].type, inner)
    elif is_enum_type(named):
        yield f"{named.name}.{value}"


def members_below(schema: GraphQLSchema, *names: str) -> frozenset[str]:
    """Return the names of these inputs, and of the inputs and enums inside them."""
    kinds = list(_reached(schema, names))
    return frozenset(
        f"{kind.name}.{name}" for kind in kinds for name in (kind.fields if is_input_object_type(kind) else kind.values)
    )


def _reached(schema: GraphQLSchema, names: Iterable[str]) -> Iterator[Any]:
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        kind = cast("Any", schema.type_map[name])
        if name in seen or not (is_input_object_type(kind) or is_enum_type(kind)):
            continue
        seen.add(name)
        yield kind
        if is_input_object_type(kind):
            waiting += [cast("Any", get_named_type(one.type)).name for one in kind.fields.values()]
