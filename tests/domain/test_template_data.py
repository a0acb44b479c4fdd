from __future__ import annotations

import time

import pytest

from domain.errors import TemplateFault
from tests.support.scope import SCOPE, render


@pytest.mark.parametrize(
    "source",
    [
        "{{ input.list.append(4) }}",
        "{{ input.list.clear() }}",
        "{{ input.people[0].update({'name': 'x'}) }}",
        "{{ input.people[0].pop('name') }}",
        "{{ input.people[0].clear() }}",
        "{{ input.list.__class__ }}",
        "{{ input.list._data }}",
        "{{ input.people[0]._data }}",
        "{{ input.list|attr('_data') }}",
        "{{ input.people[0].items }}",
        "{{ input.people[0].get }}",
        "{{ input.people[0].items.__self__ }}",
        "{{ (input.people[0].items).__func__ }}",
        "{% for x in input.list %}{{ loop.cycle.__class__ }}{% endfor %}",
        "{{ input.name.format(1) }}",
        "x {{ input.people[0].get }}",
        "x {{ [input.people[0].get] }}",
        "{{ [input.people[0].get] }}",
        "{{ [range] }}",
        "{{ 1e999 }}",
        "{{ {1: 2} }}",
        "{% set s = input.people[0] %}{{ s.items }}",
    ],
)
def test_no_python_object_can_be_reached_and_no_data_changed(source: str) -> None:
    scope = {"input": {"list": [1], "people": [{"name": "Ada"}], "name": "n"}}
    with pytest.raises(TemplateFault):
        render(source, scope)
    assert scope == {"input": {"list": [1], "people": [{"name": "Ada"}], "name": "n"}}


BOMBS = [
    "{{ 'a' * 1000000000 }}",
    "{{ 1000000000 * 'a' }}",
    "{{ [0] * 100000000 }}",
    "{{ (range(99999)|list) * 99999 }}",
    "{{ range(100000000) }}",
    "{{ '%01000000000d'|format(1) }}",
    "{{ 'a\nb'|indent(1000000000) }}",
    "{{ [1]|tojson(indent=1000000000) + [] }}",
    "{{ input.big|replace('a', input.big) }}",
    "{{ range(99999)|join(input.big) }}",
    "{{ range(10)|slice(1000000000) }}",
    "{{ [1]|batch(1000000000, 0) }}",
    "{{ input.big" + "|tojson" * 30 + " }}",
    "{{ (" + "~".join(["input.big"] * 60) + ")|length }}",
    "{{ [" + ",".join(["input.big|list"] * 60) + "]|length }}",
    "{{ range(99999)|map('replace', '', 'x' ~ input.big)|list }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% if a %}{% endif %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}" + "a" * 5_000 + "{% endfor %}",
    "{% for a in range(33000) %}{{ input.big }}{% endfor %}",
    "{% for a in range(20000) %}{% if input.big|upper|length %}{% endif %}{% endfor %}",
    "{% set s = input.big %}{% for a in range(20000) %}{% if s|upper|length %}{% endif %}{% endfor %}",
    "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
    "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
    "{% for a in [[1]] %}" + "{% for a in [[a, a]] %}" * 30 + "{{ a }}" + "{% endfor %}" * 31,
    "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "{{ " + "[" * 30_000 + "]" * 30_000 + " }}",
    "{{ 1" + "+1" * 30_000 + " }}",
    "{{ " + "not " * 15_000 + "1 }}",
    "{{ " + "-" * 60_000 + "1 }}",
    "{{ input" + ".a" * 30_000 + " }}",
    "{{ input" + "[0]" * 20_000 + " }}",
    "{% if true %}" * 4_000 + "{% endif %}" * 900,
    "{% if 0 %}" + "{% elif 0 %}" * 5_000 + "{% endif %}",
    "a" * 65_536 + "{{ 1 }}",
    "{{ input.big }}" * 2_000,
    "x{{ input.big }}",
    "{% set s = input.big %}" + "{% if s ~ s == s %}{% endif %}" * 1_500,
]


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:40])
def test_a_bomb_ends_in_under_a_second_with_a_clear_fault(source: str) -> None:
    started = time.thread_time()  # of this thread alone: other work on the machine does not count
    with pytest.raises(TemplateFault) as fault:
        render(source)
    assert time.thread_time() - started < 1.0
    assert len(fault.value.message) < 200


def test_text_of_a_mebibyte_is_rendered_and_one_byte_more_is_not() -> None:
    scope = {"input": {"text": "é" * 524_288, "more": "é" * 524_288 + "a"}}
    assert render("{{ input.text }}{{ '' }}", scope) == scope["input"]["text"]
    for source in ("{{ input.more }}{{ '' }}", "{% if true %}{{ input.more }}{% endif %}"):
        with pytest.raises(TemplateFault, match="larger than 1048576 bytes"):
            render(source, scope)


def test_a_value_larger_than_a_mebibyte_passes_through_a_single_expression() -> None:
    assert render("{{ input.big }}") is SCOPE["input"]["big"]
