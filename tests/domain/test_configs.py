from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import Field

from domain.configs import CompiledConfig, compile_config, config_schema, output_schema
from domain.errors import NodeFault
from domain.kinds import (
    JSON_FIELD,
    STATIC,
    Config,
    ConfigProblem,
    NameValue,
    NodeContext,
    NodeKind,
    OneOf,
    Output,
    Reference,
    Result,
)
from domain.template_data import rendering
from tests.domain.sample_kinds import KINDS as SAMPLE_KINDS


class Mode(StrEnum):
    FAST = "FAST"
    SLOW = "SLOW"


class Body(OneOf):
    json_: Annotated[Any, JSON_FIELD, Field(alias="json")] = None
    text: str | None = None


class SampleConfig(Config):
    text: str
    """A template."""
    label: Annotated[str, STATIC] = "x"
    short: Annotated[str, Field(max_length=5)] | None = None
    connection: Annotated[str, Reference("connection")] | None = None
    limit: Annotated[int, Field(ge=1, le=9)] = 5
    mode: Mode = Mode.FAST
    headers: Annotated[list[NameValue], Field(max_length=3)] = Field(default_factory=list)
    tags: list[Annotated[str, STATIC]] = Field(default_factory=list)
    lines: list[str] = Field(default_factory=list)
    body: Body | None = None


class SampleOutput(Output):
    some_text: str
    """What it says."""


async def _run(config: Any, ctx: NodeContext) -> Result:
    del ctx
    return Result(config)


def _check(config: SampleConfig) -> list[ConfigProblem]:
    return [ConfigProblem(("mode",), "NOT_SUPPORTED", "Slow is not supported yet.")] if config.mode is Mode.SLOW else []


KIND = NodeKind("SAMPLE", "sample", "Sample", "A sample.", SampleConfig, SampleOutput, _run, check=_check)
SCOPE: dict[str, Any] = {"input": {"name": "Ada", "n": 3, "long": "abcdefgh", "null": None}, "secrets": {"KEY": "hush"}}


def compiled(**values: Any) -> CompiledConfig:
    return compile_config(KIND, {"text": "t", **values})


def rendered(**values: Any) -> SampleConfig:
    config = compiled(**values).render(SCOPE)
    assert isinstance(config, SampleConfig)
    return config


def problems(**values: Any) -> list[tuple[tuple[str, ...], str]]:
    return [(problem.path, problem.code) for problem in compiled(**values).problems]


def test_texts_and_json_are_templates_and_static_fields_are_not() -> None:
    config = rendered(
        text="Hi {{ input.name }}",
        label="{{ input.name }}",
        tags=["{{ x }}"],
        lines=["{{ input.n }}", "b"],
        body={"json": {"n": "{{ input.n }}", "deep": [{"t": "<{{ input.name }}>"}]}},
    )
    assert config.text == "Hi Ada"
    assert config.label == "{{ input.name }}"
    assert config.tags == ["{{ x }}"]
    assert config.lines == ["3", "b"]
    assert config.body == Body(json_={"n": 3, "deep": [{"t": "<Ada>"}]})


def test_a_text_field_takes_a_value_of_another_type_as_its_text() -> None:
    assert rendered(text="{{ input }}").text == '{"name":"Ada","n":3,"long":"abcdefgh","null":null}'
    assert rendered(short="{{ input.null }}").short is None
    with pytest.raises(NodeFault) as fault:
        rendered(text="{{ input.null }}")
    assert (fault.value.code, fault.value.message) == (
        "INVALID_CONFIG",
        "config.sample.text: Input should be a valid string.",
    )


def test_bounds_of_a_templated_field_hold_when_it_is_rendered() -> None:
    assert problems(short="{{ input.name }} and more than five") == []
    assert rendered(short="{{ input.name }}").short == "Ada"
    with pytest.raises(NodeFault) as fault:
        rendered(short="{{ input.long }}")
    assert fault.value.code == "INVALID_CONFIG"
    assert fault.value.message.startswith("config.sample.short: ")
    assert "abcdefgh" not in fault.value.message


