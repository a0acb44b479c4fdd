"""The editor in a real browser: one person makes a graph, runs it and corrects it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.editing import ABANDONED_REQUESTS, choose, draft, editing, node, open_editor, panel, saved
from tests.support.openai_endpoint import answer
from tests.support.pages import (
    calling_as,
    computing,
    server_with_model,
    sign_up,
    watch_text,
    watched_texts,
    writing,
)
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from playwright.async_api import Page

pytestmark = [pytest.mark.long, pytest.mark.timeout(180), ABANDONED_REQUESTS]

CHAIN = {
    "inputSchema": {"type": "object", "required": ["question"], "properties": {"question": {"type": "string"}}},
    "graph": {
        "nodes": [
            computing("first", "{{ input.question }}", position={"x": 0, "y": 0}),
            computing("second", "{{ nodes.first.output.value }}", position={"x": 300, "y": 0}),
            computing("third", "{{ nodes.second.output.value }}", position={"x": 600, "y": 0}),
        ],
        "edges": [{"source": "first", "target": "second"}, {"source": "second", "target": "third"}],
    },
}


@pytest.fixture
async def url(tmp_path: Path, database_url: str) -> AsyncGenerator[str]:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        yield url


async def drop(page: Page, kind: str, x: float, y: float) -> None:
    """Drag a kind from the palette to a place of the canvas."""
    canvas = page.locator(".editor-canvas")
    await page.get_by_role("button", name=f"Add {kind}").drag_to(canvas, target_position={"x": x, "y": y})


async def drag(page: Page, source: tuple[float, float], target: tuple[float, float]) -> None:
    """Press the mouse, move it and let go."""
    await page.mouse.move(*source)
    await page.mouse.down()
    await page.mouse.move((source[0] + target[0]) / 2, (source[1] + target[1]) / 2, steps=4)
    await page.mouse.move(*target, steps=4)
    await page.mouse.up()


async def handle(page: Page, key: str, side: str) -> tuple[float, float]:
    """Return where a node's handle is on the screen."""
    box = await page.locator(f".react-flow__node[data-id={key}] .react-flow__handle-{side}").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def test_a_stranger_makes_a_graph_runs_it_and_sees_every_token_once_though_the_server_dies(
    tmp_path: Path,
) -> None:
    stays = asyncio.Event()
    async with server_with_model(tmp_path) as (server, model), browsing() as window:
        page = window.page
        model.script(answer("A river ", "splits", stays), answer("A river ", "splits", " and rejoins."))
        await sign_up(page, server.url)
        await page.get_by_role("button", name="Make the first workflow").click()
        await page.get_by_role("radio", name="Blank").check()
        await page.get_by_role("button", name="Make it").click()
        await expect(page.get_by_role("heading", name="An empty graph")).to_be_visible()
        # The mouse: two kinds are dropped, one is drawn to the other.
        await drop(page, "Transform", 150, 200)
        await expect(node(page, "shape")).to_be_visible()
        await panel(page).get_by_role("textbox", name="Value").fill("a delta")
        await drop(page, "Language model", 480, 200)
        await expect(node(page, "answer")).to_be_visible()
        await drag(page, await handle(page, "shape", "right"), await handle(page, "answer", "left"))
        await expect(page.locator(".react-flow__edge")).to_have_count(1)
        # The keyboard: what an expression can name is offered while one types.
        prompt = panel(page).get_by_role("textbox", name="Prompt")
        await prompt.fill("")
        await prompt.press_sequentially("Describe {{ nodes.sha")
        await expect(page.get_by_role("option", name="nodes.shape.output.value")).to_be_visible()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(prompt).to_have_value("Describe {{ nodes.shape.output.value }}")
        await page.get_by_role("button", name="Close the panel").click()
        await node(page, "answer").click()
        await page.keyboard.press("a")
        await choose(page, "transform after")
        value = panel(page).get_by_role("textbox", name="Value")
        await value.fill("{{ nodes.answer.output.text | upper }}")
        await saved(page)
        await expect(page.locator(".react-flow__edge")).to_have_count(2)
        await page.get_by_role("button", name="▶ Run").click()
        await page.get_by_role("button", name="Start the run").click()
        await expect(node(page, "answer")).to_contain_text("A river splits")
        request = await model.received()
        assert request.body["messages"][-1]["content"] == "Describe a delta"
        assert window.complaints == []
        # Its tokens arrive; the server is killed in mid-stream and started again.
        await node(page, "answer").click()
        await watch_text(page)
        await asyncio.to_thread(server.kill)
        await expect(page.locator(".link-state")).to_contain_text("Reconnecting…")
        await server.start()
        await expect(page.locator(".run-head [data-status=SUCCEEDED]")).to_be_visible()
        text = page.get_by_role("group", name="Text")
        await expect(text).to_have_text("A river splits and rejoins.")
        assert [one for one in await watched_texts(page) if not "A river splits and rejoins.".startswith(one)] == []
        await page.get_by_role("button", name="Back to the run").click()
        await expect(page.get_by_role("region", name="Output")).to_contain_text("A RIVER SPLITS AND REJOINS.")


