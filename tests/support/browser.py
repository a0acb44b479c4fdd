"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from playwright.async_api import async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import ConsoleMessage, Page, Request, WebSocket

# Root cannot use the sandbox, and the rest would look for hosts of the browser's maker.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TIMEOUT_MS = 20_000


@dataclass
class Window:
    """A page, and what it did."""

    page: Page
    requests: list[str] = field(default_factory=list[str])
    """Every address that it asked for, those of sockets included; `data:` and `blob:` never leave the browser."""
    complaints: list[str] = field(default_factory=list[str])
    """Errors in its console, and exceptions that nothing caught."""

    def watch(self) -> None:
        """Begin to take notes."""
        self.page.on("request", self._requested)
        self.page.on("websocket", self._opened)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self.requests.append(request.url)

    def _opened(self, socket: WebSocket) -> None:
        self.requests.append(socket.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@asynccontextmanager
async def browsing(color_scheme: Literal["light", "dark"] = "light") -> AsyncGenerator[Window]:
    """Open an empty window of a browser of its own."""
    program = shutil.which("chromium")
    assert program, "Install Chromium (Debian: apt-get install chromium)."
    # The machine may be busy: what is waited for comes at once otherwise.
    expect.set_options(timeout=_TIMEOUT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            context = await browser.new_context(
                viewport={"width": 1280, "height": 800}, color_scheme=color_scheme, locale="en-GB"
            )
            context.set_default_timeout(_TIMEOUT_MS)
            window = Window(await context.new_page())
            window.watch()
            yield window
        finally:
            await browser.close()
