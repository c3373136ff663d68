"""The view `orders`: every order as it is now, its lines and its search document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic_core import from_json

from services.contracts import fulfillment, orders, payments, shipping, users
from services.kit.domain.message import ERASED, Message, Money
from services.kit.domain.principal import Principal
from services.kit.eventstore.port import RecordedEvent
from services.kit.saga import messages as saga
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in, erased_person
from services.projection.views.search_documents import refresh
from services.projection.views.statuses import STATUS_AFTER
from services.read_model.orders import (
    ORDER_LINES,
    ORDER_NOTES,
    ORDER_TEXTS,
    ORDERS,
    VOCABULARY,
    Order,
    OrderLine,
    OrderNote,
)

__all__ = ["ORDERS_VIEW", "WHOSE", "lines_of", "note_of", "order_after", "order_of"]

NOTE = orders.OrderNoteAdded
LOOKED_INTO = "being looked into: "
UNSTUCK = (fulfillment.RunResumed, fulfillment.RunClosed, fulfillment.RunCompensated, fulfillment.RunCompleted)
"""A run can end without being resumed: the reply that it waited for came after all."""


def order_of(event: Message) -> str | None:
    """The order whose row an event may change."""
    match event:
        case orders.OrderMessage(order_id=order_id):
            return order_id
        case saga.RunStarted(saga_id=order_id) | fulfillment.RunStuck(saga_id=order_id):
            return order_id
        case fulfillment.RunCompensating(saga_id=order_id) | fulfillment.RunResumed(saga_id=order_id):
            return order_id
        case fulfillment.RunClosed(saga_id=order_id) | fulfillment.RunCompensated(saga_id=order_id):
            return order_id
        case fulfillment.RunCompleted(saga_id=order_id):
            return order_id
        case shipping.ShipmentCreated(saga_id=order_id) | shipping.ShipmentCancelled(saga_id=order_id):
            return order_id
        case payments.ProviderFact(order_id=order_id) | payments.PaymentRefunded(saga_id=order_id):
            return order_id
        case _:
            return None


def order_after(row: Order | None, event: Message, at: datetime) -> Order | None:
    """The order's row after an event; `updated_at` never goes back, although clocks of services differ."""
    after = _changed(row, event, at)
    if row is None or after is None or after.updated_at >= row.updated_at:
        return after
    return replace(after, updated_at=row.updated_at)


def _changed(row: Order | None, event: Message, at: datetime) -> Order | None:
    match event:
        case orders.OrderImportUndone():
            return None
        case orders.OrderDetails():
            status = event.status if isinstance(event, orders.OrderImported) else STATUS_AFTER[type(event)]
            return _written(row, event, status, at)
        case _ if row is None:
            return None
        case orders.OrderUpdated():
            return replace(row, **_named(event), updated_at=at)
        case orders.OrderEdited():
            amounts = {name: value for name, value in _named(event).items() if name != "reason"}
            down = max(-event.difference.amount, Decimal(0)) if event.confirmed else Decimal(0)
            return replace(row, **amounts, edited_down=(row.edited_down or Decimal(0)) + down, updated_at=at)
        case orders.OrderReleased(content=content):
            return replace(row, status="processing" if content is None else "pending", reason=None, updated_at=at)
        case saga.RunStarted() if row.status == "pending":
            return replace(row, status="processing", updated_at=at)
        case shipping.ShipmentCreated(tracking_number=number):
            return replace(row, tracking_number=number, updated_at=at)
        case shipping.ShipmentCancelled():
            return replace(row, tracking_number=None, updated_at=at)
        case payments.ProviderFact(refunded=Money() as back) | payments.PaymentRefunded(amount=Money() as back):
            refunded = max(back.amount - (row.edited_down or Decimal(0)), Decimal(0))
            more = {"refunded_units": _units_after(row, event), "refunds": _refunds_after(row, event, at)}
            return replace(row, refunded=refunded, updated_at=at, **more)
        case fulfillment.RunStuck(error=error):
            return replace(row, reason=f"{LOOKED_INTO}{error}", stuck_since=at, updated_at=at)
        case _ if isinstance(event, UNSTUCK):
            return row if row.stuck_since is None else _unstuck(row, at)
        case _ if type(event) in STATUS_AFTER:
            told = {name: value for name, value in _named(event).items() if name in ("reason", "tracking_number")}
            return replace(row, status=STATUS_AFTER[type(event)], **told, updated_at=at)
        case _:
            return row


