"""A Chromium that tests drive; what the console writes to the browser's console fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.e2e.local import Local

__all__ = ["Person", "chromium", "running_browser"]

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
"""First the one without windows: for the same pages it needs half of the processor time."""
WAIT_MS_MAX = 45_000
"""A service may have to start first, on a busy machine."""
TABS_MAX = 40
REFUSED_REQUEST = "Failed to load resource"
"""Chromium reports each answer of 400 or more, also those that the console expects."""


def chromium() -> str | None:
    """The path of an installed Chromium; `ZEROCART_CHROMIUM` names another one."""
    names = (os.environ.get("ZEROCART_CHROMIUM", ""), *NAMES)
    return next((found for name in names if name and (found := shutil.which(name))), None)


@contextmanager
def running_browser() -> Generator[Browser]:
    """A running Chromium; skips the test where none is installed."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium-headless-shell, or set ZEROCART_CHROMIUM")
    expect.set_options(timeout=WAIT_MS_MAX)
    with sync_playwright() as playwright:
        # the sandbox of Chromium does not work for root, and not in most containers
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """Somebody at a browser."""

    page: Page
    local: Local
    faults: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_MS_MAX)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(REFUSED_REQUEST):
            self.faults.append(message.text)

    def visit(self, path: str = "") -> None:
        self.page.goto(f"{self.local.running.edge_url}/console{path}")

    def log_in(self, name: str, secret: str) -> None:
        self.page.get_by_label("E-mail or client id").fill(name)
        self.page.get_by_label("Password or client secret").fill(secret)
        self.page.get_by_role("button", name="Log in").click()

    def log_in_as_operator(self) -> None:
        self.visit()
        self.log_in("operator", self.local.credentials.secret)
        self.page.get_by_role("heading", name="Orders").wait_for()

    def settled(self) -> None:
        """Wait until the page has all its parts."""
        self.page.locator("#main:not([aria-busy]) h1").wait_for()
        self.page.locator(".waiting").first.wait_for(state="detached")

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button).click()

    def tab_to(self, button: str) -> None:
        """Press Tab until a button has the focus."""
        wanted = self.page.get_by_role("button", name=button)
        for _ in range(TABS_MAX):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("node => node === document.activeElement"):
                return
        raise AssertionError(f"the keyboard does not reach {button}")

    def answer(self, button: str, **fields: str) -> None:
        """Fill the fields of the open dialog by their labels, and finish it."""
        dialog = self.page.get_by_role("dialog")
        for label, text in fields.items():
            dialog.get_by_label(label.replace("_", " ")).fill(text)
        dialog.get_by_role("button", name=button, exact=True).click()
        dialog.wait_for(state="detached")

    def reads(self, text: str) -> None:
        """Wait until the main part of the page has this text."""
        self.page.locator("#main").get_by_text(text).first.wait_for()
