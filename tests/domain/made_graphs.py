"""Sound workflows made at random: every kind that is there, all policies, odd texts, layouts."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from domain.retry import RetryPolicy
from domain.validation import ports_of
from domain.workflow import (
    Definition,
    ErrorMode,
    ErrorPolicy,
    ForEach,
    Graph,
    GraphEdge,
    GraphNode,
    JoinPolicy,
    OutputField,
    Position,
    Timeouts,
)
from runtime.registry import Registry
from tests.domain import strategies
from tests.domain.made_configs import JSON_VALUES, NUMBERS, TEXTS, configs

KINDS = Registry().names
_CONFIGS = {name: configs(kind) for name, kind in KINDS.items()}
_CONDITIONS = st.sampled_from(["input.isOn", 'input.a != ": #"', "true", "input.text == 'it''s'"])
_MILLISECONDS = st.none() | st.integers(1, 10**9)
_POSITIONS = st.builds(Position, x=NUMBERS | st.integers(-500, 500), y=st.floats(-500, 500))


def _schema(properties: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


schemas: st.SearchStrategy[Any] = st.builds(
    _schema,
    st.dictionaries(TEXTS, st.fixed_dictionaries({"description": TEXTS, "default": JSON_VALUES}), max_size=3),
    st.dictionaries(st.sampled_from(["title", "description"]), TEXTS),
)
lines = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20).filter(
    lambda text: text.isprintable()
)


@cache  # Hypothesis checks each strategy that it has not seen: a quarter of all the time, were it another for each node
def nodes(key: str, kind: str) -> st.SearchStrategy[GraphNode]:
    """Nodes with this key and of this kind."""
    return st.builds(
        GraphNode,
        key=st.just(key),
        name=st.none() | TEXTS,
        config=_CONFIGS[kind].map(lambda values: {kind: values}),
        position=st.none() | _POSITIONS,
        when=st.none() | _CONDITIONS,
        join=st.sampled_from(JoinPolicy),
        for_each=st.none()
        | st.builds(ForEach, items=st.sampled_from(["input.list", "{{ input.list }}"]), max_parallel_items=st.integers(1, 100)),
        on_error=st.builds(ErrorPolicy, mode=st.sampled_from(ErrorMode), default_output=JSON_VALUES),
        retry=st.builds(
            RetryPolicy,
            maximum_attempts=st.integers(1, 100),
            has_jitter=st.booleans(),
            backoff_coefficient=st.sampled_from([1.0, 1.5, 2.0, 3]),
            non_retryable_errors=st.lists(st.sampled_from(["TIMED_OUT", "NO"]), max_size=2, unique=True),
        ),
        timeouts=st.builds(
            Timeouts, start_to_close_ms=_MILLISECONDS, schedule_to_close_ms=_MILLISECONDS, idle_ms=_MILLISECONDS
        ),
    )  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn, *first: str) -> Graph:
    """Acyclic graphs, whose first nodes are of these kinds; edges leave ports that are there."""
    kinds = [*first, *draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=4 - len(first)))]
    made = tuple(draw(nodes(f"n{place}", kind)) for place, kind in enumerate(kinds))
    edges: dict[tuple[str, str, str], GraphEdge] = {}
    for place, target in enumerate(made):
        for source in made[:place]:
            for port in ports_of(source, KINDS[source.kind]):
                if draw(st.booleans()):
                    edge = GraphEdge(source=source.key, source_port=port, target=target.key)
                    edges[edge.source, edge.source_port, edge.target] = edge
    return Graph(nodes=made, edges=tuple(edges.values()))


def definitions_with(*first: str) -> st.SearchStrategy[Definition]:
    """Workflows whose first nodes are of these kinds."""
    return st.builds(
        Definition,
        graph=graphs(*first),
        input_schema=st.none() | schemas,
        output=st.lists(
            st.builds(OutputField, name=TEXTS, value=JSON_VALUES), max_size=3, unique_by=lambda one: one.name
        ).map(tuple),
        settings=strategies.settings.map(lambda made: made.model_copy(update={"concurrency": None})),
    )


definitions = definitions_with()
