from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from domain.configs import compile_config
from domain.errors import NodeFault
from domain.json_codec import encode
from domain.run import DeltaChannel, Usage
from runtime.clients.chat import OpenaiChatModel
from runtime.clients.http import open_http
from runtime.clients.outbound import OutboundGuard
from runtime.nodes.llm_call import KIND, LlmCallOutput
from tests.support.node_context import RecordingContext
from tests.support.openai_endpoint import Break, OpenaiEndpoint, Reasoning, answer, openai_endpoint, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def setting() -> AsyncGenerator[tuple[OpenaiEndpoint, RecordingContext]]:
    async with openai_endpoint() as endpoint, open_http(OutboundGuard([endpoint.allowed])) as http:
        yield endpoint, RecordingContext(model=OpenaiChatModel(endpoint.base_url, "k", "default", http))


async def ask(ctx: RecordingContext, scope: dict[str, Any] | None = None, **values: Any) -> Any:
    compiled = compile_config(KIND, values)
    assert compiled.problems == ()
    return await KIND.run(compiled.render(scope or {}), ctx)


async def test_the_answer_streams_and_is_the_output() -> None:
    async with setting() as (endpoint, ctx):
        endpoint.script(answer(Reasoning("let me see"), "Hel", "lo 😀", usage=(5, 3)))
        result = await ask(ctx, {"input": {"name": "Ada"}}, prompt="Greet {{ input.name }}", system="Be kind.")
        assert result.output == {
            "text": "Hello 😀",
            "json": None,
            "finishReason": "stop",
            "usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8, "cost": None},
            "model": "default",
        }
        assert LlmCallOutput.model_validate(result.output).model_dump(by_alias=True) == result.output
        assert result.usage == Usage(5, 3, 8)
        assert ctx.usages == [Usage(5, 3, 8)]
        assert ctx.emitted == [
            (DeltaChannel.REASONING, "let me see"),
            (DeltaChannel.TEXT, "Hel"),
            (DeltaChannel.TEXT, "lo 😀"),
        ]
        assert endpoint.requests[0].body["messages"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Greet Ada"},
        ]
        assert encode(result.output)


async def test_a_whole_conversation_and_all_options_are_sent() -> None:
    async with setting() as (endpoint, ctx):
        await ask(
            ctx,
            {"input": {"q": "Why?"}},
            connection="main",
            model="qwen-plus",
            messages=[
                {"role": "SYSTEM", "content": "s"},
                {"role": "ASSISTANT", "content": "a"},
                {"role": "USER", "content": "{{ input.q }}"},
            ],
            temperature=0,
            maxTokens=9,
            topP=1,
            stop=["\n"],
            seed=3,
        )
        body = endpoint.requests[0].body
        assert body["messages"][0] == {"role": "system", "content": "s"}
        assert body["messages"][2] == {"role": "user", "content": "Why?"}
        assert [body[name] for name in ("model", "temperature", "max_tokens", "top_p", "stop", "seed")] == [
            "qwen-plus",
            0.0,
            9,
            1.0,
            ["\n"],
            3,
        ]
        assert ctx.asked_connections == ["main"]


