from __future__ import annotations

from typing import Any

import pytest

from gql.asking.fields import Field, NotTaken, fields_of


def field(is_required: bool = True, **schema: Any) -> Field:
    return Field("stars", schema, is_required)


@pytest.mark.parametrize(
    ("schema", "line", "value"),
    [
        ({"type": "string"}, "true", "true"),
        ({"type": "string"}, "12", "12"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "5", 5),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "Y", True),
        ({"type": "boolean"}, "no", False),
        ({"enum": ["a", 2]}, "2", 2),
        ({"enum": ["a", 2]}, "a", "a"),
        ({"type": ["integer", "null"]}, "3", 3),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
        ({}, '{"any": "thing"}', {"any": "thing"}),
        ({"$defs": {"vote": {"maximum": 9}}, "type": "integer", "$ref": "#/$defs/vote"}, "9", 9),
    ],
)
def test_a_line_means_a_value_of_the_fields_type(schema: dict[str, Any], line: str, value: Any) -> None:
    assert field(**schema).read(line) == (True, value)


@pytest.mark.parametrize(
    ("schema", "line", "told"),
    [
        ({"type": "integer"}, "many", "'many' is no whole number."),
        ({"type": "integer"}, "1.5", "not of type"),
        ({"type": "integer", "maximum": 5}, "6", "it is greater than the maximum of 5"),
        ({"type": "boolean"}, "maybe", "'maybe' is neither yes nor no."),
        ({"enum": ["a", "b"]}, "c", "'c' is none of these: a, b."),
        ({"type": "string", "minLength": 3}, "no", "shorter than 3"),
        ({"type": "array"}, "1, 2", "'1, 2' is no JSON."),
        ({"type": "string"}, "", "This is required."),
        ({"$defs": {"vote": {"maximum": 9}}, "type": "integer", "$ref": "#/$defs/vote"}, "10", "maximum of 9"),
    ],
)
def test_a_line_that_means_none_is_refused_with_the_reason(schema: dict[str, Any], line: str, told: str) -> None:
    with pytest.raises(NotTaken) as caught:
        field(**schema).read(line)
    assert told in str(caught.value)


def test_an_empty_line_is_the_default_or_nothing() -> None:
    assert field(type="integer", default=3).read("") == (True, 3)
    assert field(is_required=False, type="integer").read("") == (False, None)


def test_a_prompt_tells_what_may_be_typed() -> None:
    assert field(type="integer", minimum=1, maximum=5).prompt == "stars (whole number from 1 to 5):"
    assert field(title="Note", type="string", is_required=False).prompt == "Note (text, may be empty):"
    assert field(enum=["a", "b"], default="a").prompt == "stars (one of a, b, empty = a):"


def test_a_form_has_its_properties_as_fields_and_any_other_schema_is_one_value() -> None:
    form: Any = {
        "required": ["b"],
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "$defs": {"c": {}},
    }
    assert [(one.name, one.is_required, "$defs" in one.schema) for one in fields_of(form)] == [
        ("a", False, True),
        ("b", True, True),
    ]
    assert [one.name for one in fields_of({"type": "string"})] == [None]
    assert fields_of(None) == []
