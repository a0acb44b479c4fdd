"""Links of invitations, opened by people with and without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support.browser import browsing
from tests.support.pages import PASSWORD, calling_as, complaints_of_axe, sign_up
from tests.support.services import settings_on
from tests.support.whole_server import serving_anabranch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server_process import Caller

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

INVITE = "mutation ($email: String!) { inviteMember(input: { email: $email }) { acceptUrl userErrors { message } } }"


async def link_for(caller: Caller, email: str) -> str:
    payload = (await caller.ask(INVITE, email=email))["inviteMember"]
    assert payload["userErrors"] == []
    return payload["acceptUrl"]


async def test_the_invited_come_in_with_a_new_account_and_with_the_one_they_have(
    tmp_path: Path, database_url: str
) -> None:
    async with serving_anabranch(settings_on(database_url, tmp_path)) as url:
        async with browsing() as window:
            await sign_up(window.page, url)
            async with calling_as(window.page, url) as ada:
                links = {name: await link_for(ada, f"{name}@example.com") for name in ("bob", "carol")}
        async with browsing() as window:
            page = window.page
            await page.goto(links["bob"])
            await expect(page.get_by_text("You are invited: the account joins the workspace.")).to_be_visible()
            assert page.url == f"{url}/", "neither the address bar nor the history keeps the token"
            await page.get_by_label("E-mail").fill("bob@example.com")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Make the account").click()
            await expect(page.get_by_role("heading", name="ada's workspace")).to_be_visible()
            assert window.complaints == []
        async with browsing() as window:
            page = window.page
            await sign_up(page, url, "carol@example.com")
            await page.goto(links["bob"])
            await expect(page.get_by_role("heading", name="You are invited")).to_be_visible()
            assert await complaints_of_axe(page) == []
            await page.get_by_role("button", name="Join").click()
            await expect(page.get_by_role("alert")).to_contain_text("INVALID_TOKEN")
            await page.get_by_role("button", name="Not now").click()
            await expect(page.get_by_role("heading", name="carol's workspace")).to_be_visible()
            await page.goto(links["carol"])
            await page.get_by_role("button", name="Join").click()
            await expect(page.get_by_role("heading", name="ada's workspace")).to_be_visible()
            await expect(page.get_by_label("Workspace")).to_be_visible()
            assert window.complaints == []
