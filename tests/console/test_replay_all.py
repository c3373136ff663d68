"""A whole list of failed messages is replayed, as filtered; what could not be replayed is told with its reason."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Route, expect

from tests.conftest import execute
from tests.console.browser import Person
from tests.console.shop import Shop
from tests.e2e.local import Local

pytestmark = pytest.mark.e2e

LETTERS = """
    INSERT INTO operations.dead_letters
        (id, source, event_id, type, subject, destination, error_code, error_data, attributes, data)
    SELECT 'dl_{name}' || lpad(n::text, 4, '0'), '/tests', n::text, 'zerocart.tests.{name}.v1', 'ord_' || n,
        'http://{name}/events', '503', '', json_build_object(
            'specversion', '1.0', 'id', n::text, 'source', '/tests', 'type', 'zerocart.tests.{name}.v1', 'partitionkey', 'k'),
        '{{}}' FROM generate_series(1, {count}) AS n
"""
PARKED = """
    INSERT INTO log.failures (service, key, attempts, last_error, parked, attributes, data)
    SELECT 'orders', 'key' || n, 5, 'a test', true, json_build_object('specversion', '1.0', 'id', n::text,
        'source', '/tests', 'type', 'zerocart.tests.parked.v1', 'partitionkey', 'k'), '{}'
    FROM generate_series(1, 7) AS n
"""
MANY = 504
"""More than the interface lists."""


def run(local: Local, statement: str) -> None:
    """As the owner of the databases; in a thread, because Playwright has an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(execute(local.running.owner_dsn, statement))).result()


def refuse(route: Route) -> None:
    route.fulfill(status=409, content_type="application/problem+json", body=json.dumps({"detail": "Not this one."}))


def test_dead_letters_are_replayed_as_filtered_and_those_refused_are_named(operator: Person, shop: Shop, local: Local):
    page = operator.page
    run(local, LETTERS.format(name="lost", count=12))
    run(local, LETTERS.format(name="elsewhere", count=1))
    page.route("**/dl_lost0003/replay", refuse)
    operator.visit("/failed")
    page.get_by_label("Message", exact=True).select_option("zerocart.tests.lost.v1")
    letters = page.get_by_role("table", name="Dead letters").locator("tbody").get_by_role("row")
    expect(letters).to_have_count(12)
    operator.press("Replay all … dead letters")
    page.get_by_role("dialog", name="Replay 12 dead letters?").get_by_role("button", name="Replay all").click()
    told = page.get_by_role("dialog", name="Replay all")
    expect(told.get_by_role("status")).to_have_text("11 dead letters published again, 1 failed.")
    expect(told.get_by_role("listitem")).to_have_text("1 Not this one.tests.lost of ord_3")
    operator.press("Close")
    expect(letters).to_have_count(1)
    page.get_by_label("Service", exact=True).select_option("elsewhere")
    expect(page.get_by_role("button", name="Replay all … parked messages")).to_have_attribute("aria-disabled", "true")


def test_a_replay_of_more_than_a_list_goes_on_behind_it_and_can_be_stopped(operator: Person, shop: Shop):
    page = operator.page
    waiting = {f"dl_{n}": _letter(f"dl_{n}") for n in range(MANY)}
    held: list[Route] = []

    def replay(route: Route) -> None:
        del waiting[route.request.url.split("/")[-2]]
        route.fulfill(json={})

    page.route("**/v1/dead-letters?*", lambda route: route.fulfill(json={"dead_letters": list(waiting.values())[:500]}))
    page.route("**/dead-letters/*/replay", lambda route: held.append(route))
    operator.visit("/failed")
    operator.reads("There may be more")
    operator.press("Replay all … dead letters")
    told = page.locator("dialog")
    told.get_by_text("Replay all", exact=True).click()
    told.locator("progress").wait_for()
    page.keyboard.press("Escape")
    expect(told).to_contain_text("Stopping …")
    page.unroute("**/dead-letters/*/replay")
    page.route("**/dead-letters/*/replay", replay)
    for route in held:
        replay(route)
    expect(told).to_contain_text("4 dead letters published again, 496 not tried.")
    told.get_by_text("Close").click()
    expect(told).to_have_count(0)
    page.locator("button", has_text="dead letters").click()
    told.get_by_text("Replay all", exact=True).click()
    expect(told).to_contain_text(f"{MANY - 4} dead letters published again.")
    assert waiting == {}
    told.get_by_text("Close").click()
    operator.reads("No event waits here.")


def _letter(id_: str) -> dict[str, object]:
    return {
        "id": id_, "type": "zerocart.tests.many.v1", "subject": "", "status": "waiting", "service": "orders", "destination": "",
        "error_code": "503", "error_data": "", "first_at": "2026-11-30T10:00:00Z", "deliveries": 1,
    }  # fmt: skip


def test_parked_messages_are_replayed(operator: Person, shop: Shop, local: Local):
    page = operator.page
    run(local, PARKED)
    operator.visit("/failed?type=zerocart.tests.parked.v1")
    operator.press("Replay all … parked messages")
    page.get_by_role("dialog", name="Replay 7 parked messages?").get_by_role("button", name="Replay all").click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("7 parked messages published again.")
    operator.press("Close")
    operator.reads("No message is parked.")


def test_a_view_that_waits_names_its_commands(operator: Person, shop: Shop):
    page = operator.page

    def waiting(route: Route) -> None:
        system = route.fetch().json()
        build = {
            "version": 9, "revision": 7, "began_at": "2026-11-30T10:00:00Z", "then": "wait", "events_behind": 0,
            "share_read": 1, "stopped": False, "compared": True, "differing_tables": [],
        }  # fmt: skip
        system["views"][0] |= {"view": "orders", "build": build}
        system["views"][1] |= {"view": "stock", "stopped": True}
        route.fulfill(json=system)

    page.route("**/operations/system", waiting)
    operator.visit("/system")
    operator.reads("zerocart views orders --switch 9")
    operator.reads("zerocart views stock --retry")
