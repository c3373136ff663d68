"""The events that orders handles: those about one order become commands, those about products go to the price book."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never, get_args

from services.contracts.catalogue import ProductChanged, ProductDefined, ProductMessage, ProductWithdrawn
from services.contracts.fulfillment import RunCompensated, RunCompleted, RunFailed
from services.contracts.inventory import ReservationNotExtended
from services.contracts.orders import OrderEditDue, OrderFinalize
from services.contracts.payments import ProviderUpdated, RefundRefused, RefundRequested, SurchargeRefused
from services.contracts.shipping import ShipmentChanged, ShipmentDelivered, ShipmentDispatched, ShipmentNotChanged
from services.kit.events.handlers import Reactions, Received
from services.orders import price_book
from services.orders.order import (
    CompleteCancellation,
    ConcludeEdit,
    Confirm,
    Deliver,
    Fail,
    Finalize,
    OrderCommand,
    RecordRefund,
    RemindEdit,
    Ship,
)
from services.orders.orders import Orders

__all__ = ["reactions"]

Handled = (
    OrderFinalize | RunCompleted | RunCompensated | RunFailed | ShipmentDispatched | ShipmentDelivered
    | ReservationNotExtended | ShipmentChanged | ShipmentNotChanged | SurchargeRefused | OrderEditDue
)  # fmt: skip


def reactions(orders: Orders) -> Reactions:
    """The handlers of orders, by message."""

    async def handle(message: Handled, received: Received) -> None:
        await orders.carry_out(command_of(message, received.now), received.cause)

    async def record_refund(fact: RefundRequested | RefundRefused | ProviderUpdated, received: Received) -> None:
        if not isinstance(fact, ProviderUpdated) or _is_end_of_refund(fact):
            command = RecordRefund(at=received.now, order_id=fact.order_id, fact=fact)
            await orders.carry_out(command, received.cause)

    async def record_product(message: ProductMessage, _: Received) -> None:
        async with orders.handler.store.transaction() as transaction:
            await price_book.record(transaction, message)

    handlers = Reactions()
    for refund_event in (RefundRequested, RefundRefused, ProviderUpdated):
        handlers.on(refund_event, record_refund)
    for product_event in (ProductDefined, ProductChanged, ProductWithdrawn):
        handlers.on(product_event, record_product)
    for kind in get_args(Handled):
        handlers.on(kind, handle)
    return handlers


def _is_end_of_refund(fact: ProviderUpdated) -> bool:
    """Whether the provider tells that a refund of staff has arrived, or has failed."""
    if fact.what == "refund_succeeded":
        return bool(fact.refund_id and fact.amount and fact.refunded)
    return fact.what == "refund_failed" and fact.refund_id is not None


def command_of(message: Handled, at: datetime) -> OrderCommand:
    """The command that a message becomes; the run of an order has the order's id."""
    match message:
        case OrderFinalize(saga_id=order_id):
            return Finalize(at=at, order_id=order_id, request=message)
        case RunCompleted(saga_id=order_id):
            return Confirm(at=at, order_id=order_id)
        case RunCompensated(saga_id=order_id, cause="cancelled", error=reason):
            return CompleteCancellation(at=at, order_id=order_id, reason=reason)
        case (
            RunCompensated(saga_id=order_id, error_code=code, error=reason)
            | RunFailed(saga_id=order_id, error_code=code, error=reason)
        ):
            return Fail(at=at, order_id=order_id, code=code, reason=reason)
        case ShipmentDispatched(order_id=order_id, tracking_number=number):
            return Ship(at=at, order_id=order_id, tracking_number=number)
        case ShipmentChanged(order_id=order_id, edit_id=edit_id):
            return ConcludeEdit(at=at, order_id=order_id, edit_id=edit_id)
        case (
            ReservationNotExtended(order_id=order_id, edit_id=edit_id, error_code=code, error=reason)
            | ShipmentNotChanged(order_id=order_id, edit_id=edit_id, error_code=code, error=reason)
            | SurchargeRefused(order_id=order_id, edit_id=edit_id, error_code=code, error=reason)
        ):
            return ConcludeEdit(at=at, order_id=order_id, edit_id=edit_id, code=code, reason=reason)
        case OrderEditDue(order_id=order_id, edit_id=edit_id, attempt=attempt):
            return RemindEdit(at=at, order_id=order_id, edit_id=edit_id, attempt=attempt)
        case ShipmentDelivered(order_id=order_id):
            return Deliver(at=at, order_id=order_id)
        case _:
            assert_never(message)
