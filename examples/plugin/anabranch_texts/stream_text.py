"""STREAM_TEXT: a text from the web, shown as it comes in."""

from __future__ import annotations

import codecs
from typing import Annotated

from pydantic import Field

from anabranch import (
    SECRET_CAPABLE,
    Config,
    ErrorCode,
    NodeContext,
    NodeFault,
    NodeKind,
    OutboundRequest,
    Output,
    Result,
)

_OK = 200
_UNAUTHORIZED = (401, 403)
_SERVER_ERRORS = 500


class StreamTextConfig(Config):
    """A text from the web, streamed; output `text`, `lines`. Private networks are refused."""

    address: Annotated[str, Field(min_length=1)]
    """Template of the http or https URL."""
    token: Annotated[str, SECRET_CAPABLE] | None = None
    """Sent as a bearer token, such as `{{ secrets.TOKEN }}`; null = none."""
    max_bytes: Annotated[int, Field(ge=1, le=1_048_576)] = 65_536
    """The largest text; a larger one fails the node."""


class StreamTextOutput(Output):
    """What was read."""

    text: str
    """The whole text."""
    lines: int
    """How many lines it has."""


async def run(config: StreamTextConfig, ctx: NodeContext) -> Result:
    """Read the text, and show each piece as it comes.

    Raises:
        NodeFault: `TOKEN_REFUSED`, `NOT_AVAILABLE` (retryable above 500), and what `ctx.http` raises.
    """
    headers = [("Authorization", f"Bearer {config.token}")] if config.token else []
    request = OutboundRequest("GET", config.address, headers=headers, max_response_bytes=config.max_bytes)
    decoder, pieces = codecs.getincrementaldecoder("utf-8")("replace"), list[str]()
    async with ctx.http.send(request) as response:
        _check(response.status)
        async for chunk in response.chunks():
            ctx.progress()  # also where the chunk ends within a character, and nothing can be shown yet
            if piece := decoder.decode(chunk):
                await ctx.emit(piece)
                pieces.append(piece)
    if rest := decoder.decode(b"", final=True):
        await ctx.emit(rest)
        pieces.append(rest)
    text = "".join(pieces)
    return Result(StreamTextOutput(text=text, lines=len(text.splitlines())))


def _check(status: int) -> None:
    if status in _UNAUTHORIZED:
        raise NodeFault("TOKEN_REFUSED", f"The server refuses the token (status {status}).")
    if status != _OK:
        message = f"The server answered with status {status}."
        raise NodeFault("NOT_AVAILABLE", message, is_retryable=status >= _SERVER_ERRORS)


KIND = NodeKind(
    kind="STREAM_TEXT",
    name="streamText",
    title="Stream a text",
    description="Read a text from a public address and show it as it comes in.",
    config=StreamTextConfig,
    output=StreamTextOutput,
    run=run,
    error_codes=(
        ErrorCode("TOKEN_REFUSED", "The server answers 401 or 403.", is_retryable=False),
        ErrorCode("NOT_AVAILABLE", "Any other status but 200; above 500 it is tried again.", is_retryable=True),
        ErrorCode("CONNECTION_FAILED", "No connection, or it broke off.", is_retryable=True),
        ErrorCode("ADDRESS_REFUSED", "The address lies in a private network that is not allowed.", is_retryable=False),
        ErrorCode("INVALID_URL", "The address cannot be asked for.", is_retryable=False),
        ErrorCode("RESPONSE_TOO_LARGE", "The text is larger than `maxBytes`.", is_retryable=False),
        ErrorCode("TOO_MANY_REDIRECTS", "More than 5 redirects.", is_retryable=False),
    ),
    is_idempotent=True,
)
