"""What staff do in the console for other programs: register an endpoint of webhooks, try it, and mend what failed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from scripts.sections import CONSOLE
from services.published import types_of
from tests.console.browser import Person
from tests.console.receiver import Receiver
from tests.console.shop import Shop

pytestmark = pytest.mark.e2e


def test_an_endpoint_is_registered_tried_and_removed(operator: Person, shop: Shop, receiver: Receiver):
    page = operator.page
    operator.visit("/webhooks")
    operator.press("New endpoint …")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_role("dialog").get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose at least one kind of event.")
    page.get_by_label("Webhooks").check()
    page.get_by_role("dialog").get_by_role("button", name="Register").click()
    expect(page.get_by_role("textbox", name="Secret")).to_have_value(re.compile("^whsec_"))
    page.get_by_role("button", name="Done").click()
    operator.press("Send a test event")
    row = page.get_by_role("row").filter(has_text="webhooks.endpoint.tested")
    expect(row).to_contain_text("Delivered")
    row.get_by_role("link", name="webhooks.endpoint.tested").click()
    operator.reads("Attempt 1")
    page.go_back()
    operator.press("Remove …")
    operator.answer("Remove")
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    expect(page.get_by_role("link", name=receiver.url)).to_have_count(0)


def test_a_message_that_failed_is_redelivered(operator: Person, shop: Shop, receiver: Receiver):
    page = operator.page
    receiver.status = 500
    with operator.local.client() as client:
        body = {"url": receiver.url, "types": ["zerocart.webhooks.*"]}
        endpoint = client.post("/webhooks", json=body).raise_for_status().json()["id"]
        operator.visit(f"/webhooks/{endpoint}")
        operator.press("Send a test event")
        row = page.get_by_role("row").filter(has_text="webhooks.endpoint.tested")
        expect(row).to_contain_text("500")
        operator.reads("No attempt has succeeded since")
        receiver.status = 200
        row.get_by_role("button", name="Redeliver").click()
        expect(row).to_contain_text("Delivered")
        operator.press("New secret …")
        page.get_by_role("dialog").get_by_role("button", name="Make a new secret").click()
        expect(page.get_by_role("textbox", name="Secret")).to_have_value(re.compile("^whsec_"))
        page.keyboard.press("Enter")
        operator.press("Switch off …")
        operator.answer("Switch off")
        expect(page.get_by_role("button", name="Send a test event")).to_have_attribute(
            "title", re.compile("switched off")
        )
        client.delete(f"/webhooks/{endpoint}").raise_for_status()


def test_an_endpoint_is_tested_by_the_keyboard_alone(operator: Person, shop: Shop):
    page = operator.page
    operator.visit(f"/webhooks/{shop.endpoint}")
    operator.settled()
    operator.tab_to("Edit …")
    page.keyboard.press("Enter")
    expect(page.get_by_label("URL")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("The accounts")
    page.keyboard.press("Enter")
    operator.reads("The accounts")
    page.reload()
    operator.tab_to("Send a test event")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("on its way")


def test_the_form_offers_types_that_exist():
    listed = re.search(r"const GROUPS = \[(.*)\]", (CONSOLE / "webhooks.js").read_text())
    groups = re.findall(r'"(\w+)"', listed.group(1)) if listed else []
    assert groups
    assert [group for group in groups if not types_of(f"zerocart.{group}.*")] == []
