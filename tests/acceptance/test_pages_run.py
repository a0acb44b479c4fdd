"""The page of a run in a real browser: what it shows while connections break, servers die and models stumble."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.openai_endpoint import answer, refusal
from tests.support.pages import (
    calling_as,
    computing,
    server_with_model,
    sign_up,
    watch_text,
    watched_texts,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from playwright.async_api import Locator, Page, WebSocketRoute

    from tests.support.browser import Window
    from tests.support.openai_endpoint import OpenaiEndpoint
    from tests.support.server_process import Caller, ServerProcess

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

WORDS = ["The ", "river ", "splits, ", "flows ", "around ", "an ", "island 🌊 ", "and ", "meets ", "again."]
STORY = "".join(WORDS)
STORY_GRAPH = {
    "nodes": [writing("story"), computing("after", "{{ nodes.story.output.text }}")],
    "edges": [{"source": "story", "target": "after"}],
}


@asynccontextmanager
async def signed_in(
    data_dir: Path,
) -> AsyncGenerator[tuple[Window, ServerProcess, OpenaiEndpoint, Caller]]:
    """Sign up in a browser, on a server that may be killed, and call the API as the same person."""
    async with server_with_model(data_dir) as (server, model), browsing() as window:
        await sign_up(window.page, server.url)
        async with calling_as(window.page, server.url) as caller:
            yield window, server, model, caller


async def choose(page: Page, node: str) -> None:
    """Choose a node of the graph."""
    await page.locator(f"[data-key={node}]").click()
    await expect(page.get_by_role("region", name=f"Node {node}")).to_be_visible()


def status(page: Page, name: str) -> Locator:
    """Return what tells the status of the run."""
    return page.locator(f".run-head [data-status={name}]")


async def output_of(caller: Caller, run_id: str) -> str:
    """Read what the node wrote over the API."""
    data = await caller.ask('query($id: ID!) { run(id: $id) { nodeRun(key: "story") { output } } }', id=run_id)
    return data["run"]["nodeRun"]["output"]["text"]


async def test_a_server_that_dies_in_mid_stream_is_seen_and_survived_without_a_doubled_word(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page, stays = window.page, asyncio.Event()
        model.script(answer(*WORDS[:5], stays), answer(*WORDS))
        run_id = await caller.start(await caller.create(name="Story", graph=STORY_GRAPH))
        await page.goto(f"{server.url}/runs/{run_id}")
        await choose(page, "story")
        await watch_text(page)
        text = page.get_by_role("group", name="Text")
        await expect(text).to_have_text("".join(WORDS[:5]))
        await expect(page.locator("[data-key=story] .step-text")).to_have_text("".join(WORDS[:5]).strip())

        await asyncio.to_thread(server.kill)
        await expect(page.locator(".link-state")).to_contain_text("Reconnecting…")
        await expect(text).to_have_text("".join(WORDS[:5]))
        await server.start()

        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await expect(page.locator(".run-head")).to_contain_text("Recovered")
        assert await output_of(caller, run_id) == STORY
        await expect(text).to_have_text(STORY)
        shown = await watched_texts(page)
        assert [text for text in shown if not STORY.startswith(text)] == []
        await page.get_by_role("tab", name="Attempts (2)").click()
        await expect(page.get_by_role("tabpanel")).to_contain_text("lost with its server")


async def test_connections_that_break_again_and_again_lose_and_double_nothing(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page, opened = window.page, asyncio.Queue["WebSocketRoute"]()

        def pass_on(socket: WebSocketRoute) -> None:
            socket.connect_to_server()
            opened.put_nowait(socket)

        await page.route_web_socket("**/graphql", pass_on)
        gates = [asyncio.Event() for _ in WORDS]
        model.script(answer(*(step for pair in zip(WORDS, gates, strict=True) for step in pair)))
        run_id = await caller.start(await caller.create(name="Story", graph=STORY_GRAPH))
        await page.goto(f"{server.url}/runs/{run_id}")
        await choose(page, "story")
        await watch_text(page)
        text = page.get_by_role("group", name="Text")
        for place, gate in enumerate(gates):
            await expect(text).to_have_text("".join(WORDS[: place + 1]))
            socket = await asyncio.wait_for(opened.get(), 20)
            await socket.close(code=1012, reason="broken by the test")
            # What comes while nothing is connected has to be there afterwards.
            gate.set()
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        assert await output_of(caller, run_id) == STORY
        shown = await watched_texts(page)
        assert shown == sorted(shown, key=len)
        assert [text for text in shown if not STORY.startswith(text)] == []


async def test_a_run_that_is_over_is_complete_without_a_socket(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page = window.page
        model.always(answer(*WORDS))
        run_id = await caller.start(await caller.create(name="Story", graph=STORY_GRAPH), {"place": "Delta"})
        await caller.ended(run_id)
        window.requests.clear()
        await page.goto(f"{server.url}/runs/{run_id}")
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await expect(page.locator("[data-key=story]")).to_contain_text("meets again.")
        await expect(page.get_by_role("region", name="Output")).to_contain_text(STORY)
        await page.get_by_role("tab", name="Input").click()
        await expect(page.get_by_role("region", name="Input")).to_contain_text("Delta")
        await choose(page, "story")
        await expect(page.get_by_role("group", name="Text", exact=True)).to_have_text(STORY)
        await expect(page.locator(".timeline-row")).to_have_count(2)
        assert [url for url in window.requests if url.startswith("ws")] == []
        assert window.complaints == []


async def test_a_failure_tells_its_code_what_happened_and_what_to_do(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page = window.page
        model.script(refusal(500), refusal(400, "the prompt is too long"))
        retry = {"initialIntervalMs": 1, "hasJitter": False}
        graph = {**STORY_GRAPH, "nodes": [writing("story", retry=retry), computing("after")]}
        run_id = await caller.start(await caller.create(name="Story", graph=graph))
        await caller.ended(run_id)
        await page.goto(f"{server.url}/runs/{run_id}")
        await expect(status(page, "FAILED")).to_be_visible()
        await page.get_by_role("button", name="Show node “story”").click()
        panel = page.get_by_role("region", name="Node story")
        await expect(panel).to_contain_text("MODEL_REFUSED")
        await expect(panel).to_contain_text("the prompt is too long")
        await expect(panel).to_contain_text("The model’s endpoint did not take the request")  # noqa: RUF001
        await page.get_by_role("tab", name="Attempts (2)").click()
        await expect(panel).to_contain_text("MODEL_UNAVAILABLE")
        await expect(page.get_by_role("button", name=re.compile(r"story\W+Failed, 2 attempts"))).to_be_visible()
        await expect(page.locator("[data-key=after] [data-status]")).to_have_attribute("data-status", "PENDING")


async def test_cancel_stops_the_run_and_the_page_shows_it(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page, stays = window.page, asyncio.Event()
        model.script(answer("Once ", stays))
        run_id = await caller.start(await caller.create(name="Story", graph=STORY_GRAPH))
        await page.goto(f"{server.url}/runs/{run_id}")
        await expect(page.locator("[data-key=story]")).to_contain_text("Once")
        await page.get_by_role("button", name="Cancel", exact=True).click()
        await expect(status(page, "CANCELED")).to_be_visible()
        await asyncio.wait_for((await model.received()).left.wait(), 20)
        await expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
        assert (await caller.ask("query($id: ID!) { run(id: $id) { status } }", id=run_id))["run"][
            "status"
        ] == "CANCELED"


async def test_a_failed_run_is_run_again_from_what_failed_and_the_rest_is_reused(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page = window.page
        model.script(refusal(400, "not now"), answer(*WORDS))
        graph = {
            "nodes": [computing("before"), writing("story"), computing("after", "{{ nodes.story.output.text }}")],
            "edges": [{"source": "before", "target": "story"}, {"source": "story", "target": "after"}],
        }
        run_id = await caller.start(await caller.create(name="Story", graph=graph))
        await caller.ended(run_id)
        await page.goto(f"{server.url}/runs/{run_id}")
        await page.get_by_role("button", name="Run again…").click()
        preview = page.get_by_role("region", name="What would be done")
        await expect(preview).to_contain_text("Runs again (2): story, after")
        await expect(preview).to_contain_text("Is reused (1): before")
        await page.get_by_role("radio", name="The start").check()
        await expect(preview).to_contain_text("Runs again (3)")
        await page.get_by_role("radio", name="What failed").check()
        await expect(preview).to_contain_text("Is reused (1): before")
        runs = "{ runs { totalCount } }"
        assert (await caller.ask(runs))["runs"]["totalCount"] == 1
        await page.get_by_role("button", name="Run again", exact=True).click()
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        assert not page.url.endswith(run_id)
        await expect(page.locator("[data-key=before] [data-status]")).to_have_attribute("data-status", "REUSED")
        await page.get_by_role("tab", name="About").click()
        await expect(page.get_by_role("link", name=run_id)).to_be_visible()
        assert await output_of(caller, page.url.rsplit("/", 1)[-1]) == STORY

        await choose(page, "after")
        await page.get_by_role("button", name="Run again from here").click()
        await expect(preview).to_contain_text("Runs again (1): after")
        await expect(preview).to_contain_text("Is reused (2): before, story")


async def test_a_run_that_is_over_is_deleted_after_a_question_and_the_list_of_runs_is_without_it(
    tmp_path: Path,
) -> None:
    async with signed_in(tmp_path) as (window, server, _, caller):
        page, steps = window.page, {"nodes": [computing("step")], "edges": []}
        workflow = await caller.create(name="Story", graph=steps)
        stays, goes = await caller.start(workflow), await caller.start(workflow)
        for run_id in (stays, goes):
            await caller.ended(run_id)
        await page.goto(f"{server.url}/runs/{goes}")
        await page.get_by_role("button", name="Delete…").click()
        dialog = page.get_by_role("dialog", name="Delete this run?")
        await dialog.get_by_role("button", name="Keep it").click()
        await expect(dialog).to_have_count(0)
        assert (await caller.ask("{ runs { totalCount } }"))["runs"]["totalCount"] == 2
        await page.get_by_role("button", name="Delete…").click()
        await dialog.get_by_role("button", name="Delete", exact=True).click()
        await expect(page).to_have_url(f"{server.url}/")
        await expect(page.locator(f"a.run-row[href='/runs/{stays}']")).to_be_visible()
        await expect(page.locator(f"a[href='/runs/{goes}']")).to_have_count(0)
        assert (await caller.ask("{ runs { nodes { id } } }"))["runs"]["nodes"] == [{"id": stays}]
        await page.goto(f"{server.url}/runs/{goes}")
        await expect(page.get_by_text("No such run")).to_be_visible()
        assert window.complaints == []


async def test_a_run_is_explored_with_the_keyboard_alone(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as (window, server, model, caller):
        page = window.page
        model.always(answer(*WORDS))
        run_id = await caller.start(await caller.create(name="Story", graph=STORY_GRAPH))
        await caller.ended(run_id)
        await page.goto(f"{server.url}/runs/{run_id}")
        await expect(status(page, "SUCCEEDED")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        await page.keyboard.press("Enter")
        for _ in range(12):
            await page.keyboard.press("Tab")
            if await page.evaluate("() => document.activeElement.dataset.id === 'story'"):
                break
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("region", name="Node story")).to_be_visible()
        await page.get_by_role("tab", name="Result").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("tab", name="Input")).to_be_focused()
        await expect(page.get_by_role("tabpanel")).to_contain_text("Write.")
        await page.get_by_role("button", name="Run again…").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Run again")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Run again…")).to_be_focused()
