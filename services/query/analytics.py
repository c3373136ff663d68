"""Questions to the view `analytics`: a range of days is put together from the largest periods that fit in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
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
    Integer,
    MetaData,
    Numeric,
    Select,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    column,
    func,
    or_,
    select,
    true,
)

from services.query.snapshots import Row, Snapshot, Snapshots
from services.read_model.periods import Interval, balance, cover, enclosing, series, weight

__all__ = ["SORTS", "Group", "Question", "Sums"]

Group = Literal["status", "country", "product", "customer"]
SORTS = ("revenue", "ordered", "orders", "sold", "cancelled")
SOLD = ("confirmed", "shipped", "delivered")
DECADES_SINCE = ("analytics", 3)
"""The revision that counts customers by decade, too."""
HEADS_MORE = 100
"""How many more than wanted are looked at of each period."""
FOUND_MAX = 10_000
"""From this many keys on it is cheaper to add up all."""
SHARE_UNIT = Decimal("0.000001")

_metadata = MetaData()


def _sums(name: str, key: Sequence[str], numbers: Sequence[str]) -> Table:
    texts = [Column(each, Text) for each in ("period", *key)]
    return Table(name, _metadata, *texts, *(Column(each, Numeric) for each in numbers), schema="analytics")


_OUTCOMES = ("orders", "sold", "cancelled", "failed", "refunds")
BY_STATUS = _sums("by_status", ("currency", "country", "status"), ("orders", "refunds", "ordered", "refunded"))
BY_PRODUCT = _sums(
    "by_product", ("currency", "product_id"), (*_OUTCOMES, "units", "units_sold", "ordered", "revenue")
)  # fmt: skip
BY_CUSTOMER = _sums("by_customer", ("currency", "customer_id"), (*_OUTCOMES, "ordered", "revenue", "refunded"))
NAMES = Table(
    "product_names", _metadata, Column("product_id", Text), Column("product_name", Text), schema="analytics"
)  # fmt: skip
CONFIRMATIONS = Table(
    "confirmations", _metadata, Column("period", Text), Column("over", Integer), Column("up_to", Integer),
    Column("orders", Numeric), Column("seconds", Numeric), schema="analytics",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """Which orders, by the day on which they were placed (`end` is the day after the last), grouped and sorted how."""

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
        """Which sums answer it."""
        if self.group == "product" or self.product_id is not None:
            return "product"
        return "customer" if self.group == "customer" or self.customer_id is not None else "orders"


class Sums:
    """Asks; connects on the first question."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self.wait_for = snapshots.wait_for

    async def rows(self, question: Question) -> list[Row]:
        """The rows of the answer, as of one moment; products and customers as far as the limit, in each currency."""

        async def look(at: Snapshot) -> list[Row]:
            if question.about == "orders":
                return [*await at.rows(_by_status(question))]
            if question.group is None:
                return [*await at.rows(_by_key(question))]
            currencies = [question.currency] if question.currency else await _currencies(at, question)
            return [row for each in currencies for row in await _first(at, replace(question, currency=each))]

        return await self._snapshots.ask(look)

    def stream(self, question: Question) -> AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]:
        """All rows of the answer, some at a time."""

        async def look(_: Snapshot) -> Select[Any]:
            return _by_status(question) if question.about == "orders" else _by_key(question)

        return self._snapshots.stream(look)

    async def confirmations(self, start: date, end: date, interval: Interval | None) -> Sequence[Row]:
        """The histogram of times to confirm, by point and bucket."""
        wanted, point = _wanted(start, end, interval, weeks=True)
        by = (point, CONFIRMATIONS.c.over, CONFIRMATIONS.c.up_to)
        query = (
            select(*by, *(func.sum(CONFIRMATIONS.c[name]).label(name) for name in ("orders", "seconds")))
            .join_from(wanted, CONFIRMATIONS, wanted.c.piece == CONFIRMATIONS.c.period)
            .group_by(*by)
            .order_by(*by)
        )
        return await self._snapshots.ask(lambda at: at.rows(query))


