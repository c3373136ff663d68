"""No page of the console has a barrier that axe-core finds, and none is wider than the screen."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.console.browser import Person
from tests.console.shop import Shop

pytestmark = pytest.mark.e2e

WIDTHS = (1440, 1000, 768, 390)
PAGES = (
    "", "?q=archer&status=confirmed", "/products", "/products/MUG", "/stock", "/customers", "/analytics", "/failed", "/system", "/access", "/webhooks",
    "/nothing",
)  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_barrier_or_is_wider_than_the_screen(operator: Person, shop: Shop, theme: str):
    page, axe = operator.page, Axe()
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    for path in (*PAGES, *shop.paths):
        # only the style sheet knows the width of the screen, so a page that is resized looks like one that is loaded
        page.set_viewport_size({"width": WIDTHS[0 if theme == "light" else -1], "height": 900})
        operator.visit(path)
        operator.settled()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width], path
        found = axe.run(page)
        assert found.violations_count == 0, (path, found.generate_report())
