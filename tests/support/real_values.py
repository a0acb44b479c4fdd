"""Made-up documents, mended: where they name an id, a cursor or a word, that of something which is there."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import graphql
from graphql import (
    ArgumentNode,
    FieldNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    print_ast,
    visit,
)
from schemathesis.graphql import nodes

from tests.gql.test_permissions import IDS, VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from graphql import GraphQLSchema

    from domain.ids import Prefix

_WORDS = ("step", "last", "matrix", "MATRIX", "ask-the-library", "approve", "{{ input.question }}", "a text")
_CURSOR = re.compile(r'"(?:cursor|endCursor|startCursor)":\s*"([^"]{1,300})"')
# What looks at types takes any, and its generics have no parameters here.
_types: Any = graphql
ast_from_value = _types.ast_from_value
get_named_type, get_nullable_type = _types.get_named_type, _types.get_nullable_type
is_input_object_type, is_list_type = _types.is_input_object_type, _types.is_list_type
is_non_null_type, is_required_input_field = _types.is_non_null_type, _types.is_required_input_field
_USER_ERRORS = FieldNode(
    name=NameNode(value="userErrors"),
    selection_set=SelectionSetNode(selections=(FieldNode(name=NameNode(value="code")),)),
)


@dataclass
class Pool:
    """What is there: ids by prefix, and the cursors that were given out lately."""

    schema: GraphQLSchema
    ids: Mapping[Prefix, Sequence[str]]
    workspace: str
    cursors: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def harvest(self, text: str) -> None:
        """Keep the cursors of an answer."""
        self.cursors.extend(_CURSOR.findall(text)[:5])


def mended(document: str, random: Random, pool: Pool) -> str:
    """Return a document whose arguments mostly mean something, and whose mutations tell their user errors."""
    types = TypeInfo(pool.schema)
    return print_ast(visit(parse(document), TypeInfoVisitor(types, _Mender(types, random, pool))))


class _Mender(Visitor):
    def __init__(self, types: TypeInfo, random: Random, pool: Pool) -> None:
        super().__init__()
        self._types, self._random, self._pool = types, random, pool

    def leave_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        definition, parent = self._types.get_field_def(), self._types.get_parent_type()
        if definition is None or parent is None:
            return None
        given = [self._argument(one, node.name.value, definition) for one in node.arguments or ()]
        names = {one.name.value for one in given}
        if {"first", "last"} <= names:
            kept = ("last", "before") if self._random.random() < 0.5 else ("first", "after")
            given = [one for one in given if one.name.value not in kept]
        selections = node.selection_set
        if parent is self._pool.schema.mutation_type and selections is not None:
            selections = SelectionSetNode(selections=(*selections.selections, _USER_ERRORS))
        return FieldNode(
            alias=node.alias,
            name=node.name,
            arguments=tuple(given),
            directives=node.directives,
            selection_set=selections,
        )

    def _argument(self, node: ArgumentNode, name: str, definition: Any) -> ArgumentNode:
        argument = node.name.value
        value = self._value(node.value, definition.args[argument].type, f"{name}.{argument}")
        return ArgumentNode(name=node.name, value=value)

    def _value(self, value: Any, kind: Any, path: str) -> Any:
        known, last = VALUES.get(path), path.rpartition(".")[2]
        plain = get_nullable_type(kind)
        is_of_an_item = isinstance(known, list) and not is_list_type(plain)
        if known is not None and not is_of_an_item and self._random.random() < 0.6:
            return ast_from_value(known, kind)
        if is_list_type(plain):
            items = getattr(value, "values", None)
            return value if items is None else nodes.List([self._value(one, plain.of_type, path) for one in items[:5]])
        if is_input_object_type(plain):
            return value if isinstance(value, NullValueNode) else self._object(value, plain, path)
        return self._leaf(value, kind, path, last)

    def _object(self, value: Any, kind: Any, path: str) -> Any:
        given = {one.name.value: one.value for one in value.fields}
        if kind.is_one_of:
            given = self._only_one(given, kind)
        else:
            # With all that is optional at once there is always something that does not fit.
            given = {
                name: one
                for name, one in given.items()
                if is_required_input_field(kind.fields[name]) or self._random.random() < 0.5
            }
        fields = [
            ObjectFieldNode(name=NameNode(value=name), value=self._value(one, kind.fields[name].type, f"{path}.{name}"))
            for name, one in given.items()
        ]
        return nodes.Object(fields)

    def _only_one(self, given: dict[str, Any], kind: Any) -> dict[str, Any]:
        real = [name for name, value in given.items() if not isinstance(value, NullValueNode)]
        leaf = next(
            (name for name in kind.fields if not is_input_object_type(get_named_type(kind.fields[name].type))), None
        )
        if real:
            name = self._random.choice(real)
            return {name: given[name]}
        return {leaf: nodes.String("x")} if leaf else given

    def _leaf(self, value: Any, kind: Any, path: str, last: str) -> Any:
        chance, name = self._random.random(), get_named_type(kind).name
        if name == "ID":
            prefix = IDS.get(path) or IDS.get(last)
            ids = self._pool.ids.get(prefix) if prefix else [one for ids in self._pool.ids.values() for one in ids]
            return nodes.String(self._random.choice(ids)) if ids and chance < 0.85 else value
        if last in {"after", "before"}:
            is_real = self._pool.cursors and chance > 0.6
            return nodes.String(self._random.choice(self._pool.cursors)) if is_real else NullValueNode()
        if last in {"first", "last"}:
            return nodes.Int(self._random.randint(1, 20)) if chance < 0.9 else value
        if name == "Int" and is_non_null_type(kind) and chance < 0.7:
            return nodes.Int(1)
        return nodes.String(self._random.choice(_WORDS)) if name == "String" and chance < 0.4 else value
