"""HTTP_REQUEST: send a request to the outside."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, cast
from urllib.parse import urlencode

import orjson
from pydantic import Field

from domain.errors import NodeFault
from domain.http_headers import is_header_of_authors
from domain.json_value import Json
from domain.kinds import (
    JSON_FIELD,
    Config,
    ConfigProblem,
    ErrorCode,
    NameValue,
    NodeContext,
    NodeKind,
    OneOf,
    Output,
    Reference,
    Result,
)
from domain.ports.outbound import OutboundRequest, OutboundResponse
from domain.retry_after import retry_after_s


class HttpMethod(StrEnum):
    """Methods of HTTP."""

    GET = "GET"
    """Read."""
    HEAD = "HEAD"
    """Read the headers only."""
    POST = "POST"
    """Create or act."""
    PUT = "PUT"
    """Replace."""
    PATCH = "PATCH"
    """Change in part."""
    DELETE = "DELETE"
    """Remove."""


class HttpParse(StrEnum):
    """How the body of an answer is read."""

    AUTO = "AUTO"
    """As its content type says."""
    JSON = "JSON"
    """As JSON; anything else fails the node."""
    TEXT = "TEXT"
    """As text."""
    BASE64 = "BASE64"
    """As bytes, given in base64."""


class HttpBody(OneOf):
    """The body of a request; exactly one field is set."""

    json_: Annotated[Any, JSON_FIELD, Field(alias="json")] = None
    """Sent as `application/json`; texts inside are templates."""
    text: str | None = None
    """Template, sent as `text/plain` unless a header says otherwise."""
    form: Annotated[list[NameValue], Field(max_length=1_000)] | None = None
    """Sent as `application/x-www-form-urlencoded`; at most 1,000."""


class HttpRequestConfig(Config):
    """An HTTP request; output `status`, `headers`, `body`, `elapsedMs`. Private networks are refused."""

    method: HttpMethod = HttpMethod.GET
    """The method; unsafe ones carry an `Idempotency-Key` that is equal in all attempts."""
    url: Annotated[str, Field(min_length=1)]
    """Template of an http or https URL."""
    query_params: Annotated[list[NameValue], Field(max_length=100)] = Field(default_factory=list)
    """Parameters added to the URL, escaped; at most 100."""
    headers: Annotated[list[NameValue], Field(max_length=100)] = Field(default_factory=list)
    """Headers; values may use `secrets.NAME`; at most 100."""
    body: HttpBody | None = None
    """What is sent; null = nothing."""
    connection: Annotated[str, Reference("connection")] | None = None
    """Name of a connection whose credential is sent, to its allowed origins only."""
    follow_redirects: bool = True
    """Whether redirects are followed, 5 at most; credentials are dropped when the origin changes."""
    expect_status: Annotated[list[Annotated[int, Field(ge=100, le=599)]], Field(max_length=20)] = Field(
        default_factory=list
    )
    """Statuses that count as success; 20 at most, empty = 200 to 299."""
    max_response_bytes: Annotated[int, Field(ge=0, le=4 * 1_048_576)] = 1_048_576
    """The largest answer; a larger one fails the node."""
    parse: HttpParse = HttpParse.AUTO
    """How the answer's body is read."""


class HttpHeader(Output):
    """A header of an answer."""

    name: str
    """Its name, in lower case."""
    value: str
    """Its value."""


class HttpRequestOutput(Output):
    """What a server answered."""

    status: int
    """The HTTP status."""
    headers: list[HttpHeader]
    """The headers, in the order in which they came."""
    body: Any
    """The body in the form that `parse` says; null where there is none."""
    elapsed_ms: int
    """From the request to the end of the answer, in milliseconds."""


_SAFE = frozenset({HttpMethod.GET, HttpMethod.HEAD})
_RETRYABLE_STATUS = frozenset({408, 425, 429})
_SERVER_ERRORS = 500
_NO_BODY = frozenset({204, 304})
_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


async def run(config: HttpRequestConfig, ctx: NodeContext) -> Result:
    """Send the request and read the answer."""
    credential = None if config.connection is None else await ctx.credential(config.connection)
    content_type, body = _body(config.body)
    request = OutboundRequest(
        method=config.method.value,
        url=config.url,
        headers=_headers(config, content_type, ctx.idempotency_key),
        query=[(pair.name, pair.value) for pair in config.query_params],
        body=body,
        credential=credential,
        follow_redirects=config.follow_redirects,
        max_response_bytes=config.max_response_bytes,
    )
    started = time.monotonic()
    async with ctx.http.send(request) as response:
        ctx.progress()
        _check_status(config, response)
        data = bytearray()
        async for chunk in response.chunks():
            ctx.progress()
            data += chunk
        elapsed_ms = round((time.monotonic() - started) * 1_000)
        return Result(_output(config, response, bytes(data), elapsed_ms))


def _headers(config: HttpRequestConfig, content_type: str | None, idempotency_key: str) -> list[tuple[str, str]]:
    headers = [(header.name, header.value) for header in config.headers]
    given = {name.lower() for name, _ in headers}
    if content_type is not None and "content-type" not in given:
        headers.append(("Content-Type", content_type))
    if config.method not in _SAFE and "idempotency-key" not in given:
        headers.append(("Idempotency-Key", idempotency_key))
    return headers