def _unstuck(row: Order, at: datetime) -> Order:
    is_reason = row.reason is not None and row.reason.startswith(LOOKED_INTO)
    return replace(row, reason=None if is_reason else row.reason, stuck_since=None, updated_at=at)


def _units_after(row: Order, event: Message) -> str | None:
    """The units of each line for which the customer has the money back, as JSON."""
    lines = event.lines if isinstance(event, payments.ProviderFact) else ()
    told = {str(line.line): str(line.refunded) for line in lines if line.refunded is not None}
    return json.dumps({**json.loads(row.refunded_units or "{}"), **told}) if told else row.refunded_units


def _refunds_after(row: Order, event: Message, at: datetime) -> str | None:
    """The amount and the time of each refund that arrived, as JSON; refunds of edits are none."""
    known: dict[str, str] = json.loads(row.refunds or "{}")
    match event:
        case payments.ProviderUpdated(refund_id=str() as ours) if ours.startswith(payments.EDIT_REFUND):
            return row.refunds
        case payments.ProviderUpdated(what="refund_succeeded", reference=str() as name, amount=Money() as amount):
            known = {name: _refund(amount, at), **known}
        case payments.ProviderUpdated(what="refund_failed", reference=str() as name):
            known.pop(name, None)
        case payments.PaymentRefunded(refund_id=str() as name, refund_amount=Money() as amount):
            known = {name: _refund(amount, at), **known}
        case _:
            return row.refunds
    return json.dumps(known)


def _refund(amount: Money, at: datetime) -> str:
    return f"{amount.amount:f} {at.isoformat()}"


def _written(row: Order | None, event: orders.OrderDetails, status: str, at: datetime) -> Order:
    """The row of an order whose whole content the event carries."""
    placed_at = getattr(event, "placed_at", None) or (row.created_at if row else at)
    columns: dict[str, Any] = dict.fromkeys(ORDERS.names)
    refunded = row.refunded if row else Decimal(0)
    if isinstance(event, orders.OrderImported):
        refunded = event.refunded.amount if event.refunded else Decimal(0)
    columns |= {**_named(event), "status": status, "refunded": refunded, "created_at": placed_at, "updated_at": at}
    columns |= {"refunded_units": row.refunded_units if row else None, "refunds": row.refunds if row else None}
    return Order(**columns)


def _named(event: Message) -> dict[str, Any]:
    """The columns whose values an event names: by their own names, but for its address, its total and its lines."""
    named = {name: _stored(value) for name in ORDERS.names if (value := getattr(event, name, None)) is not None}
    if isinstance(event, orders.PricedFields):
        named |= {"total": event.total.amount, "currency": event.total.currency, "line_count": len(event.lines)}
        named |= {"shipping_tax_rate": _percent(event.shipping_tax_rate)}
        named.setdefault("subtotal", event.total.amount)
    if address := getattr(event, "shipping_address", None):
        named |= {"city": address.city, "country": address.country}
    return named


def _percent(rate: Decimal | None) -> str | None:
    """A rate without the zeros at its end."""
    return None if rate is None else f"{rate.normalize():f}"


def _stored(value: object) -> object:
    """The value of a field as its column holds it: JSON for an address, tags and metadata; None if it is erased."""
    if isinstance(value, orders.Address):
        return None if value.name == ERASED else value.model_dump_json(exclude_none=True)
    return json.dumps(value) if isinstance(value, dict | tuple) else value


