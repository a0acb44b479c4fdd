"""What a run may spend on models: when it is spent, no further call begins."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from domain.errors import NodeFault
from domain.run import MIXED_CURRENCY

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from domain.ports.outbound import ChatDelta, ChatEnd, ChatModel, ChatRequest
    from domain.run import Usage
    from domain.schedule import State


class Allowance:
    """The limits of one run, and what it has used of them."""

    __slots__ = ("_max_cost", "_max_tokens", "_used")

    def __init__(self, max_tokens: int | None, max_cost: Decimal | None, used: Callable[[], Usage]) -> None:
        self._max_tokens = max_tokens
        self._max_cost = max_cost
        self._used = used

    @property
    def is_costed(self) -> bool:
        """Whether the cost is limited, so that only models with a known price may be asked."""
        return self._max_cost is not None

    def check(self, more: Usage) -> None:
        """Refuse another call of a model, where `more` is what the run does not know of yet.

        Raises:
            NodeFault: `TOKENS_EXHAUSTED`, `COST_EXHAUSTED`; `PRICE_UNKNOWN` where costs of different currencies make no sum.
        """
        used = self._used() + more
        if self._max_tokens is not None and used.total_tokens >= self._max_tokens:
            message = (
                f"The run has used {used.total_tokens} tokens; its workflow allows {self._max_tokens} (`maxTokens`)."
            )
            raise NodeFault("TOKENS_EXHAUSTED", message)
        if self._max_cost is not None and used.currency == MIXED_CURRENCY:
            message = (
                "The run has costs in different currencies, which cannot be compared with what its workflow allows "
                "(`maxCost`): give the prices of all models that it uses in one currency."
            )
            raise NodeFault("PRICE_UNKNOWN", message)
        if self._max_cost is not None and used.cost is not None and used.cost >= self._max_cost:
            message = (
                f"The run has cost {used.cost:f} {used.currency}; its workflow allows {self._max_cost:f} (`maxCost`)."
            )
            raise NodeFault("COST_EXHAUSTED", message)


class LimitedModel:
    """A model that is asked only while the run may spend more; implements `ChatModel` of the ports."""

    def __init__(self, model: ChatModel, allowance: Allowance, used: Callable[[], Usage]) -> None:
        self._model = model
        self._allowance = allowance
        self._used = used

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        """Ask and yield the answer as it comes.

        Raises:
            NodeFault: as the model's own, and as `Allowance.check`.
        """
        self._allowance.check(self._used())
        asked = replace(request, must_be_priced=self._allowance.is_costed)
        stream = cast("AsyncGenerator[ChatDelta | ChatEnd]", self._model.stream(asked))
        async with aclosing(stream):
            async for part in stream:
                yield part


def allowance_of(state: State) -> Allowance | None:
    """Return what a run may spend; None without limits."""
    settings = state.plan.settings
    if settings.max_tokens is None and settings.max_cost is None:
        return None
    max_cost = None if settings.max_cost is None else Decimal(settings.max_cost)
    return Allowance(settings.max_tokens, max_cost, lambda: state.usage)