@pytest.mark.parametrize(
    ("values", "path", "code"),
    [
        ({"text": "{{ 1 + }}"}, ("text",), "TEMPLATE_SYNTAX"),
        ({"headers": [{"name": "a", "value": "{{ x"}]}, ("headers", "0", "value"), "TEMPLATE_SYNTAX"),
        ({"body": {"json": {"a": ["{% if %}"]}}}, ("body", "json"), "TEMPLATE_SYNTAX"),
        ({"txt": "x"}, ("txt",), "UNKNOWN_CONFIG_FIELD"),
        ({"headers": [{"name": "a", "value": "b", "extra": 1}]}, ("headers", "0", "extra"), "UNKNOWN_CONFIG_FIELD"),
        ({"limit": 10}, ("limit",), "INVALID_CONFIG"),
        ({"limit": "{{ input.n }}"}, ("limit",), "INVALID_CONFIG"),
        ({"mode": "{{ input.n }}"}, ("mode",), "INVALID_CONFIG"),
        ({"text": 5}, ("text",), "INVALID_CONFIG"),
        ({"text": None}, ("text",), "INVALID_CONFIG"),
        ({"short": "too long"}, ("short",), "INVALID_CONFIG"),
        ({"headers": [{"name": "a", "value": "b"}] * 4}, ("headers",), "INVALID_CONFIG"),
        ({"headers": "x"}, ("headers",), "INVALID_CONFIG"),
        ({"headers": [5]}, ("headers", "0"), "INVALID_CONFIG"),
        ({"headers": [{"name": "a"}]}, ("headers", "0", "value"), "INVALID_CONFIG"),
        ({"body": {}}, ("body",), "INVALID_CONFIG"),
        ({"body": {"json": 1, "text": "a"}}, ("body",), "INVALID_CONFIG"),
        ({"text": "{{ secrets.KEY }}"}, ("text",), "SECRET_NOT_ALLOWED"),
        ({"text": "{{ secrets.KEY[0:2] }}"}, ("text",), "SECRET_NOT_ALLOWED"),
        ({"body": {"json": ["{{ secrets['KEY'] }}"]}}, ("body", "json"), "SECRET_NOT_ALLOWED"),
        ({"headers": [{"name": "a", "value": "{{ secrets }}"}]}, ("headers", "0", "value"), "SECRET_NOT_ALLOWED"),
        (
            {"headers": [{"name": "a", "value": "{{ secrets[input.n] }}"}]},
            ("headers", "0", "value"),
            "SECRET_NOT_ALLOWED",
        ),
        ({"mode": "SLOW"}, ("mode",), "NOT_SUPPORTED"),
    ],
)
def test_what_is_wrong_is_told_by_path_and_code(values: dict[str, Any], path: tuple[str, ...], code: str) -> None:
    assert problems(**values) == [(path, code)]
    with pytest.raises(NodeFault) as fault:
        compiled(**values).render(SCOPE)
    assert fault.value.code == "INVALID_CONFIG"
    assert fault.value.message.startswith(".".join(("config.sample", *path)) + ": ")


def test_all_problems_are_told_at_once() -> None:
    found = problems(text="{{ 1 + }}", nope=1, limit=0, lines=["{{ secrets.KEY }}"])
    assert sorted(found) == [
        (("limit",), "INVALID_CONFIG"),
        (("lines", "0"), "SECRET_NOT_ALLOWED"),
        (("nope",), "UNKNOWN_CONFIG_FIELD"),
        (("text",), "TEMPLATE_SYNTAX"),
    ]


def test_null_counts_as_absent_where_a_field_has_a_default() -> None:
    assert rendered(headers=None, limit=None, mode=None).limit == 5
    assert rendered(body={"json": None}).body == Body(json_=None)


def test_a_fault_of_a_template_tells_the_field() -> None:
    with pytest.raises(NodeFault) as fault:
        rendered(headers=[{"name": "a", "value": "{{ input.gone }}"}])
    assert (fault.value.code, fault.value.message) == (
        "TEMPLATE_ERROR",
        "config.sample.headers.0.value: `input.gone` is undefined.",
    )


def test_uses_tell_where_each_value_is_named() -> None:
    config = compiled(
        text="{{ nodes.a.output.b }}", headers=[{"name": "n", "value": "{{ secrets.KEY }} {{ input.n }}"}]
    )
    assert [(use.path, use.reference) for use in config.uses] == [
        (("text",), ("nodes", "a", "output", "b")),
        (("headers", "0", "value"), ("input", "n")),
        (("headers", "0", "value"), ("secrets", "KEY")),
    ]
    assert config.references == {("nodes", "a", "output", "b"), ("input", "n"), ("secrets", "KEY")}
    assert config.secret_names == {"KEY"}


