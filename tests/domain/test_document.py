from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.document import dump, load
from domain.errors import DocumentFault
from domain.problems import Problem
from domain.workflow import Definition, ErrorMode, GraphEdge, ItemErrorPolicy
from runtime.registry import Registry
from tests.domain.sample_kinds import KINDS
from tests.domain.strategies import definitions, texts

HELLO = """\
name: Hello
slug: hello
description: |
  Asks a server,
  then a model.
inputSchema:
  type: object
output:
  answer: "{{ nodes.answer.output.text }}"
settings:
  timeoutMs: 60000
nodes:
  fetch:
    httpRequest:
      url: https://example.com/facts.json
      headers:
        - name: X-Key
          value: "{{ secrets.KEY }}"
    onError: BRANCH
    retry:
      maximumAttempts: 5
  answer:
    name: Ask the model
    llmCall:
      prompt: |-
        Facts: {{ nodes.fetch.output.body }}

          Question: {{ input.question }}
    when: input.question != ""
  excuse:
    transform:
      fields:
        - name: text
          value: "{{ error.message }}"
edges:
  - fetch -> answer
  - fetch.error -> excuse
layout:
  fetch: [0, 0]
  answer: [200, -12.5]
"""


KEY_RULE = "A key is a letter, then letters, digits and underscores, 64 at most."
QUOTE_IT = 'Put a template in quotes, as in "{{ nodes.answer.output.text }}", or under a `|`.'


def faults(text: str) -> list[str]:
    with pytest.raises(DocumentFault) as caught:
        load(dedent(text))
    return [str(problem) for problem in caught.value.problems]


def test_a_file_in_canonical_form_is_written_back_letter_by_letter() -> None:
    document = load(HELLO)
    assert dump(document.name, document.slug, document.description, document.definition) == HELLO


def test_a_file_is_read_as_the_graph_that_it_describes() -> None:
    graph = load(HELLO).definition.graph
    assert [node.key for node in graph.nodes] == ["fetch", "answer", "excuse"]
    assert graph.nodes[0].on_error.mode is ErrorMode.BRANCH
    assert graph.nodes[1].values["prompt"].startswith("Facts: {{ nodes.fetch.output.body }}\n\n  Question")
    assert graph.edges[1] == GraphEdge(source="fetch", source_port="error", target="excuse")
    assert graph.nodes[2].position is None


@given(name=texts.filter(bool), description=st.none() | texts, definition=definitions)
@settings(
    max_examples=120,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)
def test_importing_what_was_exported_gives_the_same_workflow(
    name: str, description: str | None, definition: Definition
) -> None:
    text = dump(name, "some-slug", description, definition)
    document = load(text)
    assert (document.name, document.slug, document.description) == (name, "some-slug", description)
    assert document.definition == definition
    assert repr(document.definition) == repr(definition)  # 1 is not 1.0, and not true
    assert dump(document.name, document.slug, document.description, document.definition) == text


def test_edges_may_be_chains_and_objects() -> None:
    document = load(
        "name: x\nnodes: {a: {transform: }, b: {transform: }, c: {transform: }}\nedges: [a -> b.error -> c, {source: a, target: c}]"
    )
    triples = [(edge.source, edge.source_port, edge.target) for edge in document.definition.graph.edges]
    assert triples == [("a", "out", "b"), ("b", "error", "c"), ("a", "out", "c")]


def test_an_edge_whose_port_holds_an_arrow_is_written_as_an_object() -> None:
    graph = load("name: x\nnodes: {a: {transform: }}\nedges: [{source: a, sourcePort: 'x -> y', target: a}]").definition
    assert '  - {source: "a", sourcePort: "x -> y", target: "a"}\n' in dump("x", None, None, graph)
    assert load(dump("x", None, None, graph)).definition == graph


@pytest.mark.parametrize(
    ("written", "value"),
    [("no", "no"), ("2026-11-22", "2026-11-22"), ("007", "007"), ("0x1F", "0x1F"), ("1e3", 1000.0), ("-0.5", -0.5)],
)
def test_plain_words_are_text_unless_they_are_numbers_of_json(written: str, value: object) -> None:
    assert load(f"name: x\ninputSchema: {written}").definition.input_schema == value


