"""One attempt of a node: condition, configuration, timeouts, the kind's `run`. Both engines use it."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import structlog

from domain.configs import CompiledConfig, compile_config
from domain.errors import NodeFault, TemplateFault
from domain.expressions import Template, compile_expression, compile_items
from domain.json_codec import decode, encode, encode_as
from domain.kinds import Output
from domain.rate_limits import NoRoom
from domain.run import NO_USAGE, Usage
from domain.suspensions import Room, Until
from domain.texts import storable
from runtime.hidden import Hidden
from runtime.patience import WAITER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.data_tables import RowWrite
    from domain.json_value import Json
    from domain.kinds import Config, NodeKind, Result
    from domain.plan import PlanNode
    from domain.suspensions import Answer, Suspension
    from runtime.attempt import NodeAttempt

_MAX_CODE: Final = 100
_MAX_MESSAGE: Final = 4_000
_LEAST_S: Final = 0.001
_LONGEST_WAIT_S: Final = 86_400.0
MAX_ITEMS: Final = 10_000
"""How many items a `forEach` may have."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutableNode:
    """A node ready to run: its kind, its compiled configuration and condition, and which outputs it reads."""

    key: str
    kind: NodeKind
    config: CompiledConfig
    when: Template | None
    items: Template | None
    """What gives the list of its `forEach`."""
    reads: tuple[str, ...]
    """Keys of the nodes whose outputs its templates name."""
    reads_input: bool
    """Whether they name the run's input."""
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
class Suspended:
    """The attempt waits for something without being at work."""

    suspension: Suspension | Room
    input: bytes | None
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed."""

    fault: NodeFault
    input: bytes | None
    usage: Usage = NO_USAGE


Outcome: TypeAlias = Succeeded | Suspended | Failed


def executable(plan_node: PlanNode, kind: NodeKind) -> ExecutableNode:
    """Compile a node.

    Raises:
        TemplateFault: its condition, or what gives its list, does not parse.
    """
    node = plan_node.node
    config = compile_config(kind, node.values)
    when = None if node.when is None else compile_expression(node.when)
    items = None if node.for_each is None else compile_items(node.for_each.items)
    references = {*config.references, *(when.references if when else ()), *(items.references if items else ())}
    reads = tuple(sorted({parts[1] for parts in references if parts[0] == "nodes" and len(parts) > 1}))
    start_to_close, idle = node.timeouts.start_to_close_ms, node.timeouts.idle_ms
    return ExecutableNode(
        node.key,
        kind,
        config,
        when,
        items,
        reads,
        any(parts[0] == "input" for parts in references),
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


def expand_node(node: ExecutableNode, scope: Mapping[str, Json]) -> Sequence[Json] | Failed:
    """Return the list of a `forEach`, or why the node fails without one."""
    try:
        if node.when is not None:
            node.when.render(scope)
        return expand(node, scope)
    except Exception as error:  # noqa: BLE001 -- as with an attempt
        return Failed(_fault(node, error), None)


def expand(node: ExecutableNode, scope: Mapping[str, Json]) -> Sequence[Json]:
    """Return the list of a `forEach`.

    Raises:
        TemplateFault: it cannot be evaluated.
        NodeFault: `INVALID_ITEMS` where it is no list, `TOO_MANY_ITEMS`.
    """
    assert node.items is not None  # noqa: S101 -- asked of nodes with `forEach` alone
    found = node.items.render(scope)
    if not isinstance(found, list | tuple):
        was = next((word for types, word in _JSON_WORDS if isinstance(found, types)), "an object")
        raise NodeFault("INVALID_ITEMS", f"The `items` of `forEach` gave {was}; give it a list.")
    items = cast("Sequence[Json]", found)
    if len(items) > MAX_ITEMS:
        text = f"The list of `forEach` has {len(items):,} items; at most {MAX_ITEMS:,} are allowed."
        raise NodeFault("TOO_MANY_ITEMS", text)
    return items


_JSON_WORDS: Final = (
    (type(None), "null"),
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
)


async def execute_node(
    node: ExecutableNode, scope: Mapping[str, Json], attempt: NodeAttempt, time_left_s: float | None
) -> Outcome:
    """Run one attempt to its end; `time_left_s` is what is left of `scheduleToClose`.

    Only a cancellation from outside leaves this function as an exception.
    """
    try:
        result = await _run_in_time(node, scope, attempt, time_left_s)
        outcome = _outcome(node, result, attempt.recorded, result.usage or attempt.usage)
        return _masked(outcome, attempt.hidden) if attempt.hidden and isinstance(outcome, Succeeded) else outcome
    except NoRoom as fault:
        until = None if fault.retry_after_s is None else datetime.now(UTC) + timedelta(seconds=fault.retry_after_s)
        return Suspended(Room(until), attempt.recorded, attempt.usage)
    except GeneratorExit:
        raise
    except BaseException as error:  # whatever a kind does, SystemExit too, its run and the process go on
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        return Failed(_fault(node, error, attempt.hidden), attempt.recorded, attempt.usage)


def _masked(outcome: Succeeded, hidden: Hidden) -> Succeeded:
    output = decode(outcome.output)
    shown = hidden.json(output)
    return outcome if shown == output else replace(outcome, output=encode(shown))


def execute_pure(node: ExecutableNode, scope: Mapping[str, Json], attempt: NodeAttempt) -> Outcome:
    """Run one attempt of a pure kind at once: as `execute_node`, without a task, a timer or a chance to wait."""
    recorded: bytes | None = None
    try:
        config, recorded = _prepare(node, scope)
        work = node.kind.run(config, attempt).__await__()
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            if result.suspension is None or isinstance(result.suspension, Until):
                return _outcome(node, result, recorded, NO_USAGE)
        return Failed(NodeFault("INTERNAL_ERROR", f"The pure kind {node.kind.kind} waited."), recorded)
    except BaseException as error:  # noqa: BLE001 -- even a SystemExit or a cancellation can only be the kind's own here
        return Failed(_fault(node, error), recorded)


def resume_node(node: ExecutableNode, answer: Answer) -> Succeeded | Failed:
    """Make the end of a node that waited of the answer that came."""
    try:
        assert node.kind.resume is not None  # noqa: S101 -- else it would not have been suspended
        result = node.kind.resume(answer)
        return Succeeded(_encoded(result), result.ports, None, result.usage or NO_USAGE)
    except Exception as error:  # noqa: BLE001 -- whatever a kind does, its run goes on
        return Failed(_fault(node, error), None, getattr(answer, "usage", NO_USAGE))


def _outcome(node: ExecutableNode, result: Result, recorded: bytes | None, usage: Usage) -> Outcome:
    if result.suspension is not None:
        if node.kind.resume is None:
            raise TypeError(f"{node.kind.kind} suspends, but has no `resume`")
        return Suspended(result.suspension, recorded, usage)
    if result.write is not None:
        return Succeeded(b"null", result.ports, recorded, usage, result.write)
    return Succeeded(_encoded(result), result.ports, recorded, usage)


def _prepare(node: ExecutableNode, scope: Mapping[str, Json]) -> tuple[Config, bytes]:
    """Return the rendered configuration and what the node's record shows of it."""
    if node.when is not None and node.items is None:  # else it was asked before the list was
        node.when.render(scope)
    config, shown = node.config.render_described(scope)
    return config, encode_as("input", "INVALID_INPUT", shown)


