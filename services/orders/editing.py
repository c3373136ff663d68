"""Edits of placed orders by staff: which orders can be edited, and the amounts of an order after an edit. Pure.

The lines that stay keep their prices, names, discounts and tax rates; an added line has the current ones. The shipping
cost does not change. The discounts of the order are computed anew, by the rules of `services.orders.totals`; a coupon
whose minimum is not reached any more gives no discount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.contracts.orders import (
    ORDER_LINES_MAX,
    OrderContent,
    OrderEditDue,
    OrderEdited,
    OrderEditOverdue,
    OrderEditPlanned,
    OrderEditRefused,
    OrderEditRequested,
    OrderLine,
    OrderRefunded,
    OrderRefundFailed,
    OrderRefundStarted,
    PricedFields,
    ProductChange,
)
from services.contracts.scheduler import TimerRequested
from services.kit.domain.currencies import shown_money
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Message, Money
from services.orders.edits_after_refunds import refund_problem
from services.orders.order import (
    ChangedLine,
    ConcludeEdit,
    Confirmed,
    Delivered,
    Draft,
    Edit,
    Editing,
    Imported,
    NoOrder,
    OnHold,
    Order,
    Pending,
    RemindEdit,
    Shipped,
)
from services.orders.pricing import Basket, amounts_of, bound_problem, line_of, size_problem, subtotal_of, taxed
from services.orders.refusals import fulfilled_elsewhere, not_found
from services.orders.shop_rules import Coupon, Delivery, coupon_named, coupon_off
from services.orders.totals import Off

__all__ = [
    "EDIT_DEADLINE",
    "EditEvent",
    "after_edit",
    "conclude_edit",
    "content_of",
    "edit",
    "is_of_edit",
    "planned_edit",
    "remind_edit",
]

EDIT_DEADLINE = timedelta(minutes=15)
"""Longer than the retries of a message take before it is parked."""


def content_of(order: Order) -> OrderContent | None:
    """The content that an edit of the order starts from; None if the order cannot be edited."""
    if isinstance(order, OnHold):
        return order.placed.content
    return order.content if isinstance(order, Pending | Confirmed) else None


def edit(command: Edit, order: Order) -> Decision:
    """Change the lines of an order that fulfillment does not know, ask for an edit of a confirmed one, or plan that."""
    content = content_of(order)
    if content is None:
        return _not_editable(command, order)
    if _is_under_way(order):
        detail = f"Order {command.order_id} cannot be edited: another edit is under way. Try again when it has ended."
        return Rejected("edit-in-progress", detail)
    after = _edited(command, content)
    if isinstance(after, Rejected):
        return after
    fields = {"order_id": command.order_id, "edit_id": command.edit_id, "reason": command.reason}
    more = {"customer_id": order.customer_id, "difference": after.total - content.total}
    if isinstance(order, Confirmed):
        problem = refund_problem(list(order.refunds.values()), command.changes, after.total)
        return problem or _requested(command, content, after, {**dict(after), **fields, **more})
    if isinstance(order, Pending) or (isinstance(order, OnHold) and order.is_begun):
        return [OrderEditPlanned.model_validate({**dict(after), **fields, **more, **_goods(content, after)})]
    return [OrderEdited.model_validate({**dict(after), **fields, **more})]


def _requested(command: Edit, before: PricedFields, after: PricedFields, fields: dict[str, object]) -> Decision:
    """Ask inventory, payments and shipping for an edit of a confirmed order, and for a timer."""
    requested = OrderEditRequested.model_validate({**fields, **_goods(before, after)})
    return [requested, edit_timer(requested, command.at, attempt=1)]


def planned_edit(order: Pending, at: datetime) -> list[Message]:
    """The edit that was planned for when the order is confirmed."""
    if order.planned is None:
        return []
    requested = OrderEditRequested.of(order.planned)
    return [requested, edit_timer(requested, at, attempt=1)]


def _is_under_way(order: Order) -> bool:
    match order:
        case Confirmed(editing=Editing()):
            return True
        case Pending(planned=planned) | OnHold(placed=Pending(planned=planned)):
            return planned is not None
        case _:
            return False


def _goods(before: PricedFields, after: PricedFields) -> dict[str, object]:
    """The fields of an edit that say what inventory and shipping change."""
    units = _units(after)
    changes = {product: units.get(product, 0) - had for product, had in _units(before).items()}
    changes |= {product: wanted for product, wanted in units.items() if product not in changes}
    told = tuple(ProductChange(product_id=product, units=change) for product, change in changes.items() if change)
    return {"changes": told, "units": sum(units.values())}


def _units(priced: PricedFields) -> dict[str, int]:
    """The units of each product."""
    units: dict[str, int] = {}
    for line in priced.lines:
        units[line.product_id] = units.get(line.product_id, 0) + line.quantity
    return units


def edit_timer(editing: OrderEditRequested, at: datetime, attempt: int) -> TimerRequested:
    """The timer that looks after an edit, whose messages may be parked at a service."""
    due = OrderEditDue(order_id=editing.order_id, edit_id=editing.edit_id, attempt=attempt)
    return TimerRequested.publishing(f"{editing.edit_id}-{attempt}", at + EDIT_DEADLINE, due)


def remind_edit(command: RemindEdit, order: Order) -> Decision:
    """Let shipping decide about an edit that is still under way, and look again later."""
    editing = _editing(command, order)
    if editing is None or command.attempt <= editing.reminders:
        return []
    fields = {"order_id": command.order_id, "customer_id": order.customer_id, "edit_id": command.edit_id}
    overdue = OrderEditOverdue.model_validate({**fields, "attempt": command.attempt})
    return [overdue, edit_timer(editing.request, command.at, command.attempt + 1)]


def _editing(command: ConcludeEdit | RemindEdit, order: Order) -> Editing | None:
    """The edit of the command, if it is under way."""
    editing = order.editing if isinstance(order, Confirmed | Shipped | Delivered) else None
    return editing if editing and editing.request.edit_id == command.edit_id else None


def conclude_edit(command: ConcludeEdit, order: Order) -> Decision:
    """Record how the edit that is under way ended, once."""
    editing = _editing(command, order)
    if editing is None:
        return []
    if command.code is None:
        return [OrderEdited.of(editing.request, confirmed=True)]
    fields = {"order_id": command.order_id, "customer_id": order.customer_id, "edit_id": command.edit_id}
    return [OrderEditRefused.model_validate({**fields, "code": command.code, "reason": command.reason})]


def _refund_of(event: OrderEdited) -> str:
    """The id of the refund that pays the difference of an edit back."""
    return f"rfd_{event.edit_id}"


def is_of_edit(order: Confirmed, refund_id: str) -> bool:
    """Whether an edit caused the refund, the whole or a part of it."""
    return refund_id.partition("-")[0] in order.edit_refunds


def _not_editable(command: Edit, order: Order) -> Rejected:
    match order:
        case NoOrder():
            return not_found(command)
        case Imported():
            return fulfilled_elsewhere(command, order)
        case Draft():
            why = "it is a draft. Replace it with PUT"
        case _:
            why = "its lines are final. Refund what the customer should get back"
    return Rejected("order-not-editable", f"Order {command.order_id} cannot be edited: {why}.")


def _edited(command: Edit, content: OrderContent) -> PricedFields | Rejected:
    """The lines and the amounts after an edit, or why it is refused."""
    currency = content.total.currency
    lines = _lines(command, content)
    if isinstance(lines, Rejected):
        return lines
    if problem := _count_problem(lines) or size_problem(lines, currency):
        return replace(problem, field="lines")
    off = _coupon_off(command, content, lines)
    if isinstance(off, Rejected):
        return off
    after = amounts_of(_conditions(content), lines, currency, off)
    after = after.model_copy(update={"shipping_from": content.shipping_from})
    if problem := bound_problem(after.total):
        return replace(problem, field="lines")
    return _difference_problem(command, after.total - content.total) or after


def _lines(command: Edit, content: OrderContent) -> list[OrderLine] | Rejected:
    """The lines that stay, with their quantities after the edit, and then the added ones."""
    quantities: dict[int, int] = {}
    added: list[OrderLine] = []
    for place, change in enumerate(command.changes):
        found = _added(command, change, content, f"lines.{place}")
        if isinstance(found, Rejected):
            return found
        if found is not None:
            added.append(found)
        elif change.line is not None:
            quantities[change.line] = change.quantity
    kept = [
        line.model_copy(update={"quantity": quantities.get(number, line.quantity), "tax": None})
        for number, line in enumerate(content.lines, 1)
        if quantities.get(number, line.quantity)
    ]
    if kept or added:
        return [*kept, *added]
    detail = f"The edit leaves no line of order {command.order_id}: cancel the order instead."
    return Rejected("nothing-left", detail, field="lines")


def _added(command: Edit, change: ChangedLine, content: OrderContent, field: str) -> OrderLine | Rejected | None:
    """The line that a change adds; None if it changes a line of the order; why it is refused."""
    if change.line is not None and change.line > len(content.lines):
        detail = f"Order {command.order_id} has no line {change.line}: its last line is {len(content.lines)}."
        return Rejected("line-not-found", detail, field=f"{field}.line")
    if change.wanted is None:
        return None
    currency = content.total.currency
    if change.currency not in (None, currency):
        return Rejected("mixed-currencies", f"The order is in {currency}.", field=f"{field}.unit_price.currency")
    line = line_of(change.wanted, command.book, currency, command.at, field)
    if isinstance(line, Rejected):
        return line
    return taxed(line, command.book, command.rules, Delivery.to(content.shipping_address, content.shipping_method))


def _conditions(content: PricedFields) -> Basket:
    """The discounts, the shipping cost and the tax rule of the order."""
    return Basket(
        lines=(),
        currencies=frozenset({content.total.currency}),
        discounts=content.discounts,
        shipping_cost=content.shipping_total,
        shipping_tax_rate=content.shipping_tax_rate,
        tax_included=content.tax_included,
        coupon=content.coupon,
    )


def _coupon_off(command: Edit, content: PricedFields, lines: Sequence[OrderLine]) -> Off | Rejected:
    """The discount of the order's coupon, which held when the order was placed and does not expire for it."""
    if content.coupon is None:
        return Off()
    coupon = coupon_named(command.rules, content.coupon)
    if coupon is None:
        detail = f"The shop has no coupon {content.coupon} any more, so its discount is not known. Cancel the order."
        return Rejected("coupon-not-valid", detail)
    currency = content.total.currency
    return coupon_off(_always_valid(coupon), currency, subtotal_of(lines, currency), command.at) or Off()


