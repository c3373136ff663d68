"""`python -m tests.console.screenshots`: pictures of every page of the console, in build/screenshots, to look at.

It starts a local cluster with made-up data, and writes each page at three widths in both themes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser

from tests.architecture.rules import ROOT
from tests.console.browser import Person, chromium, running_browser
from tests.console.shop import REVIEWED_ABOVE, Shop, opened_shop
from tests.e2e.local import Local, cluster

OUT = ROOT / "build" / "screenshots"
WIDTHS = (1440, 768, 390)
PAGES = {
    "orders": "", "search": "?q=ann&status=confirmed", "products": "/products", "product": "/products/MUG", "stock": "/stock",
    "customers": "/customers", "analytics": "/analytics", "failed": "/failed",
    "system": "/system", "access": "/access", "webhooks": "/webhooks",
}  # fmt: skip


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.console.screenshots", description="Write pictures of the console."
    )
    parser.add_argument("--out", type=Path, default=OUT, help="the folder, build/screenshots if not given")
    options = parser.parse_args()
    if chromium() is None:
        sys.exit("no Chromium is installed: apt-get install chromium-headless-shell, or set ZEROCART_CHROMIUM")
    with (
        running_browser() as browser,
        TemporaryDirectory() as home,
        cluster(Path(home), ZEROCART_WINDOW="30", **REVIEWED_ABOVE) as local,
    ):
        shop = opened_shop(local)
        for theme in ("light", "dark"):
            for width in WIDTHS:
                _write(browser, local, shop, options.out, theme, width)
    print(f"the pictures are in {options.out}")


def _write(browser: Browser, local: Local, shop: Shop, out: Path, theme: str, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if theme == "dark" else "light",
        locale="en-GB", timezone_id="Europe/London",
    )  # fmt: skip
    person = Person(context.new_page(), local)
    person.visit()
    person.page.screenshot(path=out / f"login-{width}-{theme}.png")
    person.log_in_as_operator()
    pages = {**PAGES, **dict(zip(("order", "stuck", "endpoint", "delivery"), shop.paths, strict=True))}
    for name, path in pages.items():
        person.visit(path)
        person.settled()
        person.page.screenshot(path=out / f"{name}-{width}-{theme}.png", full_page=True)
    context.close()


if __name__ == "__main__":
    main()
