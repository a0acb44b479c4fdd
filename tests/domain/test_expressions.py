from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TemplateFault
from domain.expressions import compile_expression, compile_template, compile_value
from tests.support.scope import SCOPE, render


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ input.count }}", 3),
        ("{{ input.price }}", 2.5),
        ("{{ input.none }}", None),
        ("{{ input.yes }}", True),
        ("{{ input.list }}", [3, 1, 2]),
        ("{{ input.people[1].name }}", "Alan"),
        ("{{ nodes['find'].output.matches[0]['text'] }}", "one"),
        ("{{ nodes.find.output.matches[1:] }}", [{"text": "two"}]),
        ("{{ input.count + 1 }}", 4),
        ("{{ input.count > 2 and input.yes }}", True),
        ("{{ input.count * input.price }}", 7.5),
        ("{{ 2 * -input.count ** 2 * (input.list|length) }}", 54),
        ("{{ input.list|sort }}", [1, 2, 3]),
        ("{{ input.people|map(attribute='name')|list }}", ["Ada", "Alan"]),
        ("{{ input.people|selectattr('age', 'gt', 40)|list }}", [{"name": "Alan", "age": 41}]),
        ("{{ {'a': input.count, 'b': [input.name]} }}", {"a": 3, "b": ["Ada"]}),
        ("{{ input.missing|default('d') }}", "d"),
        ("{{ input.missing is defined }}", False),
        ("{{ 'missing' in input }}", False),
        ("{{ input.name if input.yes else input.missing }}", "Ada"),
        ("{{ input.list == [3, 1, 2] }}", True),
        ("{{ 9223372036854775807 }}", 9_223_372_036_854_775_807),
        ("{{ input.items }}", "own"),
        ("{{ input.people[0].items()|list }}", [["name", "Ada"], ["age", 36]]),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ '}}' }}", "}}"),
    ],
)
def test_a_text_that_is_exactly_one_expression_keeps_its_json_type(source: str, value: object) -> None:
    result = render(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("plain {text}", "plain {text}"),
        ("Hello {{ input.name }}!", "Hello Ada!"),
        (" {{ input.count }}", " 3"),
        ("{{ input.name }}{{ input.count }}", "Ada3"),
        ("{{ input.yes }} {{ input.none }} {{ input.price }}", "true null 2.5"),
        ("x {{ input.list }} {{ input.people[0] }}", 'x [3,1,2] {"name":"Ada","age":36}'),
        ("{% for p in input.people %}{{ loop.index }}. {{ p.name }}\n{% endfor %}", "1. Ada\n2. Alan\n"),
        ("{% for k, v in input.people[0]|items %}{{ k }}={{ v }};{% endfor %}", "name=Ada;age=36;"),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in input.list if x > 1 %}{{ x }}{% endfor %}", "32"),
        ("{% if input.yes %}a{% elif input.count %}b{% else %}c{% endif %}", "a"),
        ("{% set total = input.count + 1 %}{{ total }}{{ total }}", "44"),
        ("a {{- input.name -}} b", "aAdab"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{# no #}yes\n", "yes\n"),
        ("{{ input.html }} {{ input.html|e }}", "<b>&</b> &lt;b&gt;&amp;&lt;/b&gt;"),
        ("q={{ 'a b&ü'|urlencode }}", "q=a%20b%26%C3%BC"),
        ("{{ input.people|tojson }}.", '[{"name":"Ada","age":36},{"name":"Alan","age":41}].'),
        ("{{ input.list|join(', ') }}.", "3, 1, 2."),
        ("{{ input.name|upper|replace('A', '4') }}.", "4D4."),
    ],
)
def test_any_other_text_is_rendered_to_text(source: str, text: str) -> None:
    assert render(source) == text


def test_what_a_template_yields_is_never_rendered_again() -> None:
    assert render("{{ input.template }}") == "{{ 7*7 }}"
    assert render("<{{ input.template }}>") == "<{{ 7*7 }}>"
    assert render("{% if true %}{{ input.template }}{% endif %}") == "{{ 7*7 }}"


def test_a_bare_expression_keeps_its_type() -> None:
    assert compile_expression("nodes.find.output.matches|length > 1").render(SCOPE) is True
    assert compile_expression("input.people").render(SCOPE) == SCOPE["input"]["people"]
    for wrong in ("", "  ", "{{ input }}", "input.a }} {{ input.b", "1 +"):
        with pytest.raises(TemplateFault):
            compile_expression(wrong)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ input.missing }}", "`input.missing` is undefined."),
        ("{{ input.missing.more }}", "`input.missing` is undefined."),
        ("{{ input.name.more }}", "`input.name.more` is undefined."),
        ("{{ input.list[7] }}", "`input.list[7]` is undefined."),
        ("x {{ input.missing }}", "`input.missing` is undefined."),
        ("{{ [input.missing] }}", "`input.missing` is undefined."),
        ("{{ input.missing|upper }}", "`input.missing` is undefined."),
        ("{{ input.missing + 1 }}", "`input.missing` is undefined."),
        ("{% if input.missing %}x{% endif %}", "`input.missing` is undefined."),
        ("{% for x in input.missing %}x{% endfor %}", "Only lists and objects can be looped over."),
        ("{% for p in input.people %}{{ p.missing }}{% endfor %}", "A value is undefined."),
        ("{{ other }}", "`other` is undefined."),
        ("{{ nodes.gone.output }}", "`nodes.gone` is undefined."),
    ],
)
def test_what_is_undefined_is_a_fault_that_names_it(source: str, message: str) -> None:
    with pytest.raises(TemplateFault) as fault:
        render(source)
    assert fault.value.message == message


