from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import NodeFault
from domain.suspensions import Due, Until
from domain.validation import ANY_NAMES, check
from domain.workflow import Definition
from runtime.nodes.wait import KIND, WaitConfig, WaitOutput, resume, run
from runtime.registry import Registry
from tests.support.node_context import RecordingContext


async def awaited(config: WaitConfig) -> datetime:
    result = await run(config, RecordingContext())
    assert isinstance(result.suspension, Until)
    return result.suspension.at


async def test_a_duration_is_counted_from_the_attempt() -> None:
    before = datetime.now(UTC)
    at = await awaited(WaitConfig(duration_ms=60_000))
    assert before + timedelta(minutes=1) <= at <= datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-12-24T18:00:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        (" 2026-12-24T18:00:00.5+01:00 ", datetime(2026, 12, 24, 17, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
async def test_a_time_is_awaited_wherever_it_was_written(text: str, at: datetime) -> None:
    assert await awaited(WaitConfig(until=text)) == at


@pytest.mark.parametrize(
    "text", ["", "soon", "99999-01-01T00:00:00Z", "2026-12-24T18:00:00", "9999-12-31T23:59:59-23:00", "\0"]
)
async def test_what_is_no_instant_fails_with_its_code(text: str) -> None:
    with pytest.raises(NodeFault) as caught:
        await run(WaitConfig(until=text), RecordingContext())
    assert (caught.value.code, caught.value.is_retryable) == ("INVALID_TIME", False)


def test_the_end_tells_when_it_was() -> None:
    result = resume(Due(datetime(2026, 12, 24, 18, tzinfo=UTC)))
    assert result.output == WaitOutput(resumed_at="2026-12-24T18:00:00.000Z")


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, ("config", "wait")),
        ({"durationMs": 1, "until": "{{ input }}"}, ("config", "wait")),
        ({"durationMs": -1}, ("config", "wait", "durationMs")),
        ({"durationMs": 10**30}, ("config", "wait", "durationMs")),
        ({"until": "tomorrow"}, ("config", "wait", "until")),
        ({"until": "99999-01-01T00:00:00Z"}, ("config", "wait", "until")),
        ({"until": "9999-12-31T23:59:59-23:00"}, ("config", "wait", "until")),
    ],
)
def test_a_wait_for_nothing_or_for_two_things_is_a_problem(config: dict[str, object], path: tuple[str, ...]) -> None:
    definition = Definition.model_validate({"graph": {"nodes": [{"key": "a", "config": {"wait": config}}]}})
    (problem,) = check(definition, Registry().names, ANY_NAMES)
    assert problem.is_error
    assert tuple(problem.path)[-len(path) :] == path


def test_a_template_of_a_time_is_looked_at_when_it_is_rendered() -> None:
    graph = {"nodes": [{"key": "a", "config": {"wait": {"until": "{{ input.at }}"}}}]}
    assert check(Definition.model_validate({"graph": graph}), {"wait": KIND}, ANY_NAMES) == []
