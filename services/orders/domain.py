"""The rules of an order: what each command does in each state.

`decide` finds the rule of a command; each rule is one function that lists the states (`services.orders.order`). For
example, `cancel` answers when an order may be cancelled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from services.contracts.orders import (
    AmendedFields,
    OrderAcknowledged,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderContent,
    OrderCreated,
    OrderDelivered,
    OrderDrafted,
    OrderDraftUpdated,
    OrderEdited,
    OrderEditOverdue,
    OrderEditPlanned,
    OrderEditRefused,
    OrderEditRequested,
    OrderFailed,
    OrderFinalized,
    OrderFinalizePending,
    OrderHeld,
    OrderImportCorrected,
    OrderImported,
    OrderImportUndone,
    OrderNoteAdded,
    OrderNotFinalized,
    OrderRefunded,
    OrderRefundFailed,
    OrderRefundStarted,
    OrderReleased,
    OrderShipped,
    OrderUpdated,
    PricedFields,
)
from services.contracts.payments import ProviderUpdated, RefundRequested
from services.contracts.scheduler import TimerRequested
from services.contracts.users import GUEST_PREFIX
from services.kit.domain.decider import Decider, Decision, Rejected
from services.kit.domain.message import Message
from services.kit.saga.participant import Failure, failed, reply_to
from services.orders.editing import EditEvent, after_edit, conclude_edit, edit, is_of_edit, planned_edit, remind_edit
from services.orders.holding import hold_or_release, wait_for_release
from services.orders.imports import fingerprint_of, import_finished, undo_import
from services.orders.order import (
    ID_PREFIX,
    AddNote,
    Amend,
    BeginDraft,
    Cancel,
    Cancelled,
    Cancelling,
    CompleteCancellation,
    ConcludeEdit,
    Confirm,
    Confirmed,
    CustomerCommand,
    Deliver,
    Delivered,
    Draft,
    Edit,
    Editing,
    Fail,
    Failed,
    Finalize,
    Hold,
    Import,
    Imported,
    NoOrder,
    OnHold,
    Order,
    OrderCommand,
    Pending,
    Place,
    RecordRefund,
    Release,
    RemindEdit,
    RewriteDraft,
    Ship,
    Shipped,
    Submit,
    UndoImport,
)
from services.orders.placing import place, submit
from services.orders.refusals import fulfilled_elsewhere, name_of, not_found
from services.orders.shop_rules import Delivery, are_alike

__all__ = ["ORDER"]

MAILED = (OrderCancelled, OrderFailed, OrderHeld, OrderShipped, OrderDelivered, OrderRefunded)
"""Events of which the customer gets a mail, which names the order by its number."""


def decide(command: OrderCommand, order: Order) -> Decision:
    """The events that `command` causes, none if it was done before; those of which mails are sent are numbered."""
    decision = _decision(command, order)
    if isinstance(decision, Rejected) or order.number is None:
        return decision
    return [
        event.model_copy(update={"number": order.number}) if isinstance(event, MAILED) else event for event in decision
    ]


def _decision(command: OrderCommand, order: Order) -> Decision:
    if isinstance(command, CustomerCommand) and _is_out_of_reach(command, order):
        return not_found(command)
    match command:
        case Place() | BeginDraft() | RewriteDraft():
            return place(command, order)
        case Submit():
            return submit(command, order)
        case Amend():
            return amend(command, order)
        case AddNote():
            return add_note(command, order)
        case Hold() | Release():
            return hold_or_release(command, order)
        case Edit():
            return edit(command, order)
        case ConcludeEdit():
            return conclude_edit(command, order)
        case RemindEdit():
            return remind_edit(command, order)
        case Cancel():
            return cancel(command, order)
        case Import():
            return import_finished(command, order)
        case UndoImport():
            return undo_import(command, order)
        case Finalize():
            return finalize(command, order)
        case Confirm() | Fail() | CompleteCancellation():
            return conclude(command, order)
        case Ship() | Deliver():
            return travel(command, order)
        case RecordRefund():
            return record_refund(command, order)
        case _:
            assert_never(command)


def _is_out_of_reach(command: CustomerCommand, order: Order) -> bool:
    """Whether the order belongs to somebody else, to whom its existence is not revealed either."""
    return (
        command.restricted_to is not None
        and not isinstance(order, NoOrder)
        and order.customer_id != command.restricted_to
    )


def amend(command: Amend, order: Order) -> Decision:
    """Change addresses, contact, notes, tags or metadata until fulfillment makes the parcel."""
    match order:
        case NoOrder():
            return not_found(command)
        case Pending(is_final=True):
            detail = f"Order {command.order_id} cannot be changed: its parcel is being made. Cancel it and order again."
            return Rejected("order-not-changeable", detail)
        case (Pending() as now) | OnHold(placed=now) if _changes_price(command, now):
            detail = (
                f"Order {command.order_id} cannot go to another country or region, where its taxes and its shipping "
                "cost may be others. Cancel it and order again."
            )
            return Rejected("address-changes-price", detail)
        case Draft() | Pending() | OnHold():
            return [OrderUpdated.of(command.changes, order_id=command.order_id, customer_id=order.customer_id)]
        case Imported():
            return fulfilled_elsewhere(command, order)
        case Confirmed() | Cancelling() | Cancelled() | Failed() | Shipped() | Delivered():
            detail = f"Order {command.order_id} cannot be changed: its status is {name_of(order)}."
            return Rejected("order-not-changeable", detail)
        case _:
            assert_never(order)


def _changes_price(command: Amend, order: Pending) -> bool:
    """Whether the change moves an order for which the shop's tables set taxes or shipping by destination."""
    address = command.changes.shipping_address
    if address is None or not order.is_priced_by_shop:
        return False
    return not are_alike(command.rules, Delivery.to(address), Delivery.to(order.recipient.shipping_address))


