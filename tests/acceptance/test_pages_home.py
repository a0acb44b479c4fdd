"""The first page in a real browser: coming in, finding workflows, starting them, seeing runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.pages import PASSWORD, calling_as, computing, sign_up
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from playwright.async_api import WebSocketRoute

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

GRAPH = {"nodes": [computing("one", "{{ input.number }}")], "edges": []}
SIGN_UP = """mutation ($email: String!, $password: String!) {
  signUp(input: { email: $email, password: $password }) { accessToken refreshToken userErrors { message } }
}"""


@pytest.fixture
async def url(tmp_path: Path, database_url: str) -> AsyncGenerator[str]:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        yield url


async def test_a_stranger_comes_from_nothing_to_a_finished_run(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        await expect(page.get_by_role("heading", name="No workflow yet")).to_be_visible()
        await page.get_by_role("button", name="Make the first workflow").click()
        await page.get_by_role("radio", name="Greeting").check()
        await page.get_by_role("button", name="Make it").click()
        await expect(page.locator("[data-key=greet]")).to_be_visible()
        await page.get_by_role("link", name="Anabranch, home").click()
        await page.get_by_role("button", name="Start Greeting").click()
        # The form asks for what the workflow's schema asks for; what it has no field for can be written as JSON.
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Enter JSON").click()
        await dialog.get_by_role("textbox").first.fill('{"name": 7}')
        await dialog.get_by_role("button", name="Start the run").click()
        await expect(dialog.locator("[aria-invalid=true]")).to_have_count(1)
        await dialog.get_by_role("textbox").first.fill('{"name": "Ada"}')
        await dialog.get_by_role("button", name="Use the form").click()
        await expect(dialog.get_by_role("textbox", name="Name")).to_have_value("Ada")
        await dialog.get_by_role("textbox", name="Name").fill("Grace")
        await dialog.get_by_role("button", name="Start the run").click()
        await expect(page.get_by_role("region", name="Output")).to_contain_text("HELLO, GRACE!")
        await page.get_by_role("link", name="Anabranch, home").click()
        await expect(page.get_by_role("link", name="Last run of Greeting")).to_contain_text("Succeeded")
        origins = {address.replace("ws://", "http://")[: len(url)] for address in window.requests}
        assert origins == {url}
        assert window.complaints == []


async def test_a_start_may_say_a_priority_a_key_and_labels(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as caller:
            await caller.create(name="Counting", graph={"nodes": [computing("one")], "edges": []})
            await page.reload()
            for _ in range(2):
                await page.get_by_role("button", name="Start Counting").click()
                dialog = page.get_by_role("dialog")
                await dialog.get_by_text("More: priority, keys, labels").click()
                await dialog.get_by_label("Priority").select_option(label="1, first")
                await dialog.get_by_label("Idempotency key", exact=True).fill("order 7")
                await dialog.get_by_role("button", name="Add to Labels").click()
                await dialog.get_by_label("Name (required)").fill("customer")
                await dialog.get_by_label("Value (required)").fill("Ada")
                await dialog.get_by_role("button", name="Start the run").click()
                await page.get_by_role("tab", name="About").click()
                about = page.get_by_role("tabpanel")
                await expect(about).to_contain_text("customer: Ada")
                await expect(about).to_contain_text("order 7")
                await page.get_by_role("link", name="Anabranch, home").click()
            data = await caller.ask("{ runs { nodes { priority idempotencyKey labels { name value } } } }")
        # The second start with the same key gave the first one's run.
        labels = [{"name": "customer", "value": "Ada"}]
        assert data["runs"]["nodes"] == [{"priority": 1, "idempotencyKey": "order 7", "labels": labels}]
        assert window.complaints == []


async def test_runs_appear_and_change_in_the_list_by_themselves(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        await expect(page.get_by_role("heading", name="No run yet")).to_be_visible()
        async with calling_as(page, url) as caller:
            workflow_id = await caller.create(name="Counting", graph=GRAPH)
            await caller.start(workflow_id, {"number": 1})
        row = page.locator(".run-row")
        await expect(row).to_contain_text("Counting")
        await expect(row).to_contain_text("Succeeded")


async def test_a_run_that_ended_while_the_connection_was_gone_is_in_the_list_afterwards(url: str) -> None:
    async with browsing() as window:
        page, open_sockets, may_connect = window.page, list["WebSocketRoute"](), asyncio.Event()

        async def connect(socket: WebSocketRoute) -> None:
            if open_sockets and not may_connect.is_set():
                await socket.close(code=1012, reason="refused by the test")
                return
            socket.connect_to_server()
            open_sockets.append(socket)

        await page.route_web_socket("**/graphql", connect)
        await sign_up(page, url)
        async with calling_as(page, url) as caller:
            workflow_id = await caller.create(name="Counting", graph=GRAPH)
            await caller.start(workflow_id, {"number": 1})
            await expect(page.locator(".run-row")).to_have_count(1)
            await open_sockets[0].close(code=1012, reason="broken by the test")
            await expect(page.get_by_text("Reconnecting…")).to_be_visible()
            await caller.ended(await caller.start(workflow_id, {"number": 2}))
        await expect(page.locator(".run-row")).to_have_count(1)
        may_connect.set()
        await expect(page.locator(".run-row")).to_have_count(2)
        await expect(page.get_by_text("Reconnecting…")).to_have_count(0)


async def test_workflows_are_searched_and_one_with_errors_says_so_and_cannot_be_started(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as caller:
            for name in ("Delta", "Estuary"):
                await caller.create(name=name, graph=GRAPH)
            await caller.ask(
                "mutation($i: CreateWorkflowInput!) { createWorkflow(input: $i) { workflow { id } } }",
                i={"name": "Broken", "graph": {**GRAPH, "nodes": [computing("one", "{{ nodes.gone.output }}")]}},
            )
        await page.reload()
        await expect(page.get_by_role("button", name="Start Delta")).to_be_enabled()
        await expect(page.get_by_role("button", name="Start Broken")).to_be_disabled()
        await expect(page.get_by_text("1 error")).to_be_visible()
        await page.get_by_role("searchbox", name="Search workflows").fill("estu")
        await expect(page.get_by_role("link", name="Delta")).to_have_count(0)
        await expect(page.get_by_role("link", name="Estuary")).to_be_visible()
        await page.get_by_role("searchbox", name="Search workflows").fill("nowhere")
        await expect(page.get_by_role("heading", name="Nothing is called “nowhere”")).to_be_visible()


async def test_a_shared_link_opens_after_signing_in_and_for_members_only(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        async with calling_as(page, url) as caller:
            run_id = await caller.start(await caller.create(name="Counting", graph=GRAPH), {"number": 7})
            await caller.ended(run_id)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("E-mail")).to_be_visible()  # whoever leaves before has not signed out
        await page.goto(f"{url}/runs/{run_id}")
        await page.get_by_label("E-mail").fill("ada@example.com")
        await page.get_by_label("Password").fill("not the password")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("wrong password")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("region", name="Output")).to_contain_text("7")
        await page.goto(f"{url}/runs/run_unknown")
        await expect(page.get_by_role("heading", name="No such run")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("E-mail")).to_be_visible()  # whoever leaves before has not signed out
        await sign_up(page, url, "grace@example.com")
        await page.goto(f"{url}/runs/{run_id}")
        await expect(page.get_by_role("heading", name="No such run")).to_be_visible()


async def test_a_link_that_brings_a_session_signs_in_every_tab_and_leaves_no_token_behind(url: str) -> None:
    body = {"query": SIGN_UP, "variables": {"email": "ada@example.com", "password": PASSWORD}}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/graphql", json=body) as response:
        tokens = (await response.json())["data"]["signUp"]
    access, refresh = tokens["accessToken"], tokens["refreshToken"]
    async with browsing() as window:
        page = window.page
        await page.goto(f"{url}/#token={access}&refresh={refresh}")
        await expect(page.get_by_text("ada@example.com")).to_be_visible()
        assert page.url == f"{url}/"
        kept = str(
            await page.evaluate(
                "() => JSON.stringify([history.state, {...localStorage}, {...sessionStorage}, document.cookie])"
            )
        )
        assert access not in kept
        assert refresh not in kept
        assert "anabranch_" not in kept
        other = await page.context.new_page()
        await other.goto(f"{url}/")
        await expect(other.get_by_text("ada@example.com")).to_be_visible()
        await other.get_by_role("link", name="GraphiQL").click()
        await expect(other.get_by_role("button", name="ada@example.com")).to_be_visible()


async def test_an_expired_session_is_renewed_before_anybody_notices(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await sign_up(page, url)
        # As after a quarter of an hour: the access token is of no use any more, the refresh token still is.
        (cookie,) = [each for each in await page.context.cookies() if each.get("name") == "anabranch_access"]
        await page.context.add_cookies(
            [{"name": "anabranch_access", "value": "not.a.token", "url": url, "httpOnly": True}]
        )
        await page.evaluate("() => localStorage.setItem('anabranch.session-until', new Date().toISOString())")
        await page.reload()
        await expect(page.get_by_text("ada@example.com")).to_be_visible()
        (renewed,) = [each for each in await page.context.cookies() if each.get("name") == "anabranch_access"]
        assert renewed.get("value") not in {cookie.get("value"), "not.a.token"}


async def test_the_theme_is_the_systems_until_one_chooses(url: str) -> None:
    async with browsing("dark") as window:
        page = window.page
        await sign_up(page, url)
        scheme = "() => getComputedStyle(document.body).backgroundColor"
        dark = await page.evaluate(scheme)
        await page.get_by_role("button", name="Theme: system").click()
        light = await page.evaluate(scheme)
        assert light != dark
        await page.reload()
        await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
        assert await page.evaluate(scheme) == light


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_graphiql_is_linked_where_it_is_served_and_nowhere_else(
    tmp_path: Path, database_url: str, *, is_enabled: bool
) -> None:
    settings = settings_on(database_url, tmp_path)
    api = settings.api.model_copy(update={"is_graphiql_enabled": is_enabled})
    async with serving_anabranch(settings.model_copy(update={"api": api})) as url, browsing() as window:
        await sign_up(window.page, url)
        await expect(window.page.get_by_role("link", name="Workflows")).to_be_visible()
        await expect(window.page.get_by_role("link", name="GraphiQL")).to_have_count(int(is_enabled))