def note_of(event: RecordedEvent, message: orders.OrderNoteAdded) -> OrderNote:
    """The row of a note that staff added."""
    principal = Principal.of(from_json(event.meta))
    return OrderNote(message.order_id, event.version, event.time, principal.id if principal else None, message.text)


def lines_of(order: Order, event: Message) -> list[OrderLine] | None:
    """All lines of the order after an event; None if the event does not change them."""
    if not isinstance(event, orders.OrderDetails | orders.OrderEdited):
        return None
    return [_line(order, number, line) for number, line in enumerate(event.lines, 1)]


def _line(order: Order, number: int, line: orders.OrderLine) -> OrderLine:
    return OrderLine(
        order_id=order.order_id,
        line=number,
        product_id=line.product_id,
        product_name=line.product_name,
        quantity=line.quantity,
        unit_price=line.unit_price,
        created_at=order.created_at,
        line_subtotal=line.subtotal,
        line_discount=line.discount,
        line_tax=line.tax,
        tax_rate=_percent(line.tax_rate),
        line_total=line.total,
    )


WHOSE = "coalesce(customer_id, '') = ANY($1::text[]) OR customer_id IS NULL AND order_id = ANY($1::text[])"
"""True of the orders of these people: customers, or guests, who are identified by their orders."""


ERASE_NOTES = f"UPDATE {{schema}}.order_notes SET text = '{ERASED}' WHERE order_id = ANY($1::text[])"  # noqa: S608


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, ORDERS_VIEW))
    found = await rows.find(ORDERS, {key for _, message in changes if (key := order_of(message))})
    lines: dict[str, Sequence[OrderLine]] = {}
    gone: set[str] = set()
    renamed: set[str] = set()
    for event, message in changes:
        order_id = order_of(message)
        if order_id and (order := order_after(found.get(order_id), message, event.time)):
            found[order_id] = order
            if (written := lines_of(order, message)) is not None:
                lines[order_id] = written
        elif order_id and isinstance(message, orders.OrderImportUndone):
            gone.add(order_id)
            found.pop(order_id, None)
            lines.pop(order_id, None)
        if order_id and isinstance(message, orders.OrderUpdated):
            renamed.add(order_id)
    await rows.remove(ORDERS, list(gone))
    await rows.put(ORDERS, list(found.values()))
    await rows.remove(ORDER_LINES, [*gone, *lines])
    await rows.add(ORDER_LINES, [line for of_one in lines.values() for line in of_one])
    await rows.add(ORDER_NOTES, [note_of(event, note) for event, note in changes if isinstance(note, NOTE)])
    if erased := [person for _, message in changes if (person := erased_person(message))]:
        of_erased = await rows.erase(ORDERS, WHOSE, erased)
        await rows.execute(ERASE_NOTES, of_erased)
        renamed.update(of_erased)
    names = {order_id: [line.product_name for line in of_one] for order_id, of_one in lines.items()}
    await refresh(rows, renamed | gone | set(lines), names)


ORDERS_VIEW = View(
    name="orders",
    revision=14,
    tables=(ORDERS, ORDER_LINES, ORDER_NOTES, ORDER_TEXTS, VOCABULARY),
    wakes=(
        orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderImported, orders.OrderUpdated,
        orders.OrderNoteAdded, orders.OrderCancellationRequested, orders.OrderCancelled, orders.OrderConfirmed,
        orders.OrderFailed, orders.OrderShipped, orders.OrderDelivered, orders.OrderImportCorrected,
        orders.OrderImportUndone, orders.OrderHeld, orders.OrderReleased, orders.OrderEdited, fulfillment.RunStarted,
        fulfillment.RunCompensating, fulfillment.RunStuck, fulfillment.RunResumed, payments.ProviderReported,
        payments.ProviderUpdated, users.UserDeleted, users.PersonErased,
    ),
    also=(
        fulfillment.RunClosed, fulfillment.RunCompensated, fulfillment.RunCompleted, shipping.ShipmentCreated,
        shipping.ShipmentCancelled, payments.PaymentRefunded,
    ),
    feed=feed,
)  # fmt: skip