def test_a_fault_tells_its_line() -> None:
    with pytest.raises(TemplateFault) as fault:
        compile_template("a\nb {{ 1 + }}")
    assert fault.value.line == 2
    with pytest.raises(TemplateFault) as fault:
        render("a\n\n{{ input.name + 1 }}")
    assert fault.value.line == 3
    with pytest.raises(TemplateFault) as fault:
        render("{% if true %}\n{{ input.missing }}{% endif %}")
    assert fault.value.line == 2


@pytest.mark.parametrize(
    "source",
    [
        "{{ secrets.KEY + 1 }}",
        "{{ secrets.KEY / 2 }}",
        "{{ secrets.KEY|int }}",
        "{{ secrets.KEY.missing }}",
        "{{ secrets.KEY.missing() }}",
        "{{ secrets.KEY|join(1, 2, 3) }}",
        "{% for x in secrets.KEY %}x{% endfor %}",
        "{{ [secrets.KEY]|sum }}",
        "{{ -secrets.KEY }}",
        "{{ {1: secrets.KEY} }}",
        "{{ range(secrets.KEY) }}",
    ],
)
def test_faults_never_show_values(source: str) -> None:
    with pytest.raises(TemplateFault) as fault:
        render(source)
    assert "hush" not in fault.value.message
    assert fault.value.__cause__ is None
    assert fault.value.__context__ is None or fault.value.__suppress_context__


def test_nested_json_renders_all_its_texts_and_leaves_names_and_constants_alone() -> None:
    value = compile_value(
        {"{{ a }}": ["{{ input.count }}", "x{{ input.name }}", 1, None, {"k": True}], "c": "{{ item }}"}
    )
    assert value.references == {("input", "count"), ("input", "name"), ("item",)}
    assert value.render(SCOPE) == {"{{ a }}": [3, "xAda", 1, None, {"k": True}], "c": 5}
    constant = {"a": [1, "b", {"c": None}]}
    compiled = compile_value(constant)
    assert compiled.is_constant
    assert compiled.render({}) is constant


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    value: Any = "{{ input.count }}"
    for _ in range(5_000):
        value = [value]
    with pytest.raises(TemplateFault, match="nested more than 200 levels"):
        compile_value(value)


def test_templates_render_in_several_threads_at_once() -> None:
    template = compile_template("{% for i in range(50) %}{{ input.name }}{{ i }}{% endfor %}")
    expected = [f"{name}{index}" for name in "abcd" for index in range(50)]
    results: dict[str, set[object]] = {name: set() for name in "abcd"}

    def work(name: str) -> None:
        for _ in range(50):
            results[name].add(template.render({"input": {"name": name}}))

    threads = [threading.Thread(target=work, args=(name,)) for name in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, found in results.items():
        assert found == {"".join(piece for piece in expected if piece.startswith(name))}


async def test_a_fault_of_one_rendering_does_not_reach_the_next() -> None:
    good, bad = compile_template("{{ input.count + 1 }}"), compile_template("{{ [input.missing][0] + 1 }}")

    async def succeed() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
            assert good.render(SCOPE) == 4

    async def fail() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
            with pytest.raises(TemplateFault):
                bad.render(SCOPE)

    await asyncio.gather(*(succeed() if index % 2 else fail() for index in range(10)))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_passes_through_an_expression_unchanged(value: Any) -> None:
    assert render("{{ input.v }}", {"input": {"v": value}}) == value
    assert render("{{ [input.v][0] }}", {"input": {"v": value}}) == value


@given(st.text(max_size=60))
def test_any_text_compiles_or_faults_and_nothing_else(source: str) -> None:
    for candidate in (source, "{{" + source + "}}", "{%" + source + "%}"):
        with suppress(TemplateFault):
            compile_template(candidate).render(SCOPE)


def test_a_path_renders_in_microseconds_and_an_expression_too() -> None:
    # A tenth of the measured speed: 0.3, 3 and 6 µs on an idle machine.
    for source, limit_s in (
        ("{{ input.name }}", 5e-6),
        ("Hi {{ input.name }}!", 30e-6),
        ("{{ input.count + 1 }}", 60e-6),
    ):
        template = compile_template(source)
        best = min(_duration(template, 200) for _ in range(10))
        assert best / 200 < limit_s


def _duration(template: Any, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        template.render(SCOPE)
    return time.perf_counter() - started
