from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, parse

from domain.usage import MAX_BUCKETS
from domain.workflow import MAX_NODES
from gql.measure import SCAN, Ruler
from gql.schema import schema_text
from runtime.settings import ApiSettings

USAGE = '{ workspace(id: "w") { usage(from: "2026-01-01T00:00:00Z", until: "2026-02-01T00:00:00Z") '
LABELLED = '(filter: {labels: [{name: "a", value: "b"}]})'
WHOSE = {"f": {"labels": [{"name": "a", "value": "b"}]}, "o": {"field": "DURATION"}}


@cache
def built() -> GraphQLSchema:
    return build_schema(schema_text())


def cost(query: str, variables: dict[str, Any] | None = None) -> int:
    document = parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return Ruler(built(), document, variables or {}).measure(operation).cost


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (f"{{ runs{LABELLED} {{ totalCount }} }}", {}),
        ("query ($f: RunFilter) { runs(filter: $f) { totalCount } }", WHOSE),
        ("query ($l: [NameValueInput!]) { runs(filter: {labels: $l}) { totalCount } }", {"l": WHOSE["f"]["labels"]}),
        ("{ runs(orderBy: {field: FINISHED_AT}) { totalCount } }", {}),
        ("query ($o: RunOrder) { runs(orderBy: $o) { totalCount } }", WHOSE),
        ("query ($o: RunOrder = {field: DURATION}) { runs(orderBy: $o) { totalCount } }", {}),
        ("query ($o: RunOrderField!) { runs(orderBy: {field: $o}) { totalCount } }", {"o": "DURATION"}),
    ],
)
def test_a_list_that_may_read_all_runs_counts_for_many_objects(query: str, variables: dict[str, Any]) -> None:
    assert cost(query, variables) == 1 + SCAN


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ runs(filter: {statuses: [FAILED]}, orderBy: {field: CREATED_AT}) { totalCount } }", {}),
        ("{ runs(filter: {labels: null}) { totalCount } }", {}),
        ("query ($f: RunFilter, $o: RunOrder) { runs(filter: $f, orderBy: $o) { totalCount } }", {}),
        (
            "query ($f: RunFilter, $o: RunOrder) { runs(filter: $f, orderBy: $o) { totalCount } }",
            {"f": {"labels": None, "statuses": ["FAILED"]}, "o": {"field": "CREATED_AT", "direction": "ASC"}},
        ),
        ("{ workflows(orderBy: {field: NAME}) { totalCount } }", {}),
    ],
)
def test_a_list_that_an_index_has_counts_for_its_objects(query: str, variables: dict[str, Any]) -> None:
    assert cost(query, variables) == 1


def test_sums_of_a_workspace_count_for_many_objects_and_for_as_many_buckets_as_there_may_be() -> None:
    assert cost(USAGE + "{ key } } }") == 1 + 1 + SCAN
    assert cost(USAGE + "{ workflow { slug } } } }") == 1 + 1 + SCAN + MAX_BUCKETS


def test_the_nodes_of_a_snapshot_count_as_many_as_a_graph_may_have() -> None:
    assert cost('{ run(id: "run") { snapshot { nodes { usage { cost } } } } }') == 1 + 1 + 1 + MAX_NODES


def test_a_request_has_room_for_a_few_scans() -> None:
    lists = [f"a{number}: runs{LABELLED} {{ totalCount }}" for number in range(10)]
    assert cost("{" + " ".join(lists[:9]) + "}") <= ApiSettings().max_cost < cost("{" + " ".join(lists) + "}")


ORDERED = "runs(orderBy: {field: DURATION}) { nodes { id durationMs usage { cost } error { code } } }"
SPENT = 'usage(from: "2026-01-01T00:00:00Z", until: "2026-02-01T00:00:00Z") { key totalTokens cost }'
SPREAD = "fragment Longest on Workflow { longest: runs(orderBy: {field: DURATION}, first: 1) { nodes { id } } }"


@pytest.mark.parametrize(
    "query",
    [
        f"{{ workflows {{ nodes {{ name {ORDERED} }} }} }}",
        "{ workflows(first: 100) { nodes { name ...Longest latestRun { id } } } } " + SPREAD,
        "{ viewer { workspaces { nodes { name workflows { nodes { name ...Longest } } } } } } " + SPREAD,
        f"{{ viewer {{ workspaces {{ nodes {{ name {SPENT} }} }} }} }}",
        f"{{ runs(first: 25) {{ nodes {{ id workflow {{ name {ORDERED} }} }} }} }}",
    ],
)
def test_a_list_that_is_read_for_many_workflows_at_once_counts_its_scan_once(query: str) -> None:
    assert SCAN < cost(query) <= ApiSettings().max_cost


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { workspaces(first: 100) { nodes { " + ORDERED + " } } } }",
        "{ workflows(first: 100) { nodes { workspace { " + ORDERED + " } } } }",
        "{ workflows { nodes { " + " ".join(f"a{number}: {ORDERED}" for number in range(10)) + " } } }",
        "{ workflows { nodes { "
        + " ".join(f"...F{number}" for number in range(10))
        + " } } } "
        + " ".join(f"fragment F{number} on Workflow {{ ...Longest }}" for number in range(10))
        + SPREAD,
        "{ runs(first: 100) { nodes { subRuns(first: 100) { nodes { workflow { " + ORDERED + " } } } } } }",
        "{ workflows(first: 100) { nodes { runs(first: 100) { nodes { id usage { cost } } } } } }",
    ],
)
def test_what_reads_all_runs_again_and_again_is_refused(query: str) -> None:
    assert cost(query) > ApiSettings().max_cost