def add_note(command: AddNote, order: Order) -> Decision:
    """Record a note of staff, in every state of the order."""
    if isinstance(order, NoOrder):
        return not_found(command)
    return [OrderNoteAdded(order_id=command.order_id, customer_id=order.customer_id, text=command.text)]


def cancel(command: Cancel, order: Order) -> Decision:
    """Cancel a draft at once, and a placed order by undoing its fulfillment, until the carrier has the parcel.

    An order on hold that fulfillment does not know is cancelled at once, too. A failed or an imported order cannot be
    cancelled; to cancel a cancelled order changes nothing.
    """
    match order:
        case NoOrder():
            return not_found(command)
        case Draft(content=content):
            return [_cancelled(command.order_id, order, command.reason, content.email)]
        case OnHold(is_begun=False):
            return [_cancelled(command.order_id, order, command.reason, order.email)]
        case Confirmed(editing=Editing()):
            detail = f"Order {command.order_id} cannot be cancelled: an edit is under way. Try again in a moment."
            return Rejected("edit-in-progress", detail)
        case Pending() | OnHold() | Confirmed():
            return [OrderCancellationRequested(order_id=command.order_id, reason=command.reason)]
        case Cancelling() | Cancelled():
            return []
        case Imported():
            return fulfilled_elsewhere(command, order)
        case Shipped() | Delivered() | Failed():
            detail = f"Order {command.order_id} cannot be cancelled: its status is {name_of(order)}."
            return Rejected("order-not-cancellable", detail)
        case _:
            assert_never(order)


def finalize(command: Finalize, order: Order) -> Decision:
    """Accept no change any more, and reply to each attempt with the address and the contact that are final."""
    match order:
        case Pending(recipient=recipient):
            return [OrderFinalized.of(recipient, **reply_to(command.request))]
        case OnHold(is_begun=True):
            return wait_for_release(command, order)
        case Cancelling() | Cancelled() | Failed():
            status = name_of(order)
            why = Failure(f"order-{status}", f"the status of the order is {status}", transient=False)
            return [failed(OrderNotFinalized, command.request, why)]
        case _:
            return []  # an attempt that comes after the end of the run


def conclude(command: Confirm | Fail | CompleteCancellation, order: Order) -> Decision:
    """Record how fulfillment ended; an order that the customer is cancelling ends as cancelled, not as failed."""
    match command, order:
        case Confirm(order_id=order_id, at=at), (
            (Pending(total=total) as placed) | OnHold(placed=Pending(total=total) as placed)
        ):
            return [OrderConfirmed(order_id=order_id, total=total), *planned_edit(placed, at)]
        case ((Fail() | CompleteCancellation()), Cancelling(reason=reason, email=email)):
            return [_cancelled(command.order_id, order, reason, email)]
        case Fail(order_id=order_id, code=code, reason=reason), (
            Pending(email=email) | OnHold(email=email) | Confirmed(email=email)
        ):
            customer_id = order.customer_id
            return [OrderFailed(order_id=order_id, customer_id=customer_id, code=code, reason=reason, email=email)]
        case CompleteCancellation(reason=reason), (Pending(email=email) | OnHold(email=email) | Confirmed(email=email)):
            return [_cancelled(command.order_id, order, reason, email)]
        case _:
            return []  # a repeat, or the customer or the carrier was faster


def _cancelled(order_id: str, order: Order, reason: str, email: str | None) -> OrderCancelled:
    return OrderCancelled(order_id=order_id, customer_id=order.customer_id, reason=reason, email=email)


def travel(command: Ship | Deliver, order: Order) -> Decision:
    """Record what the carrier did, even if it overtakes the end of fulfillment or of a cancellation."""
    match command, order:
        case Ship(order_id=order_id, tracking_number=number), (Pending() | OnHold() | Confirmed() | Cancelling()):
            to = {"customer_id": order.customer_id, "email": order.email}
            return [OrderShipped(order_id=order_id, tracking_number=number, **to)]
        case Deliver(order_id=order_id), (Pending() | OnHold() | Confirmed() | Cancelling() | Shipped()):
            return [OrderDelivered(order_id=order_id, customer_id=order.customer_id, email=order.email)]
        case _:
            return []


