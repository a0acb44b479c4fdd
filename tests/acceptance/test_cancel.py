"""Cancelling closes the upstream connection: the endpoint sees it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from statistics import median, quantiles
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.acceptance.test_reconnect import settings
from tests.support.openai_endpoint import answer, openai_endpoint
from tests.support.server_process import Caller, now_ms
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 20
AIM_MS = 100


@pytest.mark.timeout(120)
async def test_cancel_run_on_a_streaming_model_closes_its_connection(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spans: list[float] = []
    async with (
        openai_endpoint() as endpoint,
        serving_anabranch(settings(data_dir, endpoint.base_url, "fake")) as url,
        aiohttp.ClientSession() as session,
    ):
        caller = Caller(url, session)
        await caller.sign_up()
        config = {"llmCall": {"prompt": "hello"}}
        workflow = await caller.create(name="Stream", graph={"nodes": [{"key": "say", "config": config}], "edges": []})
        for _ in range(RUNS):
            endpoint.script(answer("Once", " upon", asyncio.Event()))
            run_id = await caller.start(workflow)
            types: list[str] = []
            async with aclosing(caller.follow(run_id)) as events:
                async for event in events:
                    types.append(event["__typename"])
                    if types[-1] == "NodeOutputDelta" and types.count("NodeOutputDelta") == 1:
                        spans.append(await cancelled(caller, run_id, endpoint.requests[-1].left))
            # What the node had written and not yet logged comes before its end.
            ends = [name for name in types if name != "NodeOutputDelta"][-3:]
            assert ends == ["RunCancelRequested", "NodeCanceled", "RunCanceled"]
    with capsys.disabled():
        print(f"\ncancel to disconnect, ms: p50 {median(spans):.0f}, p95 {quantiles(spans, n=20)[-1]:.0f}")  # noqa: T201
    assert median(spans) < 10 * AIM_MS


async def cancelled(caller: Caller, run_id: str, left: asyncio.Event) -> float:
    """Cancel a run and return the ms until the endpoint has seen the disconnect."""
    started = now_ms()
    data = await caller.ask(
        "mutation($i: CancelRunInput!) { cancelRun(input: $i) { run { status } userErrors { message } } }",
        i={"id": run_id, "reason": "Wrong question"},
    )
    assert not data["cancelRun"]["userErrors"]
    async with asyncio.timeout(10):
        await left.wait()
    return now_ms() - started
