from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from domain.errors import NodeFault
from domain.ports.outbound import Credential, OutboundRequest
from runtime.clients.http import open_http
from runtime.clients.outbound import OutboundGuard
from tests.support.web_server import WebServer, web_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from runtime.clients.http import GuardedHttp


@asynccontextmanager
async def client(*allowed: str, names: dict[str, list[str]] | None = None) -> AsyncGenerator[GuardedHttp]:
    """Open a client that may reach these, with a resolver that knows these names only."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        del port
        return (names or {}).get(host, [])

    async with open_http(OutboundGuard(allowed, resolve=resolve), connect_timeout_s=2.0) as http:
        yield http


async def fetch(http: GuardedHttp, url: str, **more: Any) -> tuple[int, bytes]:
    method = more.pop("method", "GET")
    async with http.send(OutboundRequest(method, url, **more)) as response:
        return response.status, b"".join([chunk async for chunk in response.chunks()])


async def fault_of(http: GuardedHttp, url: str, **more: Any) -> NodeFault:
    with pytest.raises(NodeFault) as fault:
        await fetch(http, url, **more)
    return fault.value


async def test_a_request_arrives_as_it_was_meant() -> None:
    async with web_server() as server, client(server.allowed) as http:
        status, body = await fetch(
            http,
            f"{server.url}/a%20b?x=1#frag",
            method="POST",
            headers=[("X-One", "1"), ("Content-Type", "text/plain")],
            query=[("q", "ü&="), ("q", "2")],
            body=b"hello",
        )
        assert (status, body) == (200, b"ok")
        asked = server.asked[0]
        assert (asked.method, asked.path, asked.body) == ("POST", "/a%20b?x=1&q=%C3%BC%26%3D&q=2", b"hello")
        assert asked.headers["X-One"] == "1"
        assert asked.headers["Host"] == f"127.0.0.1:{server.port}"
        assert "Cookie" not in asked.headers


async def test_the_checked_address_is_the_one_that_is_connected_to() -> None:
    async with web_server() as server:
        name = f"pinned.example.com:{server.port}"
        async with client(name, names={"pinned.example.com": ["127.0.0.1"]}) as http:
            assert await fetch(http, f"http://{name}/x") == (200, b"ok")
        assert server.asked[0].headers["Host"] == name


async def test_a_name_that_changes_its_address_between_check_and_connection_is_refused() -> None:
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["127.0.0.1"]])

    async def resolve(host: str, port: int) -> Sequence[str]:
        del host, port
        return next(answers)

    async with web_server() as server, open_http(OutboundGuard(resolve=resolve)) as http:
        fault = await fault_of(http, f"http://rebinding.example.com:{server.port}/")
        assert fault.code == "ADDRESS_REFUSED"
        assert server.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"])
async def test_nothing_is_sent_to_a_refused_address(host: str) -> None:
    async with web_server() as server, client(names={"localhost": ["127.0.0.1"]}) as http:
        fault = await fault_of(http, f"http://{host}:{server.port}/")
        assert fault.code == "ADDRESS_REFUSED"
        assert server.asked == []


async def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web_server() as proxy, web_server() as server, client(server.allowed) as http:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert await fetch(http, f"{server.url}/x") == (200, b"ok")
        assert proxy.asked == []


async def test_cookies_are_not_kept_between_requests() -> None:
    async with web_server() as server, client(server.allowed) as http:
        server.answer("/set", headers={"Set-Cookie": "a=b; Path=/"})
        await fetch(http, f"{server.url}/set")
        await fetch(http, f"{server.url}/get")
        assert "Cookie" not in server.asked[1].headers


# ── redirects ──


def redirect(server: WebServer, path: str, location: str, status: int = 302) -> None:
    server.answer(path, status=status, headers={"Location": location})


async def test_a_redirect_into_a_private_network_is_refused() -> None:
    async with web_server() as inside, web_server() as server, client(server.allowed) as http:
        for target in (f"{inside.url}/secret", f"http://2130706433:{inside.port}/", f"//127.1:{inside.port}/x"):
            redirect(server, "/go", target)
            assert (await fault_of(http, f"{server.url}/go")).code == "ADDRESS_REFUSED"
        redirect(server, "/go", "file:///etc/passwd")
        assert (await fault_of(http, f"{server.url}/go")).code == "INVALID_URL"
        assert inside.asked == []


async def test_five_redirects_are_followed_and_six_are_not() -> None:
    async with web_server() as server, client(server.allowed) as http:
        for number in range(6, 0, -1):
            redirect(server, f"/{number}", f"/{number - 1}")
        assert await fetch(http, f"{server.url}/5") == (200, b"ok")
        assert (await fault_of(http, f"{server.url}/6")).code == "TOO_MANY_REDIRECTS"


async def test_redirects_are_not_followed_where_that_is_not_wanted() -> None:
    async with web_server() as server, client(server.allowed) as http:
        redirect(server, "/go", "/there")
        assert (await fetch(http, f"{server.url}/go", follow_redirects=False))[0] == 302
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ],
)
async def test_methods_change_with_redirects_as_in_browsers(status: int, method: str, then: str) -> None:
    async with web_server() as server, client(server.allowed) as http:
        redirect(server, "/go", "/there", status)
        body = None if method == "HEAD" else b"body"
        await fetch(
            http, f"{server.url}/go", method=method, body=body, headers=[("Content-Type", "text/x"), ("X-A", "1")]
        )
        asked = server.asked[1]
        assert asked.method == then
        assert asked.body == (b"body" if then == method and body else b"")
        assert ("text/x" in asked.headers.values()) is (then == method)
        assert asked.headers["X-A"] == "1"


async def test_to_another_origin_go_neither_credentials_nor_headers_of_the_author() -> None:
    async with web_server() as other, web_server() as server, client(server.allowed, other.allowed) as http:
        redirect(server, "/go", f"{other.url}/there")
        credential = Credential({"Authorization": "Bearer k"}, {"key": "k"}, frozenset({server.url, other.url}))
        headers = [("X-Api-Key", "secret"), ("Cookie", "c=1"), ("Accept", "text/x"), ("Idempotency-Key", "i")]
        await fetch(http, f"{server.url}/go", headers=headers, credential=credential)
        assert server.asked[0].headers["Authorization"] == "Bearer k"
        assert server.asked[0].path == "/go?key=k"
        seen = other.asked[0]
        assert seen.path == "/there"
        assert seen.headers["Accept"] == "text/x"
        assert {"Authorization", "X-Api-Key", "Cookie", "Idempotency-Key"}.isdisjoint(seen.headers)


async def test_a_body_is_not_carried_to_another_origin() -> None:
    async with web_server() as other, web_server() as server, client(server.allowed, other.allowed) as http:
        redirect(server, "/go", f"{other.url}/there", 307)
        assert (await fault_of(http, f"{server.url}/go", method="POST", body=b"secret")).code == "REDIRECT_REFUSED"
        assert other.asked == []


async def test_a_credential_stays_on_redirects_within_its_origin() -> None:
    async with web_server() as server, client(server.allowed) as http:
        redirect(server, "/go", "/there")
        credential = Credential({"Authorization": "Bearer k"}, {}, frozenset({server.url}))
        await fetch(http, f"{server.url}/go", credential=credential)
        assert [asked.headers.get("Authorization") for asked in server.asked] == ["Bearer k", "Bearer k"]


async def test_a_credential_is_sent_to_its_origins_only_and_replaces_what_the_author_wrote() -> None:
    async with web_server() as server, client(server.allowed) as http:
        foreign = Credential({"Authorization": "Bearer k"}, {}, frozenset({"https://api.example.com"}))
        fault = await fault_of(http, server.url, credential=foreign)
        assert fault.code == "CREDENTIAL_REFUSED"
        assert "Bearer" not in fault.message
        assert server.asked == []
        own = Credential({"Authorization": "Bearer k"}, {}, frozenset({server.url}))
        await fetch(http, server.url, credential=own, headers=[("authorization", "Basic x")])
        assert server.asked[0].headers.get("Authorization") == "Bearer k"


# ── bodies ──


async def test_an_answer_larger_than_the_limit_is_refused_while_it_comes() -> None:
    async with web_server() as server, client(server.allowed) as http:
        server.answer("/big", body=b"x" * 1_000)
        assert (await fetch(http, f"{server.url}/big", max_response_bytes=1_000))[1] == b"x" * 1_000
        assert (await fault_of(http, f"{server.url}/big", max_response_bytes=999)).code == "RESPONSE_TOO_LARGE"


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress])
async def test_compressed_answers_are_read_and_bombs_are_not(encode: Any) -> None:
    encoding = "gzip" if encode is gzip.compress else "deflate"
    async with web_server() as server, client(server.allowed) as http:
        server.answer("/small", body=encode(b"hello" * 100_000), headers={"Content-Encoding": encoding})
        server.answer("/bomb", body=encode(bytes(50_000_000)), headers={"Content-Encoding": encoding})
        server.answer("/cut", body=encode(b"hello" * 100)[:-6], headers={"Content-Encoding": encoding})
        server.answer("/broken", body=b"no compression", headers={"Content-Encoding": encoding})
        server.answer("/other", body=b"x", headers={"Content-Encoding": "br"})
        assert (await fetch(http, f"{server.url}/small"))[1] == b"hello" * 100_000
        assert (await fault_of(http, f"{server.url}/bomb")).code == "RESPONSE_TOO_LARGE"
        for path in ("cut", "broken", "other"):
            assert (await fault_of(http, f"{server.url}/{path}")).code == "INVALID_RESPONSE"
        assert (await fetch(http, f"{server.url}/small", method="HEAD"))[1] == b""


async def test_leaving_an_answer_early_closes_its_connection_at_once() -> None:
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(b"first")
            await asyncio.Event().wait()
        finally:
            left.set()
        return response

    async with web_server() as server, client(server.allowed) as http:
        server.handlers["/endless"] = endless
        async with http.send(OutboundRequest("GET", f"{server.url}/endless")) as response:
            async for chunk in response.chunks():
                assert chunk == b"first"
                break
        async with asyncio.timeout(2):
            await left.wait()


async def test_a_cancelled_request_closes_its_connection_at_once() -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        del request
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return web.Response()

    async with web_server() as server, client(server.allowed) as http:
        server.handlers["/silent"] = silent
        task = asyncio.create_task(fetch(http, f"{server.url}/silent"), name="request")
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(2):
            await left.wait()


async def test_a_connection_is_used_again_after_an_answer_was_read() -> None:
    async with web_server() as server, client(server.allowed) as http:
        ports: list[int] = []

        async def tell(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            ports.append(request.transport.get_extra_info("peername")[1])
            return web.Response(text="x" * 100_000)

        server.handlers["/tell"] = tell
        for _ in range(3):
            await fetch(http, f"{server.url}/tell")
        assert len(set(ports)) == 1


# ── failures ──


async def test_nobody_listening_is_a_fault_that_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with client(f"127.0.0.1:{port}") as http:
        fault = await fault_of(http, f"http://127.0.0.1:{port}/")
        assert (fault.code, fault.is_retryable) == ("CONNECTION_FAILED", True)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "CONNECTION_FAILED"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "INVALID_RESPONSE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "CONNECTION_FAILED"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "CONNECTION_FAILED"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "INVALID_RESPONSE"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", "INVALID_URL"),
    ],
)
async def test_a_server_that_breaks_off_or_speaks_otherwise_is_a_clear_fault(sent: bytes, code: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client(f"127.0.0.1:{port}") as http:
            assert (await fault_of(http, f"http://127.0.0.1:{port}/")).code == code


async def test_a_server_that_is_no_tls_server_is_a_clear_fault() -> None:
    async with web_server() as server, client(server.allowed) as http:
        assert (await fault_of(http, f"https://{server.allowed}/")).code == "CONNECTION_FAILED"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "x"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "x"),
        ("Proxy-Authorization", "x"),
        ("X Y", "1"),
        ("X\r\nY", "1"),
        ("", "1"),
        ("X", "a\r\nHost: b"),
        ("X", "a\0"),
    ],
)
async def test_headers_that_would_change_the_message_are_refused(name: str, value: str) -> None:
    async with web_server() as server, client(server.allowed) as http:
        assert (await fault_of(http, server.url, headers=[(name, value)])).code == "INVALID_REQUEST"
        assert server.asked == []
