"""Two windows on one graph: nobody's work is lost, and who comes second sees what the other did."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.editing import ABANDONED_REQUESTS, draft, editing, node, open_editor, panel, saved
from tests.support.pages import calling_as, computing, sign_up, writing
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from playwright.async_api import Dialog, Page, Route

    from tests.support.server_process import Caller

pytestmark = [pytest.mark.long, pytest.mark.timeout(180), ABANDONED_REQUESTS]

GRAPH = {
    "nodes": [
        writing("answer", "Answer.", position={"x": 0, "y": 0}),
        computing("keep", "{{ nodes.answer.output.text }}", position={"x": 300, "y": 0}),
    ],
    "edges": [{"source": "answer", "target": "keep"}],
}


@pytest.fixture
async def url(tmp_path: Path, database_url: str) -> AsyncGenerator[str]:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        yield url


@asynccontextmanager
async def two_windows(url: str) -> AsyncGenerator[tuple[Page, Page, Caller, str]]:
    """Open one graph in two windows; gives both, the API, and the workflow's id."""
    async with editing(url, name="Shared", graph=GRAPH) as (first, caller, workflow_id), browsing() as second:
        await second.page.context.add_cookies(await first.page.context.cookies())  # pyright: ignore[reportArgumentType]
        await open_editor(second.page, url, workflow_id)
        yield first.page, second.page, caller, workflow_id


async def delay_edits(page: Page) -> asyncio.Event:
    """Hold what a window sends until the event that is returned is set, as a slow network would."""
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        if "mutation" in (route.request.post_data or ""):
            await arrived.wait()
        await route.continue_()

    await page.route("**/graphql", hold)
    return arrived


async def test_who_comes_second_sees_the_conflict_and_loses_nothing(url: str) -> None:
    async with two_windows(url) as (ada, bob, caller, workflow_id):
        arrived = await delay_edits(bob)
        await node(bob, "answer").click()
        await panel(bob).get_by_role("textbox", name="Prompt").fill("Answer as Bob would.")
        await expect(bob.locator(".save-state")).to_have_text("Saving…")
        await node(ada, "answer").click()
        await panel(ada).get_by_role("textbox", name="Prompt").fill("Answer as Ada would.")
        await panel(ada).get_by_role("textbox", name="System").fill("Be brief.")
        await saved(ada)
        arrived.set()
        conflict = bob.get_by_role("alert", name="Conflicts")
        await expect(conflict).to_contain_text("Answer as Ada would.")
        await expect(conflict).to_contain_text("Answer as Bob would.")
        stored = (await draft(caller, workflow_id))["nodes"]["answer"]["llmCall"]
        assert stored["prompt"] == "Answer as Ada would."
        # What did not clash is there already.
        await expect(panel(bob).get_by_role("textbox", name="System")).to_have_value("Be brief.")
        await conflict.get_by_role("button", name="Use mine").click()
        await expect(conflict).to_have_count(0)
        await saved(bob)
        await expect(panel(ada).get_by_role("textbox", name="Prompt")).to_have_value("Answer as Bob would.")
        stored = (await draft(caller, workflow_id))["nodes"]["answer"]["llmCall"]
        assert stored == {"prompt": "Answer as Bob would.", "system": "Be brief."}
        # Theirs is one step back.
        await bob.get_by_role("button", name="Undo").click()
        await expect(panel(ada).get_by_role("textbox", name="Prompt")).to_have_value("Answer as Ada would.")


async def test_edits_of_different_things_meet_without_a_question(url: str) -> None:
    async with two_windows(url) as (ada, bob, caller, workflow_id):
        arrived = await delay_edits(bob)
        await bob.get_by_role("button", name="Add HTTP request").click()
        await node(bob, "keep").click()
        await panel(bob).get_by_role("textbox", name="Value").fill("{{ nodes.answer.output.text | upper }}")
        await node(ada, "answer").click()
        await panel(ada).get_by_role("textbox", name="Key").fill("reply")
        await ada.keyboard.press("Enter")
        await saved(ada)
        arrived.set()
        await saved(bob)
        await expect(node(ada, "request")).to_be_visible()
        await expect(node(bob, "reply")).to_be_visible()
        stored = await draft(caller, workflow_id)
        assert set(stored["nodes"]) == {"reply", "keep", "request"}
        assert stored["edges"] == {"reply>keep"}
        await expect(bob.get_by_role("alert", name="Conflicts")).to_contain_text("nodes.reply.output.text")


async def test_a_node_that_the_other_removed_is_brought_back_with_my_change(url: str) -> None:
    async with two_windows(url) as (ada, bob, caller, workflow_id):
        arrived = await delay_edits(bob)
        await node(bob, "answer").click()
        await panel(bob).get_by_role("textbox", name="Prompt").fill("Answer as Bob would.")
        await expect(bob.locator(".save-state")).to_have_text("Saving…")
        await node(ada, "answer").click()
        await ada.keyboard.press("Delete")
        await saved(ada)
        arrived.set()
        conflict = bob.get_by_role("alert", name="Conflicts")
        await expect(conflict).to_contain_text("removed “answer” while you changed it")
        await expect(conflict).to_contain_text("Answer as Bob would.")
        await conflict.get_by_role("button", name="Bring it back with my change").click()
        await saved(bob)
        await expect(node(ada, "answer")).to_contain_text("Answer as Bob would.")
        stored = await draft(caller, workflow_id)
        assert stored["edges"] == {"answer>keep"}
        assert stored["nodes"]["answer"] == {"llmCall": {"prompt": "Answer as Bob would."}}


async def test_edits_wait_for_a_server_that_cannot_be_reached_and_are_saved_when_it_can(url: str) -> None:
    async with editing(url, name="Shared", graph=GRAPH) as (window, caller, workflow_id):
        page = window.page
        await page.context.set_offline(True)
        await node(page, "answer").click()
        await panel(page).get_by_role("textbox", name="Prompt").fill("Answer later.")
        await expect(page.get_by_text("Not saved")).to_be_visible()
        assert (await draft(caller, workflow_id))["revision"] == 1
        await page.context.set_offline(False)
        await saved(page)
        stored = await draft(caller, workflow_id)
        assert stored["nodes"]["answer"]["llmCall"]["prompt"] == "Answer later."


async def test_who_leaves_an_editor_with_unsaved_work_is_asked_and_may_stay(url: str) -> None:
    asked: list[str] = []
    is_sure = False

    async def decide(dialog: Dialog) -> None:
        asked.append(dialog.message)
        await (dialog.accept() if is_sure else dialog.dismiss())

    async with browsing() as window:
        page = window.page
        page.on("dialog", decide)
        await sign_up(page, url)
        async with calling_as(page, url) as caller:
            workflow_id = await caller.create(name="Shared", graph=GRAPH)
            await page.goto(url)
            await page.get_by_role("link", name="Shared").click()
            await page.context.set_offline(True)
            await node(page, "answer").click()
            await panel(page).get_by_role("textbox", name="Prompt").fill("Answer later.")
            await expect(page.get_by_text("Not saved")).to_be_visible()
            await page.get_by_role("link", name="All workflows").click()
            async with page.expect_event("dialog"):
                await page.evaluate("history.back()")
            await expect(panel(page).get_by_role("textbox", name="Prompt")).to_have_text("Answer later.")
            await expect(page).to_have_url(f"{url}/workflows/{workflow_id}")
            assert asked == ["Your last changes are not saved yet. Leave all the same?"] * 2
            is_sure = True
            await page.get_by_role("link", name="All workflows").click()
            await expect(page).to_have_url(f"{url}/")
