from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from domain.configs import compile_config
from domain.errors import NodeFault
from domain.json_codec import encode
from domain.ports.outbound import Credential
from runtime.clients.http import open_http
from runtime.clients.outbound import OutboundGuard
from runtime.nodes.http_request import KIND, HttpRequestOutput
from tests.support.node_context import RecordingContext
from tests.support.web_server import WebServer, web_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def setting() -> AsyncGenerator[tuple[WebServer, RecordingContext]]:
    async with web_server() as server, open_http(OutboundGuard([server.allowed])) as http:
        yield server, RecordingContext(client=http)


async def ask(ctx: RecordingContext, scope: dict[str, Any] | None = None, **values: Any) -> Any:
    compiled = compile_config(KIND, values)
    assert compiled.problems == ()
    return (await KIND.run(compiled.render(scope or {}), ctx)).output


async def fault_of(ctx: RecordingContext, **values: Any) -> NodeFault:
    with pytest.raises(NodeFault) as fault:
        await ask(ctx, **values)
    return fault.value


async def test_the_output_has_status_headers_body_and_time() -> None:
    async with setting() as (server, ctx):
        server.answer("/x", text='{"a": [1, null]}', content_type="application/json", headers={"X-One": "1"})
        output = await ask(ctx, url=f"{server.url}/x")
        assert (output["status"], output["body"]) == (200, {"a": [1, None]})
        assert {"name": "x-one", "value": "1"} in output["headers"]
        assert isinstance(output["elapsedMs"], int)
        assert HttpRequestOutput.model_validate(output).model_dump(by_alias=True) == output
        assert encode(output)
        assert ctx.moves >= 2


async def test_url_parameters_and_headers_are_templates_and_escaped() -> None:
    async with setting() as (server, ctx):
        scope = {"input": {"id": 7, "q": "a b&c", "port": server.port}, "secrets": {"KEY": "k-1"}}
        await ask(
            ctx,
            scope,
            url="http://127.0.0.1:{{ input.port }}/things/{{ input.id }}",
            queryParams=[{"name": "q", "value": "{{ input.q }}"}, {"name": "k", "value": "{{ secrets.KEY }}"}],
            headers=[{"name": "Authorization", "value": "Bearer {{ secrets.KEY }}"}],
        )
        asked = server.asked[0]
        assert asked.path == "/things/7?q=a+b%26c&k=k-1"
        assert asked.headers["Authorization"] == "Bearer k-1"


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ({"json": {"n": "{{ input.n }}", "t": "é"}}, "application/json", '{"n":3,"t":"é"}'),
        ({"json": "{{ input.n }}"}, "application/json", "3"),
        ({"json": None}, "application/json", "null"),
        ({"text": "n={{ input.n }}"}, "text/plain; charset=utf-8", "n=3"),
        (
            {"form": [{"name": "a b", "value": "{{ input.n }}&"}, {"name": "a b", "value": "é"}]},
            "application/x-www-form-urlencoded",
            "a+b=3%26&a+b=%C3%A9",
        ),
        ({"form": []}, "application/x-www-form-urlencoded", ""),
    ],
)
async def test_a_body_is_sent_in_its_form(body: dict[str, Any], content_type: str, sent: str) -> None:
    async with setting() as (server, ctx):
        await ask(ctx, {"input": {"n": 3}}, url=server.url, method="POST", body=body)
        asked = server.asked[0]
        assert (asked.headers["Content-Type"], asked.body.decode()) == (content_type, sent)


async def test_a_content_type_of_the_author_stands() -> None:
    async with setting() as (server, ctx):
        headers = [{"name": "content-type", "value": "text/csv"}]
        await ask(ctx, url=server.url, method="PUT", headers=headers, body={"text": "a,b"})
        assert server.asked[0].headers["Content-Type"] == "text/csv"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_unsafe_methods_carry_the_same_idempotency_key_in_every_attempt(method: str) -> None:
    async with setting() as (server, ctx):
        ctx.idempotency_key = "run-1/node/3"
        for _ in range(2):
            await ask(ctx, url=server.url, method=method)
        keys = [asked.headers.get("Idempotency-Key") for asked in server.asked]
        assert keys == [None, None] if method in {"GET", "HEAD"} else ["run-1/node/3", "run-1/node/3"]
        assert [asked.method for asked in server.asked] == [method, method]


async def test_an_idempotency_key_of_the_author_stands() -> None:
    async with setting() as (server, ctx):
        await ask(ctx, url=server.url, method="POST", headers=[{"name": "idempotency-key", "value": "mine"}])
        assert server.asked[0].headers.get("idempotency-key") == "mine"