async def test_a_graph_is_made_with_the_keyboard_alone(url: str) -> None:
    async with editing(url, name="By hand") as (window, caller, workflow_id):
        page = window.page
        await page.keyboard.press("a")
        await choose(page, "transform")
        await page.keyboard.press("a")
        await choose(page, "branch after")
        await page.keyboard.press("Escape")
        await page.keyboard.press("a")
        await choose(page, "http")
        # From the menu to the node that is to be connected, and on to the one it leads to.
        await page.keyboard.press("Control+k")
        await choose(page, "go shape")
        await page.keyboard.press("c")
        await choose(page, "request")
        await saved(page)
        made = await draft(caller, workflow_id)
        assert set(made["nodes"]) == {"shape", "choose", "request"}
        assert made["edges"] == {"shape>choose", "shape>request"}
        await page.keyboard.press("Control+z")
        await saved(page)
        assert (await draft(caller, workflow_id))["edges"] == {"shape>choose"}
        await page.keyboard.press("Control+z")
        await expect(node(page, "request")).to_have_count(0)
        await saved(page)
        assert set((await draft(caller, workflow_id))["nodes"]) == {"shape", "choose"}
        await page.keyboard.press("Control+Shift+z")
        await page.keyboard.press("Control+Shift+z")
        await saved(page)
        assert {**await draft(caller, workflow_id), "revision": 0} == {**made, "revision": 0}
        # By Tab into the form.
        await page.keyboard.press("Control+k")
        await choose(page, "go request")
        field = panel(page).get_by_role("textbox", name="Url")
        for _ in range(60):
            if await field.evaluate("element => element === document.activeElement"):
                break
            await page.keyboard.press("Tab")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("https://example.com/rivers")
        await saved(page)
        await expect(node(page, "request")).to_contain_text("https://example.com/rivers")
        config = (await draft(caller, workflow_id))["nodes"]["request"]
        assert config["httpRequest"]["url"] == "https://example.com/rivers"
        assert window.complaints == []


async def test_a_removed_node_comes_back_as_it_was_with_its_edges(url: str) -> None:
    async with editing(url, name="Chain", **CHAIN) as (window, caller, workflow_id):
        page = window.page
        before = await draft(caller, workflow_id)
        await node(page, "second").click()
        await page.keyboard.press("Delete")
        await expect(node(page, "second")).to_have_count(0)
        await saved(page)
        gone = await draft(caller, workflow_id)
        assert set(gone["nodes"]) == {"first", "third"}
        assert gone["edges"] == set()
        # What reads it is a problem now, and the way to it.
        await page.get_by_role("tab", name="Problems").click()
        await page.get_by_role("button", name=re.compile("third.*Value")).click()
        await expect(panel(page).get_by_role("heading", name="third")).to_be_visible()
        await expect(panel(page).locator(".form-errors")).to_contain_text("There is no node second")
        await page.get_by_role("button", name="Undo").click()
        await expect(node(page, "second")).to_be_visible()
        await saved(page)
        after = await draft(caller, workflow_id)
        assert {**after, "revision": 0} == {**before, "revision": 0}


