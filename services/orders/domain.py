"""What may happen to an order, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import assert_never

from services.contracts.orders import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderContent,
    OrderCreated,
    OrderDelivered,
    OrderDrafted,
    OrderDraftUpdated,
    OrderFailed,
    OrderImported,
    OrderShipped,
    OrderUpdated,
)
from services.kit.domain.decider import Decider, Decision, Rejected
from services.kit.domain.message import Message, Money, rounded
from services.kit.privacy.encryption import erased
from services.orders.order import (
    Amend,
    Cancel,
    Cancelling,
    Confirm,
    Confirmed,
    Deliver,
    Draft,
    Ended,
    Fail,
    Finished,
    Import,
    Imported,
    Nothing,
    Order,
    OrderCommand,
    Pending,
    Place,
    Ship,
    Shipped,
    Submit,
    Undone,
    Wanted,
    Wish,
)

__all__ = ["ORDER", "total_of"]

TOTAL_BELOW = Decimal(1_000_000_000_000)
"""What `Money` can hold of any currency, with what is added to it later."""

# What is decided


def decide(command: OrderCommand, order: Order) -> Decision:
    """What follows from a command; a repeated one decides nothing."""
    if isinstance(command, Wish) and _is_hidden(command, order):
        return _no_such_order()
    match command:
        case Place():
            return _place(command, order)
        case Import():
            return _import(command, order)
        case Submit():
            return _submit(order)
        case Amend():
            return _amend(command, order)
        case Cancel():
            return _cancel(command, order)
        case Confirm() | Fail() | Undone():
            return _conclude(command, order)
        case Ship() | Deliver():
            return _travel(command, order)
        case _:
            assert_never(command)


def _is_hidden(wish: Wish, order: Order) -> bool:
    return wish.own is not None and not isinstance(order, Nothing) and owner_of(order) != wish.own


def owner_of(order: Order) -> str | None:
    """The customer whose order it is; None for a guest's, or if there is none."""
    match order:
        case Nothing():
            return None
        case Draft(content=content):
            return content.customer_id
        case _:
            return order.owner


def _place(command: Place, order: Order) -> Decision:
    wanted = command.wanted
    if command.redraft and isinstance(order, Nothing):
        return _no_such_order()  # before anything else: an order of somebody else is answered just so
    if wrong := _wrong(command, wanted):
        return wrong
    match order:
        case Nothing():
            return [_content(OrderDrafted if command.draft else OrderCreated, wanted)]
        case Draft(content=content) if command.redraft:
            changed = _content(OrderDraftUpdated, wanted)
            return [] if changed.write() == content.write() else [changed]
        case _ if command.redraft:
            return Rejected("order-not-draft", "only a draft can be rewritten")
        case _:
            return []  # placed before: the fact already stands


def _import(command: Import, order: Order) -> Decision:
    finished = command.finished
    if wrong := _wrong(command, finished) or _wrong_end(finished):
        return wrong
    imported = _imported(finished)
    match order:
        case Nothing():
            return [imported]
        case Imported(said=said) if said in (_fingerprint(imported), _fingerprint(erased(imported))):
            return []
        case _:
            detail = f"number {finished.number} of {finished.source} was imported before, and not as it is now"
            return Rejected("import-differs", detail)


def _wrong_end(finished: Finished) -> Rejected | None:
    if (finished.reason is None) == (finished.status == "cancelled"):
        return Rejected("reason-mismatch", "what was cancelled has a reason, and nothing else has", field="reason")
    if finished.tracking_number is not None and finished.status not in ("shipped", "delivered"):
        return Rejected("not-shipped", "only what was shipped has a tracking number", field="tracking_number")
    return None


def _fingerprint(event: OrderImported) -> str:
    """Of all that it says; a price counts by its value, not by how many zeros it is written with."""
    lines = tuple(line.model_copy(update={"unit_price": line.unit_price.normalize()}) for line in event.lines)
    return sha256(event.model_copy(update={"lines": lines}).write().encode()).hexdigest()


