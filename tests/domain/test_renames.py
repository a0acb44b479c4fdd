from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.expressions import compile_expression, compile_template
from domain.renames import renamed
from domain.workflow import (
    ConcurrencyPolicy,
    Definition,
    ErrorPolicy,
    ForEach,
    Graph,
    GraphEdge,
    GraphNode,
    OutputField,
    WorkflowSettings,
)
from runtime.registry import load_registry

KINDS = load_registry().names


def transform(key: str, value: Any, **more: Any) -> GraphNode:
    return GraphNode(key=key, config={"transform": {"fields": [{"name": "nodes.a", "value": value}]}}, **more)


def value_after(value: Any, old: str = "a", new: str = "b") -> Any:
    after = renamed(Definition(graph=Graph(nodes=(transform("x", value),))), old, new, KINDS)
    return after.graph.nodes[0].values["fields"][0]["value"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{{ nodes.a.output }}", "{{ nodes.b.output }}"),
        ("{{nodes.a}} and {{ nodes . a }}", "{{nodes.b}} and {{ nodes . b }}"),
        ("{{ nodes['a'].output }}{{ nodes[ \"a\" ] }}", "{{ nodes['b'].output }}{{ nodes[ \"b\" ] }}"),
        ("{{- nodes.a.output.a.nodes.a -}}", "{{- nodes.b.output.a.nodes.a -}}"),
        ("{% if nodes.a.output.ok %}{{ nodes.a.output }}{% endif %}", "{% if nodes.b.output.ok %}{{ nodes.b.output }}{% endif %}"),
        ("{% for a in nodes.a.output %}{{ a.a }}{% endfor %}", "{% for a in nodes.b.output %}{{ a.a }}{% endfor %}"),
        ("{% set a = nodes.a %}{{ a }}", "{% set a = nodes.b %}{{ a }}"),
        ("{{ input.list|default(nodes.a.output)|join(nodes['a'].x) }}", "{{ input.list|default(nodes.b.output)|join(nodes['b'].x) }}"),
        ("{{ {'a': nodes.a.output[nodes.a.output.a]} }}", "{{ {'a': nodes.b.output[nodes.b.output.a]} }}"),
        ("😀 {{ nodes.a.output }} 😀", "😀 {{ nodes.b.output }} 😀"),
        ({"nodes.a": ["{{ nodes.a }}", {"a": "{{ nodes.a }}"}, 1, None]}, {"nodes.a": ["{{ nodes.b }}", {"a": "{{ nodes.b }}"}, 1, None]}),
    ],
)  # fmt: skip
def test_references_are_renamed(before: Any, after: Any) -> None:
    assert value_after(before) == after


@pytest.mark.parametrize(
    "untouched",
    [
        "nodes.a.output",
        "{{ input.nodes.a }}",
        "{{ 'nodes.a' }} {{ \"nodes['a']\" }}",
        "{{ nodes.ab.output }}{{ nodes['ab'] }}{{ nodes.A }}",
        "{{ input.a }}{{ item.a }}{{ a }}",
        "{{ nodes.x.a }}{{ nodes.x['a'] }}{{ nodes.x.output.nodes.a }}",
        "{# {{ nodes.a }} #}{% raw %}{{ nodes.a }}{% endraw %}",
        "{{ nodes.a() }}",
        "{{ nodes[input.a] }}",
        "{{ nodes.a",
        "{{ dict(nodes=1).a }}",
    ],
)
def test_nothing_else_is_renamed(untouched: str) -> None:
    assert value_after(untouched) == untouched


def test_conditions_of_a_branch_are_renamed_and_names_of_its_cases_are_not() -> None:
    cases = [{"name": "a", "when": "nodes.a.output.n > 1 and 'nodes.a' != input.a"}]
    node = GraphNode(key="x", config={"branch": {"cases": cases}})
    after = renamed(Definition(graph=Graph(nodes=(node,))), "a", "b", KINDS)
    assert after.graph.nodes[0].values["cases"] == [
        {"name": "a", "when": "nodes.b.output.n > 1 and 'nodes.a' != input.a"}
    ]


