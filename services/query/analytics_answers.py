"""What analytics answers: figures of orders, as JSON and as lines of a table, and what each of them means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.kit.rest.params import amount_of
from services.query.analytics import Question
from services.query.snapshots import Row

__all__ = ["CONFIRMATION_COLUMNS", "Confirmations", "Report", "columns_of", "confirmation_times", "figures_of", "shown"]

CENT = Decimal("0.01")
SHARE = Decimal("0.0001")
MILLISECOND = Decimal("0.001")
MONEY = ("ordered", "revenue", "refunded", "average")
PERCENTILES = (50, 90, 99)


class Amount(BaseModel):
    """An exact sum in one currency; amounts of different currencies are never added up."""

    amount: str = Field(examples=["1234.50"])
    currency: str = Field(examples=["GBP"])


class Figures(BaseModel):
    """Figures of the orders that were placed in a period, in one currency; those that are drafts are not placed."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)
    period: str | None = Field(
        None, description="With an interval: a day, an ISO week or a month.", examples=["2026-11"]
    )
    status: str | None = Field(None, description="With group_by=status: as the orders are now.", examples=["confirmed"])
    country: str | None = Field(None, description="With group_by=country: where the goods go.", examples=["GB"])
    product_id: str | None = Field(None, description="With group_by=product or product_id.", examples=["MUG"])
    product_name: str | None = Field(None, description="What the product was called last.", examples=["Mug"])
    customer_id: str | None = Field(
        None, description="With group_by=customer or customer_id; orders of guests are of no customer.",
        examples=["usr_01KB5Z3N8W9Q4R7T2V6X0Y1ZAB"],
    )  # fmt: skip
    orders: int = Field(description="Orders that were placed, whatever became of them. Of a product: that have it.")
    open: int = Field(description="Of these: neither sold nor ended yet (pending, processing, cancelling).")
    sold: int = Field(description="Of these: confirmed, shipped or delivered.")
    cancelled: int = Field(description="Of these: cancelled.")
    failed: int = Field(description="Of these: failed, such as by a declined card.")
    refunds: int = Field(description="Of these: those for which money was given back, all or some of it.")
    units: int | None = Field(None, description="Of a product: how many pieces were ordered.")
    units_sold: int | None = Field(None, description="Of a product: how many pieces are in orders that are sold.")
    ordered: Amount = Field(description="The totals of all these orders. Of a product: the exact value of its lines.")
    revenue: Amount = Field(
        description="The totals of those that are sold, less what was given back for them. Of a product: the exact "
        "value of its lines in them, before any refund, because money is given back for orders and not for lines."
    )
    refunded: Amount | None = Field(
        None, description="What was given back, for whichever of these orders, each counted once. Not of a product."
    )
    average: Amount | None = Field(
        None, description="`revenue` for each order sold, rounded half up to two decimals; absent if none is."
    )
    cancelled_share: str = Field(description="`cancelled` of `orders`, from 0 to 1.", examples=["0.0625"])
    failed_share: str = Field(description="`failed` of `orders`.", examples=["0.0100"])
    refunded_share: str = Field(description="`refunds` of `orders`.", examples=["0.0500"])


class Report(BaseModel):
    """The answer to a question about orders; periods and groups without any are left out."""

    start: date = Field(alias="from", description="The first day, in UTC.")
    end: date = Field(alias="to", description="The day after the last.")
    figures: list[Figures]


class Bucket(BaseModel):
    """A bucket of a histogram; those of several answers may be added up."""

    over_seconds: int = Field(description="It took longer than this", examples=[2])
    up_to_seconds: int = Field(description="and at most this; the bucket up to a year holds the rest.", examples=[5])
    orders: int


