"""A node kind whose work a test writes, and graphs of such nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from domain.kinds import JSON_FIELD, SECRET_CAPABLE, STATIC, Config, NodeContext, NodeKind, Result
from domain.run import Usage
from domain.workflow import Definition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domain.errors import NodeFault

    Step = Callable[[NodeContext], Awaitable[Any]]


class ScriptConfig(Config):
    """Which of the test's functions is run."""

    step: Annotated[str, STATIC]
    """Its name."""
    value: Annotated[Any, JSON_FIELD, SECRET_CAPABLE] = None
    """A value that is rendered."""


def script(**steps: Step) -> NodeKind:
    """Make a kind that runs the function named in a node's configuration; without one it returns `value`."""

    async def run(config: ScriptConfig, ctx: NodeContext) -> Result:
        step = steps.get(config.step)
        output = config.value if step is None else await step(ctx)
        return output if isinstance(output, Result) else Result(output)

    return NodeKind(
        kind="SCRIPT",
        name="script",
        title="Script",
        description="What a test wants.",
        config=ScriptConfig,
        output=None,
        run=run,
    )


def graph(
    nodes: dict[str, dict[str, Any]] | str, *edges: str, output: dict[str, Any] | None = None, **settings: object
) -> Definition:
    """Make a definition: nodes by key (what is not given runs the step of the same name), edges as `a>b`, `a.error>b`."""
    by_key: dict[str, dict[str, Any]] = {key: {} for key in nodes.split()} if isinstance(nodes, str) else nodes
    written: list[dict[str, Any]] = []
    for key, more in by_key.items():
        config = {"script": {"step": more.get("step", key), "value": more.get("value")}}
        rest = {name: value for name, value in more.items() if name not in {"step", "value"}}
        written.append({"key": key, "config": config, **rest})
    made: list[dict[str, str]] = []
    for edge in edges:
        source, _, target = edge.partition(">")
        source, _, port = source.partition(".")
        made.append({"source": source, "sourcePort": port or "out", "target": target})
    mapping: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in (output or {}).items()]
    return Definition.model_validate(
        {"graph": {"nodes": written, "edges": made}, "output": mapping, "settings": settings}
    )


def retry(attempts: int = 3, interval_ms: int = 1) -> dict[str, Any]:
    """Return a retry policy without chance."""
    return {"maximumAttempts": attempts, "initialIntervalMs": interval_ms, "backoffCoefficient": 1, "hasJitter": False}


async def forever(_: NodeContext) -> None:
    """Never return."""
    await asyncio.Event().wait()


def failing(times: int, fault: NodeFault, then: object = "fine") -> Step:
    """Make a step whose first attempts fail; attempt n uses n tokens, the good one 10."""
    count = 0

    async def step(ctx: NodeContext) -> object:
        nonlocal count
        count += 1
        ctx.used(Usage(count, 0, count))
        if count <= times:
            raise fault
        return Result(then, usage=Usage(10, 0, 10))

    return step
