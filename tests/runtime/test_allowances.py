from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, cast

import pytest

from domain.errors import NodeFault
from domain.plan import compile_plan
from domain.ports.outbound import ChatDelta, ChatEnd, ChatMessage, ChatRequest
from domain.run import NO_USAGE, DeltaChannel, Usage
from domain.schedule import begin
from runtime.allowances import LimitedModel, allowance_of
from tests.support.kinds import graph

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from runtime.allowances import Allowance

ASK = ChatRequest([ChatMessage("user", "Hi")])


class Echo:
    """A model that remembers what it is asked."""

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []
        self.is_closed = False

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        self.asked.append(request)
        try:
            yield ChatDelta("x", DeltaChannel.TEXT)
            yield ChatEnd("stop", NO_USAGE, "m")
        finally:
            self.is_closed = True


def limited(limits: dict[str, object], used: Usage = NO_USAGE, more: Usage = NO_USAGE) -> tuple[Echo, LimitedModel]:
    state = begin(compile_plan(graph("a", output=None, **limits)))
    state.usage = used
    model = Echo()
    return model, LimitedModel(model, cast("Allowance", allowance_of(state)), lambda: more)


async def ask(model: LimitedModel) -> str | None:
    try:
        assert [part async for part in model.stream(ASK)]
    except NodeFault as fault:
        return f"{fault.code}, again" if fault.is_retryable else fault.code
    return None


def cost(amount: str) -> Usage:
    return Usage(1, 1, 2, Decimal(amount), "USD")


@pytest.mark.parametrize(
    ("used", "more", "limits", "code"),
    [
        (Usage(50, 49, 99), NO_USAGE, {"maxTokens": 100}, None),
        (Usage(50, 50, 100), NO_USAGE, {"maxTokens": 100}, "TOKENS_EXHAUSTED"),
        (Usage(50, 0, 50), Usage(0, 50, 50), {"maxTokens": 100}, "TOKENS_EXHAUSTED"),
        (cost("0.0999"), NO_USAGE, {"maxCost": "0.1"}, None),
        (cost("0.0999"), cost("0.0001"), {"maxCost": "0.1"}, "COST_EXHAUSTED"),
        (Usage(9, 9, 18), NO_USAGE, {"maxCost": "0.1"}, None),
        (NO_USAGE, NO_USAGE, {"maxCost": "0"}, None),
        (cost("0.1"), NO_USAGE, {"maxTokens": 3, "maxCost": "0.2"}, None),
    ],
)
async def test_no_call_begins_when_the_run_has_used_what_it_may(
    used: Usage, more: Usage, limits: dict[str, object], code: str | None
) -> None:
    model, guarded = limited(limits, used, more)
    assert await ask(guarded) == code
    assert len(model.asked) == (code is None)


async def test_only_where_the_cost_is_limited_the_model_must_have_a_price() -> None:
    cases: list[tuple[dict[str, object], bool]] = [({"maxCost": "1"}, True), ({"maxTokens": 1}, False)]
    for limits, must in cases:
        model, guarded = limited(limits)
        await ask(guarded)
        assert [request.must_be_priced for request in model.asked] == [must]


def test_a_run_without_limits_has_no_allowance_to_look_at() -> None:
    assert allowance_of(begin(compile_plan(graph("a")))) is None


async def test_whoever_stops_listening_closes_the_call_at_once() -> None:
    model, guarded = limited({"maxTokens": 1})
    async with aclosing(cast("AsyncGenerator[ChatDelta | ChatEnd]", guarded.stream(ASK))) as stream:
        await anext(stream)
        assert not model.is_closed
    assert model.is_closed
