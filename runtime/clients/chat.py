"""Model APIs in the manner of OpenAI's: the `openai` client, streaming, behind the guard, without retries of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import openai

from domain.errors import NodeFault
from domain.ports.outbound import ChatDelta, ChatEnd
from domain.run import NO_USAGE, DeltaChannel, Usage
from runtime.clients.openai_faults import OpenaiFaults, as_model_fault
from runtime.clients.openai_transport import open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai.types.chat import ChatCompletionChunk

    from domain.ports.outbound import ChatRequest, HttpClient

_HIGH_SURROGATE = re.compile("[\ud800-\udbff]\\Z")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_REASONING_FIELDS = ("reasoning_content", "reasoning")


class OpenaiChatModel:
    """A model API at one address with one key; implements `ChatModel` of the ports."""

    def __init__(self, base_url: str, api_key: str | None, default_model: str | None, http: HttpClient) -> None:
        self._default_model = default_model
        self._client = open_client(base_url, api_key, http)
        self._faults = OpenaiFaults(api_key)

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        """Ask and yield the answer as it comes; closing the iterator closes the connection at once.

        Raises:
            NodeFault: `NO_MODEL`, `MODEL_REFUSED`, `MODEL_UNAVAILABLE`, `RATE_LIMITED`, `INVALID_RESPONSE`, `TIMED_OUT`,
                `ADDRESS_REFUSED`, `INVALID_URL`.
        """
        model = request.model or self._default_model
        if model is None:
            raise NodeFault("NO_MODEL", "No model is named: set `model` in the node, or the connection's default.")
        answer = _Answer(model)
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

    def __init__(self, model: str) -> None:
        self._model = model
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
        return ChatEnd(self._finish_reason, self._usage or NO_USAGE, self._model)

    def _join(self, text: str, channel: DeltaChannel) -> str:
        """Put characters together that a server has cut: half of a surrogate pair at the end of one piece waits."""
        text = self._held.pop(channel, "") + text
        if _HIGH_SURROGATE.search(text):
            self._held[channel] = text[-1]
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
    sent, received = int(reported.prompt_tokens or 0), int(reported.completion_tokens or 0)
    return Usage(sent, received, int(reported.total_tokens or 0) or sent + received)
