from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from domain.errors import DatabaseUnavailable, NodeFault
from domain.ids import WorkspaceId
from domain.kinds import Output, Result
from domain.plan import compile_plan
from domain.run import NO_USAGE, Usage
from runtime.attempt import NodeAttempt
from runtime.deltas import DeltaStream
from runtime.execute import Failed, Succeeded, executable, execute_node, execute_pure, is_wanted
from runtime.nodes.transform import KIND as TRANSFORM
from tests.support.engines import NoServices
from tests.support.kinds import graph, script
from tests.support.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.events import NodeOutputDelta
    from domain.kinds import NodeContext
    from runtime.execute import ExecutableNode, Outcome
    from tests.support.kinds import Step

WORKSPACE = WorkspaceId(uuid7())


class Secretive(NoServices):
    """Services with one secret, behind a database that is away at first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: list[frozenset[str]] = []

    async def secrets(self, workspace_id: WorkspaceId, names: frozenset[str]) -> Mapping[str, str]:
        """Return the secret."""
        assert workspace_id == WORKSPACE
        self.asked.append(names)
        if len(self.asked) <= self.failures:
            raise DatabaseUnavailable
        return {"KEY": "hush"}


def node(step: Step | None = None, **options: Any) -> ExecutableNode:
    kind = script() if step is None else script(a=step)
    return executable(compile_plan(graph({"a": options})).nodes[0], kind)


async def executed(
    one: ExecutableNode,
    scope: Mapping[str, Any] | None = None,
    *,
    time_left_s: float | None = None,
    services: NoServices | None = None,
) -> Outcome:
    attempt = NodeAttempt(services or NoServices(), WORKSPACE, "run/a/-", None)
    return await execute_node(one, scope or {"input": None, "nodes": {}}, attempt, time_left_s)


def fault_of(outcome: Outcome) -> tuple[str, str, bool]:
    assert isinstance(outcome, Failed)
    return outcome.fault.code, outcome.fault.message, outcome.fault.is_retryable


async def test_a_node_gets_its_rendered_configuration_and_its_output_is_json() -> None:
    outcome = await executed(node(value="{{ input.n + 1 }}"), {"input": {"n": 4}})
    assert outcome == Succeeded(b"5", ("out",), b'{"step":"a","value":5}')


async def test_a_declared_output_is_written_as_its_model_says() -> None:
    class Answer(Output):
        """An answer."""

        was_found: bool
        """Whether."""

    async def step(_: NodeContext) -> Result:
        return Result(Answer(was_found=True), ("left", "right"), Usage(1, 2, 3))

    outcome = await executed(node(step))
    assert outcome == Succeeded(b'{"wasFound":true}', ("left", "right"), b'{"step":"a","value":null}', Usage(1, 2, 3))


async def test_what_an_attempt_used_is_told_when_it_fails_as_well() -> None:
    async def step(ctx: NodeContext) -> None:
        ctx.used(Usage(1, 2, 3))
        raise NodeFault("BROKEN", "No.", is_retryable=True, retry_after_s=7)

    outcome = await executed(node(step))
    assert isinstance(outcome, Failed)
    assert (outcome.usage, outcome.fault.retry_after_s) == (Usage(1, 2, 3), 7)
    assert outcome.input == b'{"step":"a","value":null}'
    assert fault_of(outcome) == ("BROKEN", "No.", True)


@pytest.mark.parametrize("output", ["a\0b", "\ud800", {"x": ["\udfff"]}, {"\0": 1}, float("nan"), 2**64, object()])
async def test_an_output_that_cannot_be_stored_is_the_nodes_failure(output: object) -> None:
    async def step(_: NodeContext) -> object:
        return output

    code, message, is_retryable = fault_of(await executed(node(step)))
    assert (code, is_retryable) == ("INVALID_OUTPUT", False)
    assert message.startswith("output")
    message.encode()
    assert "\0" not in message


async def test_an_input_that_cannot_be_stored_is_the_nodes_failure() -> None:
    code, message, _ = fault_of(await executed(node(value="{{ input }}"), {"input": {"x": "a\0"}}))
    assert message == "input.value.x contains the character U+0000, which cannot be stored."
    assert code == "INVALID_INPUT"


async def test_the_text_of_a_failure_can_be_stored_whatever_the_kind_wrote() -> None:
    async def step(_: NodeContext) -> None:
        raise NodeFault("A\0B", "x\0y\ud800z" + "long" * 10_000, is_retryable=True, retry_after_s=float("inf"))

    outcome = await executed(node(step))
    code, message, is_retryable = fault_of(outcome)
    assert (code, message[:5], is_retryable) == ("A\ufffdB", "x\ufffdy\ufffdz", True)
    assert len(message) == 4_000
    assert isinstance(outcome, Failed)
    assert outcome.fault.retry_after_s == 86_400


async def test_a_fault_of_the_kind_itself_is_logged_and_its_text_kept_from_the_run() -> None:
    async def step(_: NodeContext) -> None:
        raise ValueError("hush")

    with capture_logs() as logs:
        outcome = await executed(node(step))
    assert fault_of(outcome) == ("INTERNAL_ERROR", "The node's kind failed unexpectedly (ValueError).", False)
    assert [(entry["event"], entry["node"]) for entry in logs] == [("node.fault", "a")]


async def test_a_template_that_cannot_be_rendered_is_the_nodes_failure() -> None:
    code, message, is_retryable = fault_of(await executed(node(value="{{ input.x.y }}"), {"input": {}}))
    assert (code, is_retryable) == ("TEMPLATE_ERROR", False)
    assert "config.script.value" in message


async def test_a_condition_that_cannot_be_evaluated_lets_the_attempt_fail() -> None:
    one = node(when="input.x.y > 1")
    assert is_wanted(one, {"input": {}})
    assert fault_of(await executed(one, {"input": {}}))[0] == "TEMPLATE_ERROR"
    assert not is_wanted(one, {"input": {"x": {"y": 1}}})
    assert is_wanted(one, {"input": {"x": {"y": 2}}})


async def test_secrets_reach_the_kind_and_are_masked_in_what_is_recorded() -> None:
    services = Secretive()
    outcome = await executed(node(value={"token": "Bearer {{ secrets.KEY }}"}), services=services)
    assert outcome == Succeeded(
        b'{"token":"Bearer hush"}', ("out",), '{"step":"a","value":{"token":"Bearer •••"}}'.encode()
    )
    assert services.asked == [frozenset({"KEY"})]


def test_a_database_that_is_away_is_waited_for() -> None:
    async def work() -> None:
        services = Secretive(failures=20)
        outcome = await executed(node(value="{{ secrets.KEY }}"), services=services)
        assert isinstance(outcome, Succeeded)
        assert outcome.output == b'"hush"'
        assert len(services.asked) == 21
        assert asyncio.get_running_loop().time() == pytest.approx(10)

    run_virtually(work())


# ── timeouts ──


def timed(step: Step, timeouts: dict[str, int], expected_s: float, message: str, **more: Any) -> None:
    """Check that an attempt is ended by a timeout at this time, with this message."""

    async def work() -> None:
        outcome = await executed(node(step, timeouts=timeouts), **more)
        assert fault_of(outcome) == ("TIMED_OUT", message, True)
        assert asyncio.get_running_loop().time() == pytest.approx(expected_s)

    run_virtually(work())


async def forever(_: NodeContext) -> None:
    await asyncio.Event().wait()


def test_an_attempt_ends_at_start_to_close() -> None:
    timed(forever, {"startToCloseMs": 2_500}, 2.5, "The attempt took longer than 2.5 s.")


def test_a_time_of_less_than_a_second_is_told_in_milliseconds() -> None:
    timed(forever, {"startToCloseMs": 250}, 0.25, "The attempt took longer than 250 ms.")
    timed(forever, {"idleMs": 40}, 0.04, "Nothing moved for 40 ms.")


@pytest.mark.parametrize(("timeouts", "text"), [({"startToCloseMs": 1}, "1 ms"), ({}, "300 s")])
def test_a_database_that_hangs_while_secrets_are_read_ends_in_a_timeout(timeouts: dict[str, int], text: str) -> None:
    class Hanging(NoServices):
        async def secrets(self, workspace_id: WorkspaceId, names: frozenset[str]) -> Mapping[str, str]:
            await asyncio.Event().wait()
            raise AssertionError

    async def work() -> None:
        outcome = await executed(node(value="{{ secrets.KEY }}", timeouts=timeouts), services=Hanging())
        assert fault_of(outcome) == ("TIMED_OUT", f"The attempt took longer than {text}.", True)

    run_virtually(work())


def test_an_attempt_ends_when_the_time_of_all_attempts_is_over() -> None:
    message = "The attempt took longer than 1.5 s."
    timed(forever, {"startToCloseMs": 2_500, "scheduleToCloseMs": 9_000}, 1.5, message, time_left_s=1.5)


def test_an_attempt_without_time_left_fails_at_once() -> None:
    timed(
        forever,
        {"scheduleToCloseMs": 9_000},
        0,
        "The time of all attempts was over before this one began.",
        time_left_s=0.0,
    )


def test_an_attempt_in_which_nothing_moves_ends_at_the_idle_timeout() -> None:
    async def step(ctx: NodeContext) -> None:
        for _ in range(5):
            await asyncio.sleep(0.9)
            ctx.progress()
        await ctx.emit("text moves as well")
        await asyncio.sleep(0.9)
        await ctx.emit("again")
        await forever(ctx)

    timed(step, {"startToCloseMs": 60_000, "idleMs": 1_000}, 5 * 0.9 + 0.9 + 1, "Nothing moved for 1 s.")


def test_an_outside_call_that_takes_too_long_is_told_apart_from_the_nodes_own_limits() -> None:
    async def step(_: NodeContext) -> None:
        async with asyncio.timeout(3):
            await asyncio.Event().wait()

    timed(step, {"startToCloseMs": 5_000, "idleMs": 4_000}, 3, "An outside call of the node took too long.")


async def test_a_cancellation_from_outside_is_no_outcome() -> None:
    begun = asyncio.Event()

    async def step(_: NodeContext) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(executed(node(step)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ── what a node streams, and pure kinds ──


async def test_what_a_node_emits_goes_to_its_stream() -> None:
    async def step(ctx: NodeContext) -> str:
        assert ctx.idempotency_key == "run/a/-"
        await ctx.emit("é")
        return "é"

    sent: list[NodeOutputDelta] = []
    stream = DeltaStream("a", None, 1, sent.append)
    attempt = NodeAttempt(NoServices(), WORKSPACE, "run/a/-", stream)
    assert isinstance(await execute_node(node(step), {}, attempt, None), Succeeded)
    assert [delta.text for delta in sent] == ["é"]


def test_a_pure_kind_runs_without_a_loop() -> None:
    one = executable(compile_plan(transform("{{ input * 2 }}")).nodes[0], TRANSFORM)
    attempt = NodeAttempt(NoServices(), WORKSPACE, "", None)
    outcome = execute_pure(one, {"input": 21}, attempt)
    assert isinstance(outcome, Succeeded)
    assert (outcome.output, outcome.usage) == (b'{"x":42}', NO_USAGE)
    failed = execute_pure(one, {"input": "x"}, attempt)
    assert fault_of(failed)[0] == "TEMPLATE_ERROR"


def test_a_pure_kind_that_waits_fails_its_node() -> None:
    async def step(_: NodeContext) -> None:
        await asyncio.sleep(0)

    outcome = execute_pure(node(step), {}, NodeAttempt(NoServices(), WORKSPACE, "", None))
    assert fault_of(outcome) == ("INTERNAL_ERROR", "The pure kind SCRIPT waited.", False)


def transform(value: str) -> Any:
    return graph({}).model_validate(
        {"graph": {"nodes": [{"key": "t", "config": {"transform": {"fields": [{"name": "x", "value": value}]}}}]}}
    )
