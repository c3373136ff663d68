"""The console with unusual people, addresses, names and networks."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Route, expect

from services.users.roles import ROLES
from tests.console.browser import Person
from tests.console.shop import ADDRESS, Shop, placed
from tests.console.staff import PASSWORD, joined
from tests.e2e.local import Local

pytestmark = pytest.mark.e2e

PAGES = (
    "", "/products", "/products/MUG", "/stock", "/customers", "/analytics", "/failed", "/webhooks", "/access", "/system"
)  # fmt: skip
LONG = "Wolfeschlegelsteinhausenbergerdorff" * 5
NAMES = ("عبد الله بن محمد", LONG, "<b>Ann</b> & Co")


def confirmed(local: Local, name: str = "Zoe Zimmer", **more: object) -> str:
    """An order of its own for a test, with two mugs."""
    with local.client() as client:
        order_id = placed(client, "tok_approve", customer_name=name, **more)
    local.until(lambda: local.state_of(order_id) == "confirmed", 90)
    return order_id


def opens(person: Person, order_id: str, action: str) -> None:
    """Go to the page of the order and open the dialog of the action."""
    person.visit(f"/orders/{order_id}")
    person.settled()
    person.press(action)


@contextmanager
def another(browser: Browser, local: Local, **context: object) -> Generator[Person]:
    """Somebody at a browser of their own."""
    made = browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/London", **context})  # pyright: ignore[reportArgumentType]
    person = Person(made.new_page(), local)
    yield person
    made.close()
    assert person.faults == []


@pytest.mark.parametrize(
    "path", ["/orders/%E0%A4", "/orders/..%2fusers", "/customers/x%2F..%2f..%5cusers", "/orders//", "/nothing?q=%"]
)
def test_an_address_that_names_nothing_says_so(operator: Person, path: str):
    operator.visit(path)
    expect(operator.page.get_by_role("heading", name="There is no such page")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "said", "back", "heading"),
    [
        ("/orders/ord_none", "There is no order ord_none", "Back to Orders", "Orders"),
        (f"/customers/{'x' * 70}", "There is no such customer. Check the address", "Back to Customers", "Customers"),
    ],
)
def test_a_page_of_nothing_has_a_way_to_its_list(operator: Person, path: str, said: str, back: str, heading: str):
    operator.visit(path)
    expect(operator.page.get_by_role("alert")).to_contain_text(said)
    expect(operator.page.get_by_role("button", name="Try again")).to_have_count(0)
    operator.page.get_by_role("link", name=back).click()
    expect(operator.page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


@pytest.mark.parametrize("query", ["?page=abc", "?status=bogus", "?sort=x&page=0", "?q=%00", "?nonsense=1"])
def test_a_query_that_is_refused_has_a_way_back(operator: Person, shop: Shop, query: str):
    operator.visit(query)
    expect(operator.page.get_by_role("alert")).to_be_visible()
    operator.page.get_by_role("link", name="Show all orders").click()
    expect(operator.page.get_by_role("table", name="Orders")).to_be_visible()


def test_what_a_person_types_stays_while_the_page_gets_newer_data(operator: Person, shop: Shop):
    page = operator.page
    held: list[Route] = []
    page.route("**/analytics/orders**", lambda route: held.append(route))
    operator.visit("?country=GB")
    expect(page.get_by_role("table", name="Orders")).to_be_visible()
    page.get_by_label("Total at least").fill("1")
    page.get_by_label("Tag").fill("gift")
    held[0].continue_()
    expect(page.get_by_role("link", name=re.compile(r"^Failed \d"))).to_be_visible()
    expect(page.get_by_label("Total at least")).to_have_value("1")
    page.get_by_role("link", name="Products").click()
    page.get_by_role("heading", name="Products").wait_for()
    expect(page.get_by_label("Search")).to_have_value("")


def test_a_button_does_not_become_another_one_when_the_page_gets_newer_data(operator: Person, shop: Shop):
    page = operator.page
    held: list[Route] = []
    page.route("**/payments/*", lambda route: held.append(route))
    operator.visit(f"/orders/{shop.confirmed[0]}")
    cancel = page.get_by_role("button", name="Cancel the order …").element_handle()
    assert cancel is not None
    expect(page.get_by_role("button", name="Refund …")).to_have_count(0)
    for route in held:
        route.continue_()
    expect(page.get_by_role("button", name="Refund …")).to_be_visible()
    cancel.click()  # a person has aimed at it before the other button came
    expect(page.get_by_role("dialog", name="Cancel the order?")).to_be_visible()


def expire(person: Person) -> None:
    """The token is refused from now on, as if it had been revoked."""

    def refuse(route: Route) -> None:
        route.fulfill(status=401, body="{}")
        person.page.unroute("**/cancel")

    person.page.route("**/cancel", refuse)


def test_a_form_outlives_a_log_in_that_ended(operator: Person, shop: Shop):
    page = operator.page
    opens(operator, confirmed(operator.local), "Cancel the order …")
    expire(operator)
    page.get_by_label("Reason").fill("twice")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()
    again = page.get_by_role("dialog", name="Log in again")
    again.wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Log in, then try again.")
    expect(page.get_by_label("Reason")).to_have_value("twice")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()
    again.get_by_label("Password").fill(operator.local.credentials.secret)
    again.get_by_role("button", name="Log in").click()
    page.locator(".page-head .badge", has_text=re.compile("^Cancelled$")).wait_for()
    operator.reads("twice")


def test_what_one_person_began_is_not_sent_by_another(operator: Person, shop: Shop):
    page = operator.page
    email = joined(operator.local, "manager")
    opens(operator, confirmed(operator.local), "Cancel the order …")
    expire(operator)
    page.get_by_label("Reason").fill("not mine")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()
    again = page.get_by_role("dialog", name="Log in again")
    again.get_by_label("E-mail").fill(email)
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Log in").click()
    expect(page.locator(".who")).to_have_text(email)
    expect(page.get_by_role("dialog")).to_have_count(0)
    operator.settled()
    expect(page.locator(".page-head .badge")).to_have_text("Confirmed")


def test_the_second_of_two_operators_learns_what_the_first_did(
    operator: Person, shop: Shop, browser: Browser, local: Local
):
    order_id = confirmed(local)
    with another(browser, local) as second:
        second.log_in_as_operator()
        for person in (operator, second):
            opens(person, order_id, "Refund …")
            person.page.get_by_label("Blue mug").fill("2")
        operator.answer("Refund", Reason="the first")
        balance = [each.page.get_by_role("row").filter(has_text="Balance") for each in (operator, second)]
        expect(balance[0]).to_contain_text("£0.00")
        second.page.get_by_label("Reason").fill("the second")
        second.page.get_by_role("dialog").get_by_role("button", name="Refund").click()
        expect(second.page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
        second.press("Back")
        expect(balance[1]).to_contain_text("£0.00")


def test_lines_that_somebody_else_has_changed_are_not_edited(
    operator: Person, shop: Shop, browser: Browser, local: Local
):
    order_id = confirmed(local)
    with another(browser, local) as second:
        second.log_in_as_operator()
        for person in (operator, second):
            opens(person, order_id, "Edit …")
            person.page.get_by_label("Blue mug").fill("1" if person is operator else "0")
            person.page.get_by_label("Product id 1").fill("" if person is operator else "TRAY")
            person.page.get_by_label("Reason").fill("an edit")
        operator.page.get_by_role("dialog").get_by_role("button", name="Preview").click()
        operator.page.get_by_role("dialog").get_by_role("button", name="Carry out").click()
        expect(operator.page.get_by_role("table", name="Lines of the order")).to_contain_text("£4.50")
        operator.reads("an edit")
        second.page.get_by_role("dialog").get_by_role("button", name="Preview").click()
        expect(second.page.get_by_role("alert")).to_contain_text("Somebody has changed the lines")
        second.press("Back")
        second.reads("an edit")


@pytest.mark.parametrize("role", ROLES)
def test_every_page_says_what_a_role_may_not_see_or_do(stranger: Person, shop: Shop, local: Local, role: str):
    stranger.visit()
    stranger.log_in(joined(local, role), PASSWORD)
    stranger.page.get_by_role("heading", name="Orders").wait_for()
    for path in (*PAGES, *shop.paths):
        stranger.visit(path)
        stranger.settled()
        for alert in stranger.page.get_by_role("alert").all():
            expect(alert).to_contain_text(re.compile(r"permission|scope"))
        for button in stranger.page.locator("main button[aria-disabled]").all():
            assert button.get_attribute("title"), (path, button.inner_text())


def test_names_of_any_length_and_direction_fit(operator: Person, shop: Shop):
    page = operator.page
    for name in NAMES:
        short = name[:80]
        address = {**ADDRESS, "name": short, "city": short}
        order_id = confirmed(operator.local, name[:100], shipping_address=address, notes=name)
        for width in (1440, 720, 320):
            page.set_viewport_size({"width": width, "height": 800})
            for path in ("", f"/orders/{order_id}"):
                operator.visit(path)
                operator.settled()
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (name, width, path)
        expect(page.locator("main")).to_contain_text(short)


def test_a_match_stays_beside_the_rest_of_the_name_in_narrow_places(operator: Person, shop: Shop):
    page = operator.page
    confirmed(operator.local, "Cleo Narrowell")
    page.set_viewport_size({"width": 390, "height": 800})
    operator.visit("?q=narrowell")
    operator.settled()
    cell = page.get_by_role("table", name="Orders").locator("td[data-name=Customer]", has_text="Cleo Narrowell")
    box, match = cell.bounding_box(), cell.locator("mark").bounding_box()
    assert box and match
    assert box["height"] < 2 * match["height"]


def test_a_person_who_goes_back_is_where_they_were(operator: Person, shop: Shop):
    page = operator.page
    page.set_viewport_size({"width": 390, "height": 400})
    operator.visit("")
    operator.settled()
    with page.expect_response("**/v1/orders?*waiting_minutes*"):
        page.reload()  # its answer is the last that changes the list
    operator.settled()
    page.locator("table[role=table] a").nth(3).wait_for()
    page.mouse.wheel(0, 700)
    seen = [0.0]

    def scrolled() -> bool:
        seen.append(page.evaluate("scrollY"))
        return 300 < seen[-1] == seen[-2]

    operator.local.until(scrolled)
    before = seen[-1]
    page.locator("table[role=table] a").nth(3).evaluate("link => link.click()")
    page.get_by_role("heading", name=re.compile("^Order ")).wait_for()
    assert page.evaluate("scrollY") == 0
    page.go_back()
    page.get_by_role("table", name="Orders").wait_for()
    assert abs(page.evaluate("scrollY") - before) < 50


def test_an_order_is_printed_dark_on_white(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/orders/{shop.confirmed[1]}")
    operator.settled()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("h1").evaluate("node => getComputedStyle(node).color") == "rgb(29, 31, 34)"
    expect(page.get_by_role("button", name="Invoice")).to_be_hidden()
    expect(page.get_by_role("table", name="Lines of the order")).to_be_visible()


def test_high_contrast_shows_what_is_chosen_and_what_cannot_be_pressed(operator: Person, shop: Shop):
    page = operator.page
    page.emulate_media(forced_colors="active")
    operator.visit("/failed?type=none")
    operator.settled()
    colours = "node => [getComputedStyle(node).color, getComputedStyle(node).backgroundColor].join()"
    chosen, other = (page.get_by_role("link", name=name, exact=True).evaluate(colours) for name in ("Waiting", "All"))
    assert chosen != other
    off = page.get_by_role("button", name="Replay all … parked messages").evaluate(colours)
    assert off != page.get_by_role("button", name="Log out").evaluate(colours)
