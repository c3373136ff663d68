"""Answers figures of orders: resolves the range of a query, refuses what would take too long, and runs its sums."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Executable, Numeric, Select, Text, func, literal, select, true

from services.kit.domain.errors import Unavailable
from services.kit.rest.params import wrong
from services.query.snapshots import MOVING, Row, Snapshot, Snapshots
from services.query.sums import AnalyticsQuery, confirmation_sums, keyed, sums, top, unnested
from services.query.tables import BY_CUSTOMER, BY_PRODUCT, BY_STATUS, COUNTED
from services.query.zones import day_in
from services.read_model.periods import enclosing

__all__ = ["RANGE_DAYS_MAX", "Analytics"]

REVISION = 7
"""The revision of the view that these queries need."""
RANGE_DAYS_MAX = 36_525
POINTS_MAX = 400
POINTS_OF_GROUPS_MAX = 62
DAYS_AT_LEAST = {"day": 1, "week": 7, "month": 28}
SINGLE_ORDERS_MAX = 1_000_000
"""Orders that are added up one by one in a second or two; for each of their goods that takes ten times as long."""
SINGLE_ORDERS_WITH_GOODS_MAX = 100_000
LEADERS_MORE = 100
"""How many more customers than wanted are read from the top of each enclosing period."""
CANDIDATES_MAX = 10_000
"""Up to this many customers it is faster to add up candidates than to add up everybody."""
SHARE_UNIT = Decimal("0.000001")

Answer = tuple[AnalyticsQuery, Sequence[Row]]
"""The query with its resolved range, and the rows that answer it."""
Parts = AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]


class Analytics:
    """Reads figures; connects when the first query comes."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self.wait_for = snapshots.wait_for

    async def figures(self, query: AnalyticsQuery) -> Answer:
        """The sums from one snapshot; of products and customers the first `limit` in each currency and other group."""

        async def read(at: Snapshot) -> Answer:
            known = await _resolved(at, query, _points_max(query))
            return known, await _figures(at, known)

        return await self._snapshots.read(read)

    def every_figure(self, query: AnalyticsQuery) -> Parts:
        """All sums from one snapshot, in parts."""

        async def statement(at: Snapshot) -> Select[Any]:
            return sums(await _resolved(at, query, POINTS_MAX))

        return self._snapshots.stream(statement)

    async def confirmations(self, query: AnalyticsQuery) -> Answer:
        """The histogram of times to confirm, by point of the series and bucket."""

        async def read(at: Snapshot) -> Answer:
            known = await _resolved(at, query, POINTS_MAX)
            return known, await at.rows(confirmation_sums(known))

        return await self._snapshots.read(read)


def _points_max(query: AnalyticsQuery) -> int:
    return POINTS_OF_GROUPS_MAX if query.groups and query.groups != ("status",) else POINTS_MAX


async def _resolved(at: Snapshot, query: AnalyticsQuery, points_max: int) -> AnalyticsQuery:
    """The query with both ends of its range; Invalid if it is too long, Unavailable while an older version serves."""
    if at.serving and not at.has("analytics", REVISION):  # its tables are others
        raise Unavailable(*MOVING)
    if query.named and "customers" not in at.serving:
        query = replace(query, named=False)
    days_max = min(RANGE_DAYS_MAX, points_max * DAYS_AT_LEAST[query.interval] if query.interval else RANGE_DAYS_MAX)
    start, end = await _range(at, query, days_max)
    if start >= end:
        raise wrong("from", "from must be before to")
    if (end - start).days > RANGE_DAYS_MAX:
        raise wrong("from", f"the range has {(end - start).days} days; at most {RANGE_DAYS_MAX} are allowed")
    if (end - start).days > days_max:
        raise wrong("interval", f"at most {points_max} points are allowed: choose a shorter range or a longer interval")
    known = replace(query, start=start, end=end)
    await _check_effort(at, known)
    return known


