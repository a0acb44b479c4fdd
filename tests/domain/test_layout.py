from __future__ import annotations

from domain.drafts import canonical_json
from domain.layout import arranged, bare, layout_of, replaced
from domain.workflow import Definition, Graph, GraphNode, Position

HERE, THERE = Position(x=1, y=2), Position(x=-3.5, y=0)


def graph(**positions: Position | None) -> Graph:
    nodes = (GraphNode(key=key, config={"transform": {}}, position=at) for key, at in positions.items())
    return Graph(nodes=tuple(nodes))


def test_a_layout_puts_the_nodes_that_it_knows_and_takes_the_others_away() -> None:
    given = Definition(graph=graph(a=HERE, b=HERE, c=None))
    assert arranged(given, {"a": THERE, "c": HERE, "gone": HERE}).graph == graph(a=THERE, b=None, c=HERE)
    assert bare(given).graph == graph(a=None, b=None, c=None)
    assert layout_of(given.graph) == {"a": HERE, "b": HERE}


def test_a_definition_that_is_laid_out_already_stays_itself() -> None:
    given = Definition(graph=graph(a=HERE, b=None))
    assert arranged(given, layout_of(given.graph)) is given
    assert bare(bare(given)) == bare(given)


def test_what_is_hashed_does_not_depend_on_the_layout() -> None:
    hashed = {canonical_json(Definition(graph=graph(a=at))) for at in (None, HERE, THERE)}
    assert hashed == {b'{"graph":{"nodes":[{"key":"a","config":{"transform":{}}}]}}'}


def test_a_graph_that_takes_the_place_of_another_brings_its_layout() -> None:
    before, after = (
        graph(gone=HERE, moved=HERE, lost=HERE, bare=None),
        graph(moved=THERE, lost=None, bare=None, new=HERE),
    )
    assert replaced(before, after) == {"gone": None, "moved": THERE, "lost": None, "bare": None, "new": HERE}
