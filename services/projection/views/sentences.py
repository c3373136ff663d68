"""The sentences with which the timeline of an order describes events, in words for a customer.

No sentence may depend on a personal field: a rebuild after an erasure would write another sentence for the same event.
A changed sentence changes rows: raise the revision of the view `timeline`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from services.contracts import fulfillment, inventory, notifications, orders, payments, scheduler, shipping
from services.kit.domain.currencies import shown_amount
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply, StepRequest, StepTimedOut

__all__ = ["SENTENCES", "STEPS", "WITHOUT_SENTENCE", "Doer", "Sentence", "sentence_of"]

Doer = Literal["payment provider", "carrier", "operator"]
M = TypeVar("M", bound=Message)
SHORT_ITEMS_MAX = 5
"""How many products a sentence names."""


class Sentence(NamedTuple):
    """What happened and why; `doer` acted, if the event itself says who."""

    text: str
    why: str | None = None
    doer: Doer | None = None


STEPS: Mapping[str, tuple[str, str]] = {
    "reserve_inventory": ("holding the goods", "releasing the goods"),
    "authorize_payment": ("holding the money", "releasing the money"),
    "prepare_fulfillment": ("planning the parcels", "dropping the plan of the parcels"),
    "capture_payment": ("taking the money", "giving the money back"),
    "finalize_order": ("closing the order to changes", "opening the order to changes"),
    "create_shipment": ("handing the goods to the carrier", "taking the goods back from the carrier"),
    "send_confirmation": ("mailing the confirmation", "mailing that the confirmation no longer holds"),
}
"""How a step is called, and its undo; a step without an entry is called by its name."""


def sentence_of(event: Message) -> Sentence:
    """The sentence for an event; KeyError if the timeline does not show such events."""
    return _BY_TYPE[event.type](event)


# Orders


def _placed(event: orders.OrderCreated) -> Sentence:
    return Sentence(f"the order was placed: {_count(len(event.lines), 'line')}, {_money(event.total)}")


def _imported(event: orders.OrderImported) -> Sentence:
    text = f"the order was brought from {event.source}, where it was number {event.number}: {_content(event)}"
    return Sentence(text, event.reason)


def _content(event: orders.OrderImported) -> str:
    end = f"{event.status}, tracking number {event.tracking_number}" if event.tracking_number else event.status
    return f"{_count(len(event.lines), 'line')}, {_money(event.total)}, {end}"


def _corrected(event: orders.OrderImportCorrected) -> Sentence:
    return Sentence(f"{event.source} sent the order again with other content: {_content(event)}", event.reason)


def _updated(event: orders.OrderUpdated) -> Sentence:
    what = "the delivery address was" if event.shipping_address else "details of the order were"
    return Sentence(f"{what} changed")


def _edited(event: orders.OrderEdited) -> Sentence:
    text = f"the lines of the order were changed: {_count(len(event.lines), 'line')}, {_money(event.total)}"
    return Sentence(text, event.reason)


def _reported(event: payments.ProviderReported | payments.ProviderUpdated) -> Sentence:
    amount = _money(event.amount) if event.amount else "the money"
    text = {
        "authorized": f"{amount} is held",
        "captured": f"{amount} was taken",
        "canceled": "the hold on the money was ended at the payment provider",
        "expired": "the hold on the money expired",
        "refunded": f"{amount} was given back at the payment provider",
        "partly_refunded": f"{amount} in all was given back at the payment provider",
        "refund_pending": f"{amount} is on its way back",
        "refund_succeeded": f"{amount} was given back",
        "refund_failed": f"{amount} could not be given back",
        "inquiry": f"the customer's bank asks about the payment of {amount}",
        "disputed": f"the payment of {amount} is disputed",
        "dispute_won": f"the dispute about {amount} was won",
        "dispute_lost": f"the dispute about {amount} was lost",
    }[event.what]
    return Sentence(text, None, "payment provider")


# Steps


def _checked(event: inventory.InventoryChecked) -> Sentence:
    if event.all_items_available:
        return Sentence(f"the goods are held{_again(event)}")
    short = [
        f"{item.product_id}: {item.requested} requested, {item.available} available"
        for item in event.items
        if not item.is_available
    ]
    more = len(short) - SHORT_ITEMS_MAX
    return Sentence(
        "there is not enough in stock", "; ".join(short[:SHORT_ITEMS_MAX]) + (f"; {more} more" * (more > 0))
    )


def _released(event: inventory.InventoryReleased) -> Sentence:
    if not event.items:
        return Sentence(f"no goods were held any more{_again(event)}")
    units = _units(event.items)
    return Sentence(f"{units} went back on the shelf" if event.restocked else f"{units} released")


def _refunded(event: payments.PaymentRefunded) -> Sentence:
    text = f"{_money(event.amount)} was given back" if event.amount else "no money had been taken"
    if event.charged_back and event.amount:
        text = f"the customer's bank took {_money(event.amount)} back"
    return Sentence(text + _again(event), None, "payment provider")


def _handed_over(event: shipping.ShipmentCreated) -> Sentence:
    text = f"the shipment is announced to the carrier {event.carrier}, tracking number {event.tracking_number}"
    return Sentence(text + _again(event), None, "carrier")


def _taken_back(event: shipping.ShipmentCancelled) -> Sentence:
    text = "the shipment was taken back" if event.shipment_id else "there was no shipment to take back"
    return Sentence(text + _again(event), None, "carrier")


def _mailed(what: str) -> Callable[[Any], Sentence]:
    return lambda event: Sentence(
        f"{what} was mailed" if event.mailed else f"{what} was not mailed: no address, or this mail is switched off"
    )


def _mailed_the_end(event: notifications.OrderMailSent) -> Sentence:
    end = {"order_failed": "the order failed", "order_cancelled": "the order was cancelled"}[event.template]
    return Sentence(f"the customer was told by mail that {end}" if event.mailed else f"no mail was sent that {end}")


def _mailed_a_notice(event: notifications.OrderNoticeSent) -> Sentence:
    if event.template == "order_link":
        return Sentence("a link to the order was mailed" if event.mailed else "a link was asked for and not mailed")
    what = event.template.removeprefix("order_").replace("_", " ")
    return Sentence(
        f"the mail that the order was {what} was sent" if event.mailed else f"no mail said that the order was {what}"
    )


def _by_provider(text: Callable[[Any], str]) -> Callable[[Any], Sentence]:
    return lambda event: Sentence(text(event) + _again(event), event.error, "payment provider")


def _replied(event: StepReply) -> Sentence:
    """For a reply that has no words of its own."""
    return Sentence(f"{_step(event.step, event.undo)} is done{_again(event)}") if event.success else _not_done(event)


def _not_done(event: StepReply) -> Sentence:
    return Sentence(f"{_step(event.step, event.undo)} did not work{_attempt(event)}", event.error)


def _not_answered(event: StepTimedOut) -> Sentence:
    return Sentence(f"{_step(event.step, event.undo)} was not answered in time{_attempt(event)}")


# The run


def _undoing(event: fulfillment.RunCompensating) -> Sentence:
    if event.cause == "cancelled":
        return Sentence("the finished steps are being undone: the order is being cancelled", event.error)
    return Sentence(f"the finished steps are being undone: {_step(event.step or '', False)} failed", event.error)


def _stuck(event: fulfillment.RunStuck) -> Sentence:
    return Sentence(f"{_step(event.step, True)} did not work: staff have to resolve it{_attempt(event)}", event.error)


# In words


def _step(name: str, undo: bool) -> str:
    if name in STEPS:
        return STEPS[name][undo]
    return f"{'undoing ' if undo else ''}{name.replace('_', ' ')}"


def _attempt(event: StepReply | StepTimedOut | fulfillment.RunStuck) -> str:
    return f" (attempt {event.attempt})" if event.attempt > 1 else ""


def _again(event: StepReply) -> str:
    """A reply to a later attempt may repeat an earlier result."""
    return f" (as answer to attempt {event.attempt})" if event.attempt > 1 else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _units(items: Sequence[inventory.ReservedItem]) -> str:
    return _count(sum(item.quantity for item in items), "unit")


def _for_what(event: payments.RefundRequested) -> str:
    parts = [f"{line.quantity} x {line.product_id}" for line in event.lines[:SHORT_ITEMS_MAX]]
    more = len(event.lines) - SHORT_ITEMS_MAX
    parts += [f"{more} more"] if more > 0 else []
    parts += [f"{_money(event.shipping)} of the shipping cost"] if event.shipping else []
    return f": {', '.join(parts)}" if parts else ""


def _money(amount: Money) -> str:
    return f"{shown_amount(amount.amount, amount.currency)} {amount.currency}"


def _always(text: str, doer: Doer | None = None) -> Callable[[Any], Sentence]:
    return lambda _: Sentence(text, None, doer)


def _because(text: str) -> Callable[[Any], Sentence]:
    return lambda event: Sentence(text, event.reason)


def _in_contracts(kind: type[M]) -> list[type[M]]:
    """The messages of this kind that contracts declare."""
    return [model for model in kind.__subclasses__() if model.__module__.startswith("services.contracts.")]


_OWN_WORDS: Mapping[type[Message], Callable[[Any], Sentence]] = {
    orders.OrderDrafted: _always("a draft was begun"),
    orders.OrderDraftUpdated: _always("the draft was changed"),
    orders.OrderCreated: _placed,
    orders.OrderImported: _imported,
    orders.OrderImportCorrected: _corrected,
    orders.OrderImportUndone: lambda event: Sentence(f"the import from {event.source} was taken back"),
    orders.OrderUpdated: _updated,
    orders.OrderHeld: _because("the order was put on hold"),
    orders.OrderEdited: _edited,
    orders.OrderEditPlanned: _because("a change of the lines is planned for when the order is confirmed"),
    orders.OrderEditRequested: _because("a change of the lines was requested"),
    orders.OrderEditOverdue: _always(
        "the change of the lines took too long: it is dropped unless the parcels contain it already"
    ),
    orders.OrderEditRefused: _because("the lines of the order could not be changed"),
    orders.OrderReleased: _because("the order was released"),
    orders.OrderCancellationRequested: _because("a cancellation was requested"),
    orders.OrderCancelled: _because("the order was cancelled"),
    orders.OrderConfirmed: lambda event: Sentence(f"the order was confirmed: {_money(event.total)}"),
    orders.OrderFailed: _because("the order failed"),
    orders.OrderShipped: lambda event: Sentence(
        f"the carrier has the goods, tracking number {event.tracking_number}", None, "carrier"
    ),
    orders.OrderDelivered: _always("the goods arrived", "carrier"),
    fulfillment.RunStarted: _always("fulfillment began"),
    fulfillment.RunCompensating: _undoing,
    fulfillment.RunCompensated: _always("all finished steps have been undone"),
    fulfillment.RunStuck: _stuck,
    fulfillment.RunResumed: lambda event: Sentence("fulfillment goes on", f"looked at by {event.by}", "operator"),
    fulfillment.StepTimedOut: _not_answered,
    inventory.InventoryChecked: _checked,
    inventory.InventoryCheckFailed: _not_done,
    inventory.InventoryReleased: _released,
    inventory.ReservationCommitted: lambda event: Sentence(f"{_units(event.items)} left the shelf"),
    inventory.ReservationRestocked: lambda event: Sentence(
        f"{_units(event.items)} went back on the shelf" if event.items else "returned goods will go back on the shelf"
    ),
    inventory.ReservationExtended: lambda event: Sentence(f"{_units(event.items)} taken from the shelf for the change"),
    inventory.ReservationReduced: lambda event: Sentence(
        f"{_units(event.items)} went back on the shelf" if event.items else "no goods went back on the shelf"
    ),
    inventory.ReservationExpired: lambda event: Sentence(f"the reservation of {_units(event.items)} expired"),
    payments.PaymentAuthorized: _by_provider(lambda event: f"{_money(event.amount)} is held"),
    payments.PaymentDeclined: _by_provider(lambda event: f"the payment of {_money(event.amount)} was declined"),
    payments.PaymentCaptured: _by_provider(lambda event: f"{_money(event.amount)} was taken"),
    payments.PaymentVoided: _by_provider(
        lambda event: "the hold on the money was released" if event.transaction_id else "no money was held"
    ),
    payments.PaymentRefunded: _refunded,
    payments.PaymentRefundPending: _by_provider(lambda event: f"{_money(event.amount)} is on its way back"),
    payments.PaymentFailed: _not_done,
    payments.PaymentCapturePending: lambda event: Sentence(f"{_money(event.amount)} waits to be taken by staff"),
    payments.CaptureRequested: lambda event: Sentence(f"staff decided to take {_money(event.amount)}"),
    payments.VoidRequested: _because("staff decided to release the money"),
    payments.RenewalRequested: lambda event: Sentence(f"the hold on {_money(event.amount)} expired and is renewed"),
    payments.RenewalRefused: lambda event: Sentence(
        f"the hold on {_money(event.amount)} was not renewed", event.error, "payment provider"
    ),
    payments.RefundRequested: lambda event: Sentence(
        f"a refund of {_money(event.amount)} was requested{_for_what(event)}", event.reason
    ),
    payments.RefundRefused: lambda event: Sentence(
        f"the refund of {_money(event.amount)} was refused", event.error, "payment provider"
    ),
    payments.SurchargeRequested: lambda event: Sentence(f"{_money(event.amount)} is charged for the change"),
    payments.ProviderReported: _reported,
    payments.ProviderUpdated: _reported,
    shipping.FulfillmentPrepared: lambda event: Sentence(f"{_count(event.parcels, 'parcel')} planned{_again(event)}"),
    shipping.FulfillmentDiscarded: lambda event: Sentence(f"the plan of the parcels was dropped{_again(event)}"),
    shipping.ShipmentCreated: _handed_over,
    shipping.ShipmentCancelled: _taken_back,
    shipping.ShippingRefused: _not_done,
    shipping.ShippingFailed: _not_done,
    notifications.ConfirmationSent: _mailed("the confirmation"),
    notifications.CancellationSent: _mailed("that the confirmation no longer holds"),
    notifications.MailFailed: _not_done,
    notifications.OrderMailSent: _mailed_the_end,
    notifications.OrderNoticeSent: _mailed_a_notice,
}
_SILENT = (orders.OrderFinalized, orders.OrderFinalizePending)
"""Replies that the timeline does not show."""
SENTENCES: Mapping[type[Message], Callable[[Any], Sentence]] = {
    **_OWN_WORDS,
    **{reply: _replied for reply in _in_contracts(StepReply) if reply not in (*_OWN_WORDS, *_SILENT)},
}
"""The events that the timeline shows, each with the function that words it."""
_BY_TYPE: Mapping[str, Callable[[Any], Sentence]] = {model.type: tell for model, tell in SENTENCES.items()}

REQUEST = "a request: the timeline shows the reply"
REPLY = "the result of a reply, which the timeline shows"
WITHOUT_SENTENCE: Mapping[type[Message], str] = {
    **dict.fromkeys(_in_contracts(StepRequest), REQUEST),
    fulfillment.StepSucceeded: REPLY,
    fulfillment.StepFailed: REPLY,
    fulfillment.StepPending: REPLY,
    fulfillment.RunClosed: "the timeline shows that the order was shipped",
    fulfillment.RunAmended: "the timeline shows the change of the order",
    fulfillment.RunCompleted: "the timeline shows that the order is confirmed",
    fulfillment.RunFailed: "the timeline shows that the order failed",
    fulfillment.StepTimer: "a timer: the timeline shows what follows from it",
    orders.OrderAcknowledged: "the timeline shows that the order was placed, and the mail that says so",
    orders.OrderLinkRequested: "the timeline shows the mail with the link",
    inventory.ReservationNotExtended: "the timeline shows that the lines could not be changed",
    shipping.ShipmentChanged: "the timeline shows that the lines were changed",
    shipping.ShipmentNotChanged: "the timeline shows that the lines could not be changed",
    payments.SurchargePaid: "the timeline shows that the payment provider took the money",
    payments.SurchargeRefused: "the timeline shows that the lines could not be changed",
    payments.SurchargeUndone: "the timeline shows that the payment provider gave the money back",
    orders.OrderEditDue: "a timer: the timeline shows what follows from it",
    orders.OrderNoteAdded: "the customer reads the timeline, and the note is for staff",
    orders.OrderRefundStarted: "the timeline shows that staff requested the refund",
    orders.OrderRefundFailed: "the timeline shows that the refund was refused or failed",
    orders.OrderRefunded: "the timeline shows that the payment provider gave the money back",
    orders.OrderFinalizePending: "the timeline shows that the order is on hold",
    orders.OrderFinalized: "the timeline shows that the shipment is announced, which follows from it",
    shipping.ShipmentDispatched: "the timeline shows that the order was shipped",
    shipping.ShipmentDelivered: "the timeline shows that the order was delivered",
    payments.PaymentItemised: "it repeats what the order says",
    payments.RestockRequested: "the timeline shows that the goods went back on the shelf",
    scheduler.TimerRequested: "a mechanism: it says nothing about the order",
    scheduler.TimerCancelled: "a mechanism: it says nothing about the order",
}
"""The events of an order that the timeline does not show, each with the reason."""
