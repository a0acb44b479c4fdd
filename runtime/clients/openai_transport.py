"""The way of the `openai` client to the outside: through our own guarded HTTP client, one guard for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import openai

from domain.ports.outbound import OutboundRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from domain.ports.outbound import HttpClient, OutboundResponse

_NO_KEY = "none"
_MAX_ANSWER_BYTES = 64 * 1_048_576
"""Of one stream, with all its framing."""
# The client would also send what it finds in OPENAI_… variables and tell about this machine.
_SENT_HEADERS = frozenset({"authorization", "content-type", "accept"})
_DROPPED_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def open_client(base_url: str, api_key: str | None, http: HttpClient) -> openai.AsyncOpenAI:
    """Return a client of a model API; it never retries, since its callers know better when to."""
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or _NO_KEY,
        max_retries=0,
        http_client=httpx2.AsyncClient(
            transport=GuardedTransport(http, has_key=api_key is not None), trust_env=False, follow_redirects=False
        ),
    )


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends the requests of an httpx2 client through an `HttpClient`."""

    def __init__(self, http: HttpClient, *, has_key: bool) -> None:
        self._http = http
        self._sent = _SENT_HEADERS if has_key else _SENT_HEADERS - {"authorization"}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the answer, its body still unread.

        Raises:
            NodeFault: as `HttpClient.send` does.
        """
        body = await request.aread()
        opened = self._http.send(
            OutboundRequest(
                method=request.method,
                url=str(request.url),
                headers=[(name, value) for name, value in request.headers.items() if name.lower() in self._sent],
                body=body or None,
                follow_redirects=False,
                max_response_bytes=_MAX_ANSWER_BYTES,
            )
        )
        response = await opened.__aenter__()
        headers = [(name, value) for name, value in response.headers if name.lower() not in _DROPPED_HEADERS]
        return httpx2.Response(response.status, headers=headers, stream=_Body(opened, response), request=request)


class _Body(httpx2.AsyncByteStream):
    """The body of an answer; closing it leaves the request, which closes the socket."""

    def __init__(self, opened: AbstractAsyncContextManager[OutboundResponse], response: OutboundResponse) -> None:
        self._opened = opened
        self._response = response
        self._is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.chunks():
            yield chunk

    async def aclose(self) -> None:
        if self._is_open:
            self._is_open = False
            await self._opened.__aexit__(None, None, None)
