from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TemplateFault
from domain.expressions import compile_template
from domain.template_data import environment
from tests.support.scope import render


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ("text", set[tuple[str, ...]]()),
        ("{{ nodes.find.output.matches }}", {("nodes", "find", "output", "matches")}),
        ("{{ nodes['find']['output'].matches[0].text }}", {("nodes", "find", "output", "matches")}),
        ('{{ nodes["a-b"].output }}', {("nodes", "a-b", "output")}),
        ("{{ nodes.find.output.matches[1:3] }}", {("nodes", "find", "output", "matches")}),
        ("{{ secrets.KEY[0:2] }}", {("secrets", "KEY")}),
        ("{{ nodes[input.name] }}", {("nodes",), ("input", "name")}),
        ("{{ nodes }}", {("nodes",)}),
        ("{{ nodes|length }}", {("nodes",)}),
        ("{% for n in nodes %}{{ n }}{% endfor %}", {("nodes",)}),
        ("{% set n = nodes %}{{ n.find.output }}", {("nodes",)}),
        ("{{ input.list.items() }}", {("input", "list")}),
        ("{{ input.a|default(input['b']) }}", {("input", "a"), ("input", "b")}),
        ("{% for item in input.list %}{{ item.x }}{% endfor %}", {("input", "list")}),
        ("{{ item.x }}{% for item in input.list %}{{ item.y }}{% endfor %}", {("item", "x"), ("input", "list")}),
        ("{% if input.a is divisibleby(input.b) %}x{% endif %}", {("input", "a"), ("input", "b")}),
        ("{{ dict(a=input.a) }}", {("input", "a")}),
        ("{{ [run.id, index] }}", {("run", "id"), ("index",)}),
        ("{% raw %}{{ nodes.x }}{% endraw %}{# {{ nodes.y }} #}", set[tuple[str, ...]]()),
    ],
)
def test_references_tell_every_value_that_is_used(source: str, references: set[tuple[str, ...]]) -> None:
    assert compile_template(source).references == references


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 + }}",
        "{{ input.name",
        "{% if x %}",
        "{% for x %}{% endfor %}",
        "{{ }}",
        "{{ 'open }}",
        "{{ input.name|nofilter( }}",
        "{# open",
        "{% raw %}",
        "{{ (1 }}",
        "{{ 1) }}",
        "{{ $x }}",
    ],
)
def test_a_template_that_does_not_parse_is_refused_when_it_is_compiled(source: str) -> None:
    with pytest.raises(TemplateFault):
        compile_template(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% macro f() %}{% endmacro %}",
        "{% call f() %}{% endcall %}",
        "{% filter upper %}{% endfilter %}",
        "{% set x %}a{% endset %}",
        "{% with a = 1 %}{% endwith %}",
        "{% do input.list.append(1) %}",
        "{% autoescape true %}{% endautoescape %}",
        "{% for x in input.list recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set nodes = {} %}",
        "{% for secrets in [] %}{% endfor %}",
        "{{ debug() }}",
        "{{ pop('input') }}",
        "{{ clear() }}",
        "{{ keys }}",
        "{{ __class__ }}",
        "{{ namespace(a=1) }}",
        "{{ range }}",
        "{{ self.x() }}",
    ],
)
def test_what_reaches_outside_of_the_data_cannot_be_compiled_or_rendered(source: str) -> None:
    with pytest.raises(TemplateFault):
        render(source)


_WORDS = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "'",
    '"',
    "nodes",
    "input",
    ".",
    "[",
    "]",
    "a",
    " ",
    "|",
    "(",
    ")",
    "if",
    "for",
    "in",
    "set",
    "=",
    "endif",
    "endfor",
    "raw",
    "endraw",
    "-",
    "*",
    "1",
]


@given(st.lists(st.sampled_from(_WORDS), max_size=14))
def test_no_sequence_of_words_hides_a_reference_or_breaks_out(words: list[str]) -> None:
    source = "".join(words)
    try:
        template = compile_template(source)
    except TemplateFault:
        return
    assert environment().undeclared_variables_in_str(source) <= {reference[0] for reference in template.references}
    try:
        result = template.render({root: {"a": 1} for root in ("input", "a")})
    except TemplateFault:
        return
    assert isinstance(result, str | int | float | bool | list | dict | None)