def test_names_of_other_objects_are_told() -> None:
    named = compiled(connection="{{ not a template }}").named_objects
    assert [(found.path, found.to, found.name) for found in named] == [
        (("connection",), "connection", "{{ not a template }}")
    ]


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("Bearer {{ secrets.KEY }}", "Bearer •••"),
        ("{{ secrets.KEY }}", "•••"),
        ("{{ secrets.KEY|length }}", "3"),
        ("{{ secrets.KEY|replace('hush', 'x')|upper }}", "•••"),
        ("{{ secrets['KEY'][0:2] }}", "••"),
        ("{{ ['hush', 'shout'].index(secrets.KEY) }}", "•••"),
    ],
)
def test_where_a_secret_stands_people_see_a_mask(template: str, shown: str) -> None:
    config = compiled(headers=[{"name": "a", "value": template}], text="{{ input.name }}")
    described = config.describe(SCOPE)
    assert described == {"text": "Ada", "headers": [{"name": "a", "value": shown}]}
    assert "hush" not in str(described)


def test_a_field_without_secrets_does_not_see_them() -> None:
    config = compile_config(KIND, {"text": "{{ input.name }}", "lines": ["{{ secrets|default('none') }}"]})
    assert [problem.code for problem in config.problems] == ["SECRET_NOT_ALLOWED"]


def test_a_configuration_without_templates_is_made_once() -> None:
    config = compiled(label="{{ not a template }}", tags=["{{ x }}"])
    assert config.is_constant
    assert config.render(SCOPE) is config.render({})
    assert config.describe({}) == {"text": "t", "label": "{{ not a template }}", "tags": ["{{ x }}"]}


def test_rendering_and_describing_at_once_give_the_same_as_apart() -> None:
    for values in (
        {"text": "{{ input.name }}"},
        {"text": "constant"},
        {"text": "{{ input.name }}", "headers": [{"name": "a", "value": "{{ secrets.KEY }}"}]},
    ):
        config = compile_config(KIND, values)
        assert config.render_described(SCOPE) == (config.render(SCOPE), config.describe(SCOPE))


def test_the_schema_marks_what_takes_templates_and_secrets() -> None:
    schema: Any = config_schema(KIND)
    marks = {name: (field.get("x-template"), field.get("x-secret")) for name, field in schema["properties"].items()}
    assert marks == {
        "text": (True, None),
        "label": (None, None),
        "short": (True, None),
        "connection": (None, None),
        "limit": (None, None),
        "mode": (None, None),
        "headers": (None, None),
        "tags": (None, None),
        "lines": (None, None),
        "body": (None, None),
    }
    assert schema["properties"]["lines"]["items"]["x-template"] is True
    assert "x-template" not in schema["properties"]["tags"]["items"]
    assert schema["$defs"]["NameValue"]["properties"]["value"]["x-secret"] is True
    assert "x-template" not in schema["$defs"]["NameValue"]["properties"]["name"]
    assert schema["$defs"]["Body"]["properties"]["json"]["x-template"] is True
    assert schema["properties"]["text"]["description"] == "A template."


def test_the_schema_of_an_output_has_its_names_as_expressions_read_them() -> None:
    schema: Any = output_schema(KIND)
    assert schema["properties"]["someText"]["description"] == "What it says."


def test_two_templates_render_and_validate_in_microseconds() -> None:
    # A tenth of the measured speed: 11 µs on an idle machine.
    config = compiled(text="{{ input.name }}", lines=["Hello {{ input.name }} {{ input.n }}"])
    best = min(_duration(config, 200) for _ in range(10))
    assert best / 200 < 110e-6


def _duration(config: CompiledConfig, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        config.render(SCOPE)
    return time.perf_counter() - started


def test_a_list_becomes_the_text_of_a_field_however_long_ago_the_last_rendering_was() -> None:
    kind = SAMPLE_KINDS["fetch"]
    config = compile_config(kind, {"url": "{{ input.list }}"})
    rendering.until = 0.0
    rendered: Any = config.render({"input": {"list": [{"a": 1}, "b"]}})
    assert rendered.url == '[{"a":1},"b"]'
