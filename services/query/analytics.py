"""Queries over the view `analytics`: sums of a range of days, in total, as a series or by group.

Figures by status, country and time to confirm are sums of days. Figures by product and customer add up whole years and
months, and the days at both ends of the range.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import Any, Literal

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Executable,
    Numeric,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    column,
    func,
    literal,
    select,
    true,
)

from services.kit.domain.errors import Unavailable
from services.query.snapshots import MOVING, Row, Snapshot, Snapshots
from services.query.tables import BY_CUSTOMER, BY_PRODUCT, BY_STATUS, CONFIRMATIONS, PRODUCT_NAMES
from services.read_model.periods import Interval, cover, enclosing, series

__all__ = ["SORTS", "Analytics", "AnalyticsQuery", "Group"]

Group = Literal["status", "country", "product", "customer"]
SORTS = ("revenue", "ordered", "orders", "sold", "cancelled")
SOLD = ("confirmed", "shipped", "delivered")
REVISION = 4
"""The revision of the view that these queries need."""
POINT_FORMATS: Mapping[Interval, str] = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM"}
LEADERS_MORE = 100
"""How many more customers than wanted are read from the top of each enclosing period."""
CANDIDATES_MAX = 10_000
"""Up to this many customers it is faster to add up candidates than to add up everybody."""
SHARE_UNIT = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class AnalyticsQuery:
    """The orders placed from `start` to the day before `end`, with the filters, grouping and sort of their figures."""

    start: date
    end: date
    interval: Interval | None = None
    group: Group | None = None
    currency: str | None = None
    country: str | None = None
    status: str | None = None
    product_id: str | None = None
    customer_id: str | None = None
    sort: str = "revenue"
    descending: bool = True
    limit: int = 10

    @property
    def about(self) -> Literal["orders", "product", "customer"]:
        """The table of sums that answers it."""
        if self.group == "product" or self.product_id is not None:
            return "product"
        return "customer" if self.group == "customer" or self.customer_id is not None else "orders"


class Analytics:
    """Reads figures; connects when the first query comes."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self.wait_for = snapshots.wait_for

    async def rows(self, query: AnalyticsQuery) -> Sequence[Row]:
        """The sums from one snapshot; of products and customers the first `limit` in each currency."""

        async def read(at: Snapshot) -> Sequence[Row]:
            _check_revision(at)
            if query.about == "orders":
                return await at.rows(_by_status(query))
            if query.group is None:
                return await at.rows(_by_key(query))
            currencies = [query.currency] if query.currency else await _currencies(at, query)
            return [row for each in currencies for row in await _first(at, replace(query, currency=each))]

        return await self._snapshots.read(read)

    def stream(self, query: AnalyticsQuery) -> AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]:
        """All sums from one snapshot, in parts."""

        async def statement(at: Snapshot) -> Select[Any]:
            _check_revision(at)
            return _by_status(query) if query.about == "orders" else _by_key(query)

        return self._snapshots.stream(statement)

    async def confirmations(self, start: date, end: date, interval: Interval | None) -> Sequence[Row]:
        """The histogram of times to confirm, by point of the series and bucket."""
        of = CONFIRMATIONS.c
        by = (_point_of(of.day, interval), of.over, of.up_to)
        query = (
            select(*by, *(func.sum(of[name]).label(name) for name in ("orders", "seconds")))
            .where(of.day >= start, of.day < end)
            .group_by(*by)
            .order_by(*by)
        )

        async def read(at: Snapshot) -> Sequence[Row]:
            _check_revision(at)
            return await at.rows(query)

        return await self._snapshots.read(read)


def _check_revision(at: Snapshot) -> None:
    """Unavailable while an older version of the view serves, whose sums have other periods."""
    if at.serving and not at.has("analytics", REVISION):
        raise Unavailable(*MOVING)


