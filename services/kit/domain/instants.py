"""Instants as clients write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

__all__ = ["KnownInstant", "Rfc3339"]

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _checked(text: object) -> object:
    """Pydantic would take a number for seconds since 1970, and a date for its midnight."""
    if not isinstance(text, str) or not _WRITTEN.fullmatch(text):
        raise ValueError("an instant is written as in 2026-11-23T12:00:00Z (RFC 3339)")
    return text


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this instant is out of range") from error


def _known(instant: datetime) -> datetime:
    """The first day of the calendar is no date to whoever writes it, and its midnight is minus infinity to asyncpg."""
    if instant.date() == date.min:
        raise ValueError("this is the beginning of the calendar, not an instant that anybody knows")
    return instant


Rfc3339 = Annotated[datetime, BeforeValidator(_checked), AfterValidator(_in_utc)]
"""An instant in JSON or in a query: with its zone, as RFC 3339 writes it; in UTC here."""
KnownInstant = Annotated[Rfc3339, AfterValidator(_known)]
"""The same, of something that happened then and is kept."""
