"""The SQL of analytics: sums of orders by point of a series and by group.

Sums of days in UTC exist for status, country and source together, for products, and for customers. In another time zone
they are corrected by the single orders between the two midnights at each end of a point, which are few. Any other
combination is added up from the single orders of the range.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Numeric,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    collate,
    column,
    func,
    join,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from services.query.tables import (
    BASKETS,
    BY_CUSTOMER,
    BY_PRODUCT,
    BY_STATUS,
    CONFIRMATIONS,
    COUNTED,
    CUSTOMERS,
    PRODUCT_NAMES,
)
from services.query.zones import Piece, between_midnights, whole
from services.read_model.analytics import BUCKETS, SOLD
from services.read_model.periods import Interval, cover, points

__all__ = [
    "GROUPS", "OF_PRODUCTS", "AnalyticsQuery", "Group", "confirmation_sums", "keyed", "sums", "top", "unnested",
]  # fmt: skip

Group = Literal["status", "country", "source", "product", "customer"]
GROUPS: Mapping[Group, str] = {
    "status": "status", "country": "country", "source": "source", "product": "product_id", "customer": "customer_id",
}  # fmt: skip
"""The groups, each with its column."""
POINT_FORMATS: Mapping[Interval, str] = {"week": 'IYYY-"W"IW', "month": "YYYY-MM"}
COUNTS = ("orders", "sold", "cancelled", "failed", "refunds")
OF_ORDERS = (*COUNTS, "ordered", "revenue", "refunded", "gross", "discount", "shipping", "net")
OF_PRODUCTS = (*COUNTS, "units", "units_sold", "ordered", "revenue", "discount", "net")
Columns = Mapping[str, ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class AnalyticsQuery:
    """The orders placed from the day `start` to the day before `end` in a zone, filtered, grouped and sorted.

    Without `start` or `end` the range goes to the first or the newest order. `named` adds the names of customers.
    """

    zone: ZoneInfo
    start: date | None = None
    end: date | None = None
    interval: Interval | None = None
    groups: tuple[Group, ...] = ()
    currency: str | None = None
    country: str | None = None
    status: str | None = None
    source: str | None = None
    product_id: str | None = None
    customer_id: str | None = None
    sort: str = "revenue"
    descending: bool = True
    limit: int = 10
    named: bool = False

    @property
    def days(self) -> tuple[date, date]:
        """The range, once both ends are known."""
        assert self.start is not None
        assert self.end is not None
        return self.start, self.end

    @property
    def concerns(self) -> frozenset[Group]:
        """The groups by which it groups or filters."""
        return frozenset(name for name, key in GROUPS.items() if name in self.groups or getattr(self, key) is not None)

    @property
    def keys(self) -> list[str]:
        """The columns that its figures show beside the period and the currency."""
        one = [name for name in ("product", "customer") if getattr(self, GROUPS[name]) is not None]
        return [key for name, key in GROUPS.items() if name in self.groups or name in one]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of its sums."""
        return OF_PRODUCTS if "product" in self.concerns else OF_ORDERS

    @property
    def table(self) -> Table | None:
        """The table of sums that answers it; None if single orders have to be added up."""
        if self.concerns <= {"status", "country", "source"}:
            return BY_STATUS
        return {frozenset({"product"}): BY_PRODUCT, frozenset({"customer"}): BY_CUSTOMER}.get(self.concerns)

    @property
    def pieces(self) -> list[Piece]:
        """The single orders that it adds up."""
        make = whole if self.table is None else between_midnights
        return make(points(*self.days, self.interval), self.zone)

    def filters(self, of: FromClause) -> list[ColumnElement[bool]]:
        """Its filters as conditions on the columns of a table that have their names."""
        names = ("currency", *GROUPS.values())
        return [of.c[name] == value for name in names if name in of.c and (value := getattr(self, name)) is not None]


def sums(query: AnalyticsQuery, numbers: Sequence[str] = (), among: Iterable[str] | None = None) -> Select[Any]:
    """The sums of each point and group; without an interval, groups are sorted within each currency.

    `numbers` are the sums, all unless given. `among` restricts the products or customers by which it groups.
    """
    rows = _rows(query)
    totals = {name: func.sum(rows.c[name]) for name in numbers or query.numbers}
    by = [rows.c[name] for name in ("point", *query.keys, "currency")]
    ranked = (rows.c.currency, _by(query, totals.get(query.sort, rows.c.currency)))
    found = (
        select(*by, *(total.label(name) for name, total in totals.items()), *([] if numbers else _names(query, rows)))
        .group_by(*by)
        .having(func.sum(rows.c.orders) > 0)
        .order_by(*(ranked if query.groups and not query.interval else ()), *by)
    )
    return found if among is None else found.where(rows.c[keyed(query)] == _any_of(among))


