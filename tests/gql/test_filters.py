from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import strawberry
from graphql import GraphQLInputObjectType, build_schema

from domain.document import dump, load
from domain.drafts import read_graph
from domain.errors import InvalidInput
from domain.filters import AllOf, Comparison, Not, Operator, read_filter
from domain.validation import ANY_NAMES, check
from domain.workflow import Definition
from gql import schema as ours
from gql.filters import FilterInput, condition_of, plain_filter
from gql.graphs import GraphInput, plain_lists
from runtime.registry import load_registry
from runtime.settings import Settings

DRAFT = build_schema((Path(__file__).parents[2] / "docs/design/schema.graphql").read_text())
BUILT = ours.build_schema(Settings(_env_file=None))._schema  # pyright: ignore[reportCallIssue]
KINDS = load_registry().names

WHOLE = {
    "and": [
        {"path": "year", "gte": 2020, "lt": 2030.5},
        {"or": [{"path": "lang", "in": ["en", 5, "{{ input.lang }}"]}, {"not": {"path": "draft", "exists": False}}]},
        {"path": "owner", "eq": None},
        {"path": "source.tags", "contains": {"name": "x"}},
        {"path": "title", "ne": "{{ input.title }}"},
    ]
}


def seen(given: Any) -> list[Any]:
    """Send a value through GraphQL as a variable, and return what the server makes of it."""
    received: list[Any] = []

    @strawberry.type
    class Query:
        @strawberry.field
        def filter(self, given: FilterInput | None = None, graph: GraphInput | None = None) -> bool:
            received.append(given if graph is None else graph)
            return True

    name, kind = ("graph", "GraphInput") if "nodes" in given else ("given", "FilterInput")
    document = f"query ($x: {kind}!) {{ filter({name}: $x) }}"
    result = strawberry.Schema(Query).execute_sync(document, {"x": given})
    assert result.errors is None, result.errors
    return received


def test_the_input_is_the_one_of_the_design() -> None:
    built, draft = BUILT.type_map["FilterInput"], DRAFT.type_map["FilterInput"]
    assert isinstance(built, GraphQLInputObjectType)
    assert isinstance(draft, GraphQLInputObjectType)
    assert built.description == draft.description
    assert {key: (str(one.type), one.description) for key, one in built.fields.items()} == {
        key: (str(one.type), one.description) for key, one in draft.fields.items()
    }


def test_what_is_sent_is_what_is_read_and_null_is_told_from_absent() -> None:
    (given,) = seen(WHOLE)
    assert plain_filter(given) == WHOLE
    (given,) = seen({"not": {"path": "owner", "eq": None}})
    assert condition_of(given) == Not(Comparison(("owner",), Operator.EQ, None))
    (given,) = seen({"path": "year", "gt": 1, "lte": 5})
    year = ("year",)
    assert condition_of(given) == AllOf((Comparison(year, Operator.GT, 1), Comparison(year, Operator.LTE, 5)))


def test_what_is_wrong_is_told_with_its_path() -> None:
    (given,) = seen({"and": [{"path": "a", "eq": 1}, {"path": "b", "gt": None}]})
    with pytest.raises(InvalidInput) as caught:
        condition_of(given, "input", "filter")
    assert caught.value.path == ["input", "filter", "and", "1", "gt"]
    assert condition_of(None) is None


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 2**70, float("nan")])
def test_values_that_no_database_holds_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="Nothing can be compared with this value"):
        read_filter({"path": "a", "eq": value})


def node_with(condition: Any) -> dict[str, Any]:
    config = {"faissSearch": {"collection": "library", "searchText": "x", "filter": condition}}
    return {"nodes": [{"key": "find", "config": config}], "edges": []}


def test_a_filter_of_a_node_survives_graphql_files_and_storage() -> None:
    (graph,) = seen(node_with(WHOLE))
    read = read_graph(*plain_lists(graph))
    assert read.nodes[0].values["filter"] == WHOLE
    text = dump("Find", "find", None, Definition(graph=read))
    again = load(text, KINDS).definition.graph
    assert again.nodes[0].values["filter"] == WHOLE
    stored = type(read).model_validate_json(read.model_dump_json(by_alias=True))
    assert stored == read


def problems_of(condition: Any) -> list[tuple[str, tuple[str, ...]]]:
    graph = read_graph(node_with(condition)["nodes"])
    return [
        (problem.code, tuple(problem.path))
        for problem in check(Definition(graph=graph), KINDS, ANY_NAMES)
        if not problem.code.startswith("UNKNOWN_REF")
    ]


def test_a_filter_that_is_none_is_found_when_the_graph_is_saved() -> None:
    place = ("config", "faissSearch", "filter")
    assert problems_of(WHOLE) == []
    assert problems_of({"path": "a"}) == [("INVALID_CONFIG", place)]
    assert problems_of({"or": [{"path": "a", "equals": 1}]}) == [("INVALID_CONFIG", (*place, "or", "0", "equals"))]
    assert problems_of("year > 5") == [("INVALID_CONFIG", place)]


def test_a_template_may_stand_where_its_value_will_fit() -> None:
    assert problems_of({"path": "lang", "in": "{{ input.languages }}"}) == []
    assert problems_of({"path": "draft", "exists": "{{ input.drafts }}"}) == []
    assert cast("Any", problems_of("{{ input.filter }}")) == []
