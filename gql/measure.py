"""How large a document is: one linear pass in which each fragment is measured once.

Walking every path through fragments, as the usual limiters do, is itself a denial of service: a document of n fragments
that each spread the next one twice has 2ⁿ paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from graphql import (
    DocumentNode,
    EnumValueNode,
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
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

from domain.usage import MAX_BUCKETS
from domain.workflow import MAX_NODES
from gql.loaders import MAX_BATCH
from gql.paging import DEFAULT_SIZE, MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import ExecutableDefinitionNode, GraphQLField, GraphQLNamedType, GraphQLSchema, ValueNode

    Definition: TypeAlias = "OperationDefinitionNode | FragmentDefinitionNode"

UNPAGED = 10
"""The length that a list without paging is taken to have."""

LENGTHS: Final = {("Workspace", "usage"): MAX_BUCKETS, ("RunSnapshot", "nodes"): MAX_NODES}
"""Lists without paging that may be much longer, by type and field."""
SCAN: Final = 2_000
"""What a field counts beside its objects that may read all runs of a workspace; a request has room for nine."""
BATCHED: Final = frozenset({("Workflow", "runs"), ("Workspace", "usage")})
"""Fields whose loaders read for up to `MAX_BATCH` parents at once, and nothing twice, so that their scans do not multiply."""


class FragmentCycle(Exception):
    """A fragment spreads itself."""


@dataclass(slots=True)
class Measure:
    """What an operation, fragments included, asks for."""

    depth: int = 0
    aliases: int = 0
    root_fields: int = 0
    selections: int = 0
    objects: int = 0
    """How many it may ask for; what is read beside them is in it, unless a loader reads it for many at once."""
    scans: int = 0
    """What loaders read beside them, counted once wherever it stands."""
    repeated_scans: int = 0
    """The same, counted for each parent."""
    directives: int = 0
    """The most at one place."""

    @property
    def cost(self) -> int:
        """The objects, with all that is read beside them: by loaders once, or once for each full batch of parents."""
        return self.objects + max(self.scans, self.repeated_scans // MAX_BATCH)


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
                own.objects += place.times
                self._count_scan(own, place, selection)
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
        if not is_list or parent is None or is_counted:
            return 1
        return LENGTHS.get((parent.name, node.name.value), UNPAGED)

    def _count_scan(self, own: Measure, place: _Place, node: FieldNode) -> None:
        scan = self._scan(place.parent, node)
        if place.parent is not None and (place.parent.name, node.name.value) in BATCHED:
            own.scans += scan
            own.repeated_scans += place.times * scan
        else:
            own.objects += place.times * scan

    def _scan(self, parent: GraphQLNamedType | None, node: FieldNode) -> int:
        definition = _field(parent, node.name.value)
        takes = cast("Mapping[str, Any]", {} if definition is None else definition.args)
        if "groupBy" in takes:
            return SCAN
        kinds = {name: str(argument.type).strip("[]!") for name, argument in takes.items()}
        is_sorted = kinds.get("orderBy") == "RunOrder" and self._is_sorted(self._value(node, "orderBy"))
        is_searched = kinds.get("filter") == "RunFilter" and self._is_searched(self._value(node, "filter"))
        return SCAN if is_sorted or is_searched else 0

    def _is_sorted(self, order: object) -> bool:
        """Return whether runs are put in an order that no index has."""
        field = self._member(order, "field")
        return field is not None and (field.value if isinstance(field, EnumValueNode) else field) != "CREATED_AT"

    def _is_searched(self, chosen: object) -> bool:
        """Return whether runs are looked for by what few or none of them may have."""
        labels = self._member(chosen, "labels")
        return labels is not None and not isinstance(labels, NullValueNode)

    def _member(self, value: object, name: str) -> object:
        """Return a field of an input: a node of the document, or what a variable holds."""
        if isinstance(value, ObjectValueNode):
            return self._held(next((one.value for one in value.fields if one.name.value == name), None))
        return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None

    def _value(self, node: FieldNode, name: str) -> object:
        """Return an argument: a node of the document, or what a variable holds."""
        return self._held(next((one.value for one in node.arguments or () if one.name.value == name), None))

    def _held(self, given: ValueNode | None) -> object:
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
        whole.objects += times * other.objects
        whole.scans += other.scans
        whole.repeated_scans += times * other.repeated_scans
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
