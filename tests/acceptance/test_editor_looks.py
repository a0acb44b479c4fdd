"""How the editor looks: pictures of its states in both themes to look at, and what axe-core says of each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import expect

from tests.acceptance.test_editor_together import delay_edits
from tests.support.browser import browsing
from tests.support.editing import ABANDONED_REQUESTS, node, open_editor, panel, saved
from tests.support.pages import calling_as, complaints_of_axe, computing, keep_picture, sign_up, writing
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

pytestmark = [pytest.mark.long, pytest.mark.timeout(240), ABANDONED_REQUESTS]

ASK = {
    "inputSchema": {
        "type": "object",
        "required": ["question"],
        "properties": {
            "question": {"type": "string", "description": "What is asked."},
            "tone": {"enum": ["calm", "excited"], "default": "calm"},
            "places": {"type": "array", "items": {"type": "string"}},
        },
    },
    "graph": {
        "nodes": [
            computing("near", "{{ input.question }}", position={"x": 0, "y": 0}),
            computing("far", "{{ input.question }}", position={"x": 0, "y": 170}),
            writing("answer", "Answer from both.\n{{ nodes.near.output.value }}", position={"x": 290, "y": 60}),
            {
                "key": "choose",
                "config": {"branch": {"cases": [{"name": "short", "when": "nodes.answer.output.text | length < 80"}]}},
                "position": {"x": 580, "y": 60},
            },
        ],
        "edges": [
            {"source": "near", "target": "answer"},
            {"source": "far", "target": "answer"},
            {"source": "answer", "target": "choose"},
        ],
    },
}


async def look(page: Page, name: str, found: list[str]) -> None:
    """Keep a picture, and add what axe-core finds."""
    await keep_picture(page, f"editor-{name}")
    found += [f"{name}: {complaint}" for complaint in await complaints_of_axe(page)]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_state_is_pictured_and_accessible(
    theme: Literal["light", "dark"], tmp_path: Path, database_url: str
) -> None:
    found: list[str] = []
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url, browsing(theme) as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as caller:
            await open_editor(page, url, await caller.create(name="Blank"))
            await look(page, f"empty-{theme}", found)
            await open_editor(page, url, await caller.create(name="Ask the delta", **ASK))
        await expect(node(page, "answer")).to_be_visible()
        await look(page, f"graph-{theme}", found)
        await publish(page)
        await look_at_panels(page, theme, found)
        await look_at_dialogs(page, theme, found)
        await look_at_a_conflict(page, theme, found)
        assert window.complaints == []
    assert found == []


async def publish(page: Page) -> None:
    """Publish the draft as a version."""
    await page.get_by_role("button", name="Publish").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("What changed").fill("Answers from two sides.")
    await dialog.get_by_role("button", name="Publish").click()
    await expect(dialog).to_have_count(0)


async def look_at_panels(page: Page, theme: str, found: list[str]) -> None:
    """Look at a node with a problem, at what is offered while one types, at problems and at what differs."""
    await node(page, "answer").click()
    prompt = panel(page).get_by_role("textbox", name="Prompt")
    await prompt.fill("Answer at length.\n{{ nodes.near.output.value }}\n{{ nodes.gone.output }}")
    await saved(page)
    await expect(panel(page).locator(".form-errors")).to_contain_text("There is no node gone")
    await look(page, f"panel-{theme}", found)
    await prompt.press("End")
    await prompt.press_sequentially(" {{ no")
    await expect(page.get_by_role("listbox", name="Names")).to_be_visible()
    await look(page, f"completion-{theme}", found)
    await page.keyboard.press("Enter")
    await saved(page)
    await panel(page).get_by_text("When it runs, and what happens when it fails").click()
    await panel(page).get_by_text("Time limits").scroll_into_view_if_needed()
    await look(page, f"policies-{theme}", found)
    await page.get_by_role("button", name="Close the panel").click()
    await page.get_by_role("tab", name="Problems").click()
    await expect(page.get_by_role("button", name=re.compile("answer.*Prompt"))).to_be_visible()
    await look(page, f"problems-{theme}", found)
    await page.get_by_role("tab", name="Versions").click()
    await page.get_by_role("button", name="Compare with the draft").click()
    await expect(page.locator(".text-diff")).to_contain_text("Answer at length.")
    await look(page, f"versions-{theme}", found)
    await page.get_by_role("tab", name="Runs").click()


async def look_at_dialogs(page: Page, theme: str, found: list[str]) -> None:
    """Look at everything that opens over the editor."""
    await page.keyboard.press("a")
    await look(page, f"menu-{theme}", found)
    await page.keyboard.press("Escape")
    for name in ("▶ Run", "Settings", "Export"):
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await expect(page.get_by_role("dialog").get_by_role("status")).to_have_count(0)
        await look(page, f"{name.strip('▶ ').lower()}-{theme}", found)
        await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await look(page, f"shortcuts-{theme}", found)
    await page.keyboard.press("Escape")


async def look_at_a_conflict(page: Page, theme: str, found: list[str]) -> None:
    """Look at theirs beside mine: the other is the same person in another window."""
    other = await page.context.new_page()
    await other.goto(page.url)
    arrived = await delay_edits(page)
    await node(page, "near").click()
    await panel(page).get_by_role("textbox", name="Value").fill("Nearby: {{ input.question }}")
    await expect(page.locator(".save-state")).to_have_text("Saving…")
    await node(other, "near").click()
    await panel(other).get_by_role("textbox", name="Value").fill("{{ input.question | upper }}")
    await saved(other)
    arrived.set()
    await expect(page.get_by_role("alert", name="Conflicts")).to_be_visible()
    await look(page, f"conflict-{theme}", found)
