"""Cost per node of large graphs beside that of small ones: 500 nodes against 50, one beside the other."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from bench.world import chain, fan

if TYPE_CHECKING:
    from bench.world import World
    from domain.workflow import Workflow

SMALL, LARGE = 50, 500
_ENDS = 2
"""A fan has a node before and one behind."""


async def large_beside_small(world: World, passes: int) -> dict[str, float]:
    """Measure what a node costs in a graph of 500 nodes, in what it costs in one of 50."""
    figures: dict[str, float] = {}
    shapes = {
        "chain": [chain(SMALL), chain(LARGE)],
        "fan": [fan(SMALL - _ENDS), fan(LARGE - _ENDS)],
        "fan, 16 at once": [fan(SMALL - _ENDS, at_once=16), fan(LARGE - _ENDS, at_once=16)],
    }
    for name, definitions in shapes.items():
        small, large = [await world.workflow(name, definition) for definition in definitions]
        figures[f"{name} of 500 / of 50, per node (≤ 2)"] = await _ratio(world, small, large, passes)
    return figures


async def _ratio(world: World, small: Workflow, large: Workflow, passes: int) -> float:
    for workflow in (small, large):
        await world.run(workflow, {"x": 1})
    ratios: list[float] = []
    for _ in range(passes):
        before = await _small(world, small)
        span_s = await world.run(large, {"x": 1}) / LARGE
        ratios.append(2 * span_s / (before + await _small(world, small)))
    return median(ratios)


async def _small(world: World, workflow: Workflow) -> float:
    """Return the seconds of a node in the small graph, over as many nodes as the large one has."""
    return sum([await world.run(workflow, {"x": 1}) for _ in range(LARGE // SMALL)]) / LARGE
