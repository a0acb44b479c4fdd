"""Streams of results as bytes: Server-Sent Events, and multipart as Apollo's clients read it.

Sources: the protocol of npm `graphql-sse` ("distinct connections mode"), and Apollo's description of multipart
subscriptions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLError


def encode_json(value: object) -> bytes:
    """Return JSON; half pairs and integers beyond 64 bits, which orjson refuses, are written by the standard library."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


class StreamFormat(Protocol):
    """How a stream is written."""

    name: str
    """What it is called in metrics and logs."""
    content_type: str
    opening: bytes
    heartbeat: bytes
    complete: bytes
    """The operation has ended; ends the stream."""

    def result(self, payload: Mapping[str, object]) -> bytes:
        """Write one result."""
        ...

    def broken(self, error: GraphQLError, *, is_final: bool) -> bytes:
        """Write that the server ends the stream; a client comes again unless it is final."""
        ...


class _EventStream:
    name = "sse"
    content_type = "text/event-stream; charset=utf-8"
    opening = b""
    heartbeat = b":\n\n"
    complete = b"event: complete\ndata:\n\n"

    def result(self, payload: Mapping[str, object]) -> bytes:
        return b"event: next\ndata: " + encode_json(payload) + b"\n\n"

    def broken(self, error: GraphQLError, *, is_final: bool) -> bytes:
        # A stream that ends without `complete` is one that clients open again.
        return self.result({"errors": [error.formatted]}) + self.complete if is_final else b""


class _Multipart:
    name = "multipart"
    content_type = 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0'
    # A part ends with the next one's boundary, at once: a client cannot read it before.
    opening = b"\r\n--graphql"
    complete = b"--\r\n"

    @staticmethod
    def _part(value: object) -> bytes:
        return b"\r\nContent-Type: application/json\r\n\r\n" + encode_json(value) + b"\r\n--graphql"

    heartbeat = b"\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql"

    def result(self, payload: Mapping[str, object]) -> bytes:
        return self._part({"payload": payload})

    def broken(self, error: GraphQLError, *, is_final: bool) -> bytes:
        _ = is_final
        return self._part({"payload": None, "errors": [error.formatted]}) + self.complete


EVENT_STREAM: Final[StreamFormat] = _EventStream()
MULTIPART: Final[StreamFormat] = _Multipart()
