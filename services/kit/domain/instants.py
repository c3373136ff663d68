"""Instants in requests and answers: RFC 3339, with a time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

__all__ = ["KnownInstant", "Rfc3339", "instant_text"]

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _checked(text: object) -> object:
    """Without this check Pydantic accepts a number as seconds since 1970 and a date as its midnight."""
    if not isinstance(text, str) or not _WRITTEN.fullmatch(text):
        raise ValueError("an instant is written as in 2026-11-23T12:00:00Z (RFC 3339)")
    return text


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("this instant is out of range") from error


def _known(instant: datetime) -> datetime:
    """Refuses 0001-01-01, which programs write for "no date" and whose midnight asyncpg stores as minus infinity."""
    if instant.date() == date.min:
        raise ValueError("0001-01-01 is no date: leave the field out if the instant is not known")
    return instant


Rfc3339 = Annotated[datetime, BeforeValidator(_checked), AfterValidator(_in_utc)]
"""An instant in a JSON body or a query parameter, by RFC 3339 with its zone; converted to UTC."""
KnownInstant = Annotated[Rfc3339, AfterValidator(_known)]
"""The same for an instant that is stored."""


def instant_text(instant: datetime) -> str:
    """The instant as answers show it, with `Z` for UTC."""
    return instant.isoformat().replace("+00:00", "Z")
