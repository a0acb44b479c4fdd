"""LLM_CALL: ask a language model; tokens stream as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

import orjson
from pydantic import Field, model_validator

from domain.bounds import LARGEST
from domain.errors import NodeFault
from domain.json_value import Json
from domain.kinds import (
    JSON_FIELD,
    STATIC,
    Config,
    ConfigProblem,
    ErrorCode,
    NodeContext,
    NodeKind,
    Output,
    Reference,
    Result,
)
from domain.ports.outbound import ChatDelta, ChatEnd, ChatMessage, ChatRequest
from domain.run import DeltaChannel


class LlmRole(StrEnum):
    """Who says a message."""

    SYSTEM = "SYSTEM"
    """The instructions."""
    USER = "USER"
    """The person."""
    ASSISTANT = "ASSISTANT"
    """The model."""


class ResponseFormat(StrEnum):
    """The form of a model's answer."""

    TEXT = "TEXT"
    """Plain text."""
    JSON = "JSON"
    """Any JSON object."""
    JSON_SCHEMA = "JSON_SCHEMA"
    """JSON that satisfies `responseSchema`; one repair is tried."""


class LlmMessage(Config):
    """One message of a conversation."""

    role: LlmRole
    """Who says it."""
    content: str
    """Template of what is said."""


class LlmCallConfig(Config):
    """How a language model is asked; output `text`, `json`, `finishReason`, `usage`, `model`."""

    connection: Annotated[str, Reference("connection")] | None = None
    """Name of a connection to an OpenAI-compatible API; null = the workspace's default."""
    model: Annotated[str, STATIC, Field(min_length=1, max_length=200)] | None = None
    """The model's name; null = the connection's default."""
    system: str | None = None
    """Template of the system prompt."""
    prompt: str | None = None
    """Template of the user's message; give either this or `messages`."""
    messages: Annotated[list[LlmMessage], Field(max_length=100)] = Field(default_factory=list)
    """A whole conversation, 100 messages at most; give either this or `prompt`."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """How freely tokens are chosen, 0 to 2; null = the model's default."""
    max_tokens: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """The longest answer in tokens; null = the model's default."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Choose among the most likely tokens that make up this share, 0 to 1; null = the model's default."""
    stop: Annotated[list[Annotated[str, STATIC, Field(min_length=1)]], Field(max_length=4)] = Field(
        default_factory=list
    )
    """The answer ends before any of these texts; at most 4."""
    seed: int | None = None
    """Makes answers repeatable where the model supports it."""
    response_format: ResponseFormat = ResponseFormat.TEXT
    """The form of the answer."""
    response_schema: Annotated[Any, JSON_FIELD, STATIC] = None
    """JSON Schema that the answer must satisfy; needed with JSON_SCHEMA."""
    tools: Annotated[list[Annotated[str, Reference("workflow")]], Field(max_length=32)] = Field(default_factory=list)
    """Slugs of published workflows that the model may call, 32 at most; their input schemas are the parameters."""

    @model_validator(mode="after")
    def _either_prompt_or_messages(self) -> LlmCallConfig:
        if (self.prompt is None) == (not self.messages):
            raise ValueError("give either `prompt` or `messages`")
        return self


class LlmUsage(Output):
    """Tokens and money, as the endpoint reports them."""

    input_tokens: int
    """Tokens sent."""
    output_tokens: int
    """Tokens received."""
    total_tokens: int
    """Both together."""
    cost: str | None = None
    """What they cost; null when no price is known for the model."""


class LlmCallOutput(Output):
    """What a model answered."""

    text: str
    """The answer as text."""
    json_: Annotated[Any, Field(alias="json")] = None
    """The answer as an object; null with the format TEXT."""
    finish_reason: str
    """Why the answer ended, such as `stop` or `length`."""
    usage: LlmUsage
    """What the call used."""
    model: str
    """The model that answered."""


async def run(config: LlmCallConfig, ctx: NodeContext) -> Result:
    """Ask, stream the answer, and read it in the wanted form."""
    model = await ctx.chat(config.connection)
    pieces: list[str] = []
    end: ChatEnd | None = None
    stream = cast("AsyncGenerator[ChatDelta | ChatEnd]", model.stream(_request(config)))
    async with aclosing(stream):  # a cancelled node closes its connection before anything else happens
        async for part in stream:
            if isinstance(part, ChatEnd):
                end = part
                ctx.used(part.usage)
                continue
            if part.channel is DeltaChannel.TEXT:
                pieces.append(part.text)
            await ctx.emit(part.text, part.channel)
    if end is None:
        raise NodeFault("INVALID_RESPONSE", "The model's answer has no end.", is_retryable=True)
    text = "".join(pieces)
    answer = _as_object(text, end) if config.response_format is ResponseFormat.JSON else None
    return Result(_output(text, answer, end), usage=end.usage)


