from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest

from domain.config_shapes import config_schema
from domain.document import load
from runtime.registry import Registry
from tests.domain.made_configs import configs_of

KINDS = Registry().names
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def validator(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(cast("dict[str, Any]", config_schema(KINDS[kind])), offline=True)


def properties(kind: str, definition: str | None = None) -> Any:
    schema: Any = config_schema(KINDS[kind])
    return (schema["$defs"][definition] if definition else schema)["properties"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_configurations_of_every_example_satisfy_their_schemas(path: Path) -> None:
    nodes = load(path.read_text()).definition.graph.nodes
    assert nodes
    assert [(node.key, validator(node.kind).is_valid(node.values)) for node in nodes] == [
        (node.key, True) for node in nodes
    ]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("httpRequest", {"url": "https://example.com/", "maxResponseBytes": -1}),
        ("httpRequest", {"url": "https://example.com/", "method": "BREW"}),
        ("httpRequest", {"url": "https://example.com/", "headers": [{"name": "a", "value": "b"}] * 101}),
        ("httpRequest", {"url": "https://example.com/", "expectStatus": [99]}),
        ("httpRequest", {"url": "https://example.com/", "body": {"text": "a", "json": 1}}),
        ("httpRequest", {"url": "https://example.com/", "body": {}}),
        ("httpRequest", {"url": ""}),
        ("httpRequest", {}),
        ("httpRequest", {"url": "https://example.com/", "verb": "GET"}),
        ("llmCall", {"prompt": "a", "temperature": 2.1}),
        ("faissSearch", {"collection": "a", "searchText": "b", "topK": 0}),
        ("faissSearch", {"collection": "a", "searchText": "b", "topK": "5"}),
        ("transform", {"fields": [{"name": "a", "value": 1}] * 101}),
        ("dbWrite", {"target": {"dataTable": "a", "externalTable": {"connection": "b", "table": "c"}}}),
    ],
)
def test_a_configuration_out_of_its_bounds_does_not(kind: str, values: Any) -> None:
    assert not validator(kind).is_valid(values)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_alone_is_enough_to_make_a_configuration(kind: str) -> None:
    made = configs_of(KINDS[kind], 20)
    assert len(made) == 20
    assert all(validator(kind).is_valid(values) for values in made)


def test_an_editor_is_told_what_stands_in_a_field() -> None:
    http = properties("httpRequest")
    assert (http["url"]["x-template"], http["maxResponseBytes"]["title"]) == (True, "Max response bytes")
    assert (http["connection"]["x-reference"], "x-template" in http["connection"]) == ("connection", False)
    assert properties("httpRequest", "NameValue")["value"]["x-secret"] is True
    assert (http["maxResponseBytes"]["default"], http["maxResponseBytes"]["minimum"]) == (1_048_576, 0)
    assert properties("httpRequest", "HttpBody")["json"]["x-json"] is True
    assert properties("faissSearch")["collection"]["x-reference"] == "collection"
    assert properties("dbWrite", "DbWriteTarget")["dataTable"]["x-reference"] == "dataTable"


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_and_every_value_of_an_enum_is_explained(kind: str) -> None:
    schema: Any = config_schema(KINDS[kind])
    definitions: dict[str, Any] = schema.get("$defs", {})
    for described in (schema, *definitions.values()):
        for name, field in described.get("properties", {}).items():
            assert field["title"][0].isupper(), name
            assert field.get("description") or definitions[field["$ref"].rpartition("/")[2]]["description"], name
        if "enum" in described:
            assert set(described["x-enum-descriptions"]) == set(described["enum"])
