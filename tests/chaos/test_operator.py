"""A person with nothing but the console finds and mends what is broken, while services are killed and orders flow.

Kafka stands still for a while, shipping cannot log in to its database, notifications may not write to its own, and the
provider cannot deliver a refund. The console has to show each of these, the cause, and the way out.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, expect

from tests import conftest
from tests.architecture.rules import ROOT
from tests.console.browser import Person, running_browser
from tests.console.shop import refund_of, report_refund
from tests.console.staff import PASSWORD, joined
from tests.e2e.local import Local, cluster
from tests.services.system import order

pytestmark = pytest.mark.chaos

RETRIES = 5
"""Delivery gives an event up after seconds, instead of after minutes, but not before its service has parked it."""
KILL_SECONDS = (4.0, 8.0)
SPARED_SECONDS = 30.0
"""After a service was killed: one that dies again before it is awake proves nothing."""
ORDER_SECONDS = 2.0
LOOKS_MAX = 90
WAIT_MS_MAX = 180_000
"""A service that starts may be killed more than once before it answers."""
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zerocart_shipping'"


class Shop:
    """A shop whose customers go on ordering and whose services go on dying until it closes."""

    def __init__(self, local: Local, chance: random.Random) -> None:
        self.local, self.chance = local, chance
        self.closing = Event()
        self.orders: list[str] = []
        self.killed = Counter[str]()
        self.killed_at: dict[str, float] = {}

    def take_orders(self) -> None:
        while not self.closing.wait(ORDER_SECONDS):
            self.orders.append(self.place())

    def kill_services(self) -> None:
        while not self.closing.wait(self.chance.uniform(*KILL_SECONDS)):
            services = self.local.quick_status()["services"]
            spared = {name for name, at in self.killed_at.items() if time.monotonic() - at < SPARED_SECONDS}
            running = [(name, pid) for name, each in services.items() if name not in spared for pid in each["pids"]]
            if running:
                name, pid = self.chance.choice(sorted(running))
                os.kill(pid, signal.SIGKILL)
                self.killed[name] += 1
                self.killed_at[name] = time.monotonic()

    def place(self, token: str = "tok_approve") -> str:
        return self.insist("POST", "/orders", order(("MUG", 1), token=token))["order_id"]

    def status(self, order_id: str) -> str:
        return self.insist("GET", f"/orders/{order_id}")["status"]

    def insist(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request until a process lives long enough to answer it."""
        headers = {"Idempotency-Key": f"chaos-{self.chance.random()}"} if method == "POST" else {}

        def answer() -> Any:
            try:
                with self.local.client() as client:
                    found = client.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                return None
            is_known = found.status_code < 500 and found.status_code != 404  # the read side may be a moment behind
            return found.raise_for_status().json() if is_known else None

        return self.local.until(answer)


@contextmanager
def opened(local: Local, chance: random.Random) -> Generator[Shop]:
    shop = Shop(local, chance)
    with local.client() as client:
        client.put("/stock/MUG", json={"on_hand": 10_000}).raise_for_status()
    threads = [Thread(target=work, daemon=True) for work in (shop.take_orders, shop.kill_services)]
    for thread in threads:
        thread.start()
    try:
        yield shop
    finally:
        shop.closing.set()
        for thread in threads:
            thread.join()


