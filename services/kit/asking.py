"""What questions over REST have in common: parameters that are known, instants with a zone, positions, exact money."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from fastapi import Path, Query, Request
from pydantic import BeforeValidator

from services.kit.errors import FieldError, Invalid
from services.kit.log import POSITION_PATTERN, Position

__all__ = ["Id", "Instant", "PositionToken", "in_utc", "known_only", "position_of", "shown_money", "wrong"]

PRINTABLE = r"^[ -~]+$"
"""What ids are made of; Postgres cannot even be asked for some of the rest."""
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _rfc_3339(text: object) -> object:
    """Pydantic would take a number for seconds since 1970, and a date for its midnight."""
    if not isinstance(text, str) or not RFC_3339.fullmatch(text):
        raise ValueError("an instant is written as in 2026-11-23T12:00:00Z (RFC 3339)")
    return text


Id = Annotated[str, Path(max_length=64, pattern=PRINTABLE)]
Instant = Annotated[datetime, BeforeValidator(_rfc_3339)]
PositionToken = Annotated[str | None, Query(alias="position", pattern=POSITION_PATTERN)]


def known_only(request: Request) -> None:
    """Invalid if there is a parameter that the route does not know."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params} | {"position"}
    if unknown := sorted(set(request.query_params) - known):
        fields = tuple(FieldError(name, "unknown", "there is no such parameter") for name in unknown)
        raise Invalid("unknown-parameter", f"unknown: {', '.join(unknown)}", fields)


def in_utc(name: str, instant: datetime) -> datetime:
    """The instant in UTC; Invalid if that is out of range."""
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise wrong(name, "this instant is out of range") from error


def position_of(token: str) -> Position:
    """The position that a token stands for; Invalid if we cannot have given it."""
    try:
        return Position.parse(token)
    except ValueError as error:
        raise wrong("position", "this is not a position that we gave") from error


def wrong(field: str, detail: str) -> Invalid:
    """What is wrong with a parameter."""
    return Invalid("bad-parameter", detail, (FieldError(field, "invalid", detail),))


def shown_money(amount: Decimal, currency: str) -> dict[str, str]:
    """Exact, with at least two decimals and no zeros beyond them."""
    digits = max(-int(amount.normalize().as_tuple().exponent), 2)
    return {"amount": f"{amount:.{digits}f}", "currency": currency}
