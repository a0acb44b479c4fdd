"""Graphs made by chance of built-in kinds, with what the semantics of graphs say of how their runs end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.domain.oracle import End, Step, foresee

if TYPE_CHECKING:
    from random import Random

MOST_NODES: Final = 14
WHENS: Final = {"true": True, "false": False, "input.isOn": True, "not input.isOn": False}
GIVEN: Final = {"isOn": True}
"""The input with which the conditions are so."""


@dataclass(frozen=True)
class Foreseen:
    """A graph as the API takes it, and the end of its run."""

    graph: dict[str, Any]
    settings: dict[str, Any]
    end: End
    is_certain: bool
    """Whether each node ends exactly so; else, after a failure, it may have been cut off or never have begun."""


def random_graph(dice: Random, server: str) -> Foreseen:
    """Make a graph of nodes that compute, wait, ask the server, and fail in each way."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    steps: list[Step] = []
    for place in range(dice.randint(2, MOST_NODES)):
        incoming = _incoming(dice, steps)
        will_fail = dice.random() < 0.25
        when = dice.choice(sorted(WHENS)) if dice.random() < 0.2 else None
        is_any = len(incoming) > 1 and dice.random() < 0.4
        mode = dice.choice(["STOP", "CONTINUE", "BRANCH"]) if will_fail else dice.choice(["STOP", "BRANCH"])
        steps.append(Step(incoming, is_any, mode, when is None or WHENS[when], will_fail))
        nodes.append(
            {
                "key": f"n{place}",
                "config": _config(dice, server, will_fail=will_fail),
                "when": when,
                "join": "ANY" if is_any else "ALL",
                "onError": {"mode": mode},
            }
        )
        edges += [{"source": f"n{source}", "sourcePort": port, "target": f"n{place}"} for source, port in incoming]
    policy = dice.choice(["FINISH_BRANCHES", "FINISH_BRANCHES", "FAIL_FAST"])
    end = foresee(steps)
    settings = {"failurePolicy": policy, "maxParallelNodes": dice.choice([1, 2, 16])}
    is_certain = policy == "FINISH_BRANCHES" or end.run == "SUCCEEDED"
    return Foreseen({"nodes": nodes, "edges": edges}, settings, end, is_certain)


def _incoming(dice: Random, steps: list[Step]) -> list[tuple[int, str]]:
    count = min(len(steps), dice.choice([0, 1, 1, 1, 2, 3]))
    return [
        (source, dice.choice(["out", "error"]) if steps[source].on_error == "BRANCH" else "out")
        for source in sorted(dice.sample(range(len(steps)), count))
    ]


def _config(dice: Random, server: str, *, will_fail: bool) -> dict[str, Any]:
    if will_fail:
        return dice.choice(
            [
                {"transform": {"fields": [{"name": "v", "value": "{{ input.absent }}"}]}},
                {"wait": {"until": "{{ run.id }}"}},
                {"httpRequest": {"url": f"{server}/no-such-page"}},
            ]
        )
    return dice.choice(
        [
            {"transform": {"fields": [{"name": "v", "value": "{{ run.id }}"}]}},
            {"transform": {"fields": [{"name": "v", "value": "{{ input.isOn }}"}]}},
            {"wait": {"durationMs": dice.choice([0, 20, 200])}},
            {"httpRequest": {"url": f"{server}/healthz"}},
        ]
    )
