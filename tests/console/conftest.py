"""A Chromium, a local cluster with made-up data, and people at its console; the tests of this folder share them."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser

from tests.console.browser import Person, running_browser
from tests.console.receiver import Receiver, running_receiver
from tests.console.shop import REVIEWED_ABOVE, Shop, opened_shop
from tests.e2e.local import FORKED, Local, cluster


# for the tests of this folder only: a later test could start no event loop beside the one of Playwright, and each
# worker's cluster would run beside all other tests
@pytest.fixture(scope="package")
def browser() -> Generator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def local(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Generator[Local]:
    # each test logs in, all of them more often in a minute than one person may
    settings = {"ZEROCART_WINDOW": "20", "ZEROCART_RATES": '{"token": "1000/0.1"}', **REVIEWED_ABOVE, **FORKED}
    with cluster(tmp_path_factory.mktemp("cluster"), **settings) as local:
        yield local


@pytest.fixture(scope="package")
def shop(local: Local) -> Shop:
    return opened_shop(local)


@pytest.fixture
def receiver() -> Generator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def stranger(browser: Browser, local: Local) -> Generator[Person]:
    context = browser.new_context(locale="en-GB", timezone_id="Europe/London", viewport={"width": 1440, "height": 900})
    person = Person(context.new_page(), local)
    yield person
    context.close()
    assert person.faults == []


@pytest.fixture
def operator(stranger: Person) -> Person:
    stranger.log_in_as_operator()
    return stranger