@pytest.mark.parametrize(
    ("steps", "parsed"),
    [
        (('{"a": ', "[1, null]}"), {"a": [1, None]}),
        ((' \n{"a": 1}\n',), {"a": 1}),
        (('```json\n{"a": 1}\n```',), {"a": 1}),
    ],
)
async def test_a_json_answer_is_read_as_an_object(steps: tuple[str, ...], parsed: Any) -> None:
    async with setting() as (endpoint, ctx):
        endpoint.script(answer(*steps))
        result = await ask(ctx, prompt="x", responseFormat="JSON")
        assert result.output["json"] == parsed
        assert result.output["text"] == "".join(steps)
        assert endpoint.requests[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("text", ["", "no", "[1]", '"a"', "null", '{"a": 1', '{"a": NaN}', 'Sure! {"a": 1}'])
async def test_an_answer_that_is_no_object_fails_and_reports_its_usage(text: str) -> None:
    async with setting() as (endpoint, ctx):
        endpoint.script(answer(text, usage=(5, 3), finish_reason="length"))
        with pytest.raises(NodeFault) as fault:
            await ask(ctx, prompt="x", responseFormat="JSON")
        assert (fault.value.code, fault.value.is_retryable) == ("INVALID_RESPONSE", True)
        assert "cut off" in fault.value.message
        assert ctx.usages == [Usage(5, 3, 8)]


async def test_an_endpoint_that_asks_to_wait_is_heard() -> None:
    async with setting() as (endpoint, ctx):
        endpoint.script(refusal(429, headers={"Retry-After": "4"}))
        with pytest.raises(NodeFault) as fault:
            await ask(ctx, prompt="x")
        assert (fault.value.code, fault.value.retry_after_s) == ("RATE_LIMITED", 4.0)


async def test_an_answer_that_breaks_off_fails_after_its_deltas() -> None:
    async with setting() as (endpoint, ctx):
        endpoint.script(answer("half", Break()))
        with pytest.raises(NodeFault) as fault:
            await ask(ctx, prompt="x")
        assert (fault.value.code, fault.value.is_retryable) == ("MODEL_UNAVAILABLE", True)


async def test_cancelling_the_node_closes_the_upstream_connection_at_once() -> None:
    async with setting() as (endpoint, ctx):
        endpoint.script(answer("first", asyncio.Event()))
        task = asyncio.create_task(ask(ctx, prompt="x"), name="ask")
        received = await endpoint.received()
        await ctx.changed.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(2):
            await received.left.wait()
        assert not received.ended.is_set()


@pytest.mark.parametrize(
    ("values", "path", "code"),
    [
        ({}, (), "INVALID_CONFIG"),
        ({"prompt": "x", "messages": [{"role": "USER", "content": "y"}]}, (), "INVALID_CONFIG"),
        ({"prompt": "x", "temperature": 2.1}, ("temperature",), "INVALID_CONFIG"),
        ({"prompt": "x", "temperature": "{{ 1 }}"}, ("temperature",), "INVALID_CONFIG"),
        ({"prompt": "x", "maxTokens": 0}, ("maxTokens",), "INVALID_CONFIG"),
        ({"prompt": "x", "topP": 1.5}, ("topP",), "INVALID_CONFIG"),
        ({"prompt": "x", "stop": ["a"] * 5}, ("stop",), "INVALID_CONFIG"),
        ({"messages": [{"role": "TOOL", "content": "x"}]}, ("messages", "0", "role"), "INVALID_CONFIG"),
        ({"messages": [{"role": "USER", "content": "x"}] * 101}, ("messages",), "INVALID_CONFIG"),
        ({"prompt": "{{ secrets.KEY }}"}, ("prompt",), "SECRET_NOT_ALLOWED"),
        ({"prompt": "x", "responseFormat": "JSON_SCHEMA"}, ("responseFormat",), "NOT_SUPPORTED"),
        ({"prompt": "x", "responseSchema": {"type": "object"}}, ("responseSchema",), "NOT_SUPPORTED"),
        ({"prompt": "x", "tools": ["flow"]}, ("tools",), "NOT_SUPPORTED"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_runs(
    values: dict[str, Any], path: tuple[str, ...], code: str
) -> None:
    problems = compile_config(KIND, values).problems
    assert [(problem.path, problem.code) for problem in problems] == [(path, code)]


def test_names_of_other_objects_are_told() -> None:
    named = compile_config(KIND, {"prompt": "x", "connection": "main", "tools": ["a", "b"]}).named_objects
    assert [(found.to, found.name) for found in named] == [("connection", "main"), ("workflow", "a"), ("workflow", "b")]
