from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest

from domain.bounds import LARGEST
from domain.errors import NodeFault
from domain.ports.outbound import ChatDelta, ChatEnd, ChatMessage, ChatRequest
from domain.prices import NO_PRICES, ModelPrice, PriceList
from domain.run import NO_USAGE, DeltaChannel, Usage
from runtime.clients.chat import OpenaiChatModel
from runtime.clients.http import open_http
from runtime.clients.outbound import OutboundGuard
from tests.support.openai_endpoint import (
    Answer,
    Break,
    OpenaiEndpoint,
    Raw,
    Reasoning,
    answer,
    openai_endpoint,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ASK = ChatRequest([ChatMessage("user", "Hi")])


@asynccontextmanager
async def model_at(
    endpoint: OpenaiEndpoint,
    *,
    key: str | None = "sk-canary",
    default: str | None = "m",
    allowed: bool = True,
    prices: PriceList = NO_PRICES,
) -> AsyncGenerator[OpenaiChatModel]:
    async with open_http(OutboundGuard([endpoint.allowed] if allowed else ())) as http:
        yield OpenaiChatModel(endpoint.base_url, key, default, http, prices)


async def collect(model: OpenaiChatModel, request: ChatRequest = ASK) -> tuple[list[ChatDelta], ChatEnd]:
    parts = [part async for part in model.stream(request)]
    end = parts.pop()
    assert isinstance(end, ChatEnd)
    return cast("list[ChatDelta]", parts), end


async def fault_of(model: OpenaiChatModel, request: ChatRequest = ASK) -> NodeFault:
    with pytest.raises(NodeFault) as fault:
        await collect(model, request)
    return fault.value


async def test_an_answer_streams_and_ends_with_what_the_endpoint_reports() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(answer("Hel", "lo", usage=(11, 4)))
        deltas, end = await collect(model)
        assert deltas == [ChatDelta("Hel", DeltaChannel.TEXT), ChatDelta("lo", DeltaChannel.TEXT)]
        assert end == ChatEnd("stop", Usage(11, 4, 15), "m")
        sent = endpoint.requests[0]
        assert sent.body == {
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        assert sent.headers["Authorization"] == "Bearer sk-canary"


async def test_everything_asked_for_is_sent() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        request = ChatRequest(
            [ChatMessage("system", "s"), ChatMessage("user", "u"), ChatMessage("assistant", "a")],
            model="other",
            temperature=0.0,
            max_tokens=5,
            top_p=0.5,
            stop=("x", "y"),
            seed=7,
            is_json=True,
        )
        await collect(model, request)
        body = endpoint.requests[0].body
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant"]
        chosen = ("model", "temperature", "max_tokens", "top_p", "stop", "seed", "response_format")
        assert [body[name] for name in chosen] == ["other", 0.0, 5, 0.5, ["x", "y"], 7, {"type": "json_object"}]


async def test_reasoning_comes_on_its_own_channel() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(answer(Reasoning("hm"), Reasoning("mm", "reasoning"), "yeah"))
        deltas, _ = await collect(model)
        assert [(delta.channel.value, delta.text) for delta in deltas] == [
            ("REASONING", "hm"),
            ("REASONING", "mm"),
            ("TEXT", "yeah"),
        ]


async def test_characters_that_a_server_cuts_in_two_are_put_together() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(answer("a\ud83d", "\ude00b\ud83d", "\ude80"), answer("x\ud83d", finish_reason="length"))
        deltas, _ = await collect(model)
        assert [delta.text for delta in deltas] == ["a", "😀b", "🚀"]
        deltas, end = await collect(model)
        assert ([delta.text for delta in deltas], end.finish_reason) == (["x", "\ud83d"], "length")


async def test_characters_outside_the_bmp_pass_where_their_bytes_are_cut() -> None:
    raw = 'data: {"id":"1","object":"c","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"😀é"}}]}\n\n'
    data = raw.encode()
    for cut in range(data.index("😀".encode()) + 1, data.index("😀".encode()) + 6):
        async with openai_endpoint() as endpoint, model_at(endpoint) as model:
            gate = asyncio.Event()
            endpoint.script(answer(Raw(data[:cut]), gate, Raw(data[cut:])))
            task = asyncio.create_task(collect(model), name="collect")
            await (await endpoint.received()).started.wait()
            gate.set()
            deltas, _ = await task
            assert [delta.text for delta in deltas] == ["😀é"]


async def test_usage_is_zero_where_the_endpoint_reports_none() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(answer("x", usage=None))
        assert (await collect(model))[1].usage == NO_USAGE


@pytest.mark.parametrize(
    ("given", "code", "is_retryable", "wait_s"),
    [
        (refusal(400, "bad"), "MODEL_REFUSED", False, None),
        (refusal(401, "key sk-canary is wrong"), "MODEL_REFUSED", False, None),
        (refusal(404), "MODEL_REFUSED", False, None),
        (refusal(422), "MODEL_REFUSED", False, None),
        (refusal(302, headers={"Location": "http://127.0.0.1:1/"}), "MODEL_REFUSED", False, None),
        (refusal(429, headers={"Retry-After": "12"}), "RATE_LIMITED", True, 12.0),
        (refusal(429), "RATE_LIMITED", True, None),
        (refusal(429, code="insufficient_quota"), "RATE_LIMITED", False, None),
        (refusal(408), "MODEL_UNAVAILABLE", True, None),
        (refusal(500), "MODEL_UNAVAILABLE", True, None),
        (refusal(503, headers={"Retry-After": "3"}), "MODEL_UNAVAILABLE", True, 3.0),
        (Answer(body={"choices": []}), "MODEL_UNAVAILABLE", True, None),
        (answer(Raw(b"data: {nonsense\n\n")), "INVALID_RESPONSE", True, None),
        (answer(Raw(b"data: [1, 2]\n\n")), "INVALID_RESPONSE", True, None),
        (answer(Raw(b"data: \xff\xfe\n\n")), "INVALID_RESPONSE", True, None),
        (
            answer("x", Raw(b'data: {"error": {"message": "sk-canary overloaded"}}\n\n')),
            "MODEL_UNAVAILABLE",
            True,
            None,
        ),
        (answer("x", Break()), "MODEL_UNAVAILABLE", True, None),
        (answer("x", finish_reason=None, usage=None), "MODEL_UNAVAILABLE", True, None),
    ],
)
async def test_what_goes_wrong_has_a_code_and_no_key_in_it(
    given: Answer, code: str, is_retryable: bool, wait_s: float | None
) -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(given)
        fault = await fault_of(model)
        assert (fault.code, fault.is_retryable, fault.retry_after_s) == (code, is_retryable, wait_s)
        assert "canary" not in fault.message
        assert len(endpoint.requests) == 1  # the client does not try again by itself


async def test_an_endpoint_in_a_private_network_is_refused_unless_it_is_allowed() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint, allowed=False) as model:
        fault = await fault_of(model)
        assert (fault.code, fault.is_retryable) == ("ADDRESS_REFUSED", False)
        assert endpoint.requests == []


async def test_an_endpoint_that_is_away_may_come_back() -> None:
    async with openai_endpoint() as endpoint:
        pass
    async with model_at(endpoint) as model:
        fault = await fault_of(model)
        assert (fault.code, fault.is_retryable) == ("MODEL_UNAVAILABLE", True)


async def test_without_any_model_nothing_is_asked() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint, default=None) as model:
        assert (await fault_of(model)).code == "NO_MODEL"
        assert endpoint.requests == []


