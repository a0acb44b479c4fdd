"""Model APIs in the manner of OpenAI's: the `openai` client, streaming, behind the guard, without retries of its own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import httpx2
import openai

from domain.errors import NodeFault
from domain.ports.outbound import ChatDelta, ChatEnd
from domain.retry_after import retry_after_s
from domain.run import NO_USAGE, DeltaChannel, Usage
from runtime.clients.openai_transport import GuardedTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai.types.chat import ChatCompletionChunk

    from domain.ports.outbound import ChatRequest, HttpClient

_NO_KEY = "none"
_MAX_MESSAGE_CHARS = 300
_RATE_LIMITED = 429
_UNAVAILABLE = frozenset({408, 409, 425})
_SERVER_ERRORS = 500
_HIGH_SURROGATE = re.compile("[\ud800-\udbff]\\Z")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_REASONING_FIELDS = ("reasoning_content", "reasoning")


class OpenaiChatModel:
    """A model API at one address with one key; implements `ChatModel` of the ports."""

    def __init__(self, base_url: str, api_key: str | None, default_model: str | None, http: HttpClient) -> None:
        self._api_key = api_key
        self._default_model = default_model
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or _NO_KEY,
            max_retries=0,  # the node's RetryPolicy decides
            http_client=httpx2.AsyncClient(
                transport=GuardedTransport(http, has_key=api_key is not None), trust_env=False, follow_redirects=False
            ),
        )

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
            raise self._fault(error) from None
        except NodeFault as fault:
            raise _as_model_fault(fault) from None
        except (ValueError, TypeError, AttributeError):  # json, or a shape that is none of a chunk
            raise NodeFault("INVALID_RESPONSE", "The model's stream cannot be read.", is_retryable=True) from None
        for delta in answer.rest():
            yield delta
        yield answer.end()

    def _fault(self, error: openai.OpenAIError) -> NodeFault:
        cause = error.__cause__
        if isinstance(cause, NodeFault):
            return _as_model_fault(cause)
        if isinstance(error, openai.APIStatusError):
            return self._status_fault(error)
        if isinstance(error, openai.APIConnectionError):
            return NodeFault("MODEL_UNAVAILABLE", "The model API cannot be reached.", is_retryable=True)
        text = self._told(getattr(error, "message", ""))
        return NodeFault("MODEL_UNAVAILABLE", f"The model API reports an error{text}", is_retryable=True)

    def _status_fault(self, error: openai.APIStatusError) -> NodeFault:
        status, text = error.status_code, self._told(error.message)
        wait_s = retry_after_s(error.response.headers.multi_items(), datetime.now(UTC))
        if status == _RATE_LIMITED:
            # An empty account answers 429 as well, and waiting does not fill it.
            is_retryable = error.code != "insufficient_quota"
            message = f"The model API refuses more requests for now{text}"
            return NodeFault("RATE_LIMITED", message, is_retryable=is_retryable, retry_after_s=wait_s)
        if status in _UNAVAILABLE or status >= _SERVER_ERRORS:
            message = f"The model API answered with status {status}{text}"
            return NodeFault("MODEL_UNAVAILABLE", message, is_retryable=True, retry_after_s=wait_s)
        return NodeFault("MODEL_REFUSED", f"The model API refused the request with status {status}{text}")

    def _told(self, message: str) -> str:
        """Return what the API says, without the key, which some repeat."""
        if self._api_key:
            message = message.replace(self._api_key, "•••")
        line = " ".join(message.split())[:_MAX_MESSAGE_CHARS]
        return f": {line}" if line else "."


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


def _as_model_fault(fault: NodeFault) -> NodeFault:
    """Call a broken connection what it is for a node that asks a model."""
    if fault.code != "CONNECTION_FAILED":
        return fault
    return NodeFault("MODEL_UNAVAILABLE", f"The model API cannot be reached: {fault.message}", is_retryable=True)
