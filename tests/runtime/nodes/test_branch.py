from __future__ import annotations

from typing import Any

import pytest

from domain.configs import compile_config
from domain.errors import NodeFault
from domain.validation import ANY_NAMES, check, ports_of
from domain.workflow import Definition, Graph, GraphEdge, GraphNode
from runtime.nodes.branch import KIND, BranchOutput
from runtime.registry import Registry
from tests.support.node_context import RecordingContext

SCOPE: dict[str, Any] = {"input": {"n": 2, "name": "", "list": [1]}}


async def taken(*conditions: str) -> str:
    cases = [{"name": f"c{place}", "when": condition} for place, condition in enumerate(conditions)]
    config = compile_config(KIND, {"cases": cases}).render(SCOPE)
    result = await KIND.run(config, RecordingContext())
    assert isinstance(result.output, BranchOutput)
    assert result.ports == (result.output.case,)
    return result.output.case


@pytest.mark.parametrize(
    ("conditions", "case"),
    [
        (["input.n > 1"], "c0"),
        (["input.n > 2", "input.n == 2", "true"], "c1"),
        (["input.n > 2", "false", "none", "0", "''", "[]", "input.name"], "default"),
        (["input.gone is defined", "input.list"], "c1"),
        (["'false'"], "c0"),
    ],
)
async def test_the_first_case_that_holds_is_taken(conditions: list[str], case: str) -> None:
    assert await taken(*conditions) == case


async def test_a_case_behind_the_one_that_is_taken_may_be_one_that_cannot_be_evaluated() -> None:
    assert await taken("input.n == 2", "input.gone.further > 1") == "c0"


async def test_a_case_that_cannot_be_evaluated_fails_by_its_path() -> None:
    with pytest.raises(NodeFault) as fault:
        await taken("input.n == 1", "input.gone > 1", "true")
    assert fault.value.code == "TEMPLATE_ERROR"
    assert fault.value.message == "config.branch.cases.1.when: `input.gone` is undefined."


def node_of(*names: str) -> GraphNode:
    cases = [{"name": name, "when": "input.n > 1"} for name in names]
    return GraphNode(key="choose", config={"branch": {"cases": cases}})


def test_the_ports_are_the_cases_and_the_default() -> None:
    assert ports_of(node_of("big", "small-one"), KIND) == ("big", "small-one", "default")


def test_an_edge_from_a_case_that_is_not_there_is_a_problem() -> None:
    end = GraphNode(key="end", config={"transform": {"fields": []}})
    edge = GraphEdge(source="choose", source_port="bigg", target="end")
    definition = Definition(graph=Graph(nodes=(node_of("big"), end), edges=(edge,)))
    [problem] = [one for one in check(definition, Registry().names, ANY_NAMES) if one.is_structural]
    assert problem.code == "UNKNOWN_PORT"


@pytest.mark.parametrize(
    ("cases", "path"),
    [
        ([], ("cases",)),
        ([{"name": "a", "when": "1"}, {"name": "a", "when": "1"}], ()),
        ([{"name": "default", "when": "1"}], ()),
        ([{"name": "error", "when": "1"}], ()),
        ([{"name": "a b", "when": "1"}], ("cases", "0", "name")),
        ([{"name": "a"}], ("cases", "0", "when")),
        ([{"name": f"a{number}", "when": "1"} for number in range(31)], ("cases",)),
    ],
)
def test_wrong_cases_are_told_before_anything_runs(cases: list[Any], path: tuple[str, ...]) -> None:
    problems = compile_config(KIND, {"cases": cases}).problems
    assert [(problem.path, problem.code) for problem in problems] == [(path, "INVALID_CONFIG")]


@pytest.mark.parametrize(
    ("when", "code", "told"),
    [
        ("input.n >", "TEMPLATE_SYNTAX", "does not parse"),
        ("", "TEMPLATE_SYNTAX", "missing"),
        ("{{ input.n > 1 }}", "TEMPLATE_SYNTAX", "without `{{ }}`"),
        ("secrets.KEY == 'a'", "SECRET_NOT_ALLOWED", "Secrets cannot be used"),
    ],
)
def test_a_condition_that_is_no_expression_is_a_problem(when: str, code: str, told: str) -> None:
    [problem] = compile_config(KIND, {"cases": [{"name": "a", "when": when}]}).problems
    assert (problem.path, problem.code) == (("cases", "0", "when"), code)
    assert told in problem.message
