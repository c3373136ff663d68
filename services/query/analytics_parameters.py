"""Questions to analytics as a client writes them, and which of them have no answer."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BeforeValidator

from services.kit.rest.params import PRINTABLE, wrong
from services.query.analytics import SORTS, Group, Question
from services.read_model.periods import Interval

__all__ = ["AskedInterval", "Range", "asked", "check_points"]

DAYS_DEFAULT = 30
RANGE_DAYS_MAX = 36_525
POINTS_MAX = 400
POINTS_BY_COUNTRY_MAX = 62
LIMIT_DEFAULT = 10
LIMIT_MAX = 1_000
DAYS_AT_LEAST = {"day": 1, "week": 7, "month": 28}
WRITTEN = re.compile(r"\d{4}-\d\d-\d\d")


def _written(text: object) -> object:
    """Pydantic would take a number for seconds since 1970."""
    if not isinstance(text, str) or not WRITTEN.fullmatch(text):
        raise ValueError("a day is written as in 2026-11-23")
    return text


Day = Annotated[date, BeforeValidator(_written)]
From = Annotated[
    Day | None,
    Query(
        alias="from",
        description=f"The first day, in UTC; {DAYS_DEFAULT} days before `to` if absent. A range has at most "
        f"{RANGE_DAYS_MAX} days.",
        examples=["2026-11-01"],
    ),
]
To = Annotated[
    Day | None,
    Query(alias="to", description="The day after the last, in UTC; tomorrow if absent.", examples=["2026-12-01"]),
]
AskedInterval = Annotated[
    Interval | None,
    Query(
        alias="interval",
        description=f"A point for each day, ISO week or month, at most {POINTS_MAX} of them "
        f"({POINTS_BY_COUNTRY_MAX} with group_by=country); one for all of it if absent.",
        examples=["month"],
    ),
]
GroupBy = Annotated[
    Group | None,
    Query(
        description="Figures for each status, country, product or customer: of products and customers those that come "
        "first by `sort`, in each currency.",
        examples=["product"],
    ),
]
Currency = Annotated[
    str | None, Query(pattern="^[A-Z]{3}$", description="Only orders in this currency (ISO 4217).", examples=["GBP"])
]
Country = Annotated[
    str | None, Query(pattern="^[A-Z]{2}$", description="Only orders that go there (ISO 3166-1).", examples=["GB"])
]
Status = Annotated[
    Literal["pending", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed"] | None,
    Query(description="Only orders that have this status now.", examples=["confirmed"]),
]
ProductId = Annotated[
    str | None,
    Query(max_length=64, pattern=PRINTABLE, description="Only orders with this product.", examples=["MUG"]),
]
CustomerId = Annotated[
    str | None,
    Query(max_length=64, pattern=PRINTABLE, description="Only this customer's orders.", examples=["usr_1"]),
]
Sort = Annotated[
    str,
    Query(
        max_length=40,
        description=f"What groups are sorted by: {', '.join(SORTS)}; with - in front the greatest comes first.",
        examples=["-orders"],
    ),
]
Limit = Annotated[
    int,
    Query(
        ge=1,
        le=LIMIT_MAX,
        description="How many products or customers there are to be, of each currency; as CSV they are all there.",
        examples=[LIMIT_DEFAULT],
    ),
]


# `async` for the reason that is given in parameters.py
async def _range(start: From = None, end: To = None) -> tuple[date, date]:
    end = end or datetime.now(UTC).date() + timedelta(days=1)
    start = start or end - timedelta(days=min(DAYS_DEFAULT, end.toordinal() - 1))
    if start >= end:
        raise wrong("from", "from must be before to")
    if (end - start).days > RANGE_DAYS_MAX:
        raise wrong("from", f"at most {RANGE_DAYS_MAX} days can be asked for")
    return start, end


Range = Annotated[tuple[date, date], Depends(_range)]


async def asked(
    range_: Range,
    interval: AskedInterval = None,
    group_by: GroupBy = None,
    currency: Currency = None,
    country: Country = None,
    status: Status = None,
    product_id: ProductId = None,
    customer_id: CustomerId = None,
    sort: Sort = "-revenue",
    limit: Limit = LIMIT_DEFAULT,
) -> Question:
    """What is asked; Invalid if it has not been counted."""
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise wrong("sort", f"sort by one of {', '.join(SORTS)}, with - in front for descending")
    question = Question(
        *range_, interval, group_by, currency, country, status, product_id, customer_id,
        name, sort.startswith("-"), limit,
    )  # fmt: skip
    if question.about != "orders":
        _check_combination(question, question.about)
    most = POINTS_BY_COUNTRY_MAX if group_by == "country" else POINTS_MAX
    check_points(*range_, interval, most)
    return question


def _check_combination(question: Question, about: str) -> None:
    """There are sums by product, by customer, and by country and status, but not by two of these together."""
    for name in ("country", "status", "customer_id" if about == "product" else "product_id"):
        if getattr(question, name) is not None:
            raise wrong(name, f"cannot be combined with a question about a {about}")
    if question.group not in (None, about):
        raise wrong("group_by", f"cannot be combined with {about}_id")
    if question.group and question.interval:
        raise wrong("interval", f"cannot be combined with group_by={about}: name one by {about}_id instead")


def check_points(start: date, end: date, interval: Interval | None, most: int = POINTS_MAX) -> None:
    """Invalid if a series would have too many points."""
    if interval and (end - start).days > most * DAYS_AT_LEAST[interval]:
        raise wrong("interval", f"at most {most} points can be asked for: a shorter range or a longer interval")