async def _range(at: Snapshot, query: AnalyticsQuery, days_max: int) -> tuple[date, date]:
    """The range; an end that the query leaves open is the day of the first order, or the day after the newest."""
    if query.start and query.end:
        return query.start, query.end
    placed_at = COUNTED.c.placed_at
    rows = await at.rows(select(func.min(placed_at).label("first"), func.max(placed_at).label("newest")))
    ends = rows[0] if rows else {"first": None, "newest": None}
    first, newest = (day_in(query.zone, ends[name] or datetime.now(UTC)) for name in ("first", "newest"))
    end = query.end or _later(max(newest, query.start or newest), 1)
    earliest = max(first, _later(end, -days_max))
    return query.start or min(earliest, _later(end, -1)), end


def _later(day: date, days: int) -> date:
    """A day so many days later, within the calendar."""
    return date.fromordinal(min(max(day.toordinal() + days, 1), date.max.toordinal()))


async def _check_effort(at: Snapshot, query: AnalyticsQuery) -> None:
    """Invalid if too many single orders would have to be added up."""
    if query.table is not None or query.customer_id is not None:
        return
    total = select(func.sum(BY_STATUS.c.orders).label("orders"))
    rows = await at.rows(total.where(*_days_in_utc(query), *query.filters(BY_STATUS)))
    orders = int(rows[0]["orders"] or 0) if rows else 0
    goods = "product" in query.groups
    most = SINGLE_ORDERS_WITH_GOODS_MAX if goods else SINGLE_ORDERS_MAX
    if orders > most:
        names = " and ".join(sorted(query.concerns))
        detail = (
            f"Figures by {names} are added up order by order. This range has {orders:,} orders, and the maximum is "
            f"{most:,}. Choose a shorter one."
        )
        raise wrong("from", f"{detail}: choose a shorter range")


async def _figures(at: Snapshot, query: AnalyticsQuery) -> Sequence[Row]:
    key = keyed(query)
    if not key:
        return await at.rows(sums(query))
    first = await _first(at, replace(query, interval=None))
    if not query.interval:
        return first
    wanted = {(row["currency"], row[key]) for row in first}
    rows = await at.rows(sums(query, among={key for _, key in wanted}))
    return [row for row in rows if (row["currency"], row[key]) in wanted]


async def _first(at: Snapshot, query: AnalyticsQuery) -> Sequence[Row]:
    """The first products or customers in each currency and other group."""
    if query.table is BY_PRODUCT:
        return await _first_products(at, query)
    if query.table is not BY_CUSTOMER:
        return await at.rows(top(query))
    currencies = [query.currency] if query.currency else await _currencies(at, query)
    return [row for each in currencies for row in await _first_customers(at, replace(query, currency=each))]


async def _first_products(at: Snapshot, query: AnalyticsQuery) -> Sequence[Row]:
    """The first products in each currency: one number of each product ranks them, all numbers of the first are read."""
    ranked = await at.rows(top(query, ("orders", query.sort)))
    places = {(row["currency"], row["product_id"]): place for place, row in enumerate(ranked)}
    rows = await at.rows(sums(query, among={product_id for _, product_id in places}))
    first = [row for row in rows if (row["currency"], row["product_id"]) in places]
    return sorted(first, key=lambda row: places[row["currency"], row["product_id"]])


async def _currencies(at: Snapshot, query: AnalyticsQuery) -> list[str]:
    currency = BY_STATUS.c.currency
    within = select(currency).where(*_days_in_utc(query))
    return [row["currency"] for row in await at.rows(within.distinct().order_by(currency))]


