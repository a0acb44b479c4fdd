from __future__ import annotations

from typing import Any

from domain.find_uses import uses_of
from domain.uses import Use, UseKind
from domain.workflow import Definition, Graph, GraphNode
from runtime.registry import load_registry

KINDS = load_registry().names


def used(**configs: Any) -> list[Use]:
    nodes = tuple(
        GraphNode(key=f"n{place}", config={kind: values}) for place, (kind, values) in enumerate(configs.items())
    )
    return uses_of(Definition(graph=Graph(nodes=nodes)), KINDS)


def test_names_in_static_fields_and_secrets_in_templates_are_uses_each_once() -> None:
    header = {"name": "X", "value": "{{ secrets.KEY }}-{{ secrets['KEY'] }}"}
    assert used(
        httpRequest={"url": "https://a.example", "connection": "crm", "headers": [header, header]},
        llmCall={"prompt": "x", "tools": ["other"]},
        faissSearch={"collection": "books", "searchText": "x"},
        dbWrite={"target": {"dataTable": "rows"}, "values": [{"column": "a", "value": 1}]},
    ) == [
        Use(UseKind.COLLECTION, "books", "n2"),
        Use(UseKind.CONNECTION, "crm", "n0"),
        Use(UseKind.DATA_TABLE, "rows", "n3"),
        Use(UseKind.SECRET, "KEY", "n0"),
        Use(UseKind.WORKFLOW, "other", "n1"),
    ]


def test_columns_tables_of_other_databases_and_texts_are_no_uses() -> None:
    table = {"externalTable": {"connection": "shop", "table": "orders"}}
    found = used(
        dbWrite={"target": table, "values": [{"column": "a", "value": "secrets.KEY"}]}, transform={"fields": []}
    )
    assert found == [Use(UseKind.CONNECTION, "shop", "n0")]


def test_of_a_kind_that_is_not_installed_nothing_is_known() -> None:
    assert used(gone={"connection": "crm"}) == []
