"""What a person does in the editor of a workflow."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.pages import calling_as, sign_up

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from playwright.async_api import Locator, Page

    from tests.support.browser import Window
    from tests.support.server_process import Caller

# A window that closes leaves what it has asked for; a request that is canceled leaves coroutines unawaited.
ABANDONED_REQUESTS = pytest.mark.filterwarnings("ignore:Exception ignored in. <coroutine object")

_DRAFT = """query ($id: ID!) {
  workflow(id: $id) {
    revision name
    graph { nodes { key configInput when position { x y } } edges { source sourcePort target } }
  }
}"""


async def open_editor(page: Page, url: str, workflow_id: str) -> None:
    """Open a workflow and wait until it can be edited."""
    await page.goto(f"{url}/workflows/{workflow_id}")
    await expect(page.get_by_role("button", name="▶ Run")).to_be_visible()


@asynccontextmanager
async def editing(url: str, **workflow: Any) -> AsyncGenerator[tuple[Window, Caller, str]]:
    """Sign up in a browser, make a workflow and open its editor; gives the window, the API as the same person, its id."""
    async with browsing() as window:
        await sign_up(window.page, url)
        async with calling_as(window.page, url) as caller:
            workflow_id = await caller.create(**workflow)
            await open_editor(window.page, url, workflow_id)
            yield window, caller, workflow_id


async def saved(page: Page) -> None:
    """Wait until the server has all that was edited."""
    await expect(page.locator(".save-state[data-saved=true]")).to_be_visible()


def node(page: Page, key: str) -> Locator:
    """Return a node on the canvas."""
    return page.locator(f"[data-key={key}]")


def panel(page: Page) -> Locator:
    """Return what stands beside the canvas."""
    return page.locator(".editor-side")


async def choose(page: Page, typed: str) -> None:
    """Choose in the open menu by typing."""
    field = page.get_by_role("dialog").get_by_role("combobox")
    await expect(field).to_be_focused()
    await page.keyboard.type(typed)
    await page.keyboard.press("Enter")
    await expect(field).to_have_count(0)  # what was chosen may open a dialog of its own


async def draft(caller: Caller, workflow_id: str) -> dict[str, Any]:
    """Return the draft as the API has it: the nodes by their keys, the edges as `a>b`."""
    workflow = (await caller.ask(_DRAFT, id=workflow_id))["workflow"]
    graph = cast("Mapping[str, list[dict[str, Any]]]", workflow["graph"])
    return {
        "revision": workflow["revision"],
        "name": workflow["name"],
        "nodes": {one["key"]: one["configInput"] for one in graph["nodes"]},
        "positions": {one["key"]: one["position"] for one in graph["nodes"]},
        "edges": {f"{one['source']}>{one['target']}" for one in graph["edges"]},
    }
