"""One attempt of a node: condition, configuration, timeouts, the kind's `run`. Both engines use it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from domain.configs import CompiledConfig, compile_config
from domain.errors import NodeFault, TemplateFault
from domain.expressions import Template, compile_expression
from domain.json_codec import encode
from domain.kinds import Output
from domain.run import NO_USAGE, Usage
from domain.texts import storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.data_tables import RowWrite
    from domain.json_value import Json
    from domain.kinds import Config, NodeKind, Result
    from domain.plan import PlanNode
    from runtime.attempt import NodeAttempt

_MAX_CODE: Final = 100
_MAX_MESSAGE: Final = 4_000
_LONGEST_WAIT_S: Final = 86_400.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutableNode:
    """A node ready to run: its kind, its compiled configuration and condition, and which outputs it reads."""

    key: str
    kind: NodeKind
    config: CompiledConfig
    when: Template | None
    reads: tuple[str, ...]
    """Keys of the nodes whose outputs its templates name."""
    start_to_close_s: float | None
    idle_s: float | None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attempt returned; both are JSON known to be storable."""

    output: bytes
    ports: tuple[str, ...]
    input: bytes | None
    usage: Usage = NO_USAGE
    write: RowWrite | None = None
    """Rows to be stored with the node's end; `output` is then not known yet."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed."""

    fault: NodeFault
    input: bytes | None
    usage: Usage = NO_USAGE


def executable(plan_node: PlanNode, kind: NodeKind) -> ExecutableNode:
    """Compile a node.

    Raises:
        TemplateFault: its condition does not parse.
    """
    node = plan_node.node
    config = compile_config(kind, node.values)
    when = None if node.when is None else compile_expression(node.when)
    references = {*config.references, *(when.references if when else ())}
    reads = tuple(sorted({parts[1] for parts in references if parts[0] == "nodes" and len(parts) > 1}))
    start_to_close, idle = node.timeouts.start_to_close_ms, node.timeouts.idle_ms
    return ExecutableNode(
        node.key,
        kind,
        config,
        when,
        reads,
        None if start_to_close is None else start_to_close / 1_000,
        None if idle is None else idle / 1_000,
    )


def is_wanted(node: ExecutableNode, scope: Mapping[str, Json]) -> bool:
    """Whether the node's condition holds; one that cannot be evaluated counts as true, so that the attempt fails."""
    if node.when is None:
        return True
    try:
        return bool(node.when.render(scope))
    except TemplateFault:
        return True


async def execute_node(
    node: ExecutableNode, scope: Mapping[str, Json], attempt: NodeAttempt, time_left_s: float | None
) -> Succeeded | Failed:
    """Run one attempt to its end; `time_left_s` is what is left of `scheduleToClose`.

    Only a cancellation from outside leaves this function as an exception.
    """
    recorded: bytes | None = None
    try:
        if node.config.secret_names:
            scope = {**scope, "secrets": await attempt.secrets(node.config.secret_names)}
        config, recorded = _prepare(node, scope)
        result = await _run_in_time(node, config, attempt, time_left_s)
        usage = result.usage or attempt.usage
        if result.write is not None:
            return Succeeded(b"null", result.ports, recorded, usage, result.write)
        return Succeeded(_encoded(result), result.ports, recorded, usage)
    except Exception as error:  # noqa: BLE001 -- whatever a kind does, its run goes on
        return Failed(_fault(node, error), recorded, attempt.usage)


def execute_pure(node: ExecutableNode, scope: Mapping[str, Json], attempt: NodeAttempt) -> Succeeded | Failed:
    """Run one attempt of a pure kind at once: as `execute_node`, without a task, a timer or a chance to wait."""
    recorded: bytes | None = None
    try:
        config, recorded = _prepare(node, scope)
        work = node.kind.run(config, attempt).__await__()
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return Succeeded(_encoded(result), result.ports, recorded)
        return Failed(NodeFault("INTERNAL_ERROR", f"The pure kind {node.kind.kind} waited."), recorded)
    except Exception as error:  # noqa: BLE001 -- whatever a kind does, its run goes on
        return Failed(_fault(node, error), recorded)


def _prepare(node: ExecutableNode, scope: Mapping[str, Json]) -> tuple[Config, bytes]:
    """Return the rendered configuration and what the node's record shows of it."""
    if node.when is not None:
        node.when.render(scope)
    config, shown = node.config.render_described(scope)
    return config, encode(shown)


def _encoded(result: Result) -> bytes:
    output = result.output
    return encode(output.model_dump(mode="json", by_alias=True) if isinstance(output, Output) else output)


def _fault(node: ExecutableNode, error: Exception) -> NodeFault:
    if isinstance(error, NodeFault):
        return _storable(error)
    if isinstance(error, TemplateFault):
        return _storable(NodeFault("TEMPLATE_ERROR", error.message))
    # A fault of the kind itself: its text may hold anything, so only the log has it.
    _log.error("node.fault", node=node.key, kind=node.kind.kind, exc_info=error)
    return NodeFault("INTERNAL_ERROR", f"The node's kind failed unexpectedly ({type(error).__name__}).")


def _storable(fault: NodeFault) -> NodeFault:
    """Return a fault that can be logged, whatever its kind put into it."""
    wait_s = fault.retry_after_s
    return NodeFault(
        storable(fault.code)[:_MAX_CODE],
        storable(fault.message)[:_MAX_MESSAGE],
        is_retryable=fault.is_retryable,
        retry_after_s=None if wait_s is None or not wait_s > 0 else min(wait_s, _LONGEST_WAIT_S),
    )


async def _run_in_time(node: ExecutableNode, config: Config, attempt: NodeAttempt, time_left_s: float | None) -> Result:
    limits = [limit for limit in (node.start_to_close_s, time_left_s) if limit is not None]
    whole = asyncio.timeout(min(limits, default=None))
    idle = asyncio.timeout(node.idle_s)
    try:
        async with whole, idle:
            if node.idle_s is not None:
                attempt.restart_idle(idle, node.idle_s)
            return await node.kind.run(config, attempt)
    except TimeoutError:
        if idle.expired():
            text = f"Nothing moved for {node.idle_s:g} s."
        elif whole.expired():
            text = f"The attempt took longer than {min(limits):g} s."
        else:
            text = "An outside call of the node took too long."
        raise NodeFault("TIMED_OUT", text, is_retryable=True) from None
