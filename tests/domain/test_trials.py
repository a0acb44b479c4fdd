from __future__ import annotations

from uuid import UUID

import pytest

from domain.errors import InvalidInput
from domain.events import NodeFailed, NodeReused, NodeSkipped, NodeSucceeded
from domain.reruns import NodeEnd, Origin
from domain.run import Failure, SkipReason
from domain.trials import plan_trial
from tests.support.kinds import graph

RUN = UUID(int=1)
NO = Failure("NO", "no")


def ended(key: str, *ports: str) -> NodeSucceeded:
    return NodeSucceeded(key, None, 1, ports or ("out",), 1)


def origin(*ends: NodeEnd) -> Origin:
    return Origin(RUN, graph("a"), {end.node_key: end for end in ends})


def test_the_graph_is_the_node_behind_its_recorded_ancestors_and_nothing_else() -> None:
    draft = graph("a b c d e", "a>b", "b>d", "c>d", "d>e", output={"x": "{{ nodes.e.output }}"})
    trial = plan_trial(draft, "d", ["a"], origin(ended("a"), ended("b"), ended("e")))
    assert [node.key for node in trial.definition.graph.nodes] == ["a", "b", "d"]
    assert [(edge.source, edge.target) for edge in trial.definition.graph.edges] == [("a", "b"), ("b", "d")]
    assert trial.definition.output == ()
    assert trial.kept == (NodeReused("a", None, 0, RUN, ("out",)), NodeReused("b", None, 0, RUN, ("out",)))


def test_edges_into_the_node_that_were_not_taken_are_left_out_so_that_it_begins() -> None:
    draft = graph({"a": {"onError": {"mode": "BRANCH"}}, "b": {}, "d": {}}, "a.error>d", "b>d")
    skipped = NodeSkipped("b", None, 0, SkipReason.NO_EDGE_TAKEN)
    trial = plan_trial(draft, "d", [], origin(ended("a"), skipped))
    assert trial.definition.graph.edges == ()
    assert trial.kept == (NodeReused("a", None, 0, RUN, ("out",)), skipped)
    failed = plan_trial(draft, "d", [], origin(NodeFailed("a", None, 1, NO, ("error",)), skipped))
    assert [(edge.source, edge.source_port) for edge in failed.definition.graph.edges] == [("a", "error")]


def test_the_input_is_not_held_against_the_schema_of_the_draft_again() -> None:
    draft = graph("a").model_copy(update={"input_schema": {"type": "string"}})
    assert plan_trial(draft, "a", [], origin()).definition.input_schema is None


def test_every_output_that_is_read_and_missing_is_named() -> None:
    draft = graph("a b c d", "a>d", "b>d", "c>d")
    lost = NodeFailed("b", None, 1, NO)
    with pytest.raises(InvalidInput, match="no output of `b`, `c`, which `d` reads") as caught:
        plan_trial(draft, "d", ["c", "b", "a"], origin(ended("a"), lost))
    assert caught.value.path == ["input", "runId"]