async def test_renaming_a_key_rewrites_who_reads_it_and_moving_changes_no_revision(url: str) -> None:
    async with editing(url, name="Chain", **CHAIN) as (window, caller, workflow_id):
        page = window.page
        await node(page, "first").click()
        await panel(page).get_by_role("textbox", name="Key").fill("source")
        await page.keyboard.press("Enter")
        await expect(panel(page).get_by_role("heading", name="source")).to_be_visible()
        await saved(page)
        renamed = await draft(caller, workflow_id)
        assert renamed["nodes"]["second"]["transform"]["fields"][0]["value"] == "{{ nodes.source.output.value }}"
        box = await node(page, "third").bounding_box()
        assert box is not None
        await drag(page, (box["x"] + 40, box["y"] + 40), (box["x"] + 60, box["y"] + 140))
        await expect(page.get_by_role("button", name="Undo")).to_have_attribute("title", "Undo: Move “third” (Ctrl+Z)")
        await saved(page)
        moved = await draft(caller, workflow_id)
        assert moved["revision"] == renamed["revision"]
        assert moved["positions"]["third"]["y"] > renamed["positions"]["third"]["y"]
        assert moved["positions"]["second"] == renamed["positions"]["second"]


async def test_what_the_server_refuses_stays_in_the_form_with_the_reason_beside_it(url: str) -> None:
    async with editing(url, name="Chain", **CHAIN) as (window, caller, workflow_id):
        page = window.page
        await node(page, "second").click()
        value = panel(page).get_by_role("textbox", name="Value")
        await value.fill("{{ nodes.first.output.value")
        await expect(page.get_by_text("Your last change of “second” is not saved")).to_be_visible()
        await expect(value).to_have_value("{{ nodes.first.output.value")
        await expect(value).to_have_attribute("aria-invalid", "true")
        assert (await draft(caller, workflow_id))["revision"] == 1
        await value.fill("{{ nodes.first.output.value }}!")
        await saved(page)
        stored = (await draft(caller, workflow_id))["nodes"]["second"]["transform"]["fields"][0]["value"]
        assert stored == "{{ nodes.first.output.value }}!"


async def test_the_form_of_a_run_asks_for_what_the_workflow_needs_and_tells_what_is_missing(url: str) -> None:
    asked = {
        "type": "object",
        "required": ["question", "places"],
        "properties": {
            "question": {"type": "string", "minLength": 3},
            "tone": {"enum": ["calm", "excited"], "default": "calm"},
            "places": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[A-Z]"}},
        },
    }
    graph = {"nodes": [computing("one", "{{ input.places | join('+') }}")], "edges": []}
    async with editing(url, name="Asking", inputSchema=asked, graph=graph) as (window, _, _):
        page = window.page
        await page.get_by_role("button", name="▶ Run").click()
        form = page.get_by_role("dialog")
        await form.get_by_role("button", name="Start the run").click()
        await expect(form.locator("[data-path=question]")).to_contain_text("This may not be empty.")
        await form.get_by_role("textbox", name="Question").fill("Why?")
        await form.get_by_role("textbox", name="Place 1").fill("delta")
        await expect(form.locator("[data-path='places.0']")).to_contain_text("must match the pattern")
        await form.get_by_role("textbox", name="Place 1").fill("Delta")
        await form.get_by_role("button", name="Add to Places").click()
        await form.get_by_role("textbox", name="Place 2").fill("Estuary")
        await form.get_by_role("button", name="Start the run").click()
        await expect(page.get_by_role("region", name="Output")).to_contain_text("Delta+Estuary")


async def test_a_node_is_tried_and_a_template_previewed_on_what_the_latest_run_recorded(tmp_path: Path) -> None:
    graph = {
        "nodes": [computing("first", "{{ input.question }}"), writing("answer", "{{ nodes.first.output.value }}")],
        "edges": [{"source": "first", "target": "answer"}],
    }
    stays = asyncio.Event()
    async with server_with_model(tmp_path) as (server, model), browsing() as window:
        page = window.page
        await sign_up(page, server.url)
        async with calling_as(page, server.url) as caller:
            workflow_id = await caller.create(name="Trying", graph=graph)
            await caller.ended(await caller.start(workflow_id, {"question": "Why?"}))
        await open_editor(page, server.url, workflow_id)
        await node(page, "answer").click()
        await panel(page).get_by_role("textbox", name="Prompt").fill("Loudly: {{ nodes.first.output.value | upper }}")
        await panel(page).get_by_text("Preview with the latest run").first.click()
        await expect(panel(page).get_by_role("region", name="Preview")).to_contain_text("Loudly: WHY?")
        await saved(page)
        model.script(answer("Be", "cause", stays, " of sand."))
        await panel(page).get_by_role("button", name="▶ Try").click()
        await expect(panel(page).locator(".trial")).to_contain_text("Because")
        stays.set()
        await expect(panel(page).get_by_role("region", name="Output")).to_contain_text("Because of sand.")
        assert (await model.received(2)).body["messages"][-1]["content"] == "Loudly: WHY?"
        assert window.complaints == []


