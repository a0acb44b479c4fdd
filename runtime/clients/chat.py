"""Model APIs in the manner of OpenAI's: the `openai` client, streaming, behind the guard, without retries of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import openai

from domain.bounds import LARGEST
from domain.errors import NodeFault
from domain.ports.outbound import ChatDelta, ChatEnd
from domain.prices import NO_PRICES, PriceList
from domain.run import NO_USAGE, DeltaChannel, Usage
from runtime.clients.openai_faults import OpenaiFaults, as_model_fault
from runtime.clients.openai_transport import open_client
from runtime.hidden import Hidden

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai.types.chat import ChatCompletionChunk

    from domain.ports.outbound import ChatRequest, HttpClient

_HIGH_SURROGATE = re.compile("[\ud800-\udbff]\\Z")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_REASONING_FIELDS = ("reasoning_content", "reasoning")


class OpenaiChatModel:
    """A model API at one address with one key; implements `ChatModel` of the ports."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        default_model: str | None,
        http: HttpClient,
        prices: PriceList = NO_PRICES,
    ) -> None:
        self._default_model = default_model
        self._prices = prices
        self._client = open_client(base_url, api_key, http)
        self._hidden = Hidden([api_key])
        self._faults = OpenaiFaults(self._hidden)

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        """Ask and yield the answer as it comes; closing the iterator closes the connection at once.

        Raises:
            NodeFault: `NO_MODEL`, `PRICE_UNKNOWN`, `MODEL_REFUSED`, `MODEL_UNAVAILABLE`, `RATE_LIMITED`,
                `INVALID_RESPONSE`, `TIMED_OUT`, `ADDRESS_REFUSED`, `INVALID_URL`.
        """
        model = request.model or self._default_model
        if model is None:
            raise NodeFault("NO_MODEL", "No model is named: set `model` in the node, or the connection's default.")
        if request.must_be_priced and self._prices.find(model) is None:
            text = (
                f"The workflow limits what a run may cost, and no price of {model} is known: set it in `prices` of the "
                "connection, or in ANABRANCH_LLM__PRICES."
            )
            raise NodeFault("PRICE_UNKNOWN", text)
        answer = _Answer(model, self._prices, self._hidden)
        try:
            stream = cast(
                "openai.AsyncStream[ChatCompletionChunk]",
                await self._client.chat.completions.create(**_arguments(request, model)),
            )
            async with stream:
                async for chunk in stream:
                    for delta in answer.take(chunk):
                        yield delta
                    if answer.has_usage:
                        break  # nothing comes behind the usage; some servers are slow to close
        except openai.OpenAIError as error:
            raise self._faults.of(error) from None
        except NodeFault as fault:
            raise as_model_fault(fault) from None
        except (ValueError, TypeError, AttributeError):  # json, or a shape that is none of a chunk
            raise NodeFault("INVALID_RESPONSE", "The model's stream cannot be read.", is_retryable=True) from None
        for delta in answer.rest():
            yield delta
        yield answer.end()


class _Answer:
    """An answer as it grows."""

    def __init__(self, model: str, prices: PriceList, hidden: Hidden) -> None:
        self._hidden = hidden
        self._model = self._asked = model
        self._prices = prices
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._held: dict[DeltaChannel, str] = {}

    @property
    def has_usage(self) -> bool:
        """Whether the stream has told what was used, and that it is finished."""
        return self._usage is not None and self._finish_reason is not None

    def take(self, chunk: ChatCompletionChunk) -> list[ChatDelta]:
        """Return the pieces of text in a chunk."""
        self._model = chunk.model or self._model
        if (usage := cast("Any", chunk).usage) is not None:
            self._usage = _usage(usage)
        deltas: list[ChatDelta] = []
        for choice in chunk.choices or ():
            self._finish_reason = choice.finish_reason or self._finish_reason
            if (delta := cast("Any", choice).delta) is None:
                continue
            extra = cast("dict[str, object]", delta.model_extra or {})
            reasoning = next((extra[name] for name in _REASONING_FIELDS if isinstance(extra.get(name), str)), None)
            for text, channel in ((reasoning, DeltaChannel.REASONING), (delta.content, DeltaChannel.TEXT)):
                if isinstance(text, str) and (whole := self._join(text, channel)):
                    deltas.append(ChatDelta(whole, channel))
        return deltas

    def rest(self) -> list[ChatDelta]:
        """Return what was held back and found no second half."""
        return [ChatDelta(text, channel) for channel, text in self._held.items() if text]

    def end(self) -> ChatEnd:
        """Return the end.

        Raises:
            NodeFault: the stream ended before the answer did.
        """
        if self._finish_reason is None:
            raise NodeFault("MODEL_UNAVAILABLE", "The model's stream ended before its answer did.", is_retryable=True)
        return ChatEnd(self._finish_reason, NO_USAGE if self._usage is None else self._priced(self._usage), self._model)

    def _priced(self, usage: Usage) -> Usage:
        """Count the usage as the model's that was asked: what answers may be called by the name of a day's version."""
        price = self._prices.find(self._model, self._asked)
        return replace(usage if price is None else price.cost_of(usage), model=self._asked)

    def _join(self, text: str, channel: DeltaChannel) -> str:
        """Put together what a server has cut: half of a surrogate pair, or of the key that it repeats, waits."""
        text = self._held.pop(channel, "") + text
        if self._hidden:
            text, held = self._hidden.cut(text)
            if held:
                self._held[channel] = held
        if _HIGH_SURROGATE.search(text):
            self._held[channel] = text[-1] + self._held.get(channel, "")
            text = text[:-1]
        if not _SURROGATE_PAIR.search(text):
            return text
        return _SURROGATE_PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)


def _arguments(request: ChatRequest, model: str) -> dict[str, Any]:
    optional = {
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
        "stop": list(request.stop) or None,
        "seed": request.seed,
        "response_format": {"type": "json_object"} if request.is_json else None,
    }
    return {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
    }


def _usage(reported: Any) -> Usage:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    sent, received, total = (_count(getattr(reported, name, None)) for name in names)
    return Usage(sent, received, total or min(sent + received, LARGEST))


def _count(reported: Any) -> int:
    """Return a number of tokens that can be stored, whatever an endpoint calls one: what is none counts as 0."""
    is_number = isinstance(reported, int | float) and reported > 0  # not so for NaN
    return int(min(reported, LARGEST)) if is_number else 0
