"""What questions over REST have in common: parameters that are known, positions, exact money."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import Path, Query, Request

from services.kit.errors import FieldError, Invalid
from services.kit.log import POSITION_PATTERN, Position

__all__ = ["Id", "PositionToken", "known_only", "position_of", "shown_money", "wrong"]

PRINTABLE = r"^[ -~]+$"
"""What ids are made of; Postgres cannot even be asked for some of the rest."""

Id = Annotated[str, Path(max_length=64, pattern=PRINTABLE)]
PositionToken = Annotated[str | None, Query(alias="position", pattern=POSITION_PATTERN)]


def known_only(request: Request) -> None:
    """Invalid if there is a parameter that the route does not know."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params} | {"position"}
    if unknown := sorted(set(request.query_params) - known):
        fields = tuple(FieldError(name, "unknown", "there is no such parameter") for name in unknown)
        raise Invalid("unknown-parameter", f"unknown: {', '.join(unknown)}", fields)


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
