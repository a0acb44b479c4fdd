"""A GraphQL request out of an HTTP request: method, media types, sizes and shapes, before anything is executed.

Source: GraphQL over HTTP, and the audits of npm `graphql-http` where the newest draft disagrees with them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from gql.presenting import refusal
from gql.stream_formats import EVENT_STREAM, MULTIPART

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLError
    from starlette.requests import Request

    from gql.stream_formats import StreamFormat
    from gql.trusted import TrustedDocuments

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"

INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
"""The header that says why somebody who brought a token is taken for nobody."""

_BODY_TIMEOUT_S = 30.0
# A header that no HTML form and no plain `fetch` of another site can send without asking us first.
_PREFLIGHT_HEADERS = ("authorization", "x-requested-with", "apollo-require-preflight", "x-apollo-operation-name")


class Refused(Exception):
    """The request is not executed."""

    def __init__(
        self, status: int, message: str, code: str = "BAD_REQUEST", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errors: list[GraphQLError] = [refusal(message, code)]
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is to be executed."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the client can read."""

    json: str | None = JSON
    """The media type of an answer at once; None where only streams are accepted."""
    stream: StreamFormat | None = None
    """The format of a stream, where the client asks for one."""


def negotiate(accept: str | None) -> Accepted:
    """Return in which forms the client wants an answer; `*/*` asks for no stream.

    Raises:
        Refused: the client accepts none of ours.
    """
    if accept is None or not accept.strip():
        return Accepted()
    best, best_quality = None, 0.0
    stream, stream_quality = None, 0.0
    for entry in accept.split(","):
        name, *options = (part.strip().lower() for part in entry.split(";"))
        media = {JSON: JSON, RESPONSE_JSON: RESPONSE_JSON, "*/*": JSON, "application/*": JSON}.get(name)
        quality = _quality(options)
        if media is not None and quality > best_quality:
            best, best_quality = media, quality
        format_ = _stream_format(name, options)
        if format_ is not None and quality > stream_quality:
            stream, stream_quality = format_, quality
    if best is None and stream is None:
        raise Refused(406, f"Answers are {RESPONSE_JSON} or {JSON}; accept one of them.", "NOT_ACCEPTABLE")
    return Accepted(best, stream)


def _stream_format(name: str, options: list[str]) -> StreamFormat | None:
    if name == "text/event-stream":
        return EVENT_STREAM
    # Without the parameter it is what other servers deliver `@defer` in.
    is_for_subscriptions = any(option.replace('"', "") == "subscriptionspec=1.0" for option in options)
    return MULTIPART if name == "multipart/mixed" and is_for_subscriptions else None


_WRITES_DOCUMENTS = "upsertDocuments"


async def read_parameters(
    request: Request, trusted: TrustedDocuments, max_body_bytes: int, max_documents_bytes: int = 0
) -> Parameters:
    """Return the parameters of a GET or POST request; one that writes documents may have the larger body.

    Raises:
        Refused: another method, another media type, too large, not JSON, or of another shape.
        Untrusted: the document is asked for by an unknown hash, or may not be sent as text.
    """
    if request.method == "GET":
        _refuse_foreign_get(request)
        return _shaped(_from_address(request), trusted)
    if request.method != "POST":
        raise Refused(405, "GraphQL is asked with GET or POST.", headers={"Allow": "GET, POST"})
    _refuse_media_type(request)
    body = await read_body(request, max(max_body_bytes, max_documents_bytes))
    parameters = _shaped(_json_object(body, "The body"), trusted)
    if len(body) > max_body_bytes and _WRITES_DOCUMENTS not in parameters.query:
        raise _too_large(max_body_bytes)
    return parameters


def _quality(options: list[str]) -> float:
    for option in options:
        if option.startswith("q="):
            try:
                return float(option[2:])
            except ValueError:
                return 0.0
    return 1.0