def record_refund(command: RecordRefund, order: Order) -> Decision:
    """Record that money went back, with the address to which the customer is told so.

    Of a confirmed order, which can be edited, also record which refunds are on their way, and which of them fail.
    """
    fact = command.fact
    if isinstance(order, NoOrder | Draft | Imported):
        return []
    if isinstance(fact, ProviderUpdated) and fact.what == "refund_succeeded":
        email = None if isinstance(order, Cancelled | Failed) else order.email
        return [OrderRefunded.of(fact, customer_id=order.customer_id, email=email)]
    if not isinstance(order, Confirmed) or fact.refund_id is None or fact.refund_id in order.failed_refunds:
        return []
    if isinstance(fact, RefundRequested):
        is_known = fact.refund_id in order.refunds or is_of_edit(order, fact.refund_id)
        return [] if is_known else [OrderRefundStarted.of(fact, customer_id=order.customer_id)]
    if isinstance(fact, ProviderUpdated) and any(line.restock for line in fact.lines):
        return []  # its goods are back in stock all the same, so that edits still must not touch them
    fields = {"order_id": command.order_id, "customer_id": order.customer_id, "refund_id": fact.refund_id}
    return [OrderRefundFailed.model_validate(fields)]


def evolve(order: Order, event: Message) -> Order:
    """The state of an order after `event`."""
    after = _after(order, event)
    number = event.number if isinstance(event, OrderContent) else order.number
    return after if isinstance(after, NoOrder | Imported) else replace(after, number=number)


def _after(order: Order, event: Message) -> Order:
    customer_id = order.customer_id
    match event:
        case OrderDrafted() | OrderDraftUpdated():
            return Draft(event)
        case OrderCreated():
            return Pending(event)
        case OrderHeld() if isinstance(order, Pending):
            return OnHold(order, is_begun=not event.rules, number=order.number)
        case OrderEdited() if isinstance(order, OnHold):
            content = order.placed.content.model_copy(update=dict(PricedFields.of(event)))
            return replace(order, placed=replace(order.placed, content=content))
        case _ if isinstance(event, EditEvent):
            return after_edit(order, event)
        case OrderFinalizePending() if isinstance(order, OnHold):
            return replace(order, asked=order.asked or event)
        case OrderReleased() if isinstance(order, OnHold):
            return replace(order.placed, is_released=True)
        case OrderImported():
            return Imported(event.source, event.customer_id, fingerprint_of(event))
        case OrderImportUndone():
            return NoOrder()
        case OrderUpdated():
            return _amended(order, event)
        case OrderFinalized() if isinstance(order, Pending):
            return replace(order, is_final=True)
        case OrderConfirmed():
            placed = order.placed if isinstance(order, OnHold) else order
            content = placed.content if isinstance(placed, Pending) else None
            return Confirmed(content.email if content else None, customer_id, content=content)
        case OrderCancellationRequested(reason=reason):
            return Cancelling(
                reason, order.email if isinstance(order, Pending | OnHold | Confirmed) else None, customer_id
            )
        case OrderShipped():
            return Shipped(customer_id, getattr(order, "email", None), editing=getattr(order, "editing", None))
        case OrderDelivered():
            return Delivered(customer_id, getattr(order, "email", None), editing=getattr(order, "editing", None))
        case OrderCancelled():
            return Cancelled(customer_id)
        case OrderFailed():
            return Failed(customer_id)
        case _:
            return order


def _amended(order: Order, event: OrderUpdated) -> Order:
    changes = {name: value for name, value in AmendedFields.of(event) if value is not None}
    match order:
        case Draft(content=content):
            return Draft(content.model_copy(update=changes))
        case Pending(content=content):
            return replace(order, content=content.model_copy(update=changes))
        case OnHold(placed=placed):
            content = placed.content.model_copy(update=changes)
            return replace(order, placed=replace(placed, content=content))
        case _:
            return order


ORDER: Decider[OrderCommand, Order] = Decider(
    "order",
    NoOrder(),
    decide,
    evolve,
    events=(
        OrderDrafted, OrderDraftUpdated, OrderCreated, OrderUpdated, OrderNoteAdded, OrderCancellationRequested,
        OrderFinalized, OrderNotFinalized, OrderCancelled, OrderConfirmed, OrderFailed, OrderShipped, OrderDelivered,
        OrderImported, OrderImportCorrected, OrderImportUndone, OrderRefunded, OrderAcknowledged, OrderHeld,
        OrderRefundStarted, OrderRefundFailed,
        OrderReleased, OrderFinalizePending, OrderEdited,
        OrderEditPlanned, OrderEditRequested, OrderEditRefused, OrderEditOverdue, TimerRequested,
    ),
    opens=(Place, BeginDraft, Import),
    new_persons=(f"{ID_PREFIX}_", GUEST_PREFIX),
)  # fmt: skip