async def test_nothing_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-environment")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-environment")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Custom: environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://environment.example.com/v1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with openai_endpoint() as endpoint, model_at(endpoint, key=None) as model:
        await collect(model)
        headers = endpoint.requests[0].headers
        assert "Authorization" not in headers
        assert "environment" not in str(headers)
        assert not [name for name in headers if name.lower().startswith("x-stainless")]


async def test_closing_the_stream_closes_the_socket_at_once() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(answer("first", asyncio.Event()))
        stream = cast("AsyncGenerator[Any]", model.stream(ASK))
        async with aclosing(stream):
            assert await anext(stream) == ChatDelta("first", DeltaChannel.TEXT)
        async with asyncio.timeout(2):
            await endpoint.requests[0].left.wait()


async def test_cancelling_a_reader_closes_the_socket_at_once() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        endpoint.script(answer("first", asyncio.Event()), answer(asyncio.Event()))
        for count in (1, 2):
            task = asyncio.create_task(collect(model), name="collect")
            received = await endpoint.received(count)
            if count == 1:
                await received.started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(2):
                await received.left.wait()


async def test_a_server_that_does_not_close_after_its_usage_is_not_waited_for() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        usage = b'data: {"id":"1","object":"c","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
        stop = b'data: {"id":"1","object":"c","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        endpoint.script(answer("x", Raw(stop), Raw(usage), asyncio.Event()))
        async with asyncio.timeout(5):
            _, end = await collect(model)
        assert end.usage == Usage(1, 2, 3)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ('{"prompt_tokens":1e400,"completion_tokens":NaN,"total_tokens":-Infinity}', Usage(LARGEST, 0, LARGEST)),
        (
            f'{{"prompt_tokens":{2**40},"completion_tokens":{10**30},"total_tokens":{2**40}}}',
            Usage(LARGEST, LARGEST, LARGEST),
        ),
        ('{"prompt_tokens":-5,"completion_tokens":"many","total_tokens":[7]}', NO_USAGE),
        ('{"prompt_tokens":2.9,"completion_tokens":3}', Usage(2, 3, 5)),
        ("{}", NO_USAGE),
        ('"many"', NO_USAGE),
        ("[1,2]", NO_USAGE),
    ],
)
async def test_whatever_an_endpoint_calls_its_usage_is_counted_as_what_can_be_stored(told: str, usage: Usage) -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint) as model:
        chunk = f'data: {{"id":"1","object":"c","created":1,"model":"m","choices":[],"usage":{told}}}\n\n'
        endpoint.script(answer("x", Raw(chunk.encode()), usage=None))
        assert (await collect(model))[-1].usage == usage


# ── prices ──

PRICES = PriceList({"m": ModelPrice(Decimal("0.4"), Decimal("1.2"), "USD")})


async def test_an_answer_costs_what_the_price_of_its_model_says_and_counts_as_the_one_that_was_asked() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint, prices=PRICES) as model:
        endpoint.script(answer("x", usage=(1_000, 10)), answer("x", usage=(5, 5)))
        usage = (await collect(model))[1].usage
        assert (usage, usage.model) == (Usage(1_000, 10, 1_010, Decimal("0.000412"), "USD"), "m")
        usage = (await collect(model, replace(ASK, model="unknown")))[1].usage
        assert (usage, usage.model) == (Usage(5, 5, 10), "unknown")


async def test_where_a_cost_is_limited_a_model_without_a_price_is_not_asked() -> None:
    async with openai_endpoint() as endpoint, model_at(endpoint, prices=PRICES) as model:
        limited = replace(ASK, must_be_priced=True)
        await collect(model, limited)
        fault = await fault_of(model, replace(limited, model="unknown"))
        assert (fault.code, fault.is_retryable, len(endpoint.requests)) == ("PRICE_UNKNOWN", False, 1)
