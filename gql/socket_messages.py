"""Messages that a client sends over `graphql-transport-ws`, checked before anything looks into them.

Source: the protocol's description in the repository of npm `graphql-ws`, PROTOCOL.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    Payload: TypeAlias = "Mapping[str, object] | None"

_MAX_ID = 256


class Closing(Exception):
    """The socket is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Init:
    """The client introduces itself."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Ping:
    """The client asks whether anyone is there."""

    payload: Payload


@dataclass(frozen=True, slots=True)
class Pong:
    """The client is there."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The client starts an operation of any type."""

    id: str
    query: str | None
    """Absent where the document is asked for by its hash."""
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None
    document_id: str | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """The client ends an operation."""

    id: str


ClientMessage: TypeAlias = Init | Ping | Pong | Subscribe | Complete


def read_message(raw: object) -> ClientMessage:
    """Return the message of a decoded frame.

    Raises:
        Closing: with 4400, it is none of the protocol.
    """
    message = _map(raw, "A message")
    kind = message.get("type")
    match kind:
        case "connection_init":
            return Init(_optional_map(message, "payload"))
        case "ping":
            return Ping(_optional_map(message, "payload"))
        case "pong":
            _optional_map(message, "payload")
            return Pong()
        case "subscribe":
            return _subscribe(_id(message), _map(message.get("payload"), "`payload`"))
        case "complete":
            return Complete(_id(message))
        case str():
            raise Closing(4400, f"Unknown message type {kind[:40]!r}")
        case _:
            raise Closing(4400, "A message needs a `type`")


def _subscribe(id_: str, payload: Mapping[str, object]) -> Subscribe:
    query, name, document_id = payload.get("query"), payload.get("operationName"), payload.get("documentId")
    if document_id is not None and not isinstance(document_id, str):
        raise Closing(4400, "`documentId` must be text or null")
    if name is not None and not isinstance(name, str):
        raise Closing(4400, "`operationName` must be text or null")
    variables, extensions = _optional_map(payload, "variables"), _optional_map(payload, "extensions")
    is_asked_by_hash = document_id is not None or "persistedQuery" in (extensions or {})
    if not isinstance(query, str) and not (query is None and is_asked_by_hash):
        raise Closing(4400, "`query` must be text")
    return Subscribe(id_, query, variables, name or None, extensions, document_id)


def _id(message: Mapping[str, object]) -> str:
    value = message.get("id")
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID:
        raise Closing(4400, f"`id` must be text of 1 to {_MAX_ID} characters")
    return value


def _map(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Closing(4400, f"{what} must be an object")
    return cast("dict[str, Any]", value)


def _optional_map(message: Mapping[str, object], name: str) -> dict[str, Any] | None:
    value = message.get(name)
    return None if value is None else _map(value, f"`{name}`")
