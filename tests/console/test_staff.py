"""What staff do with orders in the console: edit the lines, release an order that is on hold."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.console.browser import Person
from tests.console.shop import Shop

pytestmark = pytest.mark.e2e


def test_the_lines_of_an_order_are_edited_after_a_look_at_the_new_totals(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/orders/{shop.confirmed[4]}")
    operator.settled()
    operator.press("Edit …")
    page.get_by_label("Reason").fill("wants one less")
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("Change a quantity or add a product.")
    page.get_by_label("Blue mug").fill("1")
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    expect(page.get_by_role("dialog", name="Carry out this edit?")).to_contain_text("£4.50 less")
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_label("Blue mug")).to_have_value("1")
    expect(page.get_by_label("Reason")).to_have_value("wants one less")
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    page.get_by_role("dialog").get_by_role("button", name="Carry out").click()
    expect(page.get_by_role("table", name="Lines of the order")).to_contain_text("£4.50")
    operator.reads("wants one less")


def test_a_product_is_found_and_added_in_an_edit(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/orders/{shop.confirmed[4]}")
    operator.settled()
    operator.press("Edit …")
    page.get_by_label("Product id 1").press_sequentially("tea")
    expect(page.locator("datalist option[value=TRAY]")).to_have_count(1)
    page.get_by_label("Product id 1").fill("TRAY")
    page.get_by_label("Blue mug").fill("0")
    page.get_by_label("Reason").fill("another colour")
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    preview = page.get_by_role("table", name="Lines after the edit")
    expect(preview).to_contain_text("Tea tray")
    expect(preview).not_to_contain_text("Blue mug")


def test_an_order_on_hold_is_edited_by_the_keyboard_alone(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/orders/{shop.on_hold}")
    operator.settled()
    operator.tab_to("Edit …")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Blue mug")).to_be_focused()
    page.keyboard.press("ArrowDown")
    operator.tab_to("Another product")
    page.keyboard.press("Tab")
    page.keyboard.type("one less")
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Carry out this edit?").wait_for()
    operator.tab_to("Carry out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="Lines of the order")).to_contain_text("£130.50")
    expect(page.get_by_role("button", name="Edit …")).to_be_focused()


def test_an_order_on_hold_is_released(operator: Person, shop: Shop):
    operator.visit(f"/orders/{shop.on_hold}")
    operator.press("Release …")
    operator.answer("Release", Reason="the customer called")
    operator.page.locator(".page-head .badge", has_text=re.compile("^Confirmed$")).wait_for()


def test_the_filters_of_orders_say_how_many_there_are(operator: Person, shop: Shop):
    chips = operator.page.get_by_role("list", name="Statuses")
    operator.visit("")
    expect(chips.get_by_role("link", name=re.compile("^Failed"))).to_have_text("Failed 1")
    expect(chips.get_by_role("link", name="Draft")).to_have_text("Draft")  # drafts are not counted
    expect(operator.page.locator("#countries option").first).to_contain_text("United Kingdom")
    chips.get_by_role("link", name=re.compile("^Failed")).click()
    expect(operator.page.get_by_role("table", name="Orders").locator("tbody").get_by_role("row")).to_have_count(1)
    operator.visit("?country=FR")
    expect(chips.get_by_role("link", name=re.compile("^Failed"))).to_have_text("Failed 0")
    operator.visit("?q=archer")
    operator.settled()
    expect(chips.get_by_role("link", name=re.compile("^Failed"))).to_have_text("Failed")  # a search has other orders