async def _currencies(at: Snapshot, question: Question) -> list[str]:
    """Those of the range; others of the periods that hold it may be among them, in which nobody comes first."""
    wanted = _table([(period, "", 1) for period in enclosing(question.start, question.end, decades=False)])
    query = select(BY_STATUS.c.currency).distinct().order_by(BY_STATUS.c.currency)
    rows = await at.rows(query.join_from(wanted, BY_STATUS, wanted.c.piece == BY_STATUS.c.period))
    return [row["currency"] for row in rows]


def _wanted(start: date, end: date, interval: Interval | None, *, weeks: bool) -> tuple[Any, ColumnElement[Any]]:
    """The periods to be added up as a table, and its column that says of which point of the series each is part."""
    pieces = series(start, end, interval, weeks=weeks) if interval else [(key, "") for key in cover(start, end)]
    wanted = _table([(key, point, 1) for key, point in pieces])
    return wanted, wanted.c.point


def _table(pieces: Sequence[tuple[str, str, int]]) -> Any:
    """Periods as a table: each with the point of the series that it is part of, and 1 or -1 by which it counts."""
    columns = (column("piece", Text), column("point", Text), column("sign", Integer))
    values = ([piece[place] for piece in pieces] for place in range(len(columns)))
    arrays = [bindparam(None, each, ARRAY(of.type), unique=True) for each, of in zip(values, columns, strict=True)]
    return func.unnest(*arrays).table_valued(*columns, name="wanted").render_derived()


def _by_status(question: Question) -> Select[Any]:
    of = BY_STATUS.c
    wanted, point = _wanted(question.start, question.end, question.interval, weeks=True)
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
    group = [of[question.group]] if question.group else []
    return _query(question, BY_STATUS, wanted, [point, *group, of.currency], sums)


def _by_key(question: Question) -> Select[Any]:
    table, key = _keyed(question)
    if question.interval:
        wanted, _ = _wanted(question.start, question.end, question.interval, weeks=False)
    else:
        wanted = _table([(piece, "", sign) for piece, sign in balance(question.start, question.end)])
    numbers = (each.name for each in table.c if each.name not in ("period", "currency", key.name))
    sums: Mapping[str, ColumnElement[Any]] = {name: func.sum(table.c[name] * wanted.c.sign) for name in numbers}
    query = _query(question, table, wanted, [wanted.c.point, key, table.c.currency], sums).having(sums["orders"] > 0)
    if question.about == "customer":
        return query
    name = select(NAMES.c.product_name).where(NAMES.c.product_id == table.c.product_id).correlate(table)
    return query.add_columns(name.scalar_subquery().label("product_name"))


async def _first(at: Snapshot, question: Question) -> Sequence[Row]:
    """Those that come first in one currency.

    To add up all keys costs a microsecond for each and each period. So those are added up that come first in a period:
    most likely the wanted ones are among them, and mostly it can be told that they are.
    """
    if question.descending and len(balance(question.start, question.end)) > 1:
        decades = question.about == "customer" and at.has(*DECADES_SINCE)
        periods = enclosing(question.start, question.end, decades=decades)
        heads = await at.rows(_heads(question, periods))
        rows = await at.rows(_among(heads, question))
        last = rows[-1][question.sort] if len(rows) == question.limit else Decimal(0)
        if last > _at_most_unseen(question, heads):
            return rows
        if last:
            found = await at.rows(_with_at_least(last, question, periods))
            if len(found) < FOUND_MAX:
                return await at.rows(_among(found, question))
    _, key = _keyed(question)
    return await at.rows(_by_key(question).where(key.in_(_ranked(question))))


def _among(found: Sequence[Row], question: Question) -> Select[Any]:
    """Those of these keys that come first."""
    _, key = _keyed(question)
    keys = bindparam(None, sorted({row["key"] for row in found}), ARRAY(Text), unique=True)
    return _by_key(question).where(key == any_(keys)).limit(question.limit)