def _wrong(command: Place | Import, wanted: Wanted | Finished) -> Rejected | None:
    if len(wanted.currencies) != 1:
        return Rejected("mixed-currencies", "all prices must have the same currency", field="items")
    if _rounded_sum(wanted) >= TOTAL_BELOW:
        return Rejected("total-too-large", f"an order costs less than {TOTAL_BELOW:f}", field="items")
    total = total_of(wanted)
    if total.amount <= 0:
        return Rejected("nothing-to-pay", "the order costs nothing", field="items")
    if wanted.given_total is not None and wanted.given_total != total:
        return Rejected("total-mismatch", f"the total is {total.amount} {total.currency}", field="total")
    if wanted.placed_at is not None and wanted.placed_at > command.at:
        return Rejected("placed-in-future", "an order cannot have been placed in the future", field="placed_at")
    return None


def total_of(wanted: Wanted | Finished) -> Money:
    """The exact sum of the lines, rounded once, half up, to the minor unit of the currency."""
    (currency,) = wanted.currencies
    return Money(amount=_rounded_sum(wanted), currency=currency)


def _rounded_sum(wanted: Wanted | Finished) -> Decimal:
    (currency,) = wanted.currencies
    return rounded(sum((line.unit_price * line.quantity for line in wanted.lines), Decimal(0)), currency)


def _content(kind: type[OrderContent], wanted: Wanted) -> OrderContent:
    return kind(
        order_id=wanted.order_id,
        customer_id=wanted.customer_id,
        email=wanted.email,
        customer_name=wanted.customer_name,
        lines=wanted.lines,
        total=total_of(wanted),
        shipping_address=wanted.shipping_address,
        payment_method=wanted.payment_method,
        priority=wanted.priority,
        notes=wanted.notes,
        placed_at=wanted.placed_at,
    )


def _imported(finished: Finished) -> OrderImported:
    return OrderImported(
        order_id=finished.order_id,
        customer_id=finished.customer_id,
        email=finished.email,
        customer_name=finished.customer_name,
        lines=finished.lines,
        total=total_of(finished),
        shipping_address=finished.shipping_address,
        priority=finished.priority,
        notes=finished.notes,
        source=finished.source,
        number=finished.number,
        placed_at=finished.placed_at,
        status=finished.status,
        tracking_number=finished.tracking_number,
        reason=finished.reason,
    )


def _submit(order: Order) -> Decision:
    match order:
        case Nothing():
            return _no_such_order()
        case Draft(content=content):
            return [OrderCreated.model_validate(content.model_dump())]
        case Imported():
            return _elsewhere(order)
        case _:
            return []


def _amend(command: Amend, order: Order) -> Decision:
    match order:
        case Nothing():
            return _no_such_order()
        case Draft() | Pending():
            return [
                OrderUpdated(
                    order_id=command.order_id,
                    customer_id=owner_of(order),
                    email=command.email,
                    customer_name=command.customer_name,
                    shipping_address=command.shipping_address,
                    notes=command.notes,
                )
            ]
        case Imported():
            return _elsewhere(order)
        case Confirmed() | Shipped() | Cancelling() | Ended():
            return Rejected(
                "order-not-changeable", f"the order is {_word(order)}: its shipment can no longer be changed"
            )
        case _:
            assert_never(order)


def _cancel(command: Cancel, order: Order) -> Decision:
    match order:
        case Nothing():
            return _no_such_order()
        case Draft(content=content):
            return [_cancelled(order, command.order_id, command.reason, content.email)]
        case Pending() | Confirmed():
            return [OrderCancellationRequested(order_id=command.order_id, reason=command.reason)]
        case Cancelling() | Ended(how="cancelled"):
            return []
        case Imported():
            return _elsewhere(order)
        case Shipped() | Ended():
            return Rejected("order-not-cancellable", f"the order is {_word(order)}")
        case _:
            assert_never(order)


