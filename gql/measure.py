"""How large a document is: one linear pass in which each fragment is measured once.

Walking every path through fragments, as the usual limiters do, is itself a denial of service: a document of n fragments
that each spread the next one twice has 2ⁿ paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from gql.paging import DEFAULT_SIZE, MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import ExecutableDefinitionNode, GraphQLField, GraphQLNamedType, GraphQLSchema, ValueNode

    Definition: TypeAlias = "OperationDefinitionNode | FragmentDefinitionNode"

UNPAGED = 10
"""The length that a list without paging is taken to have."""


class FragmentCycle(Exception):
    """A fragment spreads itself."""


@dataclass(slots=True)
class Measure:
    """What an operation, fragments included, asks for."""

    depth: int = 0
    aliases: int = 0
    root_fields: int = 0
    selections: int = 0
    cost: int = 0
    directives: int = 0
    """The most at one place."""


@dataclass(slots=True)
class _Part:
    """What a definition holds itself, and which fragments it spreads where."""

    own: Measure = field(default_factory=Measure)
    spreads: list[tuple[str, int, int]] = field(default_factory=list)
    """Name, depth and how many objects it is asked for."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A selection set to be visited."""

    selections: tuple[SelectionNode, ...]
    depth: int
    times: int
    parent: GraphQLNamedType | None


class Ruler:
    """Measures a document against a schema, with the variables of one request."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._definitions: list[Definition] = [
            node for node in document.definitions if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
        ]
        self._defaults: dict[str, ValueNode] = {}

    def measure(self, operation: OperationDefinitionNode) -> Measure:
        """Return the measure of one operation; fragments that it does not reach count nothing.

        Raises:
            FragmentCycle: a fragment spreads itself, directly or through others.
        """
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
            if definition.default_value is not None
        }
        fragments = {node.name.value: node for node in self._definitions if isinstance(node, FragmentDefinitionNode)}
        parts = {"": self._part(operation)}
        totals: dict[str, Measure] = {}
        # Depth first with an explicit stack: a chain of fragments may be longer than Python's own.
        waiting: list[tuple[str, Iterator[str]]] = [("", self._names(parts[""]))]
        entered = {""}
        while waiting:
            name, rest = waiting[-1]
            spread = next(rest, None)
            if spread is None:
                totals[name] = _total(parts[name], totals)
                waiting.pop()
            elif spread in totals or spread not in fragments:
                continue
            elif spread in entered:
                raise FragmentCycle(spread)
            else:
                entered.add(spread)
                parts[spread] = self._part(fragments[spread])
                waiting.append((spread, self._names(parts[spread])))
        return totals[""]

    @staticmethod
    def _names(part: _Part) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _, _ in part.spreads))

    def _part(self, definition: Definition) -> _Part:
        part = _Part(Measure(directives=_directives(definition)))
        places = [_Place(definition.selection_set.selections, 0, 1, self._root(definition))]
        while places:
            place = places.pop()
            for selection in place.selections:
                places.extend(self._visit(part, place, selection))
        return part

    def _visit(self, part: _Part, place: _Place, selection: SelectionNode) -> Iterator[_Place]:
        own = part.own
        own.selections += 1
        own.directives = max(own.directives, _directives(selection))
        if isinstance(selection, FragmentSpreadNode):
            part.spreads.append((selection.name.value, place.depth, place.times))
        elif isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            parent = place.parent if condition is None else self._schema.get_type(condition.name.value)
            yield _Place(selection.selection_set.selections, place.depth, place.times, parent)
        elif isinstance(selection, FieldNode):
            own.aliases += selection.alias is not None
            own.root_fields += place.depth == 0
            own.depth = max(own.depth, place.depth + 1)
            if selection.selection_set is not None:
                own.cost += place.times
                yield self._below(place, selection, selection.selection_set)

    def _below(self, place: _Place, node: FieldNode, selected: SelectionSetNode) -> _Place:
        definition = _field(place.parent, node.name.value)
        times = place.times * (1 if definition is None else self._factor(place.parent, definition, node))
        parent = None if definition is None else get_named_type(_type(definition))
        return _Place(selected.selections, place.depth + 1, times, parent)

    def _factor(self, parent: GraphQLNamedType | None, definition: GraphQLField, node: FieldNode) -> int:
        if "first" in definition.args:
            sizes = [self._int(node, "first"), self._int(node, "last")]
            return next((max(1, min(size, MAX_SIZE)) for size in sizes if size is not None), DEFAULT_SIZE)
        if "ids" in definition.args:
            return self._length(node, "ids")
        given = _type(definition)
        is_list = isinstance(given.of_type if isinstance(given, GraphQLNonNull) else given, GraphQLList)
        # A connection has counted its items already, and the schema describes itself within bounds of its own.
        is_counted = parent is None or parent.name.startswith("__") or _field(parent, "pageInfo") is not None
        return UNPAGED if is_list and not is_counted else 1

    def _value(self, node: FieldNode, name: str) -> object:
        """Return an argument: a node of the document, or what a variable holds."""
        given = next((argument.value for argument in node.arguments or () if argument.name.value == name), None)
        if isinstance(given, VariableNode):
            return self._variables.get(given.name.value, self._defaults.get(given.name.value))
        return given

    def _int(self, node: FieldNode, name: str) -> int | None:
        value = self._value(node, name)
        if isinstance(value, IntValueNode):
            # More digits than any page has would make `int` slow.
            return int(value.value) if len(value.value) < len(str(10 * MAX_SIZE)) else MAX_SIZE
        return value if isinstance(value, int) else None

    def _length(self, node: FieldNode, name: str) -> int:
        value = self._value(node, name)
        if isinstance(value, ListValueNode):
            return max(1, len(value.values))
        return max(1, len(cast("list[object]", value))) if isinstance(value, list) else 1

    def _root(self, definition: Definition) -> GraphQLNamedType | None:
        if isinstance(definition, OperationDefinitionNode):
            return self._schema.get_root_type(definition.operation)
        return self._schema.get_type(definition.type_condition.name.value)


def _total(part: _Part, totals: Mapping[str, Measure]) -> Measure:
    whole = part.own
    for name, depth, times in part.spreads:
        other = totals.get(name)
        if other is None:
            continue
        whole.depth = max(whole.depth, depth + other.depth)
        whole.aliases += other.aliases
        whole.root_fields += other.root_fields if depth == 0 else 0
        whole.selections += other.selections
        whole.cost += times * other.cost
        whole.directives = max(whole.directives, other.directives)
    return whole


def _field(parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
        return parent.fields.get(name)
    return None


def _type(definition: GraphQLField) -> GraphQLNonNull[Any] | GraphQLList[Any] | GraphQLNamedType:
    # graphql-core's own annotation leaves open what the lists hold.
    return cast("GraphQLNonNull[Any] | GraphQLList[Any] | GraphQLNamedType", definition.type)  # pyright: ignore[reportUnknownMemberType]


def _directives(node: SelectionNode | ExecutableDefinitionNode) -> int:
    return len(node.directives or ())
