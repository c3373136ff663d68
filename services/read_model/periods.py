"""The periods of sums by product and customer, all in UTC: days, months, years, and for customers all time.

They are written as 2026-11-28, 2026-11 (ISO 8601), 2026 and `all`. Sums by status have days only.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

__all__ = [
    "ALL_TIME",
    "Interval",
    "cover",
    "day_to_all_time",
    "day_to_year",
    "enclosing",
    "in_utc",
    "points",
    "week_of",
]

Interval = Literal["day", "week", "month"]
ALL_TIME = "all"
DAY = timedelta(days=1)
DAYS_CACHED = 10_000
"""Days whose periods are cached: many events have the same day."""
ENCLOSING_MONTHS_MAX = 6
ENCLOSING_YEARS_MAX = 2


def in_utc(at: datetime) -> datetime:
    """An instant in UTC; at the ends of the calendar, the same clock time in UTC."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at.replace(tzinfo=UTC)


def week_of(day: date) -> str:
    """The ISO week of a day, such as 2026-W48."""
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


@lru_cache(DAYS_CACHED)
def day_to_year(day: date) -> tuple[str, ...]:
    """The periods of sums by product."""
    return (day.isoformat(), _month_of(day), _year_of(day))


@lru_cache(DAYS_CACHED)
def day_to_all_time(day: date) -> tuple[str, ...]:
    """The periods of sums by customer."""
    return (day.isoformat(), _month_of(day), _year_of(day), ALL_TIME)


def cover(start: date, end: date) -> list[str]:
    """The fewest days, months and years that make up the days from `start` to the one before `end`."""
    found: list[str] = []
    while start < end:
        for key, after in ((_year_of(start), _year_after(start)), (_month_of(start), _month_after(start))):
            if after is not None and after <= end:
                found.append(key)
                start = after
                break
        else:
            found.append(start.isoformat())
            start += DAY
    return found


def enclosing(start: date, end: date) -> list[str]:
    """A few periods that together contain the days from `start` to the one before `end`, and may contain others."""
    last = end - DAY
    first_month, last_month = start.year * 12 + start.month - 1, last.year * 12 + last.month - 1
    if last_month - first_month < ENCLOSING_MONTHS_MAX:
        return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first_month, last_month + 1)]
    years = range(start.year, last.year + 1)
    return [f"{year:04}" for year in years] if len(years) <= ENCLOSING_YEARS_MAX else [ALL_TIME]


def points(start: date, end: date, interval: Interval | None) -> Iterator[tuple[str, date, date]]:
    """The points of a series, each with its first day and the day after its last one; the outer ones may be cut.

    Without an interval the whole range is one point, whose name is empty.
    """
    if interval is None:
        yield "", start, end
        return
    while start < end:
        point, after = _point(start, interval)
        yield point, start, min(after, end)
        start = after


def _point(day: date, interval: Interval) -> tuple[str, date]:
    match interval:
        case "day":
            return day.isoformat(), day + DAY
        case "week":
            return week_of(day), day + DAY * min(7 - day.weekday(), (date.max - day).days)
        case "month":
            return _month_of(day), _month_after(day.replace(day=1)) or date.max


def _month_of(day: date) -> str:
    return day.isoformat()[:7]


def _year_of(day: date) -> str:
    return day.isoformat()[:4]


def _year_after(day: date) -> date | None:
    """The first day of the next year if `day` is the first of one; None otherwise, or if the calendar ends first."""
    return date(day.year + 1, 1, 1) if (day.month, day.day) == (1, 1) and day.year < date.max.year else None


def _month_after(day: date) -> date | None:
    """The first day of the next month if `day` is the first of one; None otherwise, or if the calendar ends first."""
    if day.day != 1 or (day.year, day.month) == (date.max.year, 12):
        return None
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
