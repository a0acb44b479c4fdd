from __future__ import annotations

from typing import Any

import pytest

from domain.configs import compile_config, output_schema
from domain.errors import NodeFault
from runtime.nodes.transform import KIND
from tests.support.node_context import RecordingContext

SCOPE: dict[str, Any] = {"input": {"n": 2, "name": "Ada", "list": [1]}}


async def output_of(*fields: dict[str, Any]) -> Any:
    config = compile_config(KIND, {"fields": list(fields)}).render(SCOPE)
    result = await KIND.run(config, RecordingContext())
    assert result.ports == ("out",)
    return result.output


async def test_the_output_is_an_object_with_the_fields_in_order() -> None:
    output = await output_of(
        {"name": "z", "value": "{{ input.n * 2 }}"},
        {"name": "a", "value": "Hi {{ input.name }}"},
        {"name": "m", "value": {"deep": ["{{ input.list }}", "{{ input.n }}", 5, None]}},
        {"name": "c", "value": 1.5},
        {"name": "none"},
    )
    assert output == {"z": 4, "a": "Hi Ada", "m": {"deep": [[1], 2, 5, None]}, "c": 1.5, "none": None}
    assert list(output) == ["z", "a", "m", "c", "none"]


async def test_no_fields_give_an_empty_object() -> None:
    assert await output_of() == {}


async def test_a_field_that_cannot_be_computed_fails_by_its_path() -> None:
    with pytest.raises(NodeFault) as fault:
        await output_of({"name": "a", "value": 1}, {"name": "b", "value": {"c": ["{{ input.gone }}"]}})
    assert fault.value.message == "config.transform.fields.1.value: `input.gone` is undefined."


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ([{"name": "a"}, {"name": "a"}], ()),
        ([{"name": ""}], ("fields", "0", "name")),
        ([{"value": 1}], ("fields", "0", "name")),
        ([{"name": str(number)} for number in range(101)], ("fields",)),
    ],
)
def test_wrong_fields_are_told_before_anything_runs(fields: list[Any], path: tuple[str, ...]) -> None:
    problems = compile_config(KIND, {"fields": fields}).problems
    assert [(problem.path, problem.code) for problem in problems] == [(path, "INVALID_CONFIG")]


def test_a_secret_does_not_get_into_an_output() -> None:
    problems = compile_config(KIND, {"fields": [{"name": "a", "value": ["{{ secrets.KEY }}"]}]}).problems
    assert [problem.code for problem in problems] == ["SECRET_NOT_ALLOWED"]


def test_the_shape_of_the_output_is_the_authors() -> None:
    assert KIND.output is None
    assert output_schema(KIND) == {"type": "object"}
