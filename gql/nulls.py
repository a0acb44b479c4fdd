"""Null for what may be left out but not be null (`strawberry.Maybe[T]`): told with its path, and in words of GraphQL.

Strawberry tells it in words of Python where it stands in the document, and takes it for a fault of the resolver's where it
stands in a variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from graphql import (
    ArgumentNode,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    ObjectFieldNode,
    type_from_ast,  # pyright: ignore[reportUnknownVariableType] -- generic, and not said of what
)
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from gql.presenting import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, VariableDefinitionNode
    from strawberry.exceptions import StrawberryInputCoercionError

Path = tuple[str, ...]


def said_of_literal(error: StrawberryInputCoercionError) -> str:
    """Return what a client is told of a null in its document."""
    names = [node.name.value for node in error.nodes or () if isinstance(node, ArgumentNode | ObjectFieldNode)]
    return _said(", ".join(names))


def refuse_nulls(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, object]
) -> GraphQLError | None:
    """Return an error about the first null among the variables that cannot be one."""
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        value = variables.get(name)
        if value is not None:
            for path in _nulls(_type_of(schema, definition), value, (name,)):
                return refusal(_said("$" + ".".join(path)), "BAD_USER_INPUT", path=list(path))
    return None


def _type_of(schema: GraphQLSchema, definition: VariableDefinitionNode) -> object:
    return cast("Callable[..., object]", type_from_ast)(schema, definition.type)


def _said(name: str) -> str:
    return f"`{name}` cannot be null: give a value, or leave it out and it stays as it is."


def _nulls(kind: object, value: object, path: Path) -> Iterator[Path]:
    while isinstance(kind, GraphQLNonNull):
        kind = cast("Any", kind).of_type
    if isinstance(kind, GraphQLList):
        items = cast("list[object]", value if isinstance(value, list) else [value])  # one value stands for a list of it
        for place, item in enumerate(items):
            yield from _nulls(cast("Any", kind).of_type, item, (*path, str(place)))
    elif isinstance(kind, GraphQLInputObjectType) and isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            given = kind.fields.get(name)
            if given is not None and item is None and _cannot_be_null(given):
                yield (*path, name)
            elif given is not None:
                yield from _nulls(given.type, item, (*path, name))


def _cannot_be_null(given: Any) -> bool:
    kind = getattr(given.extensions.get("strawberry-definition"), "type", None)
    return isinstance(kind, StrawberryMaybe) and not isinstance(kind.of_type, StrawberryOptional)