async def test_what_was_published_is_compared_with_the_draft_and_made_the_draft_again(url: str) -> None:
    async with editing(url, name="Chain", **CHAIN) as (window, caller, workflow_id):
        page = window.page
        await page.get_by_role("button", name="Publish").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("What changed").fill("The first one.")
        await dialog.get_by_role("button", name="Publish").click()
        await expect(dialog).to_have_count(0)
        await node(page, "second").click()
        await panel(page).get_by_role("textbox", name="Value").fill("{{ nodes.first.output.value | upper }}")
        await saved(page)
        await node(page, "third").click()
        await page.keyboard.press("Delete")
        await saved(page)
        await page.get_by_role("tab", name="Versions").click()
        await expect(panel(page)).to_contain_text("The draft differs from what is published.")
        await page.get_by_role("button", name="Compare with the draft").click()
        await expect(panel(page).locator(".diff")).to_contain_text(re.compile("third.*removed"))
        await expect(panel(page).locator(".diff")).to_contain_text(re.compile("second.*third.*removed"))
        await expect(panel(page).locator(".diff-gone")).to_have_text(
            re.compile(r"removed: - \{\{ nodes\.first\.output\.value \}\}")
        )
        await page.get_by_role("button", name="Make it the draft").click()
        await expect(node(page, "third")).to_be_visible()
        await expect(panel(page)).to_contain_text("The draft is what is published.")
        stored = await draft(caller, workflow_id)
        assert stored["nodes"]["second"]["transform"]["fields"][0]["value"] == "{{ nodes.first.output.value }}"
        assert stored["edges"] == {"first>second", "second>third"}
        assert window.complaints == []


async def test_a_file_goes_out_and_comes_back_and_its_faults_have_lines(url: str) -> None:
    async with editing(url, name="Chain", **CHAIN) as (window, caller, workflow_id):
        page = window.page
        await page.get_by_role("button", name="Export").click()
        async with page.expect_download() as waiting:
            await page.get_by_role("button", name="Download chain.yaml").click()
        text = (await (await waiting.value).path()).read_text()
        assert "nodes.second.output.value" in text
        await page.keyboard.press("Escape")
        await page.keyboard.press("a")
        await choose(page, "import")
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Its text").fill(text.replace("transform:", "transfrom:", 1))
        await dialog.get_by_role("button", name="Replace the draft").click()
        await expect(dialog.get_by_role("alert")).to_contain_text(re.compile(r"Line \d+, column \d+"))
        assert (await draft(caller, workflow_id))["revision"] == 1
        await dialog.get_by_label("Its text").fill(
            text.replace("nodes.second.output.value", "nodes.first.output.value")
        )
        await dialog.get_by_role("button", name="Replace the draft").click()
        await expect(dialog).to_have_count(0)
        await node(page, "third").click()
        await expect(panel(page).get_by_role("textbox", name="Value")).to_have_value("{{ nodes.first.output.value }}")
        assert (await draft(caller, workflow_id))["revision"] == 2
        assert window.complaints == []


async def test_a_workflow_is_renamed_and_told_what_input_it_asks_for(url: str) -> None:
    graph = {"nodes": [computing("one", "In {{ input.city }}")], "edges": []}
    async with editing(url, name="Chain", graph=graph) as (window, caller, workflow_id):
        page = window.page
        await page.get_by_role("button", name="Settings").click()
        form = page.get_by_role("dialog")
        await form.get_by_role("textbox", name="Name (required)").first.fill("Cities")
        await form.get_by_role("button", name="Add to Input fields").click()
        await form.locator("[data-path='inputFields.0.name'] input").fill("city")
        await form.locator("[data-path='inputFields.0.isRequired'] input").check()
        await form.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("heading", name="Cities", level=1)).to_be_visible()
        await saved(page)
        assert (await draft(caller, workflow_id))["name"] == "Cities"
        await page.get_by_role("button", name="▶ Run").click()
        await form.get_by_role("textbox", name="City").fill("Basel")
        await form.get_by_role("button", name="Start the run").click()
        await expect(page.get_by_role("region", name="Output")).to_contain_text("In Basel")
        assert window.complaints == []
