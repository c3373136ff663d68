"""The query parameters of analytics."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import Depends
from pydantic import BeforeValidator

from services.kit.rest.params import in_query, wrong
from services.query.analytics import POINTS_MAX, POINTS_OF_GROUPS_MAX, RANGE_DAYS_MAX
from services.query.parameters import DAY, Country, Currency, CustomerFilter, Source, WithProduct, Zone
from services.query.sums import GROUPS, OF_PRODUCTS, AnalyticsQuery, Group
from services.read_model.orders import PlacedStatus
from services.read_model.periods import Interval

__all__ = ["DateRange", "analytics_query"]

LIMIT_DEFAULT = 10
LIMIT_MAX = 1_000
LIMIT_OF_TWO_MAX = 100
GROUPS_MAX = 2
SORTS = ("revenue", "ordered", "gross", "net", "discount", "refunded", "orders", "sold", "cancelled", "units")


def _date_only(text: object) -> object:
    """Refuse what Pydantic would also take for a date, such as a number of seconds since 1970."""
    if not isinstance(text, str) or not DAY.fullmatch(text):
        raise ValueError("write a date as in 2026-11-23")
    return text


Day = Annotated[date, BeforeValidator(_date_only)]
From = Annotated[
    Day | None,
    in_query(
        "The first day. Default: the day of the first order; with `interval` a later day if the answer "
        f"would have too many points otherwise. A range of more than {RANGE_DAYS_MAX:,} days is refused.",
        "2026-11-01",
        alias="from",
    ),
]
To = Annotated[
    Day | None,
    in_query("The day after the last. Default: the day after that of the newest order.", "2026-12-01", alias="to"),
]
IntervalParameter = Annotated[
    Interval | None,
    in_query(
        f"Returns figures for each day, ISO week or month, at most {POINTS_MAX} of them "
        f"({POINTS_OF_GROUPS_MAX} with another group than status). Default: one figure for the whole range.",
        "month",
        alias="interval",
    ),
]
GroupBy = Annotated[
    list[Group] | None,
    in_query(
        "Returns figures for each status, country, source, product or customer. Repeat it for two: "
        "`group_by=country&group_by=product` returns the best products of each country. Of products and customers it "
        "returns the first `limit` by `sort` in each currency and other group.",
        ["product"],
        min_length=1,
        max_length=GROUPS_MAX,
    ),
]
Status = Annotated[PlacedStatus | None, in_query("Only orders that have this status now.", "confirmed")]
Sort = Annotated[
    str,
    in_query(
        f"Sorts groups by {', '.join(SORTS)}; units only for products, refunded not for products. `-` in "
        "front puts the greatest first.",
        "-orders",
        max_length=40,
    ),
]
Limit = Annotated[
    int,
    in_query(
        "How many products or customers to return in each currency and other group; at most "
        f"{LIMIT_OF_TWO_MAX} with two groups or with `interval`. CSV always has all of them.",
        LIMIT_DEFAULT,
        ge=1,
        le=LIMIT_MAX,
    ),
]


async def date_range(
    zone: Zone, start: From = None, end: To = None, interval: IntervalParameter = None
) -> AnalyticsQuery:  # async: see parameters.py
    """The query for all orders of a range; Invalid if it ends before it begins."""
    if start and end and start >= end:
        raise wrong("from", "from must be before to")
    return AnalyticsQuery(zone, start, end, interval)


DateRange = Annotated[AnalyticsQuery, Depends(date_range)]


async def analytics_query(
    days: DateRange,
    group_by: GroupBy = None,
    currency: Currency = None,
    country: Country = None,
    status: Status = None,
    source: Source = None,
    product_id: WithProduct = None,
    customer_id: CustomerFilter = None,
    sort: Sort = "-revenue",
    limit: Limit = LIMIT_DEFAULT,
) -> AnalyticsQuery:
    """The query that the parameters describe; Invalid if they contradict each other."""
    query = replace(
        days, groups=tuple(sorted(set(group_by or ()), key=list(GROUPS).index)), currency=currency, country=country,
        status=status, source=source, product_id=product_id, customer_id=customer_id, sort=sort.removeprefix("-"),
        descending=sort.startswith("-"), limit=limit,
    )  # fmt: skip
    if query.sort not in SORTS:
        raise wrong("sort", f"sort by one of {', '.join(SORTS)}, with - in front for descending")
    if query.numbers is OF_PRODUCTS and query.sort == "gross":  # no refund belongs to a product
        query = replace(query, sort="revenue")
    if query.sort not in query.numbers:
        raise wrong("sort", _not_there(query.sort))
    if {"product", "customer"} <= set(query.groups):
        raise wrong("group_by", "there are too many pairs of product and customer: name one by its id instead")
    if limit > LIMIT_OF_TWO_MAX and (len(query.groups) > 1 or query.interval):
        raise wrong("limit", f"with two groups or an interval at most {LIMIT_OF_TWO_MAX} are allowed")
    return query


def _not_there(sort: str) -> str:
    if sort == "units":
        return "only products have units: add group_by=product or product_id"
    return f"products have no {sort}: sort by another figure, or leave the product out"