def test_an_unquoted_template_is_named_with_its_place_and_the_cure() -> None:
    problems = faults(
        """\
        name: x
        nodes:
          a:
            httpRequest:
              url: {{ input.url }}
        """
    )
    assert problems == ["line 5, column 13: A key must be a text. " + QUOTE_IT]


def test_every_fault_of_a_file_is_told_at_once_with_line_and_column() -> None:
    problems = faults(
        """\
        nam: x
        slug: No Slug
        nodes:
          a:
            transform:
            whenn: input.x
          b: 3
        edges:
          - a to b
        layout:
          c: [1, 2]
          a: [1]
        """
    )
    assert problems == [
        "line 1, column 1: There is no field `nam`. Did you mean `name`?",
        "line 1, column 1: A workflow needs a `name`.",
        "line 2, column 1: A slug is lower-case letters, digits and dashes between them, 64 at most.",
        "line 6, column 5: The node `a` has both `transform` and `whenn`. Did you mean `when`?",
        "line 7, column 3: The node `b` must be a mapping such as `httpRequest: {…}`.",
        "line 9, column 5: An edge is written `a -> b`, or `a.port -> b`. " + KEY_RULE,
        "line 11, column 3: There is no node `c`.",
        "line 12, column 3: A position is two numbers, such as [200, 0].",
    ]


def test_values_out_of_their_bounds_are_told_with_their_places() -> None:
    problems = faults(
        """\
        name: x
        settings:
          maxParallelNodes: 0
        nodes:
          a:
            transform:
            retry:
              maximumAttempts: 101
              jitter: true
          a-b:
            transform:
        edges:
          - {source: a, goal: b}
        """
    )
    assert problems == [
        "line 3, column 3: Input should be greater than or equal to 1.",
        "line 8, column 7: Input should be less than or equal to 100.",
        "line 9, column 7: There is no field `jitter` here.",
        "line 10, column 3: `a-b` cannot be a node's key. " + KEY_RULE,
        "line 13, column 5: The field `target` is missing.",
        "line 13, column 5: There is no field `goal` here.",
    ]


def test_times_that_no_clock_can_hold_are_refused_where_they_stand() -> None:
    most, day = "Input should be less than or equal to 2147483647.", "Input should be less than or equal to 86400000."
    problems = faults(
        f"""\
        name: x
        settings:
          timeoutMs: {10**30}
        nodes:
          a:
            transform:
            timeouts:
              startToCloseMs: {10**30}
              scheduleToCloseMs: {2**31}
              idleMs: {10**400}
            retry:
              initialIntervalMs: {10**30}
              maximumIntervalMs: {10**30}
        """
    )
    assert problems == [
        f"line 3, column 3: {most}",
        f"line 8, column 7: {most}",
        f"line 9, column 7: {most}",
        f"line 10, column 7: {most}",
        f"line 12, column 7: {day}",
        f"line 13, column 7: {most}",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1, column 1: The file is empty."),
        ("- a", "line 1, column 1: A workflow file is a mapping with `name`, `nodes` and `edges`."),
        ("name: x\nname: y", "line 2, column 1: The key `name` is here twice."),
        ("name: x\n---\nname: y", "line 2, column 1: The file holds a second document; a file is one workflow."),
        (
            "name: &a x\ndescription: *a",
            "line 1, column 7: Anchors and aliases are not read in workflow files. Write the value out.",
        ),
        (
            "name: !!python/object/apply:os.system [id]",
            "line 1, column 7: Tags are not read in workflow files. Write the value without its `!tag`.",
        ),
        ("name: [", "line 1, column 8: This is not YAML: expected the node content, but found '<stream end>'."),
        ("name: x\ninputSchema: 1e999", "line 2, column 14: The number is too large."),
        (
            "name: x\x07",
            (
                "line 1, column 8: This is not YAML: the character U+0007 cannot stand in a file as it is. "
                'Write it in double quotes, as in "\\x07".'
            ),
        ),
    ],
)
def test_what_is_no_workflow_file_is_refused_with_one_clear_problem(text: str, problem: str) -> None:
    with pytest.raises(DocumentFault) as caught:
        load(text)
    assert [str(one) for one in caught.value.problems] == [problem]


def test_a_bomb_of_aliases_is_refused_before_it_unfolds() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(50))
    assert faults(bomb)[0].startswith("line 1, column 4: Anchors and aliases")


