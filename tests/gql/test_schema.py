from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_specified_scalar_type,
    lexicographic_sort_schema,
    parse,
    print_schema,
    separate_operations,
    validate,
)
from graphql.validation import OverlappingFieldsCanBeMergedRule, ScalarLeafsRule

from domain.errors import SetupFault
from domain.ids import Prefix
from gql import schema as gql_schema
from gql.lookup import registered_prefixes
from gql.measure import Ruler
from gql.schema import schema_text
from runtime.settings import ApiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphql import GraphQLNamedType

DESIGN = Path(__file__).parents[2] / "docs" / "design"


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(schema_text())


@pytest.fixture(scope="module")
def draft() -> GraphQLSchema:
    return build_schema((DESIGN / "schema.graphql").read_text())


def own_types(schema: GraphQLSchema) -> Iterator[GraphQLNamedType]:
    for name, kind in schema.type_map.items():
        if not name.startswith("__") and not is_specified_scalar_type(kind):
            yield kind


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for kind in own_types(schema):
        yield kind.name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{kind.name}.{name}", value.description) for name, value in kind.values.items())
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in kind.fields.items():
                yield f"{kind.name}.{name}", field.description
                arguments = getattr(field, "args", {})
                yield from ((f"{kind.name}.{name}({key}:)", value.description) for key, value in arguments.items())


def test_everything_has_a_description(schema: GraphQLSchema) -> None:
    assert [name for name, description in described(schema) if not (description or "").strip()] == []


def test_the_text_is_sorted_and_says_all(schema: GraphQLSchema) -> None:
    assert schema_text() == print_schema(lexicographic_sort_schema(schema)) + "\n"


def leaves(kind: GraphQLObjectType | GraphQLInterfaceType) -> str:
    chosen: list[str] = []
    for name, field in kind.fields.items():
        if any(argument.type.__class__.__name__ == "GraphQLNonNull" for argument in field.args.values()):
            continue
        is_leaf = is_leaf_type(get_named_type(field.type))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        chosen.append(name if is_leaf else f"{name} {{__typename}}")
    return " ".join(chosen)


# Everything with an id is a `Node`; nobody selects all of everything at once, and the design draws `output` differently
# for a workflow and for a run.
UNRELATED = {"Node"}


def test_every_leaf_of_every_member_can_be_selected_at_once_without_aliases(schema: GraphQLSchema) -> None:
    fragments = [
        f"fragment All{kind.name} on {kind.name} {{"
        + " ".join(f"... on {member.name} {{{leaves(member)}}}" for member in schema.get_possible_types(kind))
        + "}"
        for kind in own_types(schema)
        if isinstance(kind, GraphQLUnionType | GraphQLInterfaceType) and kind.name not in UNRELATED
    ]
    assert len(fragments) >= 5
    rules = (OverlappingFieldsCanBeMergedRule, ScalarLeafsRule)
    assert validate(schema, parse(" ".join(fragments)), rules) == []


def test_what_is_built_is_as_the_design_draws_it(schema: GraphQLSchema, draft: GraphQLSchema) -> None:
    different: list[str] = []
    for kind in own_types(schema):
        drawn = draft.type_map.get(kind.name)
        if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType) or drawn is None:
            continue
        assert type(drawn) is type(kind), kind.name
        for name, field in kind.fields.items():
            other = drawn.fields.get(name)  # pyright: ignore[reportAttributeAccessIssue]
            if other is not None and str(field.type) != str(other.type):
                different.append(f"{kind.name}.{name}: {field.type}, drawn {other.type}")
            for key, value in getattr(field, "args", {}).items():
                drawn_argument = None if other is None else other.args.get(key)
                if drawn_argument is not None and str(value.type) != str(drawn_argument.type):
                    different.append(f"{kind.name}.{name}({key}: {value.type}), drawn {drawn_argument.type}")
    assert different == []


def test_every_object_with_a_global_id_can_be_fetched_again(schema: GraphQLSchema) -> None:
    node = schema.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    assert len(schema.get_possible_types(node)) == len(registered_prefixes())
    assert registered_prefixes() == frozenset(Prefix)


def test_what_has_an_id_is_a_node_and_nothing_else_has_one(schema: GraphQLSchema) -> None:
    """A cache of a client merges what has an `id`, and can fetch it again: what graphql-eslint's `strict-id-in-types` is for."""
    objects = [kind for kind in own_types(schema) if isinstance(kind, GraphQLObjectType)]
    nodes = {kind.name for kind in objects if "Node" in {interface.name for interface in kind.interfaces}}
    assert {kind.name for kind in objects if "id" in kind.fields} == nodes
    assert {str(kind.fields["id"].type) for kind in objects if "id" in kind.fields} == {"ID!"}


def test_the_operations_that_clients_will_send_are_within_the_limits(draft: GraphQLSchema) -> None:
    document = parse((DESIGN / "operations.graphql").read_text())
    limits = ApiSettings()
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    assert len(operations) > 30
    # All at once, with a twentieth of the budget of comparisons that each of them has.
    assert validate(draft, document) == []
    for operation in operations:
        measure = Ruler(draft, document, {}).measure(operation)
        name = operation.name.value if operation.name else ""
        assert measure.depth <= limits.max_depth, name
        assert measure.aliases <= limits.max_aliases, name
        assert measure.root_fields <= limits.max_root_fields, name
        assert measure.cost <= limits.max_cost, name


# Operations of docs/design/operations.graphql that name something that is not built yet, with what brings it. What is built
# leaves the list.
NOT_BUILT = {
    "Nightly": "a later issue",
    "Costs": "a later issue",
    "EveryEvent": "a later issue",  # tools of models
}


def test_the_operations_that_clients_will_send_validate_but_for_those_that_are_listed(schema: GraphQLSchema) -> None:
    documents = separate_operations(parse((DESIGN / "operations.graphql").read_text()))
    faulty = {name: errors[0].message for name, document in documents.items() if (errors := validate(schema, document))}
    assert {name: why for name, why in faulty.items() if name not in NOT_BUILT} == {}
    assert faulty.keys() == NOT_BUILT.keys(), "what validates now is built: take it from the list"


def test_a_type_that_a_plug_in_calls_like_one_of_ours_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    @strawberry.type(name="Workflow", description="Not ours.")
    class Twin:
        """Has a name that is taken."""

        one: int

    monkeypatch.setattr(gql_schema, "TYPES", (*gql_schema.TYPES, Twin))
    with pytest.raises(SetupFault) as told:
        schema_text()
    assert told.value.message.startswith("Type Workflow is defined multiple times in the schema. Only a plug-in can")
