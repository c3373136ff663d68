"""The query parameters of analytics, and the combinations that are refused because no sums exist for them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BeforeValidator

from services.kit.domain.currencies import KnownCurrency
from services.kit.rest.params import PRINTABLE, wrong
from services.query.analytics import SORTS, AnalyticsQuery, Group
from services.read_model.periods import Interval

__all__ = ["DateRange", "IntervalParameter", "analytics_query", "check_points"]

DAYS_DEFAULT = 30
RANGE_DAYS_MAX = 36_525
POINTS_MAX = 400
POINTS_BY_COUNTRY_MAX = 62
LIMIT_DEFAULT = 10
LIMIT_MAX = 1_000
DAYS_AT_LEAST = {"day": 1, "week": 7, "month": 28}
DATE_PATTERN = re.compile(r"\d{4}-\d\d-\d\d")


def _date_only(text: object) -> object:
    """Refuse what Pydantic would also take for a date, such as a number of seconds since 1970."""
    if not isinstance(text, str) or not DATE_PATTERN.fullmatch(text):
        raise ValueError("write a date as in 2026-11-23")
    return text


Day = Annotated[date, BeforeValidator(_date_only)]
From = Annotated[
    Day | None,
    Query(
        alias="from",
        description=f"The first day, in UTC. Default: {DAYS_DEFAULT} days before `to`. A range of more than "
        f"{RANGE_DAYS_MAX} days is refused.",
        examples=["2026-11-01"],
    ),
]
To = Annotated[
    Day | None,
    Query(alias="to", description="The day after the last, in UTC. Default: tomorrow.", examples=["2026-12-01"]),
]
IntervalParameter = Annotated[
    Interval | None,
    Query(
        alias="interval",
        description=f"Returns figures for each day, ISO week or month, at most {POINTS_MAX} of them "
        f"({POINTS_BY_COUNTRY_MAX} with group_by=country). Default: one figure for the whole range.",
        examples=["month"],
    ),
]
GroupBy = Annotated[
    Group | None,
    Query(
        description="Returns figures for each status, country, product or customer. Of products and customers it "
        "returns the first `limit` by `sort` in each currency.",
        examples=["product"],
    ),
]
Currency = Annotated[
    KnownCurrency | None,
    Query(description="Counts only orders in this currency (ISO 4217).", examples=["GBP"]),
]
Country = Annotated[
    str | None,
    Query(
        pattern="^[A-Z]{2}$",
        description="Counts only orders that are delivered to this country (ISO 3166-1 alpha-2).",
        examples=["GB"],
    ),
]
Status = Annotated[
    Literal["pending", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed"] | None,
    Query(description="Counts only orders that have this status now.", examples=["confirmed"]),
]
ProductId = Annotated[
    str | None,
    Query(max_length=64, pattern=PRINTABLE, description="Counts only orders with this product.", examples=["MUG"]),
]
CustomerId = Annotated[
    str | None,
    Query(max_length=64, pattern=PRINTABLE, description="Counts only this customer's orders.", examples=["usr_1"]),
]
Sort = Annotated[
    str,
    Query(
        max_length=40,
        description=f"Sorts groups by {', '.join(SORTS)}. `-` in front puts the greatest first.",
        examples=["-orders"],
    ),
]
Limit = Annotated[
    int,
    Query(
        ge=1,
        le=LIMIT_MAX,
        description="How many products or customers to return in each currency. CSV always has all of them.",
        examples=[LIMIT_DEFAULT],
    ),
]


async def _range(start: From = None, end: To = None) -> tuple[date, date]:  # async: see parameters.py
    end = end or datetime.now(UTC).date() + timedelta(days=1)
    start = start or end - timedelta(days=min(DAYS_DEFAULT, end.toordinal() - 1))
    if start >= end:
        raise wrong("from", "from must be before to")
    if (end - start).days > RANGE_DAYS_MAX:
        raise wrong("from", f"the range has {(end - start).days} days; at most {RANGE_DAYS_MAX} are allowed")
    return start, end


DateRange = Annotated[tuple[date, date], Depends(_range)]


async def analytics_query(
    days: DateRange,
    interval: IntervalParameter = None,
    group_by: GroupBy = None,
    currency: Currency = None,
    country: Country = None,
    status: Status = None,
    product_id: ProductId = None,
    customer_id: CustomerId = None,
    sort: Sort = "-revenue",
    limit: Limit = LIMIT_DEFAULT,
) -> AnalyticsQuery:
    """The query that the parameters describe; Invalid if no sums exist for their combination."""
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise wrong("sort", f"sort by one of {', '.join(SORTS)}, with - in front for descending")
    query = AnalyticsQuery(
        *days, interval, group_by, currency, country, status, product_id, customer_id,
        name, sort.startswith("-"), limit,
    )  # fmt: skip
    if query.about != "orders":
        _check_combination(query, query.about)
    points_max = POINTS_BY_COUNTRY_MAX if group_by == "country" else POINTS_MAX
    check_points(*days, interval, points_max)
    return query


def _check_combination(query: AnalyticsQuery, about: str) -> None:
    """Invalid if the query combines two of product, customer, and country with status: no sums exist for two."""
    for name in ("country", "status", "customer_id" if about == "product" else "product_id"):
        if getattr(query, name) is not None:
            raise wrong(name, f"{name} cannot be combined with figures of a {about}")
    if query.group not in (None, about):
        raise wrong("group_by", f"group_by={query.group} cannot be combined with {about}_id")
    if query.group and query.interval:
        raise wrong("interval", f"interval cannot be combined with group_by={about}: name one by {about}_id instead")


def check_points(start: date, end: date, interval: Interval | None, points_max: int = POINTS_MAX) -> None:
    """Invalid if a series would have more than `points_max` points."""
    if interval and (end - start).days > points_max * DAYS_AT_LEAST[interval]:
        raise wrong("interval", f"at most {points_max} points are allowed: choose a shorter range or a longer interval")
