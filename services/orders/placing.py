"""The rules for placing an order: at once, or by a draft that is submitted later."""

from __future__ import annotations

from typing import TypeVar

from services.contracts.orders import (
    OrderAcknowledged,
    OrderCreated,
    OrderDetails,
    OrderDrafted,
    OrderDraftUpdated,
    PricedFields,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Message
from services.orders.holding import placed
from services.orders.order import (
    BeginDraft,
    Cancelled,
    Cancelling,
    ContentCommand,
    Draft,
    Failed,
    Import,
    Imported,
    NoOrder,
    Order,
    Place,
    RewriteDraft,
    Submit,
)
from services.orders.pricing import basket_of, price, totals_problem
from services.orders.refusals import fulfilled_elsewhere, name_of, not_found, placed_in_future
from services.orders.shop_rules import Delivery

__all__ = ["place", "submit", "with_content"]

D = TypeVar("D", bound=OrderDetails)

COUPON_USED_UP = Rejected("coupon-used-up", "The coupon is used up: leave it out.", field="coupon")


def place(command: Place | BeginDraft | RewriteDraft, order: Order) -> Decision:
    """Begin an order or its draft once; rewrite a draft until it is submitted."""
    if isinstance(command, RewriteDraft) and isinstance(order, NoOrder):
        return not_found(command)  # before any other refusal: an order out of reach gets this answer, too
    to = Delivery.to(command.fields.shipping_address, command.fields.shipping_method)
    priced = price(command.basket, command.book, command.at, command.rules, to)
    if isinstance(priced, Rejected):
        return priced
    if not command.is_coupon_left:
        return COUPON_USED_UP
    expected = command.basket.expected_total
    if problem := totals_problem(priced, expected) or placed_in_future(command.fields.placed_at, command.at):
        return problem
    match command, order:
        case Place(), NoOrder():
            return _placed(with_content(OrderCreated, command, priced, number=command.number), command)
        case BeginDraft(), NoOrder():
            return [with_content(OrderDrafted, command, priced, number=command.number)]
        case RewriteDraft(), Draft(content=content):
            rewritten = with_content(OrderDraftUpdated, command, priced, number=content.number)
            return [] if rewritten.write() == content.write() else [rewritten]
        case RewriteDraft(order_id=order_id), _:
            detail = f"Order {order_id} cannot be replaced: it was submitted. Change some of its fields with PATCH."
            return Rejected("order-not-draft", detail)
        case _:
            return []


def submit(command: Submit, order: Order) -> Decision:
    """Place the order that a draft describes, once, at the prices of now; a cancelled or failed one is refused."""
    match order:
        case NoOrder():
            return not_found(command)
        case Draft(content=content):
            to = Delivery.to(content.shipping_address, content.shipping_method)
            priced = price(basket_of(content), command.book, command.at, command.rules, to)
            if isinstance(priced, Rejected):
                return priced
            if not command.is_coupon_left:
                return COUPON_USED_UP
            created = OrderCreated.of(content, **dict(priced))
            return totals_problem(priced, command.expected_total) or _placed(created, command)
        case Imported():
            return fulfilled_elsewhere(command, order)
        case Cancelling() | Cancelled() | Failed():
            detail = f"Order {command.order_id} cannot be submitted: its status is {name_of(order)}. Place a new one."
            return Rejected("order-not-draft", detail)
        case _:
            return []


def _placed(created: OrderCreated, command: Place | Submit) -> list[Message]:
    """The events of an order, and that of the mail which says so; an order placed elsewhere was acknowledged there."""
    is_acknowledged = command.is_acknowledged and created.placed_at is None
    events = placed(created, command.rules.review, command.at, has_bought=command.has_bought)
    return [*events, OrderAcknowledged.of(created)] if is_acknowledged else events


def with_content(kind: type[D], command: ContentCommand | Import, priced: PricedFields, **more: str | None) -> D:
    """The event `kind` with every field that the command brings."""
    return kind.of(command.fields, order_id=command.order_id, **dict(priced), **more)
