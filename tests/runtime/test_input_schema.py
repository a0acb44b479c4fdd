from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInput
from runtime.input_schema import check_input, compile_schema


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (3, []),
        ("object", []),
        ({"type": "objekt"}, ["type"]),
        ({"properties": {"a": {"minimum": "x"}}}, ["properties", "a", "minimum"]),
        ({"pattern": "("}, ["pattern"]),
        ({"$ref": "#/$defs/gone"}, []),
    ],
)
def test_what_is_no_json_schema_is_refused_with_the_place(schema: Any, path: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        compile_schema(schema)
    assert caught.value.path == ["input", "inputSchema", *path]


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema", "file:///etc/passwd"])
def test_references_to_the_outside_are_refused_and_never_followed(reference: str) -> None:
    with pytest.raises(InvalidInput, match="Retrieval is disabled"):
        compile_schema({"$ref": reference})


def test_an_input_that_does_not_fit_is_refused_with_its_path() -> None:
    schema = {"type": "object", "properties": {"list": {"items": {"type": "integer"}}}}
    check_input(schema, {"list": [1, 2]})
    check_input(None, "anything")
    with pytest.raises(InvalidInput) as caught:
        check_input(schema, {"list": [1, "x"]})
    assert caught.value.path == ["input", "input", "list", "1"]
    assert "is not of type" in caught.value.message