def execute(dsn: str, *statements: str) -> None:
    """Run statements as the owner of the databases; in a thread, because Playwright has an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(conftest.execute(dsn, *statements))).result()


def impatient_manifests(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = shutil.copytree(ROOT / "knative", tmp_path_factory.mktemp("manifests") / "knative")
    triggers = folder / "triggers.yaml"
    text, count = re.subn(r"retry: \d+", f"retry: {RETRIES}", triggers.read_text())
    assert count > 5
    triggers.write_text(text)
    return str(folder)


def look_until(person: Person, holds: Callable[[], bool]) -> None:
    """Press “Look again”, or after an error “Try again”, until the page shows what somebody waits for."""
    for _ in range(LOOKS_MAX):
        person.settled()
        if holds():
            return
        person.page.get_by_role("button", name=re.compile("^(Look|Try) again$")).first.click()
        time.sleep(1)
    raise AssertionError(f"the page does not show it: {person.page.locator('#main').inner_text()}")


def note(person: Person, text: str) -> Locator:
    return person.page.locator("#main .note", has_text=text)


def test_a_person_with_the_console_alone_finds_and_mends_what_is_broken(tmp_path_factory: pytest.TempPathFactory):
    seed = int(os.environ.get("CHAOS_SEED", time.time_ns() % 1_000_000))
    settings = {"ZEROCART_MANIFESTS": impatient_manifests(tmp_path_factory), "ZEROCART_WINDOW": "10"}
    with (
        running_browser() as browser,
        cluster(tmp_path_factory.mktemp("state"), **settings) as local,
    ):
        email = joined(local, "manager")
        context = browser.new_context(locale="en-GB", timezone_id="Europe/London")
        person = Person(context.new_page(), local)
        person.page.set_default_timeout(WAIT_MS_MAX)
        expect.set_options(timeout=WAIT_MS_MAX)
        with opened(local, random.Random(seed)) as shop:
            person.visit()
            person.log_in(email, PASSWORD)
            _sees_that_kafka_is_away(person)
            _mends_a_stuck_run(person, shop)
            _mends_dead_letters(person, shop)
            _mends_parked_messages(person, shop)
        print(f"seed {seed}: {len(shop.orders)} orders, killed {dict(shop.killed)}")
        assert sum(shop.killed.values()) >= 5
        local.until(lambda: {shop.status(each) for each in shop.orders} == {"confirmed"})
        context.close()
        assert person.faults == []


def _sees_that_kafka_is_away(person: Person) -> None:
    kafka = person.local.quick_status()["pids"]["kafka"]
    person.page.get_by_role("link", name="System").click()
    os.kill(kafka, signal.SIGSTOP)
    try:
        look_until(person, lambda: note(person, "Kafka does not take them").count() == 1)
    finally:
        os.kill(kafka, signal.SIGCONT)
    look_until(person, lambda: note(person, "Kafka does not take them").count() == 0)


def _mends_a_stuck_run(person: Person, shop: Shop) -> None:
    order_id = shop.place("tok_refund_pending")
    person.local.until(lambda: shop.status(order_id) == "confirmed")
    shop.insist("POST", f"/orders/{order_id}/cancel", {"reason": "changed her mind"})
    _provider_says(shop, order_id, "refund_failed")
    page = person.page
    look_until(person, lambda: page.get_by_role("link", name=order_id).count() == 1)
    page.get_by_role("link", name=order_id).click()
    person.reads("Fulfillment is stuck.")
    person.reads("cannot be undone")
    person.press("Resume …")
    person.answer("Resume", Mended_by="Sam")
    expect(page.get_by_text("Fulfillment is stuck.")).to_have_count(0)
    _provider_says(shop, order_id, "refund_succeeded")
    page.locator(".page-head .badge", has_text=re.compile("^Cancelled$")).wait_for()


def _provider_says(shop: Shop, order_id: str, what: str) -> None:
    def said() -> bool:
        try:
            with shop.local.client() as client:
                if refund := refund_of(client, order_id):
                    report_refund(client, order_id, refund, what)
                return bool(refund)
        except (httpx.HTTPStatusError, httpx.TransportError, ValueError):
            return False  # a process died

    shop.local.until(said)


def _mends_dead_letters(person: Person, shop: Shop) -> None:
    page, admin = person.page, shop.local.running.admin_dsn
    page.get_by_role("link", name="System").click()
    execute(admin, "ALTER ROLE zerocart_shipping NOLOGIN", END_SESSIONS)
    failed = page.locator(".tiles").get_by_role("link")
    try:
        look_until(person, lambda: failed.count() > 0)
    finally:
        execute(admin, "ALTER ROLE zerocart_shipping LOGIN")
    failed.first.click()
    letters = page.get_by_role("table", name="Dead letters")
    row = letters.get_by_role("row").filter(has_text="shipping").first
    row.get_by_role("link").first.click()
    person.reads("something that it needs was down")
    person.press("Replay")
    expect(page.locator("#notices")).to_contain_text("published again")
    page.locator(".page-head").get_by_role("link").first.click()
    page.locator(".page-head .badge", has_text=re.compile("^Confirmed$")).wait_for()
    page.get_by_role("link", name="Failed messages").first.click()
    _replays_all(person)


def _replays_all(person: Person) -> None:
    """Until no event waits; those that come meanwhile, because services are killed, too."""
    page = person.page
    for _ in range(LOOKS_MAX):
        person.settled()
        if page.get_by_text("No event waits here").count():
            return
        person.press("Replay all … dead letters")
        page.get_by_role("dialog").get_by_role("button", name="Replay all").click()
        person.press("Close")
    raise AssertionError(f"dead letters go on waiting: {page.locator('#main').inner_text()}")


def _mends_parked_messages(person: Person, shop: Shop) -> None:
    page, owner = person.page, shop.local.running.owner_dsn
    # a lost grant would be 503, and delivery would repeat the message; this error is unexpected
    execute(owner, "ALTER TABLE notifications.events ADD CONSTRAINT broken CHECK (false) NOT VALID")
    order_id = shop.place()
    shop.status(order_id)  # waits until the console can show the order
    try:
        person.visit(f"/orders/{order_id}")
        warning = note(person, "notifications could not handle")
        warning.wait_for()
    finally:
        execute(owner, "ALTER TABLE notifications.events DROP CONSTRAINT broken")
    warning.get_by_role("link", name="Failed messages").click()
    row = page.get_by_role("table", name="Parked messages").get_by_role("row").filter(has_text=order_id)
    expect(row).to_contain_text("check constraint")
    row.get_by_role("button", name="Replay").click()
    expect(row).to_have_count(0)
    _replays_the_others(person)
    person.visit(f"/orders/{order_id}")
    page.locator(".page-head .badge", has_text=re.compile("^Confirmed$")).wait_for()


def _replays_the_others(person: Person) -> None:
    """The orders of other customers wait as well."""
    parked = person.page.get_by_role("table", name="Parked messages").locator("tbody").get_by_role("row")
    for _ in range(LOOKS_MAX):
        person.settled()
        before = parked.count()
        if not before:
            return
        parked.first.get_by_role("button", name="Replay").click()
        expect(parked).not_to_have_count(before)
    raise AssertionError(f"messages go on being parked: {person.page.locator('#main').inner_text()}")
