"""What a person does in GraphiQL."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect

from tests.support.pages import PASSWORD

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page, Request

_QUERY = ".graphiql-query-editor"
_VARIABLES = "[aria-label=Variables]"


async def type_operation(page: Page, text: str) -> None:
    """Replace what is in the operation editor; a text of one line."""
    await _type(page, f"{_QUERY} .monaco-editor", text)
    await expect(page.locator(f"{_QUERY} .view-line")).to_have_count(1)


async def type_variables(page: Page, **variables: object) -> None:
    """Replace what is in the editor of variables."""
    await _type(page, f"{_VARIABLES} .monaco-editor", json.dumps(variables))
    for name in variables:
        await expect(page.locator(_VARIABLES)).to_contain_text(f'"{name}"')


async def _type(page: Page, editor: str, text: str) -> None:
    await page.locator(editor).first.click()
    await page.keyboard.press("Control+A")
    await page.keyboard.press("Delete")
    # Typed in one piece, so that the editor does not close brackets by itself.
    await page.keyboard.insert_text(text)


async def show(page: Page, tab: str) -> None:
    """Show a tab."""
    # GraphiQL fills the editors of the tab only once it has them.
    await expect(page.locator(f"{_QUERY} .view-line").first).to_be_visible()
    await page.get_by_role("tab", name=tab).click()
    # The editor follows a moment later, and what it shows is what is executed.
    await expect(page.locator(_QUERY)).to_contain_text(tab)


async def execute(page: Page, tab: str) -> Locator:
    """Run the operation of a tab; its answer is in the region that is returned."""
    await show(page, tab)
    await page.get_by_role("button", name="Execute").click()
    return page.get_by_role("region", name="Result Window")


async def answer_of(page: Page, tab: str) -> dict[str, Any]:
    """Run the query or mutation of a tab and return its answer."""

    def is_asked(request: Request) -> bool:
        return request.method == "POST" and f'"operationName":"{tab}"' in (request.post_data or "")

    await show(page, tab)
    async with page.expect_response(lambda response: is_asked(response.request)) as told:
        await page.get_by_role("button", name="Execute").click()
    return await (await told.value).json()


async def tab_names(page: Page) -> list[str]:
    """Return the names of the tabs in order."""
    return await page.get_by_role("tab").all_inner_texts()


async def kept_tabs(page: Page, user_id: str) -> str:
    """Return what the browser keeps of a user's tabs, as one text."""
    key = f"anabranch.graphiql.{user_id}:graphiql:tabState"
    return str(await page.evaluate("key => localStorage.getItem(key)", key))


async def until_kept(page: Page, user_id: str, text: str) -> None:
    """Wait until the browser keeps a text in a user's tabs: GraphiQL writes them late."""
    async with asyncio.timeout(20):
        await page.wait_for_function(
            "([key, text]) => localStorage.getItem(key)?.includes(text)",
            arg=[f"anabranch.graphiql.{user_id}:graphiql:tabState", text],
        )


async def copied(page: Page, form: str) -> str:
    """Copy the operation of the tab that is shown with the keyboard, and return what is on the clipboard."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name=f"Copy as {form}").press("Enter")
    await expect(page.get_by_role("status")).to_have_text(f"Copied as {form}")
    return str(await page.evaluate("() => navigator.clipboard.readText()"))


async def use_another_account(page: Page, email: str) -> None:
    """Make an account for this tab in the dialog of who is signed in."""
    await page.get_by_role("button", name="Use another account").click()
    await page.get_by_role("button", name="I have no account").click()
    await make_account(page, email)


async def make_account(page: Page, email: str) -> None:
    """Fill in the form that makes an account."""
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Make an account").click()
    await expect(page.get_by_role("button", name=email)).to_be_visible()
