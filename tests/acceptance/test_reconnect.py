"""Promise 2: the stream never lies, however often the connection drops while a real model writes."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from runtime.settings import LlmSettings, OutboundSettings, Settings
from tests.support.local_model import real_model
from tests.support.openai_endpoint import answer, openai_endpoint
from tests.support.server_process import Caller
from tests.support.whole_server import serving_anabranch

__all__ = ["real_model"]

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.local_model import LocalModel

RECONNECTS = 50
MOST_RUNS = 30


def settings(data_dir: Path, base_url: str, model: str) -> Settings:
    return Settings(
        data_dir=data_dir,
        llm=LlmSettings(base_url=base_url, model=model),
        outbound=OutboundSettings(allowed=(base_url.split("/")[2],)),
    )


def splice(text: bytes, event: dict[str, Any]) -> bytes:
    """Write a piece into a text of UTF-16 code units, as a browser does."""
    begin = 2 * event["offset"]
    assert begin <= len(text), "a gap in the text"
    return text[:begin] + event["text"].encode("utf-16-le")


async def interrupted(caller: Caller, run_id: str, budget: int) -> tuple[int, list[dict[str, Any]]]:
    """Follow a run, dropping the socket after new deltas; return how often that was while the node was at work."""
    log: list[dict[str, Any]] = []
    counted = 0
    while True:
        after = log[-1]["cursor"] if log else None
        is_dropped = False
        async with aclosing(caller.follow(run_id, after)) as events:
            async for event in events:
                log.append(event)
                if event["__typename"] == "NodeOutputDelta" and counted < budget:
                    is_dropped = True
                    break
        if not is_dropped:
            return counted, log
        # Asked after the drop: who is still at work now had not succeeded then.
        data = await caller.ask('query($id: ID!) { run(id: $id) { nodeRun(key: "say") { status } } }', id=run_id)
        counted += data["run"]["nodeRun"]["status"] == "RUNNING"


def check(log: list[dict[str, Any]]) -> None:
    """Compare what was spliced with the output."""
    assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
    text = b""
    for event in log:
        if event["__typename"] == "NodeOutputDelta":
            text = splice(text, event)
    [succeeded] = [event for event in log if event["__typename"] == "NodeSucceeded"]
    assert text.decode("utf-16-le") == succeeded["output"]["text"]


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_fifty_reconnects_while_the_local_model_streams_lose_and_double_nothing(
    data_dir: Path,
    real_model: LocalModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with (
        serving_anabranch(settings(data_dir, real_model.base_url, real_model.model)) as url,
        aiohttp.ClientSession() as session,
    ):
        caller = Caller(url, session)
        await caller.sign_up()
        config = {"llmCall": {"prompt": "{{ input.prompt }}", "maxTokens": 120, "temperature": 0.7}}
        workflow = await caller.create(name="Stream", graph={"nodes": [{"key": "say", "config": config}], "edges": []})
        count = runs = 0
        while count < RECONNECTS:
            runs += 1
            assert runs <= MOST_RUNS, f"only {count} reconnects in {runs} runs"
            run_id = await caller.start(workflow, {"prompt": f"Tell a long story with emoji 🦜 and 𝄞, number {runs}."})
            counted, log = await interrupted(caller, run_id, RECONNECTS - count)
            check(log)
            count += counted
        with capsys.disabled():
            print(f"\n{count} reconnects over {runs} runs")  # noqa: T201


@pytest.mark.timeout(120)
async def test_characters_outside_the_bmp_at_the_borders_of_deltas_are_spliced_whole(data_dir: Path) -> None:
    pieces = ["a", "🦜", "𝄞𝄞", "b🦜", "\u00e9", "👩\u200d👩", "\u200d👧", "z"]
    async with (
        openai_endpoint() as endpoint,
        serving_anabranch(settings(data_dir, endpoint.base_url, "fake")) as url,
        aiohttp.ClientSession() as session,
    ):
        caller = Caller(url, session)
        await caller.sign_up()
        config = {"llmCall": {"prompt": "hello"}}
        workflow = await caller.create(name="Stream", graph={"nodes": [{"key": "say", "config": config}], "edges": []})
        endpoint.script(answer(*pieces * 200))
        _, log = await interrupted(caller, await caller.start(workflow), budget=10)
        check(log)
        [succeeded] = [event for event in log if event["__typename"] == "NodeSucceeded"]
        assert succeeded["output"]["text"] == "".join(pieces * 200)