def _conclude(command: Confirm | Fail | Undone, order: Order) -> Decision:
    match command, order:
        case Confirm(order_id=order_id), Pending(total=total):
            return [OrderConfirmed(order_id=order_id, total=total)]
        case ((Fail() | Undone()), Cancelling(reason=reason, email=email)):
            return [_cancelled(order, command.order_id, reason, email)]
        case Fail(order_id=order_id, code=code, reason=reason), (Pending(email=email) | Confirmed(email=email)):
            customer_id = owner_of(order)
            return [OrderFailed(order_id=order_id, customer_id=customer_id, code=code, reason=reason, email=email)]
        case Undone(order_id=order_id, reason=reason), (Pending(email=email) | Confirmed(email=email)):
            return [_cancelled(order, order_id, reason, email)]
        case _:
            return []  # said before, or overtaken by the customer's cancellation or by the carrier


def _cancelled(order: Order, order_id: str, reason: str, email: str | None) -> OrderCancelled:
    return OrderCancelled(order_id=order_id, customer_id=owner_of(order), reason=reason, email=email)


def _travel(command: Ship | Deliver, order: Order) -> Decision:
    match command, order:
        case Ship(order_id=order_id, tracking_number=number), (Pending() | Confirmed() | Cancelling()):
            return [OrderShipped(order_id=order_id, tracking_number=number)]
        case Deliver(order_id=order_id), (Pending() | Confirmed() | Cancelling() | Shipped()):
            return [OrderDelivered(order_id=order_id)]
        case _:
            return []


def _no_such_order() -> Rejected:
    return Rejected("order-not-found", "there is no such order", missing=True)


def _elsewhere(order: Imported) -> Rejected:
    return Rejected("order-fulfilled-elsewhere", f"the order was fulfilled by {order.source}: nothing changes it here")


def _word(order: Order) -> str:
    return order.how if isinstance(order, Ended) else type(order).__name__.lower()


def evolve(order: Order, event: Message) -> Order:
    """The order after an event."""
    owner = owner_of(order)
    match event:
        case OrderDrafted() | OrderDraftUpdated():
            return Draft(event)
        case OrderCreated(total=total, email=email, customer_id=customer_id):
            return Pending(total, email, customer_id)
        case OrderImported(source=source, customer_id=customer_id):
            return Imported(source, customer_id, _fingerprint(event))
        case OrderUpdated():
            return _updated(order, event)
        case OrderConfirmed():
            return Confirmed(order.email if isinstance(order, Pending) else None, owner)
        case OrderCancellationRequested(reason=reason):
            return Cancelling(reason, order.email if isinstance(order, Pending | Confirmed) else None, owner)
        case OrderShipped():
            return Shipped(owner)
        case OrderCancelled():
            return Ended("cancelled", owner)
        case OrderFailed():
            return Ended("failed", owner)
        case OrderDelivered():
            return Ended("delivered", owner)
        case _:
            return order


def _updated(order: Order, event: OrderUpdated) -> Order:
    match order:
        case Draft(content=content):
            changes = {name: value for name in _AMENDABLE if (value := getattr(event, name)) is not None}
            return Draft(content.model_copy(update=changes))
        case Pending():
            return replace(order, email=event.email or order.email)
        case _:
            return order


_AMENDABLE = ("email", "customer_name", "shipping_address", "notes")
_EVENTS: Sequence[type[Message]] = (
    OrderDrafted, OrderDraftUpdated, OrderCreated, OrderUpdated, OrderCancellationRequested,
    OrderCancelled, OrderConfirmed, OrderFailed, OrderShipped, OrderDelivered, OrderImported,
)  # fmt: skip

ORDER: Decider[OrderCommand, Order] = Decider("order", Nothing(), decide, evolve, tuple(_EVENTS), (Place, Import))