def _refuse_foreign_get(request: Request) -> None:
    """Refuse what another site makes a browser ask.

    A query changes nothing and its answer cannot be read across sites, but the time it takes could tell something about
    the signed-in person. Browsers say in `Sec-Fetch-Site` where a request comes from; one that does not say it and still
    brings a cookie needs a header that forces a preflight. Programs, and whoever types an address, are let through.
    """
    site = request.headers.get("sec-fetch-site")
    is_suspicious = site not in {"same-origin", "none"} if site is not None else "cookie" in request.headers
    if is_suspicious and not any(name in request.headers for name in _PREFLIGHT_HEADERS):
        raise Refused(403, "A page of another site may not ask with GET; use POST with application/json.", "FORBIDDEN")


def _refuse_media_type(request: Request) -> None:
    # Nothing but JSON: forms and plain text are what other sites can post without asking first, and no files are taken.
    media, *options = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    if media != JSON:
        raise Refused(415, f"The body must be {JSON}.", "UNSUPPORTED_MEDIA_TYPE", {"Accept": JSON})
    charsets = [option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")]
    if any(charset not in {"utf-8", "utf8"} for charset in charsets):
        raise Refused(415, "The body must be UTF-8.", "UNSUPPORTED_MEDIA_TYPE", {"Accept": JSON})
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(
            415, "The body must not be compressed.", "UNSUPPORTED_MEDIA_TYPE", {"Accept-Encoding": "identity"}
        )


async def read_body(request: Request, limit: int, timeout_s: float = _BODY_TIMEOUT_S) -> bytes:
    """Return the body of a request.

    Raises:
        Refused: it is larger than `limit` bytes, ended early, or took longer than the timeout.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "The body ended early.")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, "The body took too long.", headers={"Connection": "close"}) from None


def _too_large(limit: int) -> Refused:
    return Refused(
        413, f"The body is larger than {limit:,} bytes.", "PAYLOAD_TOO_LARGE", headers={"Connection": "close"}
    )


def _from_address(request: Request) -> dict[str, object]:
    given: dict[str, object] = {}
    for name in ("query", "documentId", "operationName", "variables", "extensions"):
        values = request.query_params.getlist(name)
        if len(values) > 1:
            raise Refused(400, f"`{name}` is given more than once.")
        if values:
            given[name] = values[0]
    for name in ("variables", "extensions"):
        text = cast("str | None", given.get(name))
        if text:
            given[name] = _json(text.encode(errors="replace"), f"`{name}`")
        elif name in given:
            del given[name]
    return given


def _json(text: bytes, what: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refused(400, f"{what} is not JSON.") from None


def _json_object(text: bytes, what: str) -> dict[str, object]:
    value = _json(text, what)
    if isinstance(value, list):
        raise Refused(400, "One operation for each request: batching is off.")
    if not isinstance(value, dict):
        raise Refused(400, f"{what} must be a JSON object.")
    return cast("dict[str, object]", value)


def _shaped(given: Mapping[str, object], trusted: TrustedDocuments) -> Parameters:
    query, name, document_id = given.get("query"), given.get("operationName"), given.get("documentId")
    if query is not None and not isinstance(query, str):
        raise Refused(400, "`query` must be a document as text.")
    if document_id is not None and not isinstance(document_id, str):
        raise Refused(400, "`documentId` must be text or null.")
    extensions = _map(given, "extensions")
    text = trusted.text_of(query, document_id, extensions)
    if not text:
        raise Refused(400, "`query` must be a document as text.")
    if name is not None and not isinstance(name, str):
        raise Refused(400, "`operationName` must be text or null.")
    return Parameters(text, _map(given, "variables"), name or None, extensions)


def _map(given: Mapping[str, object], name: str) -> dict[str, Any] | None:
    value = given.get(name)
    if value is not None and not isinstance(value, dict):
        raise Refused(400, f"`{name}` must be an object or null.")
    return cast("dict[str, Any] | None", value)
