"""What a person does on the pages, and what is asked of every page."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from playwright.async_api import expect

from tests.support.openai_endpoint import openai_endpoint
from tests.support.server_process import Caller, server_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import Page

    from tests.support.openai_endpoint import OpenaiEndpoint
    from tests.support.server_process import ServerProcess

PASSWORD = "a river that rejoins"
ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "pages"
_AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
_GRAVE = {"serious", "critical"}
_WATCH = """() => {
  window.shown = [];
  const look = () => {
    const text = document.querySelector('.written')?.textContent;
    if (text !== undefined && text !== window.shown.at(-1)) window.shown.push(text);
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  look();
}"""


async def sign_up(page: Page, url: str, email: str = "ada@example.com") -> None:
    """Make an account on the page that is shown to who is not signed in."""
    await page.goto(f"{url}/")
    heading = page.get_by_role("heading", level=1)
    await heading.wait_for()
    if await heading.inner_text() == "Sign in":
        await page.get_by_role("button", name="I have no account").click()
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Make the account").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@asynccontextmanager
async def calling_as(page: Page, url: str) -> AsyncGenerator[Caller]:
    """Call the API as who is signed in on a page."""
    cookies = {cookie.get("name"): cookie.get("value", "") for cookie in await page.context.cookies()}
    async with aiohttp.ClientSession() as http:
        yield Caller(url, http, cookies["anabranch_access"])


@asynccontextmanager
async def server_with_model(data_dir: Path) -> AsyncGenerator[tuple[ServerProcess, OpenaiEndpoint]]:
    """Serve in a process of its own, with a model that says what the test tells it to."""
    async with openai_endpoint() as model:
        environment = {
            "ANABRANCH_LLM__BASE_URL": model.base_url,
            "ANABRANCH_LLM__API_KEY": "none",
            "ANABRANCH_LLM__MODEL": "fake",
            "ANABRANCH_OUTBOUND__ALLOWED": model.allowed,
        }
        async with server_process(data_dir, environment) as server:
            yield server, model


async def watch_text(page: Page) -> None:
    """Keep every text that the panel of a run's node shows from now on: nothing may be doubled or lost for a moment."""
    await page.evaluate(_WATCH)


async def watched_texts(page: Page) -> list[str]:
    """Return the texts that were shown since `watch_text`, in order."""
    shown: list[str] = await page.evaluate("() => window.shown")
    return shown


async def complaints_of_axe(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical on the page as it is shown."""
    # Evaluated from outside: the page's own policy lets no inline script in.
    await page.evaluate(_AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['impact']}: {violation['id']}: {node['html'][:160]} ({node['failureSummary']})"
        for violation in found["violations"]
        if violation["impact"] in _GRAVE
        for node in violation["nodes"]
    ]


async def keep_picture(page: Page, name: str) -> None:
    """Keep a picture of the page, to be looked at."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=ARTEFACTS / f"{name}.png")


def writing(key: str, prompt: str = "Write.", **more: object) -> dict[str, Any]:
    """Return a node that asks the model."""
    return {"key": key, "config": {"llmCall": {"prompt": prompt}}, **more}


def computing(key: str, value: str = "1", **more: object) -> dict[str, Any]:
    """Return a node that computes one value."""
    return {"key": key, "config": {"transform": {"fields": [{"name": "value", "value": value}]}}, **more}