def _body(body: HttpBody | None) -> tuple[str | None, bytes | None]:
    if body is None:
        return None, None
    try:
        if body.text is not None:
            return "text/plain; charset=utf-8", body.text.encode()
        if body.form is not None:
            pairs = [(pair.name, pair.value) for pair in body.form]
            return "application/x-www-form-urlencoded", urlencode(pairs).encode()
        return "application/json", orjson.dumps(body.json_)
    except (ValueError, TypeError):  # lone surrogates, integers of more than 64 bit
        raise NodeFault("INVALID_REQUEST", "The body holds something that cannot be sent.") from None


def _check_status(config: HttpRequestConfig, response: OutboundResponse) -> None:
    status = response.status
    if status in config.expect_status or (not config.expect_status and status in range(200, 300)):
        return
    raise NodeFault(
        "HTTP_STATUS",
        f"The server answered with status {status}.",
        is_retryable=status in _RETRYABLE_STATUS or status >= _SERVER_ERRORS,
        retry_after_s=retry_after_s(response.headers, datetime.now(UTC)),
    )


def _output(config: HttpRequestConfig, response: OutboundResponse, data: bytes, elapsed_ms: int) -> Json:
    headers = [{"name": name.lower(), "value": value} for name, value in response.headers]
    content_type = next((header["value"] for header in headers if header["name"] == "content-type"), "")
    has_body = config.method is not HttpMethod.HEAD and response.status not in _NO_BODY
    body = _parsed(data, content_type, config.parse) if has_body else None
    # Not through the model: it copies the body, and refuses one that is deeper than it likes.
    return {"status": response.status, "headers": headers, "body": body, "elapsedMs": elapsed_ms}


def _parsed(data: bytes, content_type: str, parse: HttpParse) -> Json:
    media_type, charset = _content_type(content_type)
    if parse is HttpParse.AUTO:
        parse = _form_of(media_type) if data else HttpParse.TEXT
    if parse is HttpParse.JSON:
        return _as_json(data)
    if parse is HttpParse.BASE64:
        return b64encode(data).decode()
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _content_type(text: str) -> tuple[str, str]:
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    charset = next(
        (part[len("charset=") :].strip("\"'") for part in parameters if part.startswith("charset=")), "utf-8"
    )
    return media_type, charset


def _form_of(media_type: str) -> HttpParse:
    if media_type == "application/json" or media_type.endswith("+json"):
        return HttpParse.JSON
    is_text = media_type.startswith("text/") or media_type.endswith(
        ("+xml", "/xml", "/javascript", "/x-www-form-urlencoded")
    )
    return HttpParse.TEXT if is_text or not media_type else HttpParse.BASE64


def _as_json(data: bytes) -> Json:
    try:
        return cast("Json", orjson.loads(data))
    except orjson.JSONDecodeError:
        pass
    try:
        orjson.loads(_SURROGATE.sub(b"?", data))
    except orjson.JSONDecodeError:
        raise NodeFault("INVALID_RESPONSE", "The answer is not JSON.") from None
    text = "The answer's JSON has half of a surrogate pair in a text, which is no character and cannot be stored."
    raise NodeFault("INVALID_RESPONSE", text)


def check(config: HttpRequestConfig) -> Sequence[ConfigProblem]:
    """Find headers and bodies that HTTP has no place for."""
    problems = [
        ConfigProblem(
            ("headers", str(place), "name"), "INVALID_CONFIG", f"The header {header.name[:80]!r} cannot be set."
        )
        for place, header in enumerate(config.headers)
        if not is_header_of_authors(header.name)
    ]
    if config.body is not None and config.method in _SAFE:
        problems.append(ConfigProblem(("body",), "INVALID_CONFIG", f"A {config.method.value} request has no body."))
    return problems


KIND = NodeKind(
    kind="HTTP_REQUEST",
    name="httpRequest",
    title="HTTP request",
    description="Send an HTTP request to a public address and read the answer.",
    config=HttpRequestConfig,
    output=HttpRequestOutput,
    run=run,
    check=check,
    nested=(NameValue, HttpBody),
    error_codes=(
        ErrorCode(
            "HTTP_STATUS", "The status is none of the expected; 408, 425, 429 and 5xx are retried.", is_retryable=True
        ),
        ErrorCode("CONNECTION_FAILED", "No connection, or it broke off.", is_retryable=True),
        ErrorCode("TIMED_OUT", "The server did not answer in time.", is_retryable=True),
        ErrorCode("ADDRESS_REFUSED", "The address lies in a private network that is not allowed.", is_retryable=False),
        ErrorCode("INVALID_URL", "The URL cannot be asked for.", is_retryable=False),
        ErrorCode("INVALID_REQUEST", "A header or the body cannot be sent.", is_retryable=False),
        ErrorCode("INVALID_RESPONSE", "The answer cannot be read in the wanted form.", is_retryable=False),
        ErrorCode("RESPONSE_TOO_LARGE", "The answer is larger than `maxResponseBytes`.", is_retryable=False),
        ErrorCode("TOO_MANY_REDIRECTS", "More than 5 redirects.", is_retryable=False),
        ErrorCode("REDIRECT_REFUSED", "A redirect would carry the body to another origin.", is_retryable=False),
        ErrorCode("CREDENTIAL_REFUSED", "The connection's credential is not for this origin.", is_retryable=False),
        ErrorCode("CONNECTION_NOT_FOUND", "No such connection, or of another kind.", is_retryable=False),
    ),
)
