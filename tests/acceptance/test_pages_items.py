"""The page of a run whose node works on the items of a list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import expect

from tests.acceptance.test_pages_looks import look
from tests.acceptance.test_pages_run import choose, status
from tests.support.browser import browsing
from tests.support.openai_endpoint import answer, refusal
from tests.support.pages import calling_as, computing, server_with_model, sign_up, writing

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Locator, Page

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

EACH = {"items": "{{ input.places }}", "maxParallelItems": 1, "onItemError": "NULL"}
GRAPH = {
    "nodes": [
        writing("tell", "Tell of {{ item }}.", forEach=EACH),
        computing("after", "{{ nodes.tell.output | length }}"),
    ],
    "edges": [{"source": "tell", "target": "after"}],
}
PLACES = {"places": ["source", "delta", "weir", "sea"]}


def listed(page: Page) -> Locator:
    """Return the items that are listed."""
    return page.get_by_role("list", name="Items").get_by_role("listitem")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_items_are_counted_listed_and_watched_while_they_are_worked_on(
    theme: Literal["light", "dark"], tmp_path: Path
) -> None:
    found: list[str] = []
    async with server_with_model(tmp_path) as (server, model), browsing(theme) as window:
        page, flows = window.page, asyncio.Event()
        await sign_up(page, server.url)
        async with calling_as(page, server.url) as caller:
            model.script(
                answer("It springs."),
                answer("It splits, ", flows, "and meets."),
                refusal(400, "no"),
                answer("It ends."),
            )
            run_id = await caller.start(await caller.create(name="Places", graph=GRAPH), PLACES)
            await page.goto(f"{server.url}/runs/{run_id}")
            await expect(page.locator("[data-key=tell]")).to_contain_text("1 / 4")
            await choose(page, "tell")
            await expect(page.get_by_role("tabpanel")).to_contain_text("1 of 4 items")
            await expect(listed(page)).to_have_count(2)
            await expect(listed(page).nth(0)).to_contain_text("Succeeded")
            await expect(listed(page).nth(1)).to_contain_text("Running")
            await look(page, f"items-{theme}", found)
            await listed(page).nth(1).click()
            text = page.get_by_role("group", name="Text")
            await expect(text).to_have_text("It splits, ")
            # Who comes in the middle sees the beginning too.
            await page.reload()
            await listed(page).nth(1).click()
            await expect(text).to_have_text("It splits, ")
            await look(page, f"item-{theme}", found)
            flows.set()
            await expect(text).to_have_text("It splits, and meets.")
            await expect(page.get_by_role("region", name="Output")).to_contain_text("and meets.")
            await expect(page.get_by_role("region", name="Input")).to_contain_text("delta")

            await expect(status(page, "SUCCEEDED")).to_be_visible()
            await page.get_by_role("button", name="All items").click()
            await expect(page.get_by_role("tabpanel")).to_contain_text("4 of 4 items")
            await expect(listed(page)).to_have_count(4)
            await page.get_by_label("Which items").select_option(label="Failed")
            await expect(listed(page)).to_have_count(1)
            await look(page, f"items-failed-{theme}", found)
            await listed(page).click()
            item = page.get_by_role("region", name="Item 2")
            await expect(item).to_contain_text("MODEL_REFUSED")
            await expect(item).to_contain_text("weir")
            assert window.complaints == []
    assert found == []
