"""What a node costs does not grow with its graph: counted in lines of our own code, which no busy machine changes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from domain.events import RunSucceeded
from runtime import node_starts
from tests.support.engines import World, world
from tests.support.kinds import graph, script
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from domain.ids import GraphId, WorkflowId
    from domain.workflow import Definition
    from persistence.database import Database

ROOT = Path(__file__).parents[2]
OURS = tuple(str(ROOT / layer) for layer in ("domain", "runtime", "persistence"))
SMALL, LARGE = 50, 500


class Lines:
    """How many lines ran; a line that loops counts each time round."""

    def __init__(self) -> None:
        self.count = 0

    def enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self.step if frame.f_code.co_filename.startswith(OURS) else None

    def step(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self.count += event == "line"
        return self.step


@contextmanager
def counting_lines() -> Generator[Lines]:
    lines, before = Lines(), sys.gettrace()
    sys.settrace(lines.enter)
    try:
        yield lines
    finally:
        sys.settrace(before)


def chain(length: int) -> Definition:
    keys = [f"n{place}" for place in range(length)]
    nodes = {key: {"value": f"{{{{ nodes.{before}.output }}}}"} for before, key in pairwise(keys)}
    return graph({keys[0]: {"value": "x"}, **nodes}, *(f"{a}>{b}" for a, b in pairwise(keys)))


def fan(count: int, at_once: int) -> Definition:
    keys = [f"m{place}" for place in range(count - 2)]
    nodes: dict[str, dict[str, Any]] = {key: {"value": "{{ nodes.a.output }}"} for key in keys}
    edges = [edge for key in keys for edge in (f"a>{key}", f"{key}>z")]
    return graph({"a": {"value": "x"}, **nodes, "z": {}}, *edges, maxParallelNodes=at_once)


SHAPES: dict[str, Callable[[int], Definition]] = {
    "chain": chain,
    "fan": lambda count: fan(count, 500),
    "fan, 16 at once": lambda count: fan(count, 16),
}


@pytest.mark.parametrize("is_pure", [False, True], ids=["works", "pure"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_node_of_500_costs_at_most_twice_what_a_node_of_50_costs(
    database: Database, monkeypatch: pytest.MonkeyPatch, shape: str, is_pure: bool
) -> None:
    # Counting makes each line slow; how many turns of the loop the work takes is not to depend on that.
    monkeypatch.setattr(node_starts, "_LONGEST_TURN_S", 3_600.0)
    async with world(database, replace(script(), is_pure=is_pure)) as w:
        small, large = [await w.add(SHAPES[shape](count)) for count in (SMALL, LARGE)]
        for place in (small, large):
            await ended(w, place)  # what is made once for each graph is made now
        lines_of = {place: await ended(w, place) for place in (small, large)}
    per_node = lines_of[small] / SMALL, lines_of[large] / LARGE
    print(f"{shape}: {per_node[0]:.0f} lines a node of {SMALL}, {per_node[1]:.0f} of {LARGE}")  # noqa: T201
    assert per_node[1] <= 2 * per_node[0]


async def ended(w: World, place: tuple[GraphId, WorkflowId]) -> int:
    """Run a graph, unobserved, and return how many lines that took."""
    run = w.new_run(place)
    with counting_lines() as lines:
        await w.engine.start(run)
        await until(lambda: w.engine.run_count == 0)
    assert isinstance((await w.log_rows(run.id))[-1].event, RunSucceeded)
    return lines.count