def _encoded(result: Result) -> bytes:
    output = result.output
    return encode(output.model_dump(mode="json", by_alias=True) if isinstance(output, Output) else output)


def _is_cancelled() -> bool:
    """Whether somebody asked the current task to stop; a kind may also raise CancelledError of its own accord."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _fault(node: ExecutableNode, error: BaseException, hidden: Hidden | None = None) -> NodeFault:
    hidden = hidden or Hidden()
    if isinstance(error, NodeFault):
        return _storable(error, hidden)
    if isinstance(error, TemplateFault):
        return _storable(NodeFault("TEMPLATE_ERROR", error.message), hidden)
    # A fault of the kind itself: its text may hold anything, so only the log has it, and without secrets.
    told = hidden.text("".join(traceback.format_exception(error)).rstrip())
    _log.error("node.fault", node=node.key, kind=node.kind.kind, exception=told)
    return NodeFault("INTERNAL_ERROR", f"The node's kind failed unexpectedly ({type(error).__name__}).")


def _storable(fault: NodeFault, hidden: Hidden) -> NodeFault:
    """Return a fault that can be logged, whatever its kind put into it."""
    wait_s = fault.retry_after_s
    return NodeFault(
        storable(hidden.text(fault.code))[:_MAX_CODE],
        storable(hidden.text(fault.message))[:_MAX_MESSAGE],
        is_retryable=fault.is_retryable,
        retry_after_s=None if wait_s is None or not wait_s > 0 else min(wait_s, _LONGEST_WAIT_S),
    )


async def _run_in_time(
    node: ExecutableNode, scope: Mapping[str, Json], attempt: NodeAttempt, time_left_s: float | None
) -> Result:
    limits = [limit for limit in (node.start_to_close_s, time_left_s) if limit is not None]
    whole = asyncio.timeout(min(limits, default=None))
    idle = asyncio.timeout(node.idle_s)
    standing = WAITER.set(attempt)
    try:
        async with whole, idle:
            attempt.clocks.start(whole, node.start_to_close_s, time_left_s)
            if node.idle_s is not None:
                attempt.clocks.start_idle(idle, node.idle_s)
            if node.config.secret_names:
                scope = {**scope, "secrets": await attempt.secrets(node.config.secret_names)}
            config, attempt.recorded = _prepare(node, scope)
            return await node.kind.run(config, attempt)
    except TimeoutError:
        if idle.expired():
            text = f"Nothing moved for {_span(node.idle_s or 0.0)}."
        elif whole.expired():
            is_late = min(limits) < _LEAST_S  # so little only what is left of a time can be
            told = f"The attempt took longer than {_span(min(limits))}."
            text = "The time of all attempts was over before this one began." if is_late else told
        else:
            text = "An outside call of the node took too long."
        raise NodeFault("TIMED_OUT", text, is_retryable=True) from None
    finally:
        WAITER.reset(standing)


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1_000:.0f} ms"
