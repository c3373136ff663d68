"""Computes analytics from all events of each order: slowly, simply, and not by the code of the view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from services.contracts import fulfillment, orders, payments
from services.kit.domain.message import Message

KEYS = ("period", "status", "country", "source", "product_id", "customer_id")
NAMES = ("product_name", "customer_name")
DIGITS = {"JPY": 0}
POINTS = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


def lives_of(said: Iterable[tuple[Message, datetime]]) -> list[dict[str, Any]]:
    """Every order that was placed, as it is after all this."""
    lives: dict[str, dict[str, Any]] = {}
    for message, at in said:
        order_id = getattr(message, "order_id", None) or getattr(message, "saga_id", "")
        if isinstance(message, orders.OrderImportUndone):
            lives.pop(order_id, None)
        elif isinstance(message, orders.OrderCreated | orders.OrderImported) and (
            order_id not in lives or isinstance(message, orders.OrderImportCorrected)
        ):
            finished = isinstance(message, orders.OrderImported)
            lives[order_id] = {
                "placed_at": message.placed_at or at, "came": lives[order_id]["came"] if order_id in lives else at,
                "source": message.source if finished else "", "confirmed": None,
                "customer_id": message.customer_id, "country": message.shipping_address.country,
                "currency": message.total.currency, "total": message.total.amount, "lines": message.lines,
                "discount": message.discount_total, "shipping": message.shipping_total, "tax": message.tax_total,
                "status": message.status if finished else "pending",
                "back": message.refunded.amount if finished and message.refunded else Decimal(0),
            }  # fmt: skip
        elif order_id in lives:
            _happen(lives[order_id], message, at)
    return list(lives.values())


def _day(at: datetime, zone: str) -> date:
    """In a zone; UTC begins after the first day of the calendar elsewhere."""
    in_utc = at.replace(tzinfo=UTC) if at.year == 1 else at
    try:
        return in_utc.astimezone(ZoneInfo(zone)).date()
    except OverflowError:  # west of Greenwich the first day of the calendar is not reached
        return date.min


def _happen(life: dict[str, Any], message: Message, at: datetime) -> None:
    if isinstance(message, orders.OrderConfirmed):
        life["status"], life["confirmed"] = "confirmed", life["confirmed"] or at
    elif isinstance(message, orders.OrderUpdated) and message.shipping_address:
        life["country"] = message.shipping_address.country
    elif isinstance(message, orders.OrderEdited):
        life |= {"total": message.total.amount, "lines": message.lines, "discount": message.discount_total}
        life |= {"shipping": message.shipping_total, "tax": message.tax_total}
    elif isinstance(message, orders.OrderReleased):
        life["status"] = "pending" if message.content else "processing"
    elif isinstance(message, fulfillment.RunStarted) and life["status"] == "pending":
        life["status"] = "processing"
    elif isinstance(message, payments.PaymentRefunded) and message.amount:
        life["back"] = max(life["back"], message.amount.amount)
    elif isinstance(message, payments.ProviderFact) and message.refunded:
        life["back"] = message.refunded.amount
    elif isinstance(message, payments.ProviderReported) and message.what in ("refunded", "partly_refunded"):
        life["back"] = max(life["back"], message.amount.amount if message.amount else life["total"])
    for kind, status in (
        (orders.OrderHeld, "on_hold"), (orders.OrderCancellationRequested, "cancelling"), (orders.OrderCancelled, "cancelled"),
        (orders.OrderFailed, "failed"), (orders.OrderShipped, "shipped"), (orders.OrderDelivered, "delivered"),
    ):  # fmt: skip
        if isinstance(message, kind):
            life["status"] = status


def figures(lives: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """The figures that answer a question, by (period, status, country, source, product, customer, currency)."""
    start, end = date.fromisoformat(asked["from"]), date.fromisoformat(asked["to"])
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for life in _placed(lives, asked.get("time_zone", "UTC")):
        if not start <= life["placed"] < end or any(life[name] != asked[name] for name in _filters(asked)):
            continue
        for key, units, amounts in _parts(life, asked):
            _count(found.setdefault(key, {}), life, units, amounts)
    return {key: _finished(numbers, key[-1]) for key, numbers in found.items()}


def _placed(lives: Sequence[Mapping[str, Any]], zone: str) -> list[dict[str, Any]]:
    """The lives with the day on which each order was placed in a zone."""
    return [{**life, "placed": _day(life["placed_at"], zone)} for life in lives]


def _filters(asked: Mapping[str, Any]) -> list[str]:
    return [name for name in ("currency", "country", "status", "source", "customer_id") if name in asked]


Part = tuple[tuple[str, ...], int | None, dict[str, Decimal]]


def _parts(life: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterable[Part]:
    """The groups that an order is part of, with its units and amounts there."""
    named = dict.fromkeys(KEYS, "")
    if "interval" in asked:
        named["period"] = life["placed"].strftime(POINTS[asked["interval"]])
    groups = asked.get("group_by", ())
    for group in ("status", "country", "source"):
        named[group] = life[group] if group in groups else ""
    if "customer" in groups or "customer_id" in asked:
        if life["customer_id"] is None:
            return
        named["customer_id"] = life["customer_id"]
    if "product" not in groups and "product_id" not in asked:
        amounts = {name: life[name] for name in ("total", "discount", "shipping", "tax")}
        yield (*named.values(), life["currency"]), None, amounts
        return
    for product in sorted({line.product_id for line in life["lines"]}):
        lines = [line for line in life["lines"] if line.product_id == product]
        if asked.get("product_id", product) == product:
            key = (*(named | {"product_id": product}).values(), life["currency"])
            values = [line.quantity * line.unit_price if line.total is None else line.total for line in lines]
            yield (
                key,
                sum(line.quantity for line in lines),
                {
                    "total": sum(values, Decimal(0)),
                    "discount": sum((line.discount or Decimal(0) for line in lines), Decimal(0)),
                    "tax": sum((line.tax or Decimal(0) for line in lines), Decimal(0)),
                },
            )


def _count(numbers: dict[str, Any], life: Mapping[str, Any], units: int | None, amounts: Mapping[str, Decimal]) -> None:
    def add(name: str, number: int | Decimal) -> None:
        numbers[name] = numbers.get(name, 0) + number

    sold = life["status"] in ("confirmed", "shipped", "delivered")
    add("orders", 1)
    add("open", int(life["status"] in ("pending", "on_hold", "processing", "cancelling")))
    add("sold", int(sold))
    add("cancelled", int(life["status"] == "cancelled"))
    add("failed", int(life["status"] == "failed"))
    add("refunds", int(life["back"] > 0))
    add("ordered", amounts["total"])
    add("gross", amounts["total"] if sold else Decimal(0))
    add("net", amounts["total"] - amounts["tax"] if sold else Decimal(0))
    for name in set(amounts) - {"total"}:
        add(name, amounts[name] if sold else Decimal(0))
    if units is None:
        add("revenue", amounts["total"] - life["back"] if sold else 0)
        add("refunded", life["back"])
    else:
        add("revenue", amounts["total"] if sold else 0)
        add("units", units)
        add("units_sold", units if sold else 0)


def _finished(numbers: dict[str, Any], currency: str) -> dict[str, Any]:
    unit = Decimal(1).scaleb(-DIGITS.get(currency, 2))
    if numbers["sold"]:
        numbers["average"] = Decimal(numbers["revenue"]) / numbers["sold"]
    for name in ("ordered", "gross", "discount", "shipping", "tax", "net", "revenue", "refunded", "average"):
        if name in numbers:
            numbers[name] = Decimal(numbers[name]).quantize(unit, ROUND_HALF_UP)
    for name, part in (("cancelled_share", "cancelled"), ("failed_share", "failed"), ("refunded_share", "refunds")):
        share = Decimal(numbers[part]) / numbers["orders"]
        numbers[name] = share.quantize(Decimal("0.0001"), ROUND_HALF_UP)
    return numbers


def answered(answer: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """The answer of the service, in the same shape."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in answer["figures"]:
        key = (*(row.get(name, "") for name in KEYS), row["ordered"]["currency"])
        assert key not in found
        found[key] = {name: _number(value) for name, value in row.items() if name not in (*KEYS, *NAMES)}
    return found


def _number(value: Any) -> int | Decimal:
    return value if isinstance(value, int) else Decimal(value["amount"] if isinstance(value, dict) else value)


def confirmation_times(
    lives: Sequence[Mapping[str, Any]], start: str, end: str, interval: str, zone: str
) -> dict[str, list[Decimal]]:
    """How long each order took, in seconds, by point."""
    found: dict[str, list[Decimal]] = {}
    for life in _placed(lives, zone):
        if life["confirmed"] and date.fromisoformat(start) <= life["placed"] < date.fromisoformat(end):
            took = (life["confirmed"] - life["came"]).total_seconds()
            found.setdefault(life["placed"].strftime(POINTS[interval]), []).append(Decimal(str(took)))
    return found