def _days_in_utc(query: AnalyticsQuery) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The sums by status of the days in UTC that contain the range in any zone."""
    start, end = query.days
    return BY_STATUS.c.day >= _later(start, -1), BY_STATUS.c.day <= end


async def _first_customers(at: Snapshot, query: AnalyticsQuery) -> Sequence[Row]:
    """The first customers in one currency.

    Adding up 350,000 rows of customers takes a third of a second, so the greatest customers are found from the leaders
    of the few periods that enclose the range. No order adds a negative number to a sum: a customer who leads in no
    period has in total at most the sum of what the last leader of each period has. If the last wanted customer has
    more, the answer is proven. Otherwise all customers with a sufficient share in one of the periods are added up.

    The periods are in UTC. Orders that another zone counts in addition can raise their own customers only, so these
    customers are always among the candidates.
    """
    if not query.descending:
        return await _ranked(at, query)
    periods = enclosing(*query.days)
    leaders = await at.rows(_leaders(query, periods))
    others = await _between_midnights(at, query)
    rows = await _among(at, {*others, *(row["key"] for row in leaders)}, query)
    last = rows[-1][query.sort] if len(rows) == query.limit else Decimal(0)
    if last > _most_of_others(query, leaders):
        return rows
    candidates = await at.rows(_with_share(last / len(periods), query, periods)) if last else ()
    if not 0 < len(candidates) < CANDIDATES_MAX:
        return await _ranked(at, query)
    return await _among(at, {*others, *(row["key"] for row in candidates)}, query)


async def _ranked(at: Snapshot, query: AnalyticsQuery) -> Sequence[Row]:
    """The first customers, found by adding up one number of each of them."""
    rows = await at.rows(sums(query, ("orders", query.sort)).limit(query.limit))
    return await _among(at, {row["customer_id"] for row in rows}, query)


async def _among(at: Snapshot, customers: Iterable[str], query: AnalyticsQuery) -> Sequence[Row]:
    """The first of these customers."""
    return await at.rows(sums(query, among=customers).limit(query.limit))


async def _between_midnights(at: Snapshot, query: AnalyticsQuery) -> set[str]:
    """The customers of the single orders that the zone counts in addition to the days in UTC."""
    of, found = COUNTED.c, set[str]()
    for piece in query.pieces:
        placed = select(of.customer_id).where(of.placed_at >= piece.start, of.placed_at < piece.end)
        rows = await at.rows(placed.where(of.customer_id.is_not(None), of.currency == query.currency).distinct())
        found |= {row["customer_id"] for row in rows}
    return found


def _leaders(query: AnalyticsQuery, periods: Sequence[str]) -> Executable:
    """The greatest customers of each of these periods."""
    of, sort = unnested("periods", period=(Text(), periods)), BY_CUSTOMER.c[query.sort]
    within = (BY_CUSTOMER.c.period == of.c.period, *query.filters(BY_CUSTOMER))
    best = select(BY_CUSTOMER.c.customer_id.label("key"), sort.label("value")).where(*within).order_by(sort.desc())
    found = best.limit(query.limit + LEADERS_MORE).lateral()
    return select(of.c.period, found.c.key, found.c.value).join_from(of, found, true())


def _most_of_others(query: AnalyticsQuery, leaders: Sequence[Row]) -> Decimal:
    """An upper bound of the total of every customer who is not among the leaders; negative if everybody is."""
    values: dict[str, list[Decimal]] = {}
    for row in leaders:
        values.setdefault(row["period"], []).append(row["value"])
    last = [min(each) for each in values.values() if len(each) == query.limit + LEADERS_MORE]
    return sum(last, Decimal(0)) if last else Decimal(-1)


def _with_share(share: Decimal, query: AnalyticsQuery, periods: Sequence[str]) -> Select[Any]:
    """The customers with this share or more in one of the periods; nobody else can reach `share` times the periods."""
    of = BY_CUSTOMER.c
    least = literal(share.quantize(SHARE_UNIT, ROUND_DOWN), Numeric)
    some = (of.period.in_(periods), of[query.sort] >= least, *query.filters(BY_CUSTOMER))
    return select(of.customer_id.label("key")).where(*some).limit(CANDIDATES_MAX)
