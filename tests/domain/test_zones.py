"""Days of a time zone: orders between two midnights turn sums of days in UTC into sums of local days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.domain.errors import ZerocartError
from services.query.settings import QuerySettings
from services.query.zones import between_midnights, day_in, midnight, whole, zone_named
from services.read_model.periods import Interval, points, week_of

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo", "Asia/Kolkata", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/St_Johns",
)  # fmt: skip
FIRST = datetime(2023, 12, 20, tzinfo=UTC)
NAMES = {"day": str, "week": week_of, "month": lambda day: str(day)[:7], None: lambda _: ""}


@given(
    st.lists(st.integers(0, 1_114 * 86_400).map(lambda second: FIRST + timedelta(seconds=second)), max_size=40),
    st.sampled_from(ZONES),
    st.dates(date(2024, 1, 1), date(2026, 12, 1)),
    st.integers(1, 60),
    st.sampled_from(("day", "week", "month", None)),
)
def test_days_in_utc_and_the_orders_between_midnights_give_local_days(
    orders: list[datetime], name: str, start: date, days: int, interval: Interval | None
) -> None:
    zone, end = ZoneInfo(name), start + timedelta(days)
    series = list(points(start, end, interval))
    point_of = NAMES[interval]
    counted = Counter(point_of(at.date()) for at in orders if start <= at.date() < end)
    for piece in between_midnights(series, zone):
        counted[piece.point] += piece.sign * sum(piece.start <= at < piece.end for at in orders)
    local = [day_in(zone, at) for at in orders]
    expected = Counter(point_of(day) for day in local if start <= day < end)
    assert {point: number for point, number in counted.items() if number} == expected
    one_by_one = {piece.point: sum(piece.start <= at < piece.end for at in orders) for piece in whole(series, zone)}
    assert {point: number for point, number in one_by_one.items() if number} == expected


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23), ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23), ("America/New_York", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5), ("Africa/Cairo", date(2026, 4, 24), 23),
        ("America/Santiago", date(2026, 9, 6), 23), ("Asia/Kathmandu", date(2026, 3, 29), 24),
        ("Pacific/Apia", date(2011, 12, 30), 0),
    ],
)  # fmt: skip
def test_a_day_on_which_clocks_change_has_its_own_length(name: str, day: date, hours: float) -> None:
    zone = ZoneInfo(name)
    assert midnight(day + timedelta(1), zone) - midnight(day, zone) == timedelta(hours=hours)


def test_days_in_utc_need_no_correction() -> None:
    assert between_midnights(points(date(2026, 1, 1), date(2026, 3, 1), "day"), ZoneInfo("UTC")) == []


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "", "a" * 300])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        zone_named(name)


def test_the_setting_names_the_variable_that_is_wrong() -> None:
    assert QuerySettings.from_environment({}).time_zone.key == "UTC"
    assert QuerySettings.from_environment({"ZEROCART_TIME_ZONE": "Asia/Kathmandu"}).time_zone.key == "Asia/Kathmandu"
    with pytest.raises(ZerocartError, match="ZEROCART_TIME_ZONE: there is no time zone Berlin"):
        QuerySettings.from_environment({"ZEROCART_TIME_ZONE": "Berlin"})
