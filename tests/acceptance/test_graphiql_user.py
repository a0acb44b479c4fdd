"""GraphiQL knows its user: opened signed in, with tabs that hold their own ids and nobody else's."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.graphiql import (
    answer_of,
    execute,
    kept_tabs,
    show,
    tab_names,
    type_operation,
    until_kept,
    use_another_account,
)
from tests.support.pages import PASSWORD, calling_as, complaints_of_axe, computing, keep_picture, sign_up
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.server_process import Caller

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

OWN = ["WhoAmI", "MyWorkflows", "StartRun", "WatchRun", "RunSnapshot", "SearchCollection", "TableRows", "MakeKey"]
MAKING = [
    "WhoAmI", "MyWorkflows", "CreateWorkflow", "StartRun", "WatchRun", "RunSnapshot", "CreateCollection",
    "AddDocuments", "SearchCollection", "MakeKey",
]  # fmt: skip
# What GraphiQL itself does: its tabs contain the button that closes them, and Monaco has colours of its own.
THEIRS = ("graphiql-tab", "line-numbers", "mtk")
ME = "{ viewer { user { id } workspaces(first: 1) { nodes { id } } } }"
MORE = """mutation {
  createCollection(input: { name: "notes" }) { collection { id } userErrors { message } }
  createDataTable(input: { name: "rows", columns: [{ name: "a", type: TEXT }] }) { dataTable { id } userErrors { message } }
}"""
SIGN_OUT = "mutation { signOut(input: { isEverywhere: true }) { userErrors { message } } }"


@pytest.fixture
async def url(tmp_path: Path, database_url: str) -> AsyncGenerator[str]:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        yield url


async def ids_of(caller: Caller) -> dict[str, str]:
    """Make one of everything that the tabs are about, and return the ids."""
    me = (await caller.ask(ME))["viewer"]
    waiting = {"key": "wait", "config": {"wait": {"durationMs": 3600000}}}
    slow = await caller.create(name="Slow", graph={"nodes": [waiting], "edges": []})
    workflow = await caller.create(name="Quick", graph={"nodes": [computing("one")], "edges": []})
    unfinished = await caller.start(slow)
    newest = await caller.start(workflow, {"question": "Why?"})
    await caller.ended(newest)
    more = await caller.ask(MORE)
    return {
        "workspaceId": me["workspaces"]["nodes"][0]["id"],
        "workflowId": workflow,
        "unfinished": unfinished,
        "newest": newest,
        "collectionId": more["createCollection"]["collection"]["id"],
        "tableId": more["createDataTable"]["dataTable"]["id"],
    } | {"user": me["user"]["id"]}


async def open_signed_in(page: Page, url: str, name: str) -> None:
    await page.goto(f"{url}/graphiql")
    await expect(page.get_by_role("button", name=f"{name}@example.com · {name}'s workspace")).to_be_visible()
    await expect(page.get_by_role("tab")).not_to_have_count(0)


async def test_who_is_signed_in_on_the_pages_finds_tabs_with_their_own_ids_that_run_as_they_are(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as ada:
            ids = await ids_of(ada)
        await page.get_by_role("link", name="GraphiQL").click()
        await expect(page.get_by_role("button", name="ada@example.com · ada's workspace")).to_be_visible()
        await expect(page.get_by_role("tab")).to_have_count(len(OWN))
        assert await tab_names(page) == OWN

        tabs = json.loads(await kept_tabs(page, ids["user"]))["tabs"]
        held = {tab["title"]: json.loads(tab["variables"] or "{}") for tab in tabs}
        assert held["MyWorkflows"] == {"workspaceId": ids["workspaceId"]}
        assert held["StartRun"] == {"workflowId": ids["workflowId"], "input": {"question": "Why?"}}
        assert held["WatchRun"] == {"runId": ids["unfinished"], "after": None}
        assert held["RunSnapshot"] == {"runId": ids["newest"]}
        assert held["SearchCollection"]["collectionId"] == ids["collectionId"]
        assert held["TableRows"] == {"tableId": ids["tableId"]}

        for tab in OWN:
            if tab == "WatchRun":
                await expect(await execute(page, tab)).to_contain_text("RunWaiting")
                await page.get_by_role("button", name="Stop").click()
                continue
            answer = await answer_of(page, tab)
            assert "errors" not in answer, (tab, answer)
            assert all(value is not None for value in answer["data"].values()), (tab, answer)
            assert all(value.get("userErrors", []) == [] for value in answer["data"].values()), (tab, answer)
        assert window.complaints == []


async def test_who_has_nothing_yet_finds_tabs_that_make_it_and_fresh_ones_have_the_ids(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        await open_signed_in(page, url, "ada")
        assert await tab_names(page) == MAKING
        result = await execute(page, "WatchRun")
        await expect(page.locator(".graphiql-query-editor")).to_contain_text("There is no run yet")
        await expect(result).to_contain_text("execute the tab StartRun first")
        for tab in ("CreateWorkflow", "StartRun"):
            assert "errors" not in await answer_of(page, tab)
        await expect(await execute(page, "WatchRun")).to_contain_text("RunSucceeded")
        assert (await answer_of(page, "RunSnapshot"))["data"]["run"]["status"] == "SUCCEEDED"
        for tab in ("CreateCollection", "AddDocuments"):
            assert "errors" not in await answer_of(page, tab)
        assert len((await answer_of(page, "SearchCollection"))["data"]["search"]["matches"]) == 2

        await page.get_by_role("button", name="Fresh examples").click()
        fresh = [name for name in OWN if name != "TableRows"]
        await expect(page.get_by_role("tab")).to_have_count(len(fresh))
        assert await tab_names(page) == fresh
        assert (await answer_of(page, "RunSnapshot"))["data"]["run"]["status"] == "SUCCEEDED"
        assert window.complaints == []


async def test_edited_tabs_survive_a_reload_and_fresh_examples(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as ada:
            ids = await ids_of(ada)
            await open_signed_in(page, url, "ada")
            await show(page, "MyWorkflows")
            await type_operation(page, "query Mine { server { version } }")
            await until_kept(page, ids["user"], "query Mine")
            later = await ada.start(ids["workflowId"])
            await ada.ended(later)
        await page.reload()
        await expect(page.get_by_role("tab", name="Mine")).to_be_visible()
        await expect(page.locator(".graphiql-query-editor")).to_contain_text("query Mine")
        edited = [name if name != "MyWorkflows" else "Mine" for name in OWN]
        assert await tab_names(page) == edited, "nothing is brought where something was edited"
        assert later not in await kept_tabs(page, ids["user"])
        await page.get_by_role("button", name="Fresh examples").click()
        await expect(page.get_by_role("tab", name="MyWorkflows")).to_be_visible()
        assert await tab_names(page) == ["Mine", *OWN]
        assert later in await kept_tabs(page, ids["user"])
        assert window.complaints == []


async def test_another_account_in_the_same_browser_sees_none_of_the_first_ones_tabs_and_ids(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as ada:
            ids = await ids_of(ada)
        await open_signed_in(page, url, "ada")
        await type_operation(page, "query Mine { server { version } }")
        await until_kept(page, ids["user"], "query Mine")
        await page.get_by_role("button", name="ada@example.com").click()
        await use_another_account(page, "grace@example.com")
        await expect(page.get_by_role("tab", name="CreateWorkflow")).to_be_visible()
        assert await tab_names(page) == MAKING
        grace = (await answer_of(page, "WhoAmI"))["data"]["viewer"]
        assert grace["user"]["email"] == "grace@example.com"
        kept = await kept_tabs(page, grace["user"]["id"])
        assert grace["workspaces"]["nodes"][0]["id"] in kept
        assert [name for name, one in ids.items() if one in kept] == []

        await page.get_by_role("button", name="grace@example.com").click()
        await page.get_by_role("button", name="Be who is signed in on the pages").click()
        await expect(page.get_by_role("tab", name="Mine")).to_be_visible()
        await page.get_by_role("button", name="ada@example.com").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("region", name="Not signed in")).to_contain_text("These tabs need no account")
        await expect(page.get_by_role("tab")).to_have_count(3)
        assert await tab_names(page) == ["Clock", "Server", "WhoAmI"]
        assert (await answer_of(page, "WhoAmI"))["data"] == {"viewer": None}
        assert "errors" not in await answer_of(page, "Server")
        await expect(await execute(page, "Clock")).to_contain_text("serverTime")
        assert window.complaints == []


async def test_a_session_that_ends_meanwhile_is_said_to_have_and_the_tabs_stay(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        await open_signed_in(page, url, "ada")
        async with calling_as(page, url) as ada:
            await ada.ask(SIGN_OUT)
        await answer_of(page, "MyWorkflows")
        told = page.get_by_role("region", name="Not signed in")
        await expect(told).to_contain_text("Your session has ended")
        assert await tab_names(page) == MAKING
        await told.get_by_role("button", name="Sign in").click()
        await page.get_by_label("E-mail").fill("ada@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        await expect(told).not_to_be_visible()
        assert "errors" not in await answer_of(page, "MyWorkflows")


async def test_who_signs_in_on_the_pages_is_signed_in_where_graphiql_is_open(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await page.goto(f"{url}/graphiql")
        await expect(page.get_by_role("region", name="Not signed in")).to_be_visible()
        other = await page.context.new_page()
        await sign_up(other, url)
        await expect(page.get_by_role("button", name="ada@example.com · ada's workspace")).to_be_visible()
        await expect(page.get_by_role("region", name="Not signed in")).not_to_be_visible()
        assert window.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_it_is_pictured_and_accessible(theme: Literal["light", "dark"], url: str) -> None:
    found: list[str] = []
    async with browsing(theme) as window:
        page = window.page

        async def look(name: str) -> None:
            await keep_picture(page, f"{name}-{theme}")
            found.extend(
                f"{name}: {complaint}"
                for complaint in await complaints_of_axe(page)
                if not any(theirs in complaint for theirs in THEIRS)
            )

        await page.goto(f"{url}/graphiql")
        await expect(page.get_by_role("region", name="Not signed in")).to_be_visible()
        await expect(page.locator(".graphiql-query-editor")).to_contain_text("Clock")
        await look("graphiql-signed-out")
        await sign_up(page, url)
        await open_signed_in(page, url, "ada")
        await show(page, "MyWorkflows")
        await look("graphiql")
        await page.get_by_role("button", name="ada@example.com").click()
        await look("graphiql-account")
        await page.keyboard.press("Escape")
        await page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        await page.get_by_role("button", name="Copy as curl").click()
        await expect(page.get_by_role("dialog", name="Copy as curl")).to_be_visible()
        await expect(page.get_by_label("Text to copy")).to_have_value(re.compile(r"Bearer \$ANABRANCH_TOKEN"))
        assert "curl" in await page.evaluate("() => getSelection().toString()")
        await look("graphiql-copy")
        assert window.complaints == []
    assert found == []