def test_deep_nesting_is_refused() -> None:
    assert faults("name: " + "[" * 5_000)[0].endswith("Values are nested deeper than 80 levels.")


def test_a_file_above_one_mebibyte_is_refused_unread() -> None:
    assert faults("name: x\n#" + "x" * 1_048_576) == ["line 1, column 1: The file is larger than 1,048,576 bytes."]


def test_a_problem_of_the_graph_is_shown_where_the_file_has_it() -> None:
    document = load(HELLO)
    located = document.located(
        [
            Problem("CYCLE", "Edge.", edge=("fetch", "error", "excuse")),
            Problem("UNKNOWN_REFERENCE", "Prompt.", node_key="answer", path=("config", "llmCall", "prompt")),
            Problem(
                "UNKNOWN_REFERENCE",
                "Header.",
                node_key="fetch",
                path=("config", "httpRequest", "headers", "0", "value"),
            ),
            Problem("UNKNOWN_REFERENCE", "Output.", path=("output", "answer")),
            Problem("INVALID_CONFIG", "Gone.", node_key="fetch", path=("config", "httpRequest", "body", "json")),
        ]
    )
    assert [(one.line, one.column, one.message) for one in located] == [
        (9, 3, "Output."),
        (14, 5, "Gone."),
        (18, 11, "Header."),
        (25, 7, "Prompt."),
        (37, 5, "Edge."),
    ]


def test_a_graph_that_cannot_be_saved_is_told_where_the_file_has_it() -> None:
    text = dedent(
        """\
        name: x
        nodes:
          a:
            fetch:
              url: "{{ input. }}"
              header: []
          b:
            fetsh: {}
        edges:
          - a -> b -> a
          - a.left -> b
          - a -> c
        """
    )
    assert len(load(text).definition.graph.edges) == 4
    with pytest.raises(DocumentFault) as caught:
        load(text, KINDS)
    assert [(one.line, one.column, one.message, one.hint) for one in caught.value.problems] == [
        (
            3,
            3,
            "These nodes wait for each other: a → b → a.",
            "Remove one of these edges; a graph runs from its beginning to its ends.",
        ),
        (5, 7, "The template does not parse: unexpected end of variable block, expected identifier or integer.", None),
        (6, 7, "There is no field `header`.", "Did you mean `headers`?"),
        (8, 5, "There is no node kind `fetsh`.", "Did you mean `fetch`?"),
        (11, 5, "The node `a` has no port `left`; its ports are `out`.", None),
        (12, 5, "The edge `a -> c` names the node `c`, which does not exist.", None),
    ]


def test_the_file_of_the_documentation_is_sound() -> None:
    page = (Path(__file__).parents[2] / "docs/workflow-files.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    assert [node.key for node in load(example, Registry().names).definition.graph.nodes] == ["page", "answer", "excuse"]


def test_what_a_workspace_may_yet_have_is_no_fault_of_a_file() -> None:
    text = "name: x\nnodes: {a: {fetch: {url: x, connection: gone}}, b: {set: {value: '{{ nodes.a.output }}'}}}"
    assert load(text, KINDS).definition == load(text).definition


def test_the_input_for_the_api_names_every_field() -> None:
    fields = load("name: x\nnodes: {a: {transform: {fields: []}}}").to_input()
    assert list(fields) == ["name", "slug", "description", "graph", "inputSchema", "output", "settings"]
    assert fields["graph"] == {"nodes": [{"key": "a", "config": {"transform": {"fields": []}}}], "edges": []}
    assert isinstance(fields["settings"], dict)
    assert fields["settings"]["maxParallelNodes"] == 16


def test_a_list_whose_failed_items_are_null_may_be_written_as_the_plain_word() -> None:
    written = """\
name: Each
slug: each
nodes:
  a:
    transform:
      fields:
        - {name: text, value: "{{ item }}"}
    forEach:
      items: input.people
      onItemError: NULL
"""
    document = load(written)
    each = document.definition.graph.nodes[0].for_each
    assert each is not None
    assert each.on_item_error is ItemErrorPolicy.NULL
    text = dump(document.name, document.slug, document.description, document.definition)
    again = load(text)
    assert again.definition == document.definition
    assert dump(again.name, again.slug, again.description, again.definition) == text
