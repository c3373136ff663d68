"""Days of a time zone: their boundaries as instants, and what separates them from the days in UTC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.read_model.periods import in_utc

__all__ = ["Piece", "between_midnights", "day_in", "midnight", "whole", "zone_named"]

Point = tuple[str, date, date]
"""A point of a series with its first day and the day after its last one."""


class Piece(NamedTuple):
    """The orders placed from `start` until before `end`; they count in `point`, or if `sign` is -1 they do not."""

    start: datetime
    end: datetime
    point: str
    sign: int


def zone_named(name: str) -> ZoneInfo:
    """The time zone of the IANA database with this name; ValueError if there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:  # a path, an unknown name, the name of a folder
        raise ValueError(f"there is no time zone {name}: write one such as Europe/Berlin") from error


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a day begins in a zone; where clocks skip midnight, the instant of the change."""
    return in_utc(datetime.combine(day, time(), zone))


def day_in(zone: ZoneInfo, at: datetime) -> date:
    """The day of an instant in a zone; beyond the ends of the calendar, its day in UTC."""
    try:
        return at.astimezone(zone).date()
    except OverflowError:
        return at.date()


def whole(points: Iterable[Point], zone: ZoneInfo) -> list[Piece]:
    """The points with all their orders."""
    return [Piece(midnight(first, zone), midnight(after, zone), point, 1) for point, first, after in points]


def between_midnights(points: Iterable[Point], zone: ZoneInfo) -> list[Piece]:
    """What turns sums of days in UTC into sums of days of a zone: the orders between the two midnights of each end."""
    return [
        piece
        for point, first, after in points
        for day, sign in ((first, 1), (after, -1))
        for piece in _shift(point, day, sign, zone)
    ]


def _shift(point: str, day: date, sign: int, zone: ZoneInfo) -> Iterator[Piece]:
    here, in_greenwich = midnight(day, zone), datetime.combine(day, time(), UTC)
    if here < in_greenwich:
        yield Piece(here, in_greenwich, point, sign)
    elif here > in_greenwich:
        yield Piece(in_greenwich, here, point, -sign)
