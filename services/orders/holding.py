"""Orders on hold: the rules of the shop that stop an order when it is placed, and what staff may hold and release.

An order that a rule stops is not given to fulfillment before it is released. An order that fulfillment works on goes on
until its payment would be captured: before that, fulfillment asks whether the order is final, and gets no answer while
it is on hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.contracts.orders import (
    Address,
    OrderContent,
    OrderCreated,
    OrderFinalized,
    OrderFinalizePending,
    OrderHeld,
    OrderNotFinalized,
    OrderReleased,
    PlacedContent,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.ids import instant_of
from services.kit.domain.message import Message
from services.kit.domain.texts import folded
from services.kit.saga.participant import Failure, failed, reply_to
from services.orders.order import Finalize, Hold, Imported, NoOrder, OnHold, Order, Pending, Release
from services.orders.refusals import fulfilled_elsewhere, name_of, not_found
from services.orders.shop_rules import Review

__all__ = ["HOLD_WAIT", "hold_or_release", "placed", "wait_for_release"]

HOLD_WAIT = timedelta(days=6)
"""How long fulfillment waits for a release: most cards release an authorization after seven days."""


RULES = {
    "total-above": "the total is high",
    "addresses-differ": "it is billed and sent to different addresses",
    "first-order": "it is the first order of this customer",
    "new-customer": "the account is new",
}
"""The rules of a shop, and how the reason of a hold says that an order matches one."""


def placed(created: OrderCreated, review: Review, at: datetime, *, has_bought: bool) -> list[Message]:
    """The events of an order that is placed: it is on hold if it matches a rule of the shop."""
    rules = tuple(_matched(created, review, at, has_bought))
    if not rules:
        return [created]
    held = OrderHeld(
        order_id=created.order_id,
        customer_id=created.customer_id,
        reason=f"the shop looks into it, because {' and '.join(RULES[rule] for rule in rules)}",
        rules=rules,
        number=created.number,
        email=created.email,
    )
    return [created.model_copy(update={"held": True}), held]


def _matched(order: OrderContent, review: Review, at: datetime, has_bought: bool) -> Iterator[str]:
    """The names of the rules that an order matches."""
    limit = review.total_above.get(order.total.currency)
    if limit is not None and order.total.amount > limit:
        yield "total-above"
    if review.addresses_differ and _differ(order.shipping_address, order.billing_address):
        yield "addresses-differ"
    if review.first_order and not has_bought:
        yield "first-order"
    registered = instant_of("usr", order.customer_id or "")
    days = review.account_days_below
    if days is not None and registered is not None and at - registered < timedelta(days=days):
        yield "new-customer"


def _differ(one: Address, other: Address | None) -> bool:
    """Whether two addresses are of different places; names, capital letters and spaces do not matter."""
    return other is not None and _place(one) != _place(other)


def _place(address: Address) -> Sequence[str]:
    parts = (address.line1, address.line2, address.city, address.region, address.postal_code, address.country)
    return ["".join(folded(part or "").split()) for part in parts]


def hold_or_release(command: Hold | Release, order: Order) -> Decision:
    """Put a placed order on hold until it is final, and release it; to do so again at once changes nothing."""
    match command, order:
        case _, NoOrder():
            return not_found(command)
        case Hold(), OnHold():
            return []
        case Hold(), Pending():
            return _hold(command, order)
        case Release(), OnHold():
            return _release(command, order)
        case Release(), Pending(is_released=True):
            return []
        case _, Imported():
            return fulfilled_elsewhere(command, order)
        case Hold(), _:
            detail = f"Order {command.order_id} cannot be put on hold: its status is {name_of(order)}."
            return Rejected("order-not-holdable", detail)
        case _:
            detail = f"Order {command.order_id} is not on hold: its status is {name_of(order)}."
            return Rejected("order-not-on-hold", detail)


def _hold(command: Hold, order: Pending) -> Decision:
    """Put an order on hold that fulfillment works on, while nothing can have been charged."""
    if order.is_final:
        detail = f"Order {command.order_id} cannot be put on hold: its payment is being captured. Cancel it instead."
        return Rejected("order-not-holdable", detail)
    if order.content.capture in (None, "at_once"):
        detail = (
            f"Order {command.order_id} cannot be put on hold: its payment is captured together with the authorization, "
            "so it may be charged already. Cancel it instead."
        )
        return Rejected("charged-at-once", detail)
    to = {"order_id": command.order_id, "customer_id": order.customer_id, "email": order.email}
    return [OrderHeld.model_validate({**to, "reason": command.reason})]


def _release(command: Release, order: OnHold) -> Decision:
    """Let fulfillment start, or go on and capture the payment."""
    released = OrderReleased(order_id=command.order_id, customer_id=order.customer_id, reason=command.reason)
    if not order.is_begun:
        return [released.model_copy(update={"content": PlacedContent.of(order.placed.content)})]
    final = [OrderFinalized.of(order.placed.recipient, **reply_to(order.asked))] if order.asked else []
    return [released, *final]


def wait_for_release(command: Finalize, order: OnHold) -> Decision:
    """The reply that fulfillment has to wait; a refusal if it asks again because it waited long enough."""
    request = command.request
    until = order.asked.answer_by if order.asked and order.asked.answer_by else command.at + HOLD_WAIT
    if request.answer_by and request.answer_by > until:
        why = Failure("held-too-long", f"nobody released the order within {HOLD_WAIT.days} days", transient=False)
        return [failed(OrderNotFinalized, request, why)]
    return [OrderFinalizePending(**reply_to(request), answer_by=until)]
