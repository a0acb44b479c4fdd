"""Outbound HTTP on aiohttp: behind the guard, without cookies and proxies, with limits; streams are closed when left."""

from __future__ import annotations

import asyncio
import socket
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from domain.errors import NodeFault
from domain.http_headers import is_header_of_authors, is_header_value
from runtime.clients.outbound import origin_of, parse_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from domain.ports.outbound import Credential, OutboundRequest, OutboundResponse
    from runtime.clients.outbound import OutboundGuard

MAX_REDIRECTS = 5
_READ_TIMEOUT_S = 600.0
"""The longest silence of a server; nodes have shorter limits of their own."""
_MAX_CONNECTIONS = 1_000
_CHUNK_BYTES = 65_536
# What may go to another origin than the one that the author named.
_HARMLESS_HEADERS = frozenset({"accept", "accept-language", "accept-encoding", "user-agent", "content-type"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REPEATED = frozenset({307, 308})
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


@dataclass(frozen=True, slots=True)
class _Hop:
    """One of the requests that redirects make of one."""

    method: str
    url: URL
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    credential: Credential | None


@asynccontextmanager
async def open_http(guard: OutboundGuard, *, connect_timeout_s: float = 10.0) -> AsyncGenerator[GuardedHttp]:
    """Open the client that all nodes of the process share."""
    connector = aiohttp.TCPConnector(
        resolver=_GuardedResolver(guard), use_dns_cache=False, limit=_MAX_CONNECTIONS, keepalive_timeout=30
    )
    timeout = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=connect_timeout_s, sock_read=_READ_TIMEOUT_S)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=timeout,
        headers={"User-Agent": "anabranch", "Accept": "*/*", "Accept-Encoding": "gzip"},
    ) as session:
        yield GuardedHttp(session, guard)


class GuardedHttp:
    """Implements `HttpClient` of the ports."""

    def __init__(self, session: aiohttp.ClientSession, guard: OutboundGuard) -> None:
        self._session = session
        self._guard = guard

    def send(self, request: OutboundRequest) -> AbstractAsyncContextManager[OutboundResponse]:
        """Open a request; leaving the context closes its connection unless the body was read to its end.

        Raises:
            NodeFault: `INVALID_URL`, `INVALID_REQUEST`, `ADDRESS_REFUSED`, `CONNECTION_FAILED`, `TIMED_OUT`,
                `CREDENTIAL_REFUSED`, `REDIRECT_REFUSED`, `TOO_MANY_REDIRECTS`.
        """
        return self._send(request)

    @asynccontextmanager
    async def _send(self, request: OutboundRequest) -> AsyncGenerator[OutboundResponse]:
        hop = _first_hop(request)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._open(hop)
            try:
                location = response.headers.get("Location") if response.status in _REDIRECTS else None
                if location is None or not request.follow_redirects:
                    yield _Response(response, request.max_response_bytes)
                    return
                hop = _next_hop(hop, response.status, location)
            finally:
                if response.content.at_eof():
                    response.release()
                else:
                    response.close()  # at once: a release would first try to read what is left
        raise NodeFault("TOO_MANY_REDIRECTS", f"The answer is still a redirect after {MAX_REDIRECTS} of them.")

    async def _open(self, hop: _Hop) -> aiohttp.ClientResponse:
        headers, url = list(hop.headers), hop.url
        if hop.credential is not None:
            taken = {name.lower() for name in hop.credential.headers}
            headers = [pair for pair in headers if pair[0].lower() not in taken]
            headers += hop.credential.headers.items()
            url = url.extend_query(list(hop.credential.query.items()))
        # aiohttp connects to a literal address without asking its resolver.
        await self._guard.addresses(url.raw_host or "", url.port or 0)
        target = f"{url.raw_host}:{url.port}"
        try:
            return await self._session.request(
                hop.method,
                url,
                headers=headers,
                data=hop.body,
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
            )
        except (aiohttp.ConnectionTimeoutError, aiohttp.ServerTimeoutError):
            raise NodeFault("TIMED_OUT", f"{target} did not answer in time.", is_retryable=True) from None
        except aiohttp.ClientConnectorCertificateError:
            raise NodeFault(
                "CONNECTION_FAILED", f"The certificate of {target} is not valid.", is_retryable=True
            ) from None
        except (aiohttp.ClientConnectionError, OSError):
            raise NodeFault("CONNECTION_FAILED", f"No connection to {target}.", is_retryable=True) from None
        except (aiohttp.InvalidURL, ValueError):
            raise NodeFault("INVALID_URL", "The URL cannot be asked for.") from None
        except aiohttp.ClientError:
            text = "The server's answer is not HTTP as it should be."
            raise NodeFault("INVALID_RESPONSE", text, is_retryable=True) from None