def test_every_place_where_templates_and_expressions_stand_is_renamed_and_static_ones_are_not() -> None:
    fetch = GraphNode(
        key="fetch",
        config={
            "httpRequest": {
                "url": "https://x/{{ nodes.a.output.id }}",
                "connection": "nodes.a",
                "headers": [{"name": "X", "value": "{{ nodes['a'].output.x }}"}],
                "body": {"json": {"deep": [{"nodes.a": "{{ nodes.a.output }}"}]}},
            }
        },
        when="nodes.a.output.ok and 'nodes.a' != nodes['a'].x",
        for_each=ForEach(items="nodes.a.output.items"),
        on_error=ErrorPolicy(default_output="{{ nodes.a.output }}"),
    )
    templated = transform("t", 1, for_each=ForEach(items="{{ nodes.a.output.items }}"))
    stranger = GraphNode(key="s", config={"stranger": {"text": "{{ nodes.a.output }}"}}, when="nodes.a.ok")
    before = Definition(
        graph=Graph(
            nodes=(transform("a", 1, name="a"), fetch, templated, stranger),
            edges=(GraphEdge(source="a", target="fetch"), GraphEdge(source="fetch", source_port="a", target="a")),
        ),
        output=(OutputField(name="a", value={"nodes.a": "{{ nodes.a.output }}"}),),
        settings=WorkflowSettings(concurrency=ConcurrencyPolicy(key="k-{{ nodes.a.output }}", max_runs=1)),
        input_schema={"description": "{{ nodes.a }}"},
    )
    after = renamed(before, "a", "b2", KINDS)
    assert renamed(after, "b2", "a", KINDS) == before
    node, fetch, templated, stranger = after.graph.nodes
    assert (node.key, node.name, node.values) == ("b2", "a", before.graph.nodes[0].values)
    assert fetch.values == {
        "url": "https://x/{{ nodes.b2.output.id }}",
        "connection": "nodes.a",
        "headers": [{"name": "X", "value": "{{ nodes['b2'].output.x }}"}],
        "body": {"json": {"deep": [{"nodes.a": "{{ nodes.b2.output }}"}]}},
    }
    assert fetch.when == "nodes.b2.output.ok and 'nodes.a' != nodes['b2'].x"
    assert fetch.for_each is not None
    assert templated.for_each is not None
    assert fetch.for_each.items == "nodes.b2.output.items"
    assert templated.for_each.items == "{{ nodes.b2.output.items }}"
    assert fetch.on_error.default_output == "{{ nodes.a.output }}"
    assert (stranger.values, stranger.when) == ({"text": "{{ nodes.a.output }}"}, "nodes.b2.ok")
    assert [(one.source, one.source_port, one.target) for one in after.graph.edges] == [
        ("b2", "out", "fetch"),
        ("fetch", "a", "b2"),
    ]
    assert [(one.name, one.value) for one in after.output] == [("a", {"nodes.a": "{{ nodes.b2.output }}"})]
    assert after.settings.concurrency is not None
    assert after.settings.concurrency.key == "k-{{ nodes.b2.output }}"
    assert after.input_schema == before.input_schema


KEYS = ("a", "b", "ab", "nodes", "output", "if_", "items")
_references = st.builds(
    str.format,
    st.sampled_from(["nodes.{}.output", "nodes['{}'].output.x", 'nodes["{}"]', "nodes . {} . output[0]", "input.nodes.{}"]),
    st.sampled_from(KEYS),
)  # fmt: skip
_operands = st.one_of(
    _references,
    st.sampled_from(["input.a", "'nodes.a.output'", '"a"', "1.5", "run.id", "[nodes.a.output, 'a']", "{'a': nodes['a']}"]),
)  # fmt: skip
_expressions = st.recursive(
    _operands,
    lambda inner: st.one_of(
        st.builds(
            "({}) {} ({})".format, inner, st.sampled_from(["~", "+", "==", "and", "or", "in", "if nodes.a else"]), inner
        ),
        st.builds("({})|default({})".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("{} is defined".format, _references),
    ),
    max_leaves=5,
)
_pieces = st.one_of(
    st.sampled_from(["nodes.a.output ", "a", "\n", "😀", "{# {{ nodes.a }} #}", "{% raw %}{{ nodes.a }}{% endraw %}"]),
    st.builds("{{{{{}}}}}".format, _expressions.map(lambda expression: f" {expression} ")),
    st.builds("{{% if ({}) %}}nodes.a{{{{ nodes.a.output }}}}{{% endif %}}".format, _expressions),
    st.builds("{{% for a in ({}) %}}{{{{ a.output }}}}{{% endfor %}}".format, _expressions),
)
_templates = st.lists(_pieces, max_size=5).map("".join)


def exchanged(references: frozenset[tuple[str, ...]], old: str, new: str) -> set[tuple[str, ...]]:
    return {("nodes", new, *one[2:]) if one[:2] == ("nodes", old) else one for one in references}


@given(_templates, st.sampled_from(KEYS))
def test_after_a_rename_a_template_reads_what_it_read_before_under_the_other_key(source: str, old: str) -> None:
    after = value_after(source, old, "brandNew")
    before_references = compile_template(source).references
    assert set(compile_template(after).references) == exchanged(before_references, old, "brandNew")
    # And nothing else has changed: what is there anew is the key, each time it is.
    assert after.replace("brandNew", old) == source
    assert ("brandNew" in after) is any(one[:2] == ("nodes", old) for one in before_references)


@given(_expressions, st.sampled_from(KEYS))
def test_after_a_rename_an_expression_reads_what_it_read_before_under_the_other_key(source: str, old: str) -> None:
    node = transform("x", 1, when=source)
    after = renamed(Definition(graph=Graph(nodes=(node,))), old, "brandNew", KINDS).graph.nodes[0].when
    assert after is not None
    before_references = compile_expression(source).references
    assert set(compile_expression(after).references) == exchanged(before_references, old, "brandNew")
    assert re.sub("brandNew", old, after) == source