def _heads(question: Question, periods: Sequence[str]) -> Executable:
    """The first keys of each of these periods: most likely those that come first in all are among them."""
    table, key = _keyed(question)
    wanted, sort = _table([(period, "", 1) for period in periods]), table.c[question.sort]
    here = (table.c.period == wanted.c.piece, *_filters(question, table))
    head = select(key.label("key"), sort.label("value")).where(*here).order_by(sort.desc()).limit(_heads_of(question))
    found = head.lateral()
    return select(wanted.c.piece, found.c.key, found.c.value).join_from(wanted, found, true())


def _heads_of(question: Question) -> int:
    return question.limit + HEADS_MORE


def _at_most_unseen(question: Question, heads: Sequence[Row]) -> Decimal:
    """What somebody can have in all who is in none of these heads; a negative number if there is nobody.

    An order adds nothing below zero to any sum, and so in no period has he more than the last of its head.
    """
    values: dict[str, list[Decimal]] = {}
    for row in heads:
        values.setdefault(row["piece"], []).append(row["value"])
    cut = [min(each) for each in values.values() if len(each) == _heads_of(question)]
    return sum(cut, Decimal(0)) if cut else Decimal(-1)


def _with_at_least(amount: Decimal, question: Question, periods: Sequence[str]) -> Select[Any]:
    """The keys that may have this amount in all: in one of the periods that hold the range they have a share of it."""
    table, key = _keyed(question)
    whole = sum(map(weight, periods))
    shares = {each: (amount * weight(each) / whole).quantize(SHARE_UNIT, ROUND_DOWN) for each in periods}
    some = [and_(table.c.period == each, table.c[question.sort] >= share) for each, share in shares.items()]
    return select(key.label("key")).where(or_(*some), *_filters(question, table)).limit(FOUND_MAX)


def _ranked(question: Question) -> Select[Any]:
    """The keys of those that come first: to find them one sum is enough, of however many there are."""
    table, key = _keyed(question)
    pieces = balance(question.start, question.end)
    keys, sort = select(key).where(*_filters(question, table)), table.c[question.sort]
    if len(pieces) == 1:
        keys = keys.where(table.c.period == pieces[0][0])  # a row for each key: there is nothing to add up
    else:
        wanted = _table([(piece, "", sign) for piece, sign in pieces])
        keys = keys.join_from(wanted, table, wanted.c.piece == table.c.period).group_by(key)
        keys = keys.having(func.sum(table.c.orders * wanted.c.sign) > 0)
        sort = func.sum(sort * wanted.c.sign)
    return keys.order_by(sort.desc() if question.descending else sort, key).limit(question.limit)


def _keyed(question: Question) -> tuple[Table, Column[Any]]:
    return (
        (BY_PRODUCT, BY_PRODUCT.c.product_id)
        if question.about == "product"
        else (BY_CUSTOMER, BY_CUSTOMER.c.customer_id)
    )


def _filters(question: Question, table: Table) -> list[ColumnElement[bool]]:
    kept = ("currency", "country", "status", "product_id", "customer_id")
    return [table.c[name] == value for name in kept if (value := getattr(question, name)) is not None]


def _query(
    question: Question,
    table: Table,
    wanted: Any,
    by: Sequence[ColumnElement[Any]],
    sums: Mapping[str, ColumnElement[Any]],
) -> Select[Any]:
    sort = func.coalesce(sums[question.sort], 0)
    ranked = [table.c.currency, sort.desc() if question.descending else sort]
    return (
        select(*by, *(func.coalesce(each, 0).label(name) for name, each in sums.items()))
        .join_from(wanted, table, wanted.c.piece == table.c.period)
        .where(*_filters(question, table))
        .group_by(*by)
        .order_by(*(ranked if question.group and not question.interval else ()), *by)
    )
