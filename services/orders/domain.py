"""What may happen to an order, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import assert_never

from services.contracts.orders import (
    Address,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderContent,
    OrderCreated,
    OrderDelivered,
    OrderDrafted,
    OrderDraftUpdated,
    OrderFailed,
    OrderLine,
    OrderShipped,
    OrderUpdated,
    PaymentMethod,
    Priority,
)
from services.kit.decider import Command, Decider, Decision, Rejected
from services.kit.message import Instant, Message, Money

__all__ = [
    "ORDER",
    "Amend",
    "Cancel",
    "Confirm",
    "Deliver",
    "Fail",
    "OrderCommand",
    "Place",
    "Ship",
    "Submit",
    "Undone",
    "Wanted",
    "total_of",
]

MINOR_DIGITS = {
    "BHD": 3, "CLP": 0, "ISK": 0, "JPY": 0, "JOD": 3, "KRW": 0, "KWD": 3, "OMR": 3, "TND": 3, "UGX": 0, "VND": 0,
}  # fmt: skip
"""Decimals of the currencies that do not have two (ISO 4217)."""

TOTAL_BELOW = Decimal(1_000_000_000_000)
"""What `Money` can hold of any currency, with what is added to it later."""

# What an order can be


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no such order."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Being written."""

    content: OrderContent


@dataclass(frozen=True, slots=True)
class Pending:
    """Placed, and being fulfilled."""

    total: Money
    email: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Goods are held, money is taken, a shipment exists."""

    email: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The customer wants out, and what was done is being undone."""

    reason: str
    email: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Shipped:
    """With the carrier."""

    owner: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Delivered, cancelled or failed: nothing happens any more."""

    how: str
    owner: str | None


Order = Nothing | Draft | Pending | Confirmed | Cancelling | Shipped | Ended

# What can be wished


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a customer wants; `given_total` is what they believe it costs, `placed_at` when they wanted it elsewhere."""

    order_id: str
    customer_id: str | None
    email: str | None
    customer_name: str | None
    lines: tuple[OrderLine, ...]
    currencies: frozenset[str]
    given_total: Money | None
    shipping_address: Address
    payment_method: PaymentMethod
    priority: Priority
    notes: str | None
    placed_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish(Command):
    """What a customer can wish; `own` names the one whose orders alone are within reach, None if all are."""

    own: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(_Wish):
    """Place an order, or write (`draft`) or rewrite (`redraft`) its draft."""

    wanted: Wanted
    draft: bool = False
    redraft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(_Wish):
    """Place what has been drafted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(_Wish):
    """Change address, contact or notes; None leaves a thing as it is."""

    order_id: str
    email: str | None = None
    customer_name: str | None = None
    shipping_address: Address | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(_Wish):
    """The customer wants out."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Command):
    """Fulfillment did every step."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail(Command):
    """Fulfillment could not do it, and nothing is left to undo."""

    order_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone(Command):
    """Fulfillment undid everything because the customer wanted out."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship(Command):
    """The carrier has the goods."""

    order_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver(Command):
    """The goods arrived."""

    order_id: str


OrderCommand = Place | Submit | Amend | Cancel | Confirm | Fail | Undone | Ship | Deliver

# What is decided


def decide(command: OrderCommand, order: Order) -> Decision:
    """What follows from a command; a repeated one decides nothing."""
    if isinstance(command, _Wish) and _is_hidden(command, order):
        return _no_such_order()
    match command:
        case Place():
            return _place(command, order)
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


def _is_hidden(wish: _Wish, order: Order) -> bool:
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


def _wrong(command: Place, wanted: Wanted) -> Rejected | None:
    if len(wanted.currencies) != 1:
        return Rejected("mixed-currencies", "all prices must have the same currency", field="items")
    if _sum(wanted.lines) >= TOTAL_BELOW:
        return Rejected("total-too-large", f"an order costs less than {TOTAL_BELOW:f}", field="items")
    total = total_of(wanted)
    if total.amount <= 0:
        return Rejected("nothing-to-pay", "the order costs nothing", field="items")
    if wanted.given_total is not None and wanted.given_total != total:
        return Rejected("total-mismatch", f"the total is {total.amount} {total.currency}", field="total")
    if wanted.placed_at is not None and wanted.placed_at > command.at:
        return Rejected("placed-in-future", "an order cannot have been placed in the future", field="placed_at")
    return None


def total_of(wanted: Wanted) -> Money:
    """The exact sum of the lines, rounded once, half up, to the minor unit of the currency."""
    (currency,) = wanted.currencies
    exact = _sum(wanted.lines)
    unit = Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2))
    return Money(amount=exact.quantize(unit, ROUND_HALF_UP), currency=currency)


def _sum(lines: Sequence[OrderLine]) -> Decimal:
    return sum((line.unit_price * line.quantity for line in lines), Decimal(0))


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


def _submit(order: Order) -> Decision:
    match order:
        case Nothing():
            return _no_such_order()
        case Draft(content=content):
            return [OrderCreated.model_validate(content.model_dump())]
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
    OrderCancelled, OrderConfirmed, OrderFailed, OrderShipped, OrderDelivered,
)  # fmt: skip

ORDER: Decider[OrderCommand, Order] = Decider("order", Nothing(), decide, evolve, tuple(_EVENTS), (Place,))
