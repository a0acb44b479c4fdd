from __future__ import annotations

import time
from typing import Any

import pytest

from domain.errors import InvalidFields, InvalidInput
from runtime.input_schema import check_input, compile_schema, settled_input


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


def faults(schema: Any, given: Any) -> dict[str, str]:
    """Return what is wrong with an input, by the path behind `input`."""
    with pytest.raises(InvalidFields) as caught:
        check_input(schema, given)
    told = "The input does not satisfy the workflow's schema: "
    found: dict[str, str] = {}
    for fault in caught.value.faults:
        assert fault.path is not None
        assert fault.path[:2] == ["input", "input"]
        place = ".".join(fault.path[2:])
        assert fault.message.startswith(f"{told}{place}: " if place else told)
        found[place] = fault.message.removeprefix(f"{told}{place}: " if place else told)
    assert caught.value.message.startswith(caught.value.faults[0].message)
    return found


def test_everything_that_does_not_fit_is_told_in_words_with_its_place() -> None:
    schema = {
        "type": "object",
        "required": ["question", "list"],
        "additionalProperties": False,
        "properties": {
            "list": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "mode": {"enum": ["fast", "slow"]},
            "mail": {"type": "string", "format": "email"},
            "when": {"type": "string", "format": "date-time"},
            "size": {"oneOf": [{"type": "integer"}, {"type": "object", "required": ["width"]}]},
            "odd": {"oneOf": [{"type": "integer"}, {"minimum": 1}]},
            "pick": {"anyOf": [{"const": number} for number in range(7)]},
            "code": {"pattern": "^[a-z]+$"},
        },
    }
    given = {
        "list": [1, "x", 0],
        "mode": "medium",
        "mail": "nobody",
        "when": "yesterday",
        "size": "large",
        "odd": 3,
        "pick": 9,
        "code": "A1",
        "extra": {"deep": 1},
    }
    assert faults(schema, given) == {
        "question": "it is required and missing.",
        "list.1": 'it is not of type "integer".',
        "list.2": "it is less than the minimum of 1.",
        "mode": 'it is not one of "fast" or "slow".',
        "mail": 'it is not a "email".',
        "when": 'it is not a "date-time".',
        "size": 'it fits none of the alternatives (it is not of type "integer"; it is not of type "object").',
        "odd": "it fits more than one of the alternatives, and has to fit exactly one.",
        "pick": "it fits none of the alternatives ("
        + "; ".join(f"{number} was expected" for number in range(5))
        + "; …).",
        "code": 'it does not match "^[a-z]+$".',
        "extra": "there is no such property.",
    }


def test_no_more_than_a_hundred_faults_are_told_and_no_value_is_repeated() -> None:
    schema = {"items": {"type": "integer"}}
    assert len(faults(schema, ["secret"] * 101)) == 100
    assert "secret" not in str(faults(schema, ["secret"] * 3))


def test_a_large_input_is_refused_at_once_with_the_first_of_its_faults() -> None:
    schema = {"type": "object", "properties": {"list": {"items": {"type": "integer"}}}}
    begun_at = time.thread_time()
    assert list(faults(schema, {"list": ["x"] * 300_000})) == ["list.0"]
    assert time.thread_time() - begun_at < 2, "ten seconds where everything is looked for"


def test_an_input_that_is_not_given_is_null_or_an_empty_object_as_the_schema_allows() -> None:
    anything = {"properties": {"n": {"default": 3}}}
    assert settled_input(None, None) is None
    assert settled_input(anything, None) is None
    assert settled_input({"type": "object", **anything}, None) == {}, "no default is filled in"
    assert settled_input({"type": "object"}, {"n": 1}) == {"n": 1}
    with pytest.raises(InvalidFields) as caught:
        settled_input({"type": "object", "required": ["n"]}, None)
    assert caught.value.path == ["input", "input", "n"]