async def _currencies(at: Snapshot, query: AnalyticsQuery) -> list[str]:
    of = BY_STATUS.c
    within = select(of.currency).where(of.day >= query.start, of.day < query.end)
    return [row["currency"] for row in await at.rows(within.distinct().order_by(of.currency))]


def _by_status(query: AnalyticsQuery) -> Select[Any]:
    of = BY_STATUS.c
    sold = of.status.in_(SOLD)
    sums: Mapping[str, ColumnElement[Any]] = {
        "orders": func.sum(of.orders),
        "sold": func.sum(of.orders).filter(sold),
        "cancelled": func.sum(of.orders).filter(of.status == "cancelled"),
        "failed": func.sum(of.orders).filter(of.status == "failed"),
        "refunds": func.sum(of.refunds),
        "ordered": func.sum(of.ordered),
        "revenue": func.sum(of.ordered - of.refunded).filter(sold),
        "refunded": func.sum(of.refunded),
    }
    group = [of[query.group]] if query.group else []
    by = [_point_of(of.day, query.interval), *group, of.currency]
    return _sums(query, BY_STATUS, by, sums).where(of.day >= query.start, of.day < query.end)


def _point_of(day: ColumnElement[Any], interval: Interval | None) -> ColumnElement[Any]:
    """The point of a series that contains a day; empty if the range is one point."""
    return (func.to_char(day, POINT_FORMATS[interval]) if interval else literal("")).label("point")


def _by_key(query: AnalyticsQuery) -> Select[Any]:
    """The sums of each product or customer."""
    table, key = _keyed(query)
    numbers = (each.name for each in table.c if each.name not in ("period", "currency", key.name))
    sums: Mapping[str, ColumnElement[Any]] = {name: func.sum(table.c[name]) for name in numbers}
    if query.interval:
        pieces = _table(series(query.start, query.end, query.interval))
        found = _sums(query, table, [pieces.c.point, key, table.c.currency], sums)
        found = found.join_from(pieces, table, pieces.c.piece == table.c.period)
    else:
        point = literal("").label("point")
        found = _sums(query, table, [point, key, table.c.currency], sums).where(_within_range(query, table))
    found = found.having(sums["orders"] > 0)
    if query.about == "customer":
        return found
    name = select(PRODUCT_NAMES.c.product_name).where(PRODUCT_NAMES.c.product_id == table.c.product_id).correlate(table)
    return found.add_columns(name.scalar_subquery().label("product_name"))


def _sums(
    query: AnalyticsQuery, table: Table, by: Sequence[ColumnElement[Any]], sums: Mapping[str, ColumnElement[Any]]
) -> Select[Any]:
    """The sums of the rows that pass the filters, grouped by `by`; groups are sorted within each currency."""
    sort = func.coalesce(sums[query.sort], 0)
    ranked = [table.c.currency, sort.desc() if query.descending else sort]
    return (
        select(*by, *(func.coalesce(each, 0).label(name) for name, each in sums.items()))
        .where(*_filters(query, table))
        .group_by(*by)
        .order_by(*(ranked if query.group and not query.interval else ()), *by)
    )


async def _first(at: Snapshot, query: AnalyticsQuery) -> Sequence[Row]:
    """The first products or customers in one currency.

    Adding up 350,000 rows of customers takes a third of a second, so the greatest customers are found from the leaders
    of the few periods that enclose the range. No order adds a negative number to a sum: a customer who leads in no
    period has in total at most the sum of what the last leader of each period has. If the last wanted customer has
    more, the answer is proven. Otherwise all customers with a sufficient share in one of the periods are added up.
    """
    if query.about == "product":  # few enough to add up all of them
        return await at.rows(_by_key(query).limit(query.limit))
    if not query.descending:
        return await _among(at, await at.rows(_ranked(query)), query)
    periods = enclosing(query.start, query.end)
    leaders = await at.rows(_leaders(query, periods))
    rows = await _among(at, leaders, query)
    last = rows[-1][query.sort] if len(rows) == query.limit else Decimal(0)
    if last > _most_of_others(query, leaders):
        return rows
    candidates = await at.rows(_with_share(last / len(periods), query, periods)) if last else ()
    if not 0 < len(candidates) < CANDIDATES_MAX:
        candidates = await at.rows(_ranked(query))
    return await _among(at, candidates, query)


