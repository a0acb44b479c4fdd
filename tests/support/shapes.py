"""Graphs of real kinds for runs whose processes die: each with what has to come of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.workflow import Definition
from tests.domain.oracle import Step, foresee

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from domain.json_value import Json
    from tests.support.http_peer import HttpPeer

TABLE = "steps"
CALLED, HANGING = "called", "hanging"
"""Slugs of the workflows that others call."""
APPROVE, REJECT = "approve", "reject"
_PATIENCE = {"maximumAttempts": 4, "initialIntervalMs": 50, "backoffCoefficient": 1, "hasJitter": False}


@dataclass(frozen=True)
class Shape:
    """A graph, and how its runs end whatever happens to their processes."""

    name: str
    definition: Definition
    status: str
    nodes: Mapping[str, str] = field(default_factory=dict[str, str])
    """How nodes end, by their keys; those that are not named may end as they like."""
    output: Json = None
    """None = not compared."""
    code: str | None = None
    """Why it fails."""
    slug: str | None = None
    writes: tuple[str, ...] = ()
    """Nodes that write a row."""
    by_answer: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, "Mapping[str, str]"])
    """How nodes end, by the action that a person has taken."""
    is_canceled: bool = False
    """Whether it never ends by itself."""

    @property
    def is_own(self) -> bool:
        """Whether runs of it are started, and not only called."""
        return self.slug is None


def shapes(peer: HttpPeer, dice: random.Random) -> list[Shape]:
    """Return shapes of all sorts; those that are called come first."""
    return [
        *_called(peer),
        _chain(peer),
        _fan(peer),
        _diamond(peer),
        *(_drawn(peer, dice, number) for number in range(4)),
        _branch(peer),
        _wait(peer),
        _calling(peer),
        _asking(peer),
        _writing(peer),
        _failing(peer),
        _endless(peer),
        _each(peer),
        _each_writing(),
        _each_calling(),
    ]


def _made(
    nodes: Sequence[dict[str, Any]], edges: Sequence[str], output: Mapping[str, str] | None = None, **settings: Any
) -> Definition:
    written: list[dict[str, str]] = []
    for edge in edges:
        source, _, target = edge.partition(">")
        source, _, port = source.partition(".")
        written.append({"source": source, "sourcePort": port or "out", "target": target})
    mapping = [{"name": name, "value": value} for name, value in (output or {}).items()]
    graph = {"nodes": list(nodes), "edges": written}
    return Definition.model_validate({"graph": graph, "output": mapping, "settings": settings})


def _all(status: str, *keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, status)


def _compute(key: str, value: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "config": {"transform": {"fields": [{"name": "v", "value": value}]}}, **more}


def _chain(peer: HttpPeer) -> Shape:
    nodes = [
        _compute("c0", "{{ input.x + 1 }}"),
        peer.node("c1", "delay=100"),
        _compute("c2", "{{ nodes.c0.output.v + 1 }}"),
        peer.node("c3", "delay=150"),
        _compute("c4", "{{ nodes.c2.output.v + 1 }}"),
        peer.node("c5", "delay=100"),
    ]
    keys = [f"c{place}" for place in range(6)]
    edges = [f"{a}>{b}" for a, b in itertools.pairwise(keys)]
    output = {"v": "{{ nodes.c4.output.v }}", "last": "{{ nodes.c5.output.body.node }}"}
    made = _made(nodes, edges, output)
    return Shape("chain", made, "SUCCEEDED", _all("SUCCEEDED", *keys), {"v": 10, "last": "c5"})


def _fan(peer: HttpPeer) -> Shape:
    middle = [f"m{place}" for place in range(8)]
    nodes = [_compute("a", "{{ input.x }}"), *(peer.node(key, f"delay={40 * n}") for n, key in enumerate(middle))]
    nodes.append(_compute("z", "{{ nodes.m0.output.body.node }}{{ nodes.m7.output.body.node }}"))
    made = _made(nodes, [*(f"a>{key}" for key in middle), *(f"{key}>z" for key in middle)], maxParallelNodes=3)
    return Shape("fan", made, "SUCCEEDED", _all("SUCCEEDED", "a", *middle, "z"), {"z": {"v": "m0m7"}})


def _diamond(peer: HttpPeer) -> Shape:
    flaky = peer.node("b", "fails=2&delay=50", retry=_PATIENCE)
    pause = {"key": "c", "config": {"wait": {"durationMs": 300}}}
    made = _made([peer.node("a", "delay=50"), flaky, pause, _compute("d", "{{ nodes.b.output.body.node }}")],
                 ["a>b", "a>c", "b>d", "c>d"])  # fmt: skip
    return Shape("diamond", made, "SUCCEEDED", _all("SUCCEEDED", *"abcd"), {"d": {"v": "b"}})


def _drawn(peer: HttpPeer, dice: random.Random, number: int) -> Shape:
    """Return a random graph, whose end the oracle foresees."""
    nodes: list[dict[str, Any]] = []
    edges: list[str] = []
    steps: list[Step] = []
    for place in range(dice.randint(5, 10)):
        key = f"n{place}"
        mode = dice.choice(["STOP", "STOP", "CONTINUE", "BRANCH"])
        will_fail = dice.random() < 0.2
        is_wanted = dice.random() > 0.1
        sources = sorted(dice.sample(range(place), min(place, dice.choice([1, 1, 2, 3]))))
        incoming = [(source, _port(dice, steps[source])) for source in sources]
        is_any = len(sources) > 1 and dice.random() < 0.3
        on_error: dict[str, Any] = {"mode": mode}
        if mode == "CONTINUE":
            on_error["defaultOutput"] = 0
        more: dict[str, Any] = {"onError": on_error, "retry": _PATIENCE, "join": "ANY" if is_any else "ALL"}
        if not is_wanted:
            more["when"] = "false"
        query = "end=404" if will_fail else f"delay={dice.randint(0, 200)}&fails={dice.choice([0, 0, 1, 3])}"
        is_call = will_fail or dice.random() < 0.6
        nodes.append(peer.node(key, query, **more) if is_call else _compute(key, "{{ input.x }}", **more))
        edges += [f"n{source}.{port}>{key}" for source, port in incoming]
        steps.append(Step(incoming, is_any, mode, is_wanted, will_fail))
    end = foresee(steps)
    made = _made(nodes, edges, failurePolicy="FINISH_BRANCHES", maxParallelNodes=dice.choice([1, 2, 16]))
    ends = {f"n{place}": status for place, status in enumerate(end.nodes)}
    return Shape(f"drawn{number}", made, end.run, ends, code="HTTP_STATUS" if end.run == "FAILED" else None)


def _port(dice: random.Random, source: Step) -> str:
    return "error" if source.on_error == "BRANCH" and dice.random() < 0.5 else "out"


def _branch(peer: HttpPeer) -> Shape:
    cases = [{"name": "small", "when": "input.x < 5"}, {"name": "large", "when": "input.x >= 5"}]
    nodes = [
        {"key": "size", "config": {"branch": {"cases": cases}}},
        peer.node("few", "delay=50"),
        peer.node("many", "delay=150"),
        _compute("told", "{{ nodes.size.output.case }}"),
    ]
    made = _made(nodes, ["size.small>few", "size.large>many", "few>told", "many>told"])
    ends = {"size": "SUCCEEDED", "few": "SKIPPED", "many": "SUCCEEDED", "told": "SUCCEEDED"}
    return Shape("branch", made, "SUCCEEDED", ends, {"told": {"v": "large"}})


def _wait(peer: HttpPeer) -> Shape:
    pause = {"key": "pause", "config": {"wait": {"durationMs": 3_500}}}  # long enough to leave memory
    made = _made([peer.node("before"), pause, peer.node("after", "delay=100")], ["before>pause", "pause>after"])
    return Shape("wait", made, "SUCCEEDED", _all("SUCCEEDED", "before", "pause", "after"))


def _called(peer: HttpPeer) -> list[Shape]:
    pause = {"key": "pause", "config": {"wait": {"durationMs": 700}}}
    value = _compute("twice", "{{ 2 * input.x }}")
    good = _made([peer.node("work", "delay=200"), pause, value], ["work>pause", "pause>twice"])
    hang = _made([peer.node("hang", "gate=never")], [])
    return [
        Shape(
            CALLED, good, "SUCCEEDED", _all("SUCCEEDED", "work", "pause", "twice"), {"twice": {"v": 14}}, slug=CALLED
        ),
        Shape(HANGING, hang, "CANCELED", slug=HANGING, is_canceled=True),
    ]


def _call(slug: str) -> dict[str, Any]:
    config = {"workflow": slug, "version": {"track": "DRAFT"}, "subInput": {"x": "{{ input.x }}"}}
    return {"key": "call", "config": {"subworkflow": config}}


def _calling(peer: HttpPeer) -> Shape:
    nodes = [peer.node("before", "delay=50"), _call(CALLED), _compute("after", "{{ nodes.call.output.twice.v + 1 }}")]
    made = _made(nodes, ["before>call", "call>after"])
    return Shape("calling", made, "SUCCEEDED", _all("SUCCEEDED", "before", "call", "after"), {"after": {"v": 15}})


def _asking(peer: HttpPeer) -> Shape:
    ask = {"key": "ask", "config": {"approval": {"title": "Well?"}}}
    made = _made([peer.node("before"), ask, peer.node("yes", "delay=50"), _compute("no", "{{ input.x }}")],
                 ["before>ask", "ask.approve>yes", "ask.reject>no"])  # fmt: skip
    both = _all("SUCCEEDED", "before", "ask")
    by_answer = {
        APPROVE: {**both, "yes": "SUCCEEDED", "no": "SKIPPED"},
        REJECT: {**both, "yes": "SKIPPED", "no": "SUCCEEDED"},
    }
    return Shape("asking", made, "SUCCEEDED", by_answer=by_answer)


def _write(key: str) -> dict[str, Any]:
    values = [{"column": "run", "value": "{{ run.id }}"}, {"column": "node", "value": key}]
    return {"key": key, "config": {"dbWrite": {"target": {"dataTable": TABLE}, "values": values}}}


def _writing(peer: HttpPeer) -> Shape:
    keys = ("w1", "w2", "w3")
    nodes = [peer.node("a"), _write("w1"), _write("w2"), peer.node("b", "delay=150"), _write("w3")]
    made = _made(nodes, ["a>w1", "a>w2", "w1>b", "w2>b", "b>w3"])
    return Shape("writing", made, "SUCCEEDED", _all("SUCCEEDED", "a", "b", *keys), writes=keys)


def _failing(peer: HttpPeer) -> Shape:
    more = {"retry": {**_PATIENCE, "maximumAttempts": 2}}
    made = _made([peer.node("a"), peer.node("b", "fails=1000", **more), _compute("c", "{{ input.x }}")], ["a>b", "b>c"])
    return Shape("failing", made, "FAILED", {"a": "SUCCEEDED", "b": "FAILED"}, code="HTTP_STATUS")


def _endless(peer: HttpPeer) -> Shape:
    nodes = [
        peer.node("a", "delay=50"),
        peer.node("hang", "gate=never"),
        _call(HANGING),
        _compute("c", "{{ input.x }}"),
    ]
    made = _made(nodes, ["a>hang", "a>call", "hang>c"])
    return Shape("endless", made, "CANCELED", is_canceled=True)


def _for_each(on_error: str = "FAIL", most: int = 3) -> dict[str, Any]:
    return {"forEach": {"items": "[1, 2, 3, 4, 5]", "maxParallelItems": most, "onItemError": on_error}}


def _each(peer: HttpPeer) -> Shape:
    query = "delay={{ 60 * item }}&fails={{ index % 2 }}&end={{ 404 if index == 2 else 200 }}"
    nodes = [peer.node("each{{ index }}", query, retry=_PATIENCE, **_for_each("DROP")), _compute("all", _BODIES)]
    nodes[0]["key"] = "each"
    made = _made(nodes, ["each>all"])
    output: Json = {"all": {"v": ["each0", "each1", "each3", "each4"]}}
    return Shape("each", made, "SUCCEEDED", _all("SUCCEEDED", "each", "all"), output)


_BODIES = "{{ nodes.each.output | map(attribute='body.node') | list }}"


def _each_writing() -> Shape:
    made = _made([{**_write("w"), **_for_each(most=2)}, _compute("end", "{{ input.x }}")], ["w>end"])
    return Shape("each_writing", made, "SUCCEEDED", _all("SUCCEEDED", "w", "end"), writes=("w",) * 5)


def _each_calling() -> Shape:
    made = _made([{**_call(CALLED), **_for_each()}], [])
    twice: Json = {"twice": {"v": 14}}
    return Shape("each_calling", made, "SUCCEEDED", _all("SUCCEEDED", "call"), {"call": [twice] * 5})
