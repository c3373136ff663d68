"""What people do in the console, in a real Chromium on a local cluster."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.console.browser import Person
from tests.console.shop import Shop, refund_of, report_refund

pytestmark = pytest.mark.e2e


def test_the_page_asks_no_service_before_somebody_logs_in(stranger: Person):
    asked: list[str] = []
    stranger.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    stranger.visit("/orders/ord_1")
    expect(stranger.page.get_by_label("E-mail or client id")).to_be_visible()
    stranger.page.wait_for_load_state("networkidle")
    assert asked
    assert [path for path in asked if not path.startswith("/console/")] == []


def test_the_log_in_form_needs_no_module(stranger: Person):
    stranger.page.route(re.compile(r"/console/assets/\w+/(?!first_paint)\w+\.js$"), lambda route: route.abort())
    stranger.page.goto(f"{stranger.local.running.edge_url}/console", wait_until="commit")
    expect(stranger.page.get_by_label("E-mail or client id")).to_be_visible()
    expect(stranger.page.get_by_role("button", name="Log in")).to_be_visible()
    stranger.faults.clear()  # the browser reports the modules that are missing


def test_what_a_person_types_before_the_modules_arrive_stays_and_is_sent_nowhere(stranger: Person):
    held: list[Route] = []
    stranger.page.route("**/main.js", lambda route: held.append(route))
    stranger.page.goto(f"{stranger.local.running.edge_url}/console", wait_until="commit")
    stranger.log_in("operator", "early")
    assert urlsplit(stranger.page.url).query == ""
    held[0].continue_()
    stranger.page.wait_for_load_state("networkidle")
    expect(stranger.page.get_by_label("E-mail or client id")).to_have_value("operator")
    stranger.log_in("operator", stranger.local.credentials.secret)
    stranger.page.get_by_role("heading", name="Orders").wait_for()
    expect(stranger.page.locator("#login")).to_have_count(0)


@pytest.mark.parametrize("path", ["/stock", "", "/system"])
def test_a_page_without_an_answer_says_so_and_can_be_tried_again(operator: Person, shop: Shop, path: str):
    page = operator.page
    held: list[Route] = []
    asked = re.compile(f"/v1{path.replace('/system', '/operations/system') or '/orders'}")
    page.route(asked, lambda route: held.append(route))
    page.clock.install()
    page.goto(f"{operator.local.running.edge_url}/console{path}", wait_until="commit")
    expect(page.get_by_text("It takes longer than usual").first).to_be_visible()
    page.clock.fast_forward(31_000)
    expect(page.get_by_role("alert")).to_contain_text("There is no answer to GET /")
    page.clock.resume()
    page.unroute(asked)
    operator.press("Try again")
    expect(page.get_by_role("table").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_wrong_secret_is_refused_in_words_and_the_page_that_was_asked_for_follows(stranger: Person, shop: Shop):
    stranger.visit("/stock")
    stranger.log_in("operator", "wrong")
    expect(stranger.page.get_by_role("alert")).to_contain_text("The name or the secret is wrong.")
    stranger.log_in("operator", stranger.local.credentials.secret)
    stranger.reads("Blue mug")
    stranger.press("Log out")
    expect(stranger.page.get_by_label("E-mail or client id")).to_be_visible()
    assert stranger.page.evaluate("sessionStorage.length") == 0


def test_an_order_is_found_and_cancelled(operator: Person, shop: Shop):
    page = operator.page
    page.get_by_label("Search").fill("berg")
    page.get_by_label("Search").press("Enter")
    page.wait_for_url(re.compile("q=berg"))
    expect(page.get_by_role("table", name="Orders").locator("tbody").get_by_role("row")).to_have_count(1)
    page.get_by_role("link", name=re.compile(r"^\d+$")).first.click()
    operator.settled()
    operator.press("Cancel the order …")
    operator.answer("Cancel the order", Reason="ordered twice")
    operator.reads("ordered twice")
    page.locator(".page-head .badge", has_text=re.compile("^Cancelled$")).wait_for()
    page.locator(".badge", has_text=re.compile("^Compensated$")).first.wait_for()


def test_a_refund_is_in_the_ledger(operator: Person, shop: Shop):
    operator.visit(f"/orders/{shop.confirmed[0]}")
    operator.settled()
    operator.press("Refund …")
    operator.page.get_by_label("Or an amount in GBP").fill("10")
    operator.page.get_by_label("Reason").fill("chipped")
    operator.page.get_by_role("dialog").get_by_role("button", name="Refund").click()
    expect(operator.page.get_by_role("dialog").get_by_role("alert")).to_be_visible()  # more than was paid
    amount = operator.page.get_by_label("Or an amount in GBP")
    amount.fill("2,50")
    expect(amount).to_have_attribute("title", "Digits with a point, such as 2.50")
    assert not amount.evaluate("node => node.checkValidity()")
    amount.fill("")
    operator.answer("Refund", Blue_mug="1")
    ledger = operator.page.get_by_role("table", name="Ledger of the payment")
    expect(ledger).to_contain_text("Succeeded")
    expect(ledger.get_by_role("row").filter(has_text="Balance")).to_contain_text("£4.50")


def test_an_amount_has_the_decimals_of_its_currency(operator: Person, shop: Shop):
    operator.visit(f"/orders/{shop.confirmed[0]}")
    operator.settled()
    operator.press("Refund …")
    operator.answer("Refund", Or_an_amount_in_GBP="2.5", Reason="scratched")
    ledger = operator.page.get_by_role("table", name="Ledger of the payment")
    expect(ledger.get_by_role("row").filter(has_text="scratched")).to_contain_text("−£2.50")


def test_a_refund_whose_answer_is_lost_is_sent_again_and_takes_effect_once(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/orders/{shop.confirmed[2]}")
    operator.settled()
    keys: list[str] = []

    def lose_the_answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        route.fetch()
        route.fulfill(status=502, body="")

    page.route("**/refunds", lose_the_answer)
    operator.press("Refund …")
    page.get_by_label("Blue mug").fill("1")
    page.get_by_label("Reason").fill("chipped")
    refund = page.get_by_role("dialog").get_by_role("button", name="Refund")
    refund.click()
    expect(page.get_by_role("dialog")).to_contain_text("It is not known whether the change took effect.")
    page.unroute("**/refunds")
    with page.expect_request("**/refunds") as sent:
        refund.click()
    assert keys == [sent.value.headers["idempotency-key"]]
    page.get_by_role("dialog").wait_for(state="detached")
    ledger = page.get_by_role("table", name="Ledger of the payment")
    expect(ledger.get_by_role("row").filter(has_text="Balance")).to_contain_text("£4.50")


def test_a_stuck_run_is_resumed_and_followed_to_its_end(operator: Person, shop: Shop):
    chip = operator.page.get_by_role("link", name=re.compile("^Stuck 1$"))
    chip.click()
    expect(operator.page.get_by_role("table", name="Orders").locator("tbody").get_by_role("row")).to_have_count(1)
    operator.page.get_by_role("table", name="Orders").get_by_role("link").click()
    operator.page.wait_for_url(re.compile(shop.stuck))
    operator.reads("Fulfillment is stuck.")
    cancel = operator.page.get_by_role("button", name="Cancel the order …")
    expect(cancel).to_have_attribute("title", "Fulfillment is stuck: resume it first.")
    operator.reads("stuck since")
    operator.press("Resume …")
    operator.answer("Resume", Mended_by="Ann")
    expect(operator.page.get_by_text("Fulfillment is stuck.")).to_have_count(0)
    with operator.local.client() as client:
        refund = operator.local.until(lambda: refund_of(client, shop.stuck))
        report_refund(client, shop.stuck, refund, "refund_succeeded")
    operator.page.locator(".page-head .badge", has_text=re.compile("^Cancelled$")).wait_for()


def test_a_payment_is_captured_by_hand(operator: Person, shop: Shop):
    operator.visit(f"/orders/{shop.by_hand}")
    operator.press("Capture …")
    operator.answer("Capture")
    operator.page.locator(".page-head .badge", has_text=re.compile("^Confirmed$")).wait_for()


def test_the_slider_shows_an_order_as_it_was(operator: Person, shop: Shop):
    operator.visit(f"/orders/{shop.failed}")
    operator.settled()
    slider = operator.page.get_by_label("Go back in time")
    slider.press("Home")
    operator.reads("You look at the past")
    operator.page.locator(".page-head .badge", has_text="Pending").wait_for()
    expect(operator.page.get_by_role("button", name="Cancel the order …")).to_have_count(0)
    operator.page.get_by_role("link", name="Back to now").click()
    operator.page.locator(".page-head .badge", has_text="Failed").wait_for()


def test_dead_letters_are_replayed_and_discarded(operator: Person, shop: Shop):
    page = operator.page
    operator.visit("/failed")
    operator.reads("ord_lost")
    operator.reads("ord_broken")
    row = page.get_by_role("row").filter(has_text="ord_lost").filter(has_text="fulfillment")
    row.get_by_role("link", name="orders.order.created").first.click()
    operator.reads("400: it cannot handle such an event")
    operator.reads("bad-data: not valid for zerocart.orders.order.created.v1")
    operator.reads("Data")
    operator.page.get_by_role("button", name="Discard …").click()
    operator.answer("Discard", Reason="a test wrote it")
    operator.page.locator(".badge", has_text="Discarded").wait_for()
    operator.visit("/failed")
    page.get_by_role("row").filter(has_text="ord_broken").get_by_role("button", name="Replay").first.click()
    expect(page.locator("#notices")).to_contain_text("published again")
    operator.local.until(lambda: _given_up_twice(operator))


def _given_up_twice(operator: Person) -> bool:
    operator.visit("/failed")
    operator.settled()
    return operator.page.get_by_text("given up 2 times").count() > 0


def test_the_system_shows_why_a_service_is_awake_and_what_waits_for_webhooks(operator: Person, shop: Shop):
    operator.visit("/system")
    operator.settled()
    services = operator.page.get_by_role("table", name="Services")
    operations = services.get_by_role("row").filter(has_text="operations")
    for _ in range(3):  # the first look has woken it, and it tells that after its answer
        operator.press("Look again")
        operator.settled()
    expect(operations).to_contain_text("Request GET /")
    webhooks = operator.page.get_by_role("table", name="Webhooks")
    expect(webhooks.get_by_role("row").filter(has_text=shop.endpoint)).to_contain_text("Failing")


def test_a_first_search_has_the_best_match_first(operator: Person, shop: Shop):
    page = operator.page
    page.get_by_label("Search").fill("berg")
    page.get_by_label("Search").press("Enter")
    page.wait_for_url(re.compile("q=berg"))
    assert "sort=" not in page.url
    expect(page.locator("select[name=sort]")).to_have_value("")


def test_stock_is_counted_and_adjusted(operator: Person, shop: Shop):
    operator.visit("/stock?q=tray")
    row = operator.page.get_by_role("row").filter(has_text="TRAY")
    expect(row).to_contain_text("Low")
    row.get_by_role("button", name="Count … TRAY").click()
    operator.answer("Record the count", On_hand="20")
    expect(row).to_contain_text("In stock")
    row.get_by_role("button", name="Adjust … TRAY").click()
    operator.answer("Adjust", Change="-4", Reason="broken")
    expect(row).to_contain_text("16")


def test_a_price_is_changed(operator: Person, shop: Shop):
    operator.visit("/products/TRAY")
    operator.press("Edit …")
    operator.answer("Save", Prices="5.25 GBP\n6.00 EUR")
    operator.reads("£5.25")
    operator.reads("€6.00")


def test_analytics_has_a_plot_and_its_table(operator: Person, shop: Shop):
    operator.visit("/analytics")
    operator.page.get_by_role("img", name=re.compile("Revenue by day")).wait_for()
    operator.page.get_by_text("Show as a table").click()
    table = operator.page.get_by_role("table", name="Figures by day")
    expect(table.get_by_role("row").nth(1)).to_contain_text("£")


def test_a_page_whose_module_is_not_there_says_what_to_do(operator: Person, shop: Shop):
    operator.page.route("**/stock.js", lambda route: route.abort())
    operator.visit("/stock")
    expect(operator.page.get_by_role("alert")).to_contain_text("cannot load this page")
    operator.page.unroute("**/stock.js")
    operator.press("Try again")
    operator.reads("Blue mug")


def test_who_may_not_change_orders_sees_why(stranger: Person, shop: Shop):
    stranger.page.route("**/token", lambda route: _with_scopes(route, "orders:read+orders:admin"))
    stranger.visit(f"/orders/{shop.confirmed[2]}")
    stranger.log_in("operator", stranger.local.credentials.secret)
    button = stranger.page.get_by_role("button", name="Cancel the order …")
    expect(button).to_have_attribute("title", re.compile("orders:write"))
    button.click(force=True)
    assert stranger.page.get_by_role("dialog").count() == 0
    expect(stranger.page.get_by_role("navigation", name="Console")).not_to_contain_text("Stock")


def _with_scopes(route, scopes: str) -> None:
    data = f"{route.request.post_data}&scope={scopes}"
    route.continue_(post_data=data)


def test_an_expired_log_in_is_renewed_over_the_page(operator: Person, shop: Shop):
    operator.visit("/stock")
    operator.reads("Blue mug")
    operator.page.evaluate("""() => {
        const kept = JSON.parse(sessionStorage.getItem("zerocart-session"));
        sessionStorage.setItem("zerocart-session", JSON.stringify({...kept, expires: 0}));
    }""")
    operator.visit("/products")
    operator.page.get_by_role("dialog").wait_for()
    operator.answer("Log in", Password_or_client_secret=operator.local.credentials.secret)
    operator.reads("Blue mug")


def test_an_order_is_cancelled_by_the_keyboard_alone(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/orders/{shop.confirmed[3]}")
    operator.settled()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    operator.tab_to("Cancel the order …")
    page.keyboard.press("Enter")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel the order …")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.locator(".page-head .badge", has_text=re.compile("^Cancelled$")).wait_for()
