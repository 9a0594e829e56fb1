"""A real Chromium, driven by Playwright, that may speak to this machine only."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebSocket,
    async_playwright,
    expect,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]
LOCAL = {"127.0.0.1", "localhost"}
NOT_NETWORK = {"blob", "data"}


def executable() -> str:
    """Return the browser's path, or skip: `make test` installs one where it can."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium was found; 'make test' installs Debian's where it may")


class Watched:
    """A page, with every host it spoke to and every error it showed."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        context.on("request", self._on_request)
        page.on("websocket", self._on_socket)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in NOT_NETWORK:
            self.hosts.add(parts.hostname or "")

    def _on_socket(self, socket: WebSocket) -> None:
        self.hosts.add(urlsplit(socket.url).hostname or "")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    async def ready(self) -> None:
        """Wait until the snapshot is shown and the map was idle once."""
        await expect(self.page.locator("html")).to_have_attribute("data-ready", "1", timeout=60_000)


@asynccontextmanager
async def watched_page(width: int = 1366, height: int = 768) -> AsyncIterator[Watched]:
    """Give a fresh page in a fresh profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=OPTIONS)
        try:
            context = await browser.new_context(viewport={"width": width, "height": height}, locale="en-GB")
            yield Watched(context, await context.new_page())
        finally:
            await browser.close()
