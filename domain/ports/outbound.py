"""What nodes reach outside through: HTTP and models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from domain.rate_limits import Caps
    from domain.run import DeltaChannel, Usage

# ── outbound HTTP ──


@dataclass(frozen=True, slots=True)
class Credential:
    """What an HTTP_AUTH connection adds to a request, and the only origins it is sent to."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    allowed_origins: frozenset[str]
    caps: Caps | None = None
    """The limits of the connection."""
    parts: tuple[str, ...] = field(default=(), repr=False)
    """What a peer may read out of what it is sent, besides the values themselves, and is worth hiding: of a BASIC header the
    name with the password, and the password of 12 characters or more."""


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """A request to the outside; `body` is bytes as they are sent."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]] = ()
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    credential: Credential | None = None
    follow_redirects: bool = True
    max_response_bytes: int = 1_048_576


class OutboundResponse(Protocol):
    """An answer whose body is read in pieces."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Names as sent, in order."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the decoded body in pieces.

        Raises:
            NodeFault: `RESPONSE_TOO_LARGE` beyond `max_response_bytes`, `CONNECTION_FAILED` when it breaks off.
        """
        ...


class HttpClient(Protocol):
    """Sends requests to the outside, behind the guard against private networks."""

    def send(self, request: OutboundRequest) -> AbstractAsyncContextManager[OutboundResponse]:
        """Open a request; leaving the context closes its connection unless the body was read to its end.

        Raises:
            NodeFault: `ADDRESS_REFUSED`, `CONNECTION_FAILED`, `TOO_MANY_REDIRECTS`, `INVALID_URL`.
        """
        ...


# ── models ──


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question to a model; None = the model's default."""

    messages: Sequence[ChatMessage]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    is_json: bool = False
    must_be_priced: bool = False
    """Whether only a model with a known price may be asked."""


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of an answer."""

    text: str
    channel: DeltaChannel


@dataclass(frozen=True, slots=True)
class ChatEnd:
    """The end of an answer, with what the endpoint reports; always the last item of a stream that ended well."""

    finish_reason: str
    usage: Usage
    model: str


class ChatModel(Protocol):
    """A model API in the manner of OpenAI's."""

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta | ChatEnd]:
        """Ask and yield the answer as it comes; closing the iterator closes the connection at once.

        Raises:
            NodeFault: `PRICE_UNKNOWN`, `MODEL_REFUSED` (4xx), `MODEL_UNAVAILABLE` (5xx, network; retryable), `RATE_LIMITED` (429, with
                Retry-After), `INVALID_RESPONSE`, `ADDRESS_REFUSED`.
        """
        ...