async def _among(at: Snapshot, keys: Sequence[Row], query: AnalyticsQuery) -> Sequence[Row]:
    """The first of these products or customers."""
    _, key = _keyed(query)
    return await at.rows(_by_key(query).where(key == _any_of({row["key"] for row in keys})).limit(query.limit))


def _ranked(query: AnalyticsQuery) -> Select[Any]:
    """The keys of the first products or customers, found by adding up one number of each."""
    table, key = _keyed(query)
    sort = func.sum(table.c[query.sort])
    return (
        select(key.label("key"))
        .where(_within_range(query, table), *_filters(query, table))
        .group_by(key)
        .having(func.sum(table.c.orders) > 0)
        .order_by(sort.desc() if query.descending else sort, key)
        .limit(query.limit)
    )


def _leaders(query: AnalyticsQuery, periods: Sequence[str]) -> Executable:
    """The greatest customers of each of these periods."""
    table, key = _keyed(query)
    of, sort = _table([(period, "") for period in periods]), table.c[query.sort]
    within = (table.c.period == of.c.piece, *_filters(query, table))
    top = select(key.label("key"), sort.label("value")).where(*within).order_by(sort.desc())
    found = top.limit(query.limit + LEADERS_MORE).lateral()
    return select(of.c.piece, found.c.key, found.c.value).join_from(of, found, true())


def _most_of_others(query: AnalyticsQuery, leaders: Sequence[Row]) -> Decimal:
    """An upper bound of the total of every customer who is not among the leaders; negative if everybody is."""
    values: dict[str, list[Decimal]] = {}
    for row in leaders:
        values.setdefault(row["piece"], []).append(row["value"])
    last = [min(each) for each in values.values() if len(each) == query.limit + LEADERS_MORE]
    return sum(last, Decimal(0)) if last else Decimal(-1)


def _with_share(share: Decimal, query: AnalyticsQuery, periods: Sequence[str]) -> Select[Any]:
    """The customers with this share or more in one of the periods; nobody else can reach `share` times the periods."""
    table, key = _keyed(query)
    least = literal(share.quantize(SHARE_UNIT, ROUND_DOWN), Numeric)
    some = (table.c.period.in_(periods), table.c[query.sort] >= least, *_filters(query, table))
    return select(key.label("key")).where(*some).limit(CANDIDATES_MAX)


def _within_range(query: AnalyticsQuery, table: Table) -> ColumnElement[bool]:
    """The condition for the periods that make up the range; an array, because the planner estimates a join badly."""
    return table.c.period == _any_of(cover(query.start, query.end))


def _any_of(texts: Iterable[str]) -> ColumnElement[Any]:
    return any_(bindparam(None, sorted(texts), ARRAY(Text), unique=True))


def _table(pieces: Sequence[tuple[str, str]]) -> Any:
    """Periods as a table; each has the point of the series that contains it."""
    columns = (column("piece", Text), column("point", Text))
    values = ([piece[place] for piece in pieces] for place in range(len(columns)))
    arrays = [bindparam(None, each, ARRAY(Text), unique=True) for each in values]
    return func.unnest(*arrays).table_valued(*columns, name="pieces").render_derived()


def _keyed(query: AnalyticsQuery) -> tuple[Table, Column[Any]]:
    if query.about == "product":
        return BY_PRODUCT, BY_PRODUCT.c.product_id
    return BY_CUSTOMER, BY_CUSTOMER.c.customer_id


def _filters(query: AnalyticsQuery, table: Table) -> list[ColumnElement[bool]]:
    names = ("currency", "country", "status", "product_id", "customer_id")
    return [table.c[name] == value for name in names if (value := getattr(query, name)) is not None]