async def test_the_credential_of_a_connection_is_sent() -> None:
    async with setting() as (server, ctx):
        ctx.credentials["crm"] = Credential({"X-Key": "k"}, {}, frozenset({server.url}))
        await ask(ctx, url=server.url, connection="crm")
        assert server.asked[0].headers["X-Key"] == "k"


@pytest.mark.parametrize(
    ("status", "is_retryable"),
    [
        (400, False),
        (401, False),
        (404, False),
        (408, True),
        (418, False),
        (425, True),
        (429, True),
        (500, True),
        (503, True),
    ],
)
async def test_a_status_that_is_not_expected_fails_and_some_may_pass(status: int, is_retryable: bool) -> None:
    async with setting() as (server, ctx):
        server.answer("/x", status=status, headers={"Retry-After": "9"}, text="secret details")
        fault = await fault_of(ctx, url=f"{server.url}/x")
        assert (fault.code, fault.is_retryable, fault.retry_after_s) == ("HTTP_STATUS", is_retryable, 9.0)
        assert str(status) in fault.message


async def test_expected_statuses_take_the_place_of_the_usual_ones() -> None:
    async with setting() as (server, ctx):
        server.answer("/x", status=404, text="gone")
        assert (await ask(ctx, url=f"{server.url}/x", expectStatus=[404, 410]))["body"] == "gone"
        assert (await fault_of(ctx, url=server.url, expectStatus=[404])).code == "HTTP_STATUS"
        server.answer("/go", status=302, headers={"Location": "/x"})
        output = await ask(ctx, url=f"{server.url}/go", followRedirects=False, expectStatus=[302])
        assert output["status"] == 302


@pytest.mark.parametrize(
    ("parse", "content_type", "sent", "body"),
    [
        ("AUTO", "application/json; charset=utf-8", b'{"a":1}', {"a": 1}),
        ("AUTO", "application/problem+json", b"[]", []),
        ("AUTO", "application/json", b"", ""),
        ("AUTO", "text/html; charset=iso-8859-1", "é".encode("latin-1"), "é"),
        ("AUTO", "text/plain; charset=nonsense", "é".encode(), "é"),
        ("AUTO", "image/svg+xml", b"<svg/>", "<svg/>"),
        ("AUTO", "image/png", b"\x89PNG", "iVBORw=="),
        ("JSON", "text/plain", b"[1.50, 1e2]", [1.5, 100.0]),
        ("TEXT", "application/json", b'{"a":1}', '{"a":1}'),
        ("TEXT", "image/png", b"\xff", "\ufffd"),
        ("BASE64", "text/plain", b"hello", "aGVsbG8="),
    ],
)
async def test_a_body_is_read_as_wanted(parse: str, content_type: str, sent: bytes, body: Any) -> None:
    async with setting() as (server, ctx):
        server.answer("/x", body=sent, headers={"Content-Type": content_type})
        assert (await ask(ctx, url=f"{server.url}/x", parse=parse))["body"] == body


@pytest.mark.parametrize("status", [204, 200])
async def test_where_there_is_no_body_it_is_null(status: int) -> None:
    async with setting() as (server, ctx):
        server.answer("/x", status=status, content_type="application/json")
        method = "HEAD" if status == 200 else "GET"
        assert (await ask(ctx, url=f"{server.url}/x", method=method, parse="JSON"))["body"] is None


@pytest.mark.parametrize("sent", [b"", b"{", b"nope", b"[NaN]", b"[Infinity]", b'{"a":1}x', b"[" * 100_000, b"\xff"])
async def test_what_is_not_json_fails_where_json_is_wanted(sent: bytes) -> None:
    async with setting() as (server, ctx):
        server.answer("/x", body=sent)
        fault = await fault_of(ctx, url=f"{server.url}/x", parse="JSON")
        assert (fault.code, fault.is_retryable) == ("INVALID_RESPONSE", False)


async def test_json_with_a_nul_is_read_and_then_refused_by_its_path() -> None:
    async with setting() as (server, ctx):
        server.answer("/x", body=b'{"a":["\\u0000"]}', content_type="application/json")
        output = await ask(ctx, url=f"{server.url}/x")
        with pytest.raises(NodeFault) as fault:
            encode(output)
        assert fault.value.code == "INVALID_OUTPUT"
        assert fault.value.message == "output.body.a[0] contains the character U+0000, which cannot be stored."