class _Response:
    """Implements `OutboundResponse` of the ports."""

    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Names as sent, in order."""
        return [
            (name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in self._response.raw_headers
        ]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces, decompressed.

        Raises:
            NodeFault: `RESPONSE_TOO_LARGE`, `CONNECTION_FAILED`, `TIMED_OUT`, `INVALID_RESPONSE`.
        """
        left = self._max_bytes
        inflater = _Inflater(self._response.headers.get("Content-Encoding", ""))
        async for data in self._raw_chunks():
            for piece in inflater.feed(data):
                left -= len(piece)
                if left < 0:
                    raise NodeFault("RESPONSE_TOO_LARGE", f"The answer is larger than {self._max_bytes} bytes.")
                yield piece
        yield inflater.rest()

    async def _raw_chunks(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._response.content.iter_chunked(_CHUNK_BYTES):
                yield data
        except aiohttp.ServerTimeoutError:
            raise NodeFault("TIMED_OUT", "The server fell silent.", is_retryable=True) from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            raise NodeFault("CONNECTION_FAILED", "The answer broke off.", is_retryable=True) from None


class _GuardedResolver(AbstractResolver):
    """Gives aiohttp checked addresses only, so that what was checked is what is connected to."""

    def __init__(self, guard: OutboundGuard) -> None:
        self._guard = guard

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        """Return the checked addresses of a name."""
        del family
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self._guard.addresses(host, port)
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _first_hop(request: OutboundRequest) -> _Hop:
    url = parse_url(request.url).with_fragment(None)
    for name, value in request.headers:
        if not is_header_of_authors(name):
            raise NodeFault("INVALID_REQUEST", f"The header {name[:80]!r} cannot be set.")
        if not is_header_value(value):
            raise NodeFault("INVALID_REQUEST", f"The value of the header {name[:80]!r} has control characters in it.")
    if request.query:
        url = url.extend_query(list(request.query))
    if request.credential is not None and origin_of(url) not in request.credential.allowed_origins:
        raise NodeFault(
            "CREDENTIAL_REFUSED", f"The connection's credential is not for {origin_of(url)}; add it to its origins."
        )
    return _Hop(request.method, url, tuple(request.headers), request.body, request.credential)


def _next_hop(hop: _Hop, status: int, location: str) -> _Hop:
    """Follow a redirect as browsers do; to another origin goes nothing that was meant for the first.

    Source: Fetch standard, HTTP-redirect fetch.
    """
    try:
        target = parse_url(str(hop.url.join(URL(location)))).with_fragment(None)
    except ValueError:
        raise NodeFault("INVALID_URL", "The answer is a redirect that cannot be read.") from None
    becomes_get = (status == 303 and hop.method != "HEAD") or (status not in _REPEATED and hop.method == "POST")  # noqa: PLR2004 - See Other
    if becomes_get:
        headers = tuple(pair for pair in hop.headers if not pair[0].lower().startswith("content-"))
        hop = replace(hop, method="GET", body=None, headers=headers)
    if origin_of(target) == origin_of(hop.url):
        return replace(hop, url=target)
    if hop.body is not None:
        raise NodeFault("REDIRECT_REFUSED", f"The answer redirects to {origin_of(target)}, which the body is not for.")
    headers = tuple(pair for pair in hop.headers if pair[0].lower() in _HARMLESS_HEADERS)
    return replace(hop, url=target, headers=headers, credential=None)


class _Inflater:
    """Takes a compression off in pieces of bounded size, whatever they were compressed from."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise NodeFault("INVALID_RESPONSE", "The answer is compressed in a way that was not asked for.")
        self._inflate = None if name in {"", "identity"} else zlib.decompressobj(_GZIP_OR_ZLIB)
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what a piece of the body holds."""
        if self._inflate is None:
            yield data
            return
        self._has_begun = True
        try:
            while data and not self._inflate.eof:
                yield self._inflate.decompress(data, _CHUNK_BYTES)
                data = self._inflate.unconsumed_tail
        except zlib.error:
            raise NodeFault("INVALID_RESPONSE", "The answer's compression is broken.") from None

    def rest(self) -> bytes:
        """Return what is left at the end of the body."""
        if self._inflate is None or not self._has_begun:
            return b""
        rest = self._inflate.flush()
        if not self._inflate.eof:
            raise NodeFault("INVALID_RESPONSE", "The answer's compression breaks off.", is_retryable=True)
        return rest
