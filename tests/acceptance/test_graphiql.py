"""GraphiQL in a real browser: what a person does there, against a real server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp
import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.graphiql import make_account, type_operation
from tests.support.pages import PASSWORD
from tests.support.probe import probing
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from typing import Literal

    from playwright.async_api import Page

pytestmark = pytest.mark.long


async def brightness(page: Page) -> float:
    """Measure the page's background: 0 is black, 1 is white."""
    color = await page.locator(".graphiql-container").evaluate("element => getComputedStyle(element).backgroundColor")
    red, green, blue = (int(part) for part in re.findall(r"\d+", color)[:3])
    return (red + green + blue) / (3 * 255)


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
async def test_a_subscription_ticks_and_nothing_leaves_the_server(color_scheme: Literal["light", "dark"]) -> None:
    async with probing() as probe, browsing(color_scheme) as window:
        page = window.page
        await page.goto(f"{probe.url}/graphiql")
        await type_operation(page, "subscription { serverTime(everyMs: 200) }")
        await page.get_by_role("button", name="Execute").click()
        answer = page.get_by_role("region", name="Result Window")
        await expect(answer).to_contain_text("serverTime")
        seen = await answer.inner_text()
        await expect(answer).not_to_have_text(seen)
        await page.get_by_role("button", name="Stop").click()

        origins = {url.replace("ws://", "http://")[: len(probe.url)] for url in window.requests}
        assert origins == {probe.url}
        assert f"{probe.url.replace('http', 'ws', 1)}/graphql" in window.requests
        assert window.complaints == []
        assert (await brightness(page) > 0.5) == (color_scheme == "light")


SIGN_UP = """mutation ($email: String!, $password: String!) {
  signUp(input: { email: $email, password: $password }) { accessToken refreshToken userErrors { message } }
}"""


@pytest.fixture
async def url(tmp_path: Path, database_url: str) -> AsyncGenerator[str]:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        yield url


async def sign_up(url: str, email: str) -> tuple[str, str]:
    """Make an account and return its access token and its refresh token."""
    body = {"query": SIGN_UP, "variables": {"email": email, "password": PASSWORD}}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/graphql", json=body) as response:
        answer = (await response.json())["data"]["signUp"]
    assert answer["userErrors"] == []
    return answer["accessToken"], answer["refreshToken"]


async def test_the_link_of_dev_signs_in_for_one_tab_and_leaves_no_token_in_the_address(url: str) -> None:
    access, refresh = await sign_up(url, "ada@example.com")
    async with browsing() as window:
        page = window.page
        await page.goto(f"{url}/graphiql#token={access}&refresh={refresh}")
        account = page.get_by_role("button", name="ada@example.com")
        await expect(account).to_be_visible()
        assert page.url == f"{url}/graphiql"
        kept = str(await page.evaluate("() => JSON.stringify([history.state, {...localStorage}])"))
        assert access not in kept
        assert refresh not in kept
        await page.reload()
        await expect(account).to_be_visible()
        other = await page.context.new_page()
        await other.goto(f"{url}/graphiql")
        await expect(other.get_by_role("button", name="Sign in").first).to_be_visible()


async def test_one_signs_up_out_and_in_with_a_password(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await page.goto(f"{url}/graphiql")
        account = page.get_by_role("button", name="grace@example.com")
        await page.get_by_role("button", name="Sign in").first.click()
        await page.get_by_role("button", name="I have no account").click()
        await make_account(page, "grace@example.com")
        await account.click()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("button", name="Sign in").first.click()
        await page.get_by_label("E-mail").fill("grace@example.com")
        await page.get_by_label("Password").fill("not the password")
        await page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("wrong password")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        await expect(account).to_be_visible()


async def test_a_pasted_token_that_is_not_valid_is_said_to_be_so(url: str) -> None:
    async with browsing() as window:
        page = window.page
        await page.goto(f"{url}/graphiql")
        await page.get_by_role("button", name="Sign in").first.click()
        await page.get_by_label("Token").fill("Bearer not.a.token")
        await page.get_by_role("button", name="Use it").click()
        await page.get_by_role("button", name="Token not valid").click()
        await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("did not take the token")