def top(query: AnalyticsQuery, numbers: Sequence[str] = ()) -> Select[Any]:
    """The first products or customers by the sort, in each currency and each other group; `numbers` as in `sums`."""
    found = sums(query, numbers or query.numbers).subquery()
    within = [found.c[name] for name in ("currency", *query.keys) if name != keyed(query)]
    place = func.row_number().over(
        partition_by=within, order_by=[_by(query, found.c[query.sort]), found.c[keyed(query)]]
    )
    placed = select(found, place.label("place")).subquery()
    shown = select(*placed.c, *_names(query, placed)).where(placed.c.place <= query.limit)
    return shown.order_by(*(placed.c[each.name] for each in within), placed.c.place)


def keyed(query: AnalyticsQuery) -> str:
    """The column of products or customers by which the query groups; empty if it groups by neither."""
    return next((GROUPS[name] for name in query.groups if name in ("product", "customer")), "")


def confirmation_sums(query: AnalyticsQuery) -> Select[Any]:
    """The histogram of times to confirm, by point of the series and bucket."""
    start, end = query.days
    of = CONFIRMATIONS.c
    names = ("point", "over", "up_to", "orders", "seconds")
    columns = [_point_of(of.day, query.interval), *(of[name] for name in names[1:])]
    days = select(*columns).where(of.day >= start, of.day < end)
    rows = (union_all(days, _confirmed(query)) if query.pieces else days).subquery()
    by = [rows.c[name] for name in names[:3]]
    totals = [func.sum(rows.c[name]).label(name) for name in names[3:]]
    return select(*by, *totals).group_by(*by).having(totals[0] > 0).order_by(*by)


def _any_of(texts: Iterable[str]) -> ColumnElement[Any]:
    """An array to compare a column with."""
    return any_(bindparam(None, sorted(texts), ARRAY(Text), unique=True))


def unnested(name: str, **columns: tuple[TypeEngine[Any], Sequence[Any]]) -> Any:
    """Values as a table; each column has its type and its values."""
    arrays = [bindparam(None, values, ARRAY(type_), unique=True) for type_, values in columns.values()]
    described = [column(each, type_) for each, (type_, _) in columns.items()]
    return func.unnest(*arrays).table_valued(*described, name=name).render_derived()


def _by(query: AnalyticsQuery, number: ColumnElement[Any]) -> ColumnElement[Any]:
    return number.desc() if query.descending else number.asc()


def _names(query: AnalyticsQuery, of: FromClause) -> list[ColumnElement[Any]]:
    """The names of the products, and if the query wants them of the customers, in rows of this table."""
    names = {"product_id": PRODUCT_NAMES.c.product_name}
    if query.named:
        names["customer_id"] = CUSTOMERS.c.customer_name
    return [
        select(name).where(name.table.c[key] == of.c[key]).correlate(of).scalar_subquery().label(name.name)
        for key, name in names.items()
        if key in query.keys
    ]