class ConfirmationTimes(BaseModel):
    """How long the orders placed in a period took from coming in to being confirmed; percentiles are interpolated."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)
    period: str | None = Field(None, examples=["2026-W48"])
    orders: int
    average_seconds: str = Field(examples=["2.604"])
    p50_seconds: str
    p90_seconds: str
    p99_seconds: str
    histogram: list[Bucket]


class Confirmations(BaseModel):
    """The answer to a question about times to confirm; periods without any are left out."""

    start: date = Field(alias="from", description="The first day, in UTC.")
    end: date = Field(alias="to", description="The day after the last.")
    times: list[ConfirmationTimes]


KEYS = ("period", "status", "country", "product_id", "product_name", "customer_id")
CONFIRMATION_COLUMNS = ("period", "orders", "average_seconds", *(f"p{each}_seconds" for each in PERCENTILES))


def columns_of(question: Question) -> list[str]:
    """The columns of a table of the answer, in order."""
    period = ("period",) if question.interval else ()
    units, refunded, keys = (), ("refunded",), (question.group,) if question.group else ()
    if question.about == "product":
        units, refunded, keys = ("units", "units_sold"), (), ("product_id", "product_name")
    elif question.about == "customer":
        keys = ("customer_id",)
    return [
        *period, *keys, "currency",
        "orders", "open", "sold", "cancelled", "failed", "refunds", *units,
        "ordered", "revenue", *refunded, "average", "cancelled_share", "failed_share", "refunded_share",
    ]  # fmt: skip


def figures_of(row: Row) -> dict[str, Any]:
    """The figures of one row of sums, flat."""
    counts = {name: int(row[name]) for name in ("orders", "sold", "cancelled", "failed", "refunds")}
    ended = counts["sold"] + counts["cancelled"] + counts["failed"]
    average = _rounded(row["revenue"] / counts["sold"], CENT) if counts["sold"] else None
    return {
        **{name: row[name] for name in KEYS if row.get(name)},
        **({"period": row["point"]} if row["point"] else {}),
        "currency": row["currency"],
        **counts,
        "open": counts["orders"] - ended,
        **{name: int(row[name]) for name in ("units", "units_sold") if name in row},
        **{name: amount_of(Decimal(row[name])) for name in ("ordered", "revenue", "refunded") if name in row},
        "average": None if average is None else amount_of(average),
        "cancelled_share": _share(counts["cancelled"], counts["orders"]),
        "failed_share": _share(counts["failed"], counts["orders"]),
        "refunded_share": _share(counts["refunds"], counts["orders"]),
    }


def shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The same with each amount in its currency."""
    currency = figures["currency"]
    return {
        name: {"amount": value, "currency": currency} if name in MONEY else value
        for name, value in figures.items()
        if value is not None and name != "currency"
    }


def confirmation_times(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The times of each point, from its buckets."""
    points: dict[str, list[Row]] = {}
    for row in rows:
        points.setdefault(row["point"], []).append(row)
    return [_times(point, buckets) for point, buckets in points.items()]


def _times(point: str, buckets: Sequence[Row]) -> dict[str, Any]:
    orders = sum(int(row["orders"]) for row in buckets)
    average = sum((row["seconds"] for row in buckets), Decimal(0)) / orders
    return {
        "period": point or None,
        "orders": orders,
        "average_seconds": str(_rounded(average, MILLISECOND)),
        **{f"p{each}_seconds": str(_percentile(buckets, orders, each)) for each in PERCENTILES},
        "histogram": [
            {"over_seconds": row["over"], "up_to_seconds": row["up_to"], "orders": int(row["orders"])}
            for row in buckets
        ],
    }


def _percentile(buckets: Sequence[Row], orders: int, percent: int) -> Decimal:
    """As if the orders of a bucket were spread evenly over it."""
    rank, below = Decimal(orders * percent) / 100, 0
    for row in buckets:
        count = int(row["orders"])
        if below + count >= rank:
            share = (rank - below) / count
            return _rounded(row["over"] + share * (row["up_to"] - row["over"]), MILLISECOND)
        below += count
    raise AssertionError("a rank is never beyond the last order")


def _share(part: int, whole: int) -> str:
    return str(_rounded(Decimal(part) / whole, SHARE)) if whole else "0.0000"


def _rounded(number: Decimal, unit: Decimal) -> Decimal:
    return number.quantize(unit, ROUND_HALF_UP)
