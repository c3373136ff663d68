"""Rate limits: how many requests one client may send."""

from __future__ import annotations

import pytest

from services.kit.config.rates import Rate
from services.kit.config.settings import Settings
from services.kit.domain.errors import RateLimited, ZerocartError
from services.kit.rest.limits import CLIENTS_MAX, Limits
from services.rates import require_known


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def allowed(limits: Limits, client: str, times: int, what: str = "place") -> int:
    taken = 0
    for _ in range(times):
        try:
            limits.take(what, client)
        except RateLimited as error:
            assert error.retry_after_seconds >= 1
        else:
            taken += 1
    return taken


def test_after_a_burst_requests_are_accepted_at_the_rate():
    clock = Clock()
    limits = Limits({"place": Rate(5, 2)}, now=clock)
    assert allowed(limits, "ann", 20) == 5
    assert allowed(limits, "bob", 1) == 1
    clock.now += 2
    assert allowed(limits, "ann", 5) == 1
    clock.now += 1_000
    assert allowed(limits, "ann", 20) == 5  # no more than a burst is saved up


def test_a_caller_who_waits_for_retry_after_is_accepted():
    clock = Clock()
    limits = Limits({"place": Rate(2, 3)}, now=clock)
    for _ in range(50):
        try:
            limits.take("place", "ann")
        except RateLimited as error:
            clock.now += error.retry_after_seconds
            limits.take("place", "ann")
    assert clock.now - 1_000 < 50 * 3 + 3


def test_the_number_of_counted_callers_is_bounded():
    limits = Limits({"place": Rate(1, 60)}, now=Clock())
    for number in range(CLIENTS_MAX + 10):
        limits.take("place", str(number))
    assert len(limits._full_at) == CLIENTS_MAX


@pytest.mark.parametrize("text", ["", "5", "x/1", "0/1", "5/0", "5/-1", "5/nan", "-1/1", "5/inf"])
def test_an_invalid_rate_is_refused(text):
    with pytest.raises(ZerocartError, match="ZEROCART_RATES"):
        Rate.parse(text)


@pytest.mark.parametrize("rates", ['{"place": "often"}', '{"place": 5}', "[]", "place=5/1"])
def test_a_service_with_a_bad_rate_does_not_start(rates):
    with pytest.raises(ZerocartError, match="ZEROCART_RATES"):
        Settings.from_environment("orders", {"ZEROCART_RATES": rates})


def test_a_setting_replaces_one_rate_and_keeps_the_others():
    settings = Settings.from_environment("orders", {"ZEROCART_RATES": '{"place": "1/60"}'})
    limits = Limits({"place": Rate(5, 1), "token": Rate(5, 1), **settings.rates})
    assert (allowed(limits, "ann", 9), allowed(limits, "ann", 9, "token")) == (1, 5)


def test_a_rate_of_no_limit_is_refused_with_the_names_of_all_limits():
    require_known(["place", "register", "token", "mail-token", "failed-authentication"])
    with pytest.raises(ZerocartError, match=r"no limit is called plaec; the limits are .*, place, "):
        require_known(["place", "plaec"])