def _rows(query: AnalyticsQuery) -> FromClause:
    """What is added up: a point, the keys of the query, a currency, and its numbers."""
    parts = [] if query.table is None else [_of_days(query, query.table)]
    if pieces := query.pieces:
        parts.append(_of_orders(query, pieces))
    return (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()


def _of_days(query: AnalyticsQuery, table: Table) -> Select[Any]:
    """Rows of a table of sums."""
    start, end = query.days
    of = table.c
    numbers = _status_numbers(of) if table is BY_STATUS else {name: of[name] for name in query.numbers}
    columns = [*(of[name] for name in (*query.keys, "currency")), *_labelled(numbers, query.numbers)]
    filters = query.filters(table)
    if table is BY_STATUS:
        found = select(_point_of(of.day, query.interval), *columns)
        return found.where(of.day >= start, of.day < end, *filters)
    if query.interval is None:
        # an array, because the planner estimates a join badly
        return select(literal("").label("point"), *columns).where(of.period == _any_of(cover(start, end)), *filters)
    parts = [(part, point) for point, *days in points(start, end, query.interval) for part in cover(*days)]
    part = unnested("parts", period=(Text(), [each[0] for each in parts]), point=(Text(), [each[1] for each in parts]))
    return select(*[part.c.point, *columns]).join_from(part, table, part.c.period == of.period).where(*filters)


def _of_orders(query: AnalyticsQuery, pieces: Sequence[Piece]) -> Select[Any]:
    """A row for each order of the pieces, or for each product of each order."""
    piece, of = _pieces(pieces), COUNTED.c
    keys: dict[str, ColumnElement[Any]] = {name: of[name] for name in (*GROUPS.values(), "currency") if name in of}
    numbers, source = _order_numbers(), _placed_in(piece)
    conditions = query.filters(COUNTED)
    if "customer" in query.groups:  # a guest is no customer
        conditions.append(of.customer_id.is_not(None))
    if query.numbers is OF_PRODUCTS:
        # OFFSET 0, because the planner would read all baskets for the few orders between two midnights
        basket = select(BASKETS.c.lines).where(BASKETS.c.order_id == of.order_id).offset(0).lateral("basket")
        # JSONB, because JSON would parse each good anew for each of its numbers
        good = func.jsonb_array_elements(cast(basket.c.lines, JSONB)).table_valued(column("value", JSONB), name="goods")
        value = good.render_derived().c.value
        keys["product_id"] = collate(value[0].astext, "C")
        numbers = _goods_numbers(numbers, value)
        source = source.join(basket, true()).join(value.table, true())
        if query.product_id is not None:  # comparing texts is faster than parsing the goods of every order
            conditions.append(func.strpos(basket.c.lines, json.dumps(query.product_id)) > 0)
            conditions.append(keys["product_id"] == query.product_id)
    signed = {name: piece.c.sign * number for name, number in numbers.items()}
    columns = [piece.c.point, *_labelled(keys, (*query.keys, "currency")), *_labelled(signed, query.numbers)]
    return select(*columns).select_from(source).where(*conditions)


def _confirmed(query: AnalyticsQuery) -> Select[Any]:
    """A row for each confirmed order of the pieces."""
    piece, of = _pieces(query.pieces), COUNTED.c
    over = case(*((of.seconds <= most, least) for least, most in pairwise((0, *BUCKETS[:-1]))), else_=BUCKETS[-2])
    up_to = case(*((of.seconds <= most, most) for most in BUCKETS[:-1]), else_=BUCKETS[-1])
    columns: list[ColumnElement[Any]] = [piece.c.point, over, up_to, piece.c.sign, piece.c.sign * of.seconds]
    return select(*columns).select_from(_placed_in(piece)).where(of.seconds.is_not(None))


def _pieces(pieces: Sequence[Piece]) -> Any:
    types = {"start": DateTime(timezone=True), "end": DateTime(timezone=True), "point": Text(), "sign": Integer()}
    return unnested("pieces", **{name: (types[name], [getattr(each, name) for each in pieces]) for name in types})


def _placed_in(piece: Any) -> Any:
    placed_at = COUNTED.c.placed_at
    return join(piece, COUNTED, and_(placed_at >= piece.c.start, placed_at < piece.c.end))


def _labelled(numbers: Columns, names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [numbers[name].label(name) for name in names]


def _status_numbers(of: Any) -> Columns:
    """The numbers of a row of sums by status."""

    def having(number: ColumnElement[Any], *statuses: str) -> ColumnElement[Any]:
        return case((of.status.in_(statuses), number), else_=0)

    return {
        "orders": of.orders,
        "sold": having(of.orders, *SOLD),
        "cancelled": having(of.orders, "cancelled"),
        "failed": having(of.orders, "failed"),
        "refunds": of.refunds,
        "ordered": of.ordered,
        "revenue": having(of.ordered - of.refunded, *SOLD),
        "refunded": of.refunded,
        **{name: of[name] for name in ("gross", "discount", "shipping", "net")},
    }


def _order_numbers() -> Columns:
    """The numbers of a single order."""
    of = COUNTED.c
    sales = {"gross": of.total, "discount": of.discount, "shipping": of.shipping, "net": of.total - of.tax}
    return {
        "orders": literal(1, Integer),
        "sold": cast(of.status.in_(SOLD), Integer),
        "cancelled": cast(of.status == "cancelled", Integer),
        "failed": cast(of.status == "failed", Integer),
        "refunds": cast(of.refunded > 0, Integer),
        "ordered": of.total,
        "revenue": case((of.status.in_(SOLD), of.total - of.refunded), else_=0),
        "refunded": of.refunded,
        **{name: case((of.status.in_(SOLD), amount), else_=0) for name, amount in sales.items()},
    }


def _goods_numbers(order: Columns, good: Any) -> Columns:
    """The numbers of a product in a single order."""
    sold, units = order["sold"], cast(good[1].astext, BigInteger)
    value, discount, net = (cast(good[place].astext, Numeric) for place in (2, 3, 4))
    of_sold = {"units_sold": units, "revenue": value, "discount": discount, "net": net}
    return {**order, "units": units, "ordered": value, **{name: number * sold for name, number in of_sold.items()}}


def _point_of(day: ColumnElement[Any], interval: Interval | None) -> ColumnElement[Any]:
    """The point of a series that contains a day; empty if the range is one point."""
    if interval == "day":  # to_char takes several times as long
        return cast(day, Text).label("point")
    return (func.to_char(day, POINT_FORMATS[interval]) if interval else literal("")).label("point")
