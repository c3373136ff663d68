"""What analytics answers, and how figures follow from rows of sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.domain.currencies import rounded, shown_amount
from services.kit.rest.answers import Money
from services.query.snapshots import Row
from services.query.sums import OF_PRODUCTS, AnalyticsQuery

__all__ = [
    "CONFIRMATION_COLUMNS", "Confirmations", "Figures", "Report", "confirmation_times", "csv_columns", "csv_row",
    "figures_of", "range_of",
]  # fmt: skip

SHARE_DIGITS = 4
SHARE_UNITS = 10**SHARE_DIGITS
MILLISECOND = Decimal("0.001")
OF_SALES = ("gross", "discount", "shipping", "tax", "net")
AMOUNTS = ("ordered", *OF_SALES, "revenue", "refunded", "average")
PERCENTILES = (50, 90, 99)

Date = Annotated[str, Field(json_schema_extra={"format": "date"})]
Seconds = Annotated[str, Field(examples=["2.604"])]
Share = Annotated[str, Field(examples=["0.0625"])]


class Figures(TypedDict):
    """Figures of the orders placed in a period, in one currency. Drafts are not placed and do not count."""

    period: NotRequired[Annotated[str, Field(examples=["2026-11"])]]
    """With `interval`: a day, an ISO week or a month."""
    status: NotRequired[Annotated[str, Field(examples=["confirmed"])]]
    """With group_by=status: the status that the orders have now."""
    country: NotRequired[Annotated[str, Field(examples=["GB"])]]
    """With group_by=country: the country of delivery."""
    source: NotRequired[Annotated[str, Field(examples=["old-shop"])]]
    """With group_by=source: the system from which the orders were imported; absent for orders that zerocart took."""
    product_id: NotRequired[Annotated[str, Field(examples=["MUG"])]]
    """With group_by=product or `product_id`."""
    product_name: NotRequired[Annotated[str, Field(examples=["Mug"])]]
    """The name of the product in the newest order that has it."""
    customer_id: NotRequired[Annotated[str, Field(examples=["usr_01KB5Z3N8W9Q4R7T2V6X0Y1ZAB"])]]
    """With group_by=customer or `customer_id`. Orders of guests belong to no customer."""
    customer_name: NotRequired[Annotated[str, Field(examples=["Ann Lee"])]]
    """The name of the customer, for callers with the scope `orders:admin`; absent once the customer is erased."""
    orders: int
    """Placed orders, whatever their status is now; for a product, those that contain it."""
    open: int
    """Orders that are pending, on hold, processing or cancelling."""
    sold: int
    """Orders that are confirmed, shipped or delivered."""
    cancelled: int
    """Cancelled orders."""
    failed: int
    """Failed orders, such as those with a declined card."""
    refunds: int
    """Orders for which all or some of the money was refunded."""
    units: NotRequired[int]
    """For a product: units ordered."""
    units_sold: NotRequired[int]
    """For a product: units in orders that are sold."""
    ordered: Money
    """The sum of the totals of all placed orders; for a product, of its lines, rounded to the currency's decimals."""
    gross: Money
    """What customers pay for sold orders: the sum of their totals, before refunds. For a product: of its lines."""
    discount: Money
    """All discounts of sold orders; for a product, those of its lines and their shares of discounts of orders."""
    shipping: NotRequired[Money]
    """The shipping costs of sold orders; absent for a product."""
    tax: Money
    """The tax in `gross`, whether it was added to the prices or included; for orders with that of the shipping."""
    net: Money
    """`gross` less `tax`."""
    revenue: Money
    """`gross` less the refunds of sold orders. For a product the same as `gross`, because a refund belongs to an order
    and not to a line."""
    refunded: NotRequired[Money]
    """The sum of refunds of all these orders, each order counted once; absent for a product."""
    average: NotRequired[Money]
    """`revenue` divided by `sold`, rounded half up to the currency's decimals; absent if no order is sold."""
    cancelled_share: Share
    """`cancelled` divided by `orders`, from 0 to 1."""
    failed_share: Share
    """`failed` divided by `orders`."""
    refunded_share: Share
    """`refunds` divided by `orders`."""


_Range = TypedDict(
    "_Range",
    {
        "from": Annotated[Date, Field(description="The first day.")],
        "to": Annotated[Date, Field(description="The day after the last.")],
        "time_zone": Annotated[str, Field(description="The zone of all days, weeks and months.", examples=["UTC"])],
    },
)  # a class cannot have a field `from`


def range_of(query: AnalyticsQuery) -> Any:
    """The range of an answer."""
    start, end = query.days
    return {"from": str(start), "to": str(end), "time_zone": query.zone.key}


class Report(_Range):
    """Figures for each period and group that has an order."""

    figures: list[Figures]


class Bucket(TypedDict):
    """A bucket of the histogram. Counts of the same bucket in several periods can be added up."""

    over_seconds: Annotated[int, Field(examples=[2])]
    """The orders took longer than this."""
    up_to_seconds: Annotated[int, Field(examples=[5])]
    """The orders took at most this; the last bucket, up to one year, also has those that took longer."""
    orders: int