@pytest.mark.parametrize(
    "sent", [b'["\\ud800"]', b'{"\\uDC00":1}', b'["\\ud83d\\ud83d\\ude00"]', b'["\\ude00\\ud83d"]']
)
async def test_json_with_half_a_character_is_a_clear_fault(sent: bytes) -> None:
    async with setting() as (server, ctx):
        server.answer("/x", body=sent, content_type="application/json")
        fault = await fault_of(ctx, url=f"{server.url}/x")
        assert (fault.code, fault.is_retryable) == ("INVALID_RESPONSE", False)
        assert "surrogate" in fault.message


async def test_json_with_escaped_characters_and_backslashes_is_read() -> None:
    async with setting() as (server, ctx):
        server.answer("/x", body=b'["\\ud83d\\ude00", "\\\\ud800"]', content_type="application/json")
        assert (await ask(ctx, url=f"{server.url}/x"))["body"] == ["😀", "\\ud800"]


async def test_json_that_is_nested_too_deeply_is_a_clear_fault() -> None:
    async with setting() as (server, ctx):
        server.answer("/x", body=b"[" * 600 + b"]" * 600, content_type="application/json")
        output = await ask(ctx, url=f"{server.url}/x")
        with pytest.raises(NodeFault, match="nested more than 250 levels"):
            encode(output)


async def test_a_mebibyte_of_json_is_read_and_one_byte_more_is_not() -> None:
    async with setting() as (server, ctx):
        exact = json.dumps(["x" * (1_048_576 - 4)]).encode()
        server.answer("/exact", body=exact, content_type="application/json")
        server.answer("/more", body=exact + b" ", content_type="application/json")
        assert len((await ask(ctx, url=f"{server.url}/exact"))["body"][0]) == 1_048_572
        assert (await fault_of(ctx, url=f"{server.url}/more")).code == "RESPONSE_TOO_LARGE"
        assert (await ask(ctx, url=f"{server.url}/more", maxResponseBytes=2_000_000))["status"] == 200


async def test_every_piece_of_an_answer_counts_as_progress() -> None:
    go_on, arrived = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a")
        arrived.set()
        await go_on.wait()
        await response.write(b"b")
        return response

    async with setting() as (server, ctx):
        server.handlers["/slow"] = slow
        task = asyncio.create_task(ask(ctx, url=f"{server.url}/slow", parse="TEXT"), name="ask")
        await arrived.wait()
        await ctx.until_moves(2)
        before = ctx.moves
        go_on.set()
        assert (await task)["body"] == "ab"
        assert ctx.moves > before


async def test_a_refused_address_fails_once_and_for_all() -> None:
    async with web_server() as server, open_http(OutboundGuard()) as http:
        fault = await fault_of(RecordingContext(client=http), url=f"{server.url}/x")
        assert (fault.code, fault.is_retryable) == ("ADDRESS_REFUSED", False)
        assert server.asked == []


@pytest.mark.parametrize(
    ("values", "path", "code"),
    [
        ({}, ("url",), "INVALID_CONFIG"),
        ({"url": ""}, ("url",), "INVALID_CONFIG"),
        ({"url": "http://x", "method": "TRACE"}, ("method",), "INVALID_CONFIG"),
        ({"url": "http://x", "body": {"json": 1, "text": "x"}}, ("body",), "INVALID_CONFIG"),
        ({"url": "http://x", "maxResponseBytes": -1}, ("maxResponseBytes",), "INVALID_CONFIG"),
        ({"url": "http://x", "expectStatus": [99]}, ("expectStatus", "0"), "INVALID_CONFIG"),
        ({"url": "http://x", "expectStatus": [200] * 21}, ("expectStatus",), "INVALID_CONFIG"),
        ({"url": "http://x", "headers": [{"name": "a", "value": "b"}] * 101}, ("headers",), "INVALID_CONFIG"),
        ({"url": "http://{{ secrets.KEY }}"}, ("url",), "SECRET_NOT_ALLOWED"),
        ({"url": "http://x", "proxy": "y"}, ("proxy",), "UNKNOWN_CONFIG_FIELD"),
        ({"url": "http://x", "headers": [{"name": "Host", "value": "y"}]}, ("headers", "0", "name"), "INVALID_CONFIG"),
        ({"url": "http://x", "headers": [{"name": "a b", "value": "y"}]}, ("headers", "0", "name"), "INVALID_CONFIG"),
        ({"url": "http://x", "method": "GET", "body": {"text": "y"}}, ("body",), "INVALID_CONFIG"),
    ],
)
def test_what_cannot_be_sent_is_told_before_anything_runs(
    values: dict[str, Any], path: tuple[str, ...], code: str
) -> None:
    problems = compile_config(KIND, values).problems
    assert [(problem.path, problem.code) for problem in problems] == [(path, code)]