def _always_valid(coupon: Coupon) -> Coupon:
    return coupon.model_copy(update={"valid_from": None, "valid_until": None})


def _count_problem(lines: Sequence[OrderLine]) -> Rejected | None:
    if len(lines) <= ORDER_LINES_MAX:
        return None
    return Rejected("order-too-large", f"An order has at most {ORDER_LINES_MAX} lines.", field="lines")


def _difference_problem(command: Edit, difference: Money) -> Rejected | None:
    if command.expected_difference in (None, difference):
        return None
    detail = (
        f"The edit adds {difference.amount} {difference.currency} to the total now: send this `expected_difference` "
        "to accept it."
    )
    shown = shown_money(difference.amount, difference.currency)
    return Rejected("price-changed", detail, more={"difference": shown})


EditEvent = (
    OrderEditPlanned | OrderEditRequested | OrderEditOverdue | OrderEdited | OrderEditRefused | OrderRefundStarted
    | OrderRefundFailed | OrderRefunded
)  # fmt: skip


def after_edit(order: Order, event: EditEvent) -> Order:
    """The state of an order after an event about an edit, or after a refund."""
    match order, event:
        case Confirmed(), OrderEditRequested():
            return replace(order, editing=Editing(event))
        case Confirmed(editing=Editing() as editing) | Shipped(editing=Editing() as editing) | Delivered(
            editing=Editing() as editing
        ), OrderEditOverdue(attempt=attempt):
            return replace(order, editing=replace(editing, reminders=attempt))
        case Confirmed(content=OrderContent() as before), OrderEdited():
            content = before.model_copy(update=dict(PricedFields.of(event)))
            refunds = order.edit_refunds | {_refund_of(event)}
            return replace(order, content=content, editing=None, edit_refunds=refunds)
        case Confirmed(), OrderRefundStarted(refund_id=refund_id) | OrderRefunded(refund_id=refund_id):
            is_left_out = refund_id in order.failed_refunds or is_of_edit(order, refund_id)
            return order if is_left_out else replace(order, refunds={**order.refunds, refund_id: event})
        case Confirmed(), OrderRefundFailed(refund_id=refund_id):
            refunds = {name: refund for name, refund in order.refunds.items() if name != refund_id}
            return replace(order, refunds=refunds, failed_refunds=order.failed_refunds | {refund_id})
        case Pending(), OrderEditPlanned():
            return replace(order, planned=event)
        case OnHold(placed=placed), OrderEditPlanned():
            return replace(order, placed=replace(placed, planned=event))
        case Confirmed() | Shipped() | Delivered(), OrderEdited() | OrderEditRefused():
            return replace(order, editing=None)
        case _:
            return order