class ConfirmationTimes(TypedDict):
    """How long the orders placed in a period took from their arrival to their confirmation.

    Percentiles assume that the orders of a bucket are spread evenly over it.
    """

    period: NotRequired[Annotated[str, Field(examples=["2026-W48"])]]
    """With `interval`: a day, an ISO week or a month."""
    orders: int
    """Orders that were confirmed."""
    average_seconds: Seconds
    p50_seconds: Seconds
    p90_seconds: Seconds
    p99_seconds: Seconds
    histogram: list[Bucket]


class Confirmations(_Range):
    """Times to confirm for each period that has a confirmed order."""

    times: list[ConfirmationTimes]


KEYS = ("status", "country", "source", "product_id", "product_name", "customer_id", "customer_name")
CONFIRMATION_COLUMNS = ("period", "orders", "average_seconds", *(f"p{each}_seconds" for each in PERCENTILES))


def csv_columns(query: AnalyticsQuery) -> list[str]:
    """The columns of the CSV answer to a query."""
    period = ("period",) if query.interval else ()
    keys = [name for name in KEYS if name in query.keys or (name == "product_name" and "product_id" in query.keys)]
    if query.named and "customer_id" in query.keys:
        keys.append("customer_name")
    units, refunded = (("units", "units_sold"), ()) if query.numbers is OF_PRODUCTS else ((), ("refunded",))
    sales = [name for name in OF_SALES if name != "shipping" or name in query.numbers]
    return [
        *period, *keys, "currency",
        "orders", "open", "sold", "cancelled", "failed", "refunds", *units,
        "ordered", *sales, "revenue", *refunded, "average", "cancelled_share", "failed_share", "refunded_share",
    ]  # fmt: skip


def csv_row(row: Row) -> dict[str, Any]:
    """The figures of one row of sums with plain amounts, and their currency in a column of its own."""
    counts = {name: int(row[name]) for name in ("orders", "sold", "cancelled", "failed", "refunds")}
    ended = counts["sold"] + counts["cancelled"] + counts["failed"]
    currency = row["currency"]
    amounts = _amounts(row)
    average = {"average": amounts["revenue"] / counts["sold"]} if counts["sold"] else {}
    return {
        **{name: row[name] for name in KEYS if row.get(name)},
        **({"period": row["point"]} if row["point"] else {}),
        "currency": currency,
        **counts,
        "open": counts["orders"] - ended,
        **{name: int(row[name]) for name in ("units", "units_sold") if name in row},
        **{name: shown_amount(rounded(amount, currency), currency) for name, amount in {**amounts, **average}.items()},
        "cancelled_share": _share(counts["cancelled"], counts["orders"]),
        "failed_share": _share(counts["failed"], counts["orders"]),
        "refunded_share": _share(counts["refunds"], counts["orders"]),
    }


def _amounts(row: Row) -> dict[str, Decimal]:
    """The amounts of a row, with those that follow from others."""
    amounts = {name: Decimal(row[name]) for name in AMOUNTS if name in row}
    gross = amounts.setdefault("gross", amounts["revenue"])  # no refund belongs to a product
    return {**amounts, "tax": gross - amounts["net"]}


def figures_of(row: Row) -> Figures:
    """The figures of one row of sums."""
    figures = csv_row(row)
    currency = figures.pop("currency")
    shown = {
        name: {"amount": value, "currency": currency} if name in AMOUNTS else value for name, value in figures.items()
    }
    return cast("Figures", shown)


def confirmation_times(rows: Sequence[Row]) -> list[ConfirmationTimes]:
    """The times of each point of a series, from its buckets."""
    points: dict[str, list[Row]] = {}
    for row in rows:
        points.setdefault(row["point"], []).append(row)
    return [_times(point, buckets) for point, buckets in points.items()]


def _times(point: str, buckets: Sequence[Row]) -> ConfirmationTimes:
    orders = sum(int(row["orders"]) for row in buckets)
    average = sum((row["seconds"] for row in buckets), Decimal(0)) / orders
    times: Mapping[str, Any] = {
        **({"period": point} if point else {}),
        "orders": orders,
        "average_seconds": str(_rounded(average, MILLISECOND)),
        **{f"p{each}_seconds": str(_percentile(buckets, orders, each)) for each in PERCENTILES},
        "histogram": [
            Bucket(over_seconds=row["over"], up_to_seconds=row["up_to"], orders=int(row["orders"])) for row in buckets
        ],
    }
    return cast("ConfirmationTimes", times)


def _percentile(buckets: Sequence[Row], orders: int, percent: int) -> Decimal:
    """Interpolated as if the orders of a bucket were spread evenly over it."""
    rank, below = Decimal(orders * percent) / 100, 0
    for row in buckets:
        count = int(row["orders"])
        if below + count >= rank:
            share = (rank - below) / count
            return _rounded(row["over"] + share * (row["up_to"] - row["over"]), MILLISECOND)
        below += count
    raise AssertionError("a rank is never beyond the last order")


def _share(part: int, whole: int) -> str:
    """A share from 0 to 1, rounded half up to SHARE_DIGITS."""
    units = (2 * part * SHARE_UNITS + whole) // (2 * whole) if whole else 0
    return f"{units // SHARE_UNITS}.{units % SHARE_UNITS:0{SHARE_DIGITS}}"


def _rounded(number: Decimal, unit: Decimal) -> Decimal:
    return number.quantize(unit, ROUND_HALF_UP)
