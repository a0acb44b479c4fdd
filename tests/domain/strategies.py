"""Random graphs and definitions for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from domain.retry import RetryPolicy
from domain.workflow import (
    ConcurrencyPolicy,
    Definition,
    ErrorMode,
    ErrorPolicy,
    FailurePolicy,
    ForEach,
    Graph,
    GraphEdge,
    GraphNode,
    JoinPolicy,
    OutputField,
    Position,
    Timeouts,
    WorkflowSettings,
)

# Everything that a JSON text can carry, lone surrogates and control characters included.
texts = st.text(st.characters(), max_size=20)
lines = st.lists(st.text("ab {}:#-'\"|>\t\\", max_size=8), max_size=5).map("\n".join)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts | lines | st.sampled_from(["null", "no", "1e3", "007", "~", "{{ x }}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=5,
)
keys = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,9}", fullmatch=True)
milliseconds = st.none() | st.integers(1, 10**9)
kind_names = st.sampled_from(["transform", "httpRequest", "llmCall"])


def nodes(key: str) -> st.SearchStrategy[GraphNode]:
    """Nodes with this key."""
    return st.builds(
        GraphNode,
        key=st.just(key),
        name=st.none() | texts,
        config=st.dictionaries(kind_names, st.dictionaries(texts, json_values, max_size=3), min_size=1, max_size=1),
        position=st.none() | st.builds(Position, x=numbers, y=numbers),
        when=st.none() | texts,
        join=st.sampled_from(JoinPolicy),
        for_each=st.none() | st.builds(ForEach, items=texts, max_parallel_items=st.integers(1, 100)),
        on_error=st.builds(ErrorPolicy, mode=st.sampled_from(ErrorMode), default_output=json_values),
        retry=st.builds(RetryPolicy, maximum_attempts=st.integers(1, 100), has_jitter=st.booleans()),
        timeouts=st.builds(
            Timeouts, start_to_close_ms=milliseconds, schedule_to_close_ms=milliseconds, idle_ms=milliseconds
        ),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs with unique keys; edges go anywhere, to nodes that exist or not, through any port."""
    names = draw(st.lists(keys, max_size=3, unique=True))
    ends = st.sampled_from([*names, "nowhere"]) | texts
    edges = st.builds(GraphEdge, source=ends, source_port=st.sampled_from(["out", "error"]) | texts, target=ends)
    return Graph(nodes=tuple(draw(nodes(name)) for name in names), edges=tuple(draw(st.lists(edges, max_size=5))))


settings = st.builds(
    WorkflowSettings,
    timeout_ms=milliseconds,
    max_parallel_nodes=st.integers(1, 500),
    failure_policy=st.sampled_from(FailurePolicy),
    concurrency=st.none() | st.builds(ConcurrencyPolicy, key=st.none() | texts, maxRuns=st.integers(1, 9)),
    max_cost=st.none() | st.from_regex(r"[0-9]{1,5}(\.[0-9]{1,5})?", fullmatch=True),
)
definitions = st.builds(
    Definition,
    graph=graphs(),
    input_schema=json_values,
    output=st.lists(
        st.builds(OutputField, name=texts, value=json_values), max_size=3, unique_by=lambda one: one.name
    ).map(tuple),
    settings=settings,
)
