"""Days, ISO weeks, months, years and decades as keys of counters, all in UTC.

They are written as in ISO 8601: 2026-11-28, 2026-W48, 2026-11, 2026, and 202 for the years from 2020 to 2029.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

__all__ = [
    "Interval",
    "balance",
    "cover",
    "day_of",
    "days_to_decades",
    "days_to_years",
    "enclosing",
    "periods_of",
    "series",
    "week_of",
    "weight",
]

Interval = Literal["day", "week", "month"]
DAY = timedelta(days=1)
DAYS_KEPT = 10_000
"""Days whose keys are remembered: a log has many events of one day."""
COST = {len("2026-11-28"): 1, len("2026-11"): 6, len("2026"): 12, len("202"): 24}
"""About how many days' counters there are of a period: what is counted comes again within it."""


def day_of(at: datetime) -> date:
    """The day of an instant in UTC; where the calendar ends, the day that it says itself."""
    try:
        return at.astimezone(UTC).date()
    except OverflowError:
        return at.date()


def week_of(day: date) -> str:
    """The ISO week, named by the year that most of it lies in."""
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


def _month_of(day: date) -> str:
    return day.isoformat()[:7]


@lru_cache(DAYS_KEPT)
def periods_of(day: date) -> tuple[str, ...]:
    """Every period that a day is part of."""
    return (day.isoformat(), week_of(day), *_wider(day))


@lru_cache(DAYS_KEPT)
def days_to_years(day: date) -> tuple[str, ...]:
    """The day with its month and year, which are enough to cover any range."""
    return (day.isoformat(), *_wider(day))


@lru_cache(DAYS_KEPT)
def days_to_decades(day: date) -> tuple[str, ...]:
    """The same with its decade, which is enough to enclose a range of years."""
    return (*days_to_years(day), _decade_of(day.year))


def _decade_of(year: int) -> str:
    return f"{year:04}"[:3]


def _wider(day: date) -> tuple[str, str]:
    return _month_of(day), day.isoformat()[:4]


def cover(start: date, end: date) -> list[str]:
    """The fewest years, months and days that make up the days from `start` to the one before `end`."""
    found: list[str] = []
    while start < end:
        for key, after in ((start.isoformat()[:4], _year_after(start)), (_month_of(start), _month_after(start))):
            if after is not None and after <= end:
                found.append(key)
                start = after
                break
        else:
            found.append(start.isoformat())
            start += DAY
    return found


def balance(start: date, end: date) -> list[tuple[str, int]]:
    """The cheapest periods to add (1) and take off (-1) that leave the days from `start` to the one before `end`.

    Ten months are a year less two months.
    """
    firsts = [(start, False), (start.replace(day=1), False), (start.replace(month=1, day=1), True)]
    lasts = [(end, False), (_end_of_month(end), False), (_end_of_year(end), True)]
    found = [
        _added(cover(first, last)) + _taken_off(first, start, months_too) + _taken_off(end, last, months_at_end_too)
        for first, months_too in firsts
        for last, months_at_end_too in lasts
    ]
    return min(found, key=_cost)


def enclosing(start: date, end: date, *, decades: bool) -> list[str]:
    """Few periods that hold all days from `start` to the one before `end`, and maybe others; `decades` if there are."""
    found = [key for key, sign in balance(start, end) if sign > 0]
    if not decades or sum(map(weight, found)) <= COST[len("202")]:
        return found
    return sorted({_decade_of(year) for year in range(start.year, (end - DAY).year + 1)})


def weight(period: str) -> int:
    """About how much is counted in a period, beside others."""
    return COST[len(period)]


def _taken_off(start: date, end: date, months_too: bool) -> list[tuple[str, int]]:
    """What makes up these days, taken off; `months_too` if a month less some days may be a part of it."""
    found = [_added(cover(start, end))]
    if months_too and start < end:
        first, last = start.replace(day=1), _end_of_month(end)
        found.append(_added(cover(first, end)) + _taken_off(first, start, False))
        found.append(_added(cover(start, last)) + _taken_off(end, last, False))
    return [(key, -sign) for key, sign in min(found, key=_cost)]


def _added(keys: list[str]) -> list[tuple[str, int]]:
    return [(key, 1) for key in keys]


def _cost(pieces: list[tuple[str, int]]) -> int:
    return sum(weight(key) for key, _ in pieces)


def _end_of_month(day: date) -> date:
    """The day itself if a month begins on it, else the first day of the next month, as far as the calendar goes."""
    return day if day.day == 1 else _month_after(day.replace(day=1)) or day


def _end_of_year(day: date) -> date:
    return day if (day.month, day.day) == (1, 1) else _year_after(day.replace(month=1, day=1)) or day


def _year_after(day: date) -> date | None:
    """The day after the year that begins on `day`; None if none does, or if the calendar ends with it."""
    return date(day.year + 1, 1, 1) if (day.month, day.day) == (1, 1) and day.year < date.max.year else None


def _month_after(day: date) -> date | None:
    if day.day != 1 or (day.year, day.month) == (date.max.year, 12):
        return None
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def series(start: date, end: date, interval: Interval, *, weeks: bool) -> list[tuple[str, str]]:
    """Each period that is needed, with the point of the series that it is part of; the outer points may be cut.

    `weeks` says whether whole weeks have been counted; otherwise they are made of days.
    """
    return [
        (piece, point) for point, first, last in _points(start, end, interval) for piece in _pieces(first, last, weeks)
    ]


def _points(start: date, end: date, interval: Interval) -> Iterator[tuple[str, date, date]]:
    """The points of a series, each with its first day and the day after its last."""
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


def _pieces(first: date, last: date, weeks: bool) -> list[str]:
    if weeks and first.weekday() == 0 and last - first == DAY * 7:
        return [week_of(first)]
    return cover(first, last)