def _request(config: LlmCallConfig) -> ChatRequest:
    messages = [ChatMessage("system", config.system)] if config.system else []
    if config.prompt is not None:
        messages.append(ChatMessage("user", config.prompt))
    messages += [ChatMessage(_ROLES[message.role], message.content) for message in config.messages]
    return ChatRequest(
        messages=messages,
        model=config.model,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        top_p=config.top_p,
        stop=config.stop,
        seed=config.seed,
        is_json=config.response_format is ResponseFormat.JSON,
    )


_ROLES: dict[LlmRole, Literal["system", "user", "assistant"]] = {
    LlmRole.SYSTEM: "system",
    LlmRole.USER: "user",
    LlmRole.ASSISTANT: "assistant",
}


def _as_object(text: str, end: ChatEnd) -> Json:
    try:
        answer = orjson.loads(_without_fence(text))
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        reason = " (it was cut off at the longest answer)" if end.finish_reason == "length" else ""
        raise NodeFault("INVALID_RESPONSE", f"The model's answer is not a JSON object{reason}.", is_retryable=True)
    return cast("Json", answer)


def _without_fence(text: str) -> str:
    """Take the code fence off that models like to put around JSON."""
    text = text.strip()
    if not (text.startswith("```") and text.endswith("```") and "\n" in text):
        return text
    return text[text.index("\n") + 1 : -3]


def _output(text: str, answer: Json, end: ChatEnd) -> Json:
    usage = end.usage
    return {
        "text": text,
        "json": answer,
        "finishReason": end.finish_reason,
        "usage": {
            "inputTokens": usage.input_tokens,
            "outputTokens": usage.output_tokens,
            "totalTokens": usage.total_tokens,
            "cost": None if usage.cost is None else str(usage.cost),
        },
        "model": end.model,
    }


def check(config: LlmCallConfig) -> Sequence[ConfigProblem]:
    """Find what this version cannot do, so that it is told when the graph is saved and not when it runs."""
    problems = list[ConfigProblem]()
    if config.response_format is ResponseFormat.JSON_SCHEMA or config.response_schema is not None:
        field = "responseSchema" if config.response_schema is not None else "responseFormat"
        text = "Answers checked against a schema are not supported yet; use JSON and check the fields behind it."
        problems.append(ConfigProblem((field,), "NOT_SUPPORTED", text))
    if config.tools:
        problems.append(ConfigProblem(("tools",), "NOT_SUPPORTED", "Tools are not supported yet."))
    return problems


KIND = NodeKind(
    kind="LLM_CALL",
    name="llmCall",
    title="Language model",
    description="Ask a language model at any OpenAI-compatible API; its answer streams as it is written.",
    config=LlmCallConfig,
    output=LlmCallOutput,
    run=run,
    check=check,
    nested=(LlmMessage,),
    error_codes=(
        ErrorCode(
            "CONNECTION_NOT_FOUND", "No such connection, or the server has no model of its own.", is_retryable=False
        ),
        ErrorCode("NO_MODEL", "Neither the node nor its connection names a model.", is_retryable=False),
        ErrorCode("TOKENS_EXHAUSTED", "The run has used the tokens that its workflow allows.", is_retryable=False),
        ErrorCode("COST_EXHAUSTED", "The run has cost what its workflow allows.", is_retryable=False),
        ErrorCode("PRICE_UNKNOWN", "The workflow limits the cost, but the model has no price.", is_retryable=False),
        ErrorCode("MODEL_REFUSED", "The API refused the request.", is_retryable=False),
        ErrorCode("MODEL_UNAVAILABLE", "The API cannot be reached or failed.", is_retryable=True),
        ErrorCode("RATE_LIMITED", "The API takes no more requests for now.", is_retryable=True),
        ErrorCode("INVALID_RESPONSE", "The answer cannot be read, or is not a JSON object.", is_retryable=True),
        ErrorCode("ADDRESS_REFUSED", "The API is in a private network that is not allowed.", is_retryable=False),
        ErrorCode("INVALID_URL", "The connection's address cannot be asked for.", is_retryable=False),
        ErrorCode("TIMED_OUT", "The answer took too long.", is_retryable=True),
    ),
)
