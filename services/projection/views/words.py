"""What the timeline of an order says of an event, in words that can be read to a customer.

Nothing here may depend on a personal field: after an erasure the same event would be told otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from services.contracts import fulfillment, inventory, notifications, orders, payments, scheduler, shipping
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply, StepRequest, StepTimedOut

__all__ = ["SILENT", "STEPS", "TOLD", "Doer", "Words", "words_of"]

Doer = Literal["payment provider", "carrier", "operator"]
M = TypeVar("M", bound=Message)
SHORT_ITEMS_MAX = 5
"""Products that are named of those of which there is not enough."""


class Words(NamedTuple):
    """What happened and why; `doer` is who did it, if that follows from the event itself."""

    text: str
    why: str | None = None
    doer: Doer | None = None


STEPS: Mapping[str, tuple[str, str]] = {
    "reserve_inventory": ("holding the goods", "letting go of the goods"),
    "authorize_payment": ("holding the money", "letting go of the money"),
    "prepare_fulfillment": ("planning the parcels", "dropping the plan of the parcels"),
    "capture_payment": ("taking the money", "giving the money back"),
    "create_shipment": ("handing the goods to the carrier", "taking the goods back from the carrier"),
    "send_confirmation": ("mailing the confirmation", "mailing that the confirmation no longer holds"),
}
"""How a step is called, and its undo; a step without an entry is called by its name."""


def words_of(event: Message) -> Words:
    """What the timeline says; KeyError if the event does not belong there."""
    return TELLING[event.type](event)


# Orders


def _placed(event: orders.OrderCreated) -> Words:
    return Words(f"the order was placed: {_count(len(event.lines), 'line')}, {_money(event.total)}")


def _imported(event: orders.OrderImported) -> Words:
    end = f"{event.status}, tracking number {event.tracking_number}" if event.tracking_number else event.status
    what = f"{_count(len(event.lines), 'line')}, {_money(event.total)}"
    return Words(
        f"the order was brought from {event.source}, where it was number {event.number}: {what}, {end}", event.reason
    )


def _updated(event: orders.OrderUpdated) -> Words:
    what = "the delivery address was" if event.shipping_address else "the contact details or the notes were"
    return Words(f"{what} changed")


def _reported(event: payments.ProviderReported) -> Words:
    amount = _money(event.amount) if event.amount else "the money"
    text = {
        "refunded": f"{amount} was given back at the payment provider",
        "partly_refunded": f"{amount} in all was given back at the payment provider",
        "canceled": "the hold on the money was ended at the payment provider",
        "disputed": f"the payment of {amount} is disputed",
    }[event.what]
    return Words(text, None, "payment provider")


# Steps


def _checked(event: inventory.InventoryChecked) -> Words:
    if event.all_items_available:
        return Words(f"the goods are held{_again(event)}")
    short = [
        f"{item.product_id}: {item.requested} requested, {item.available} available"
        for item in event.items
        if not item.is_available
    ]
    more = len(short) - SHORT_ITEMS_MAX
    return Words("there is not enough in stock", "; ".join(short[:SHORT_ITEMS_MAX]) + (f"; {more} more" * (more > 0)))


def _released(event: inventory.InventoryReleased) -> Words:
    if not event.items:
        return Words(f"no goods were held any more{_again(event)}")
    units = _units(event.items)
    return Words(f"{units} went back on the shelf" if event.restocked else f"{units} let go")


def _refunded(event: payments.PaymentRefunded) -> Words:
    text = f"{_money(event.amount)} was given back" if event.amount else "no money had been taken"
    return Words(text + _again(event), None, "payment provider")


def _handed_over(event: shipping.ShipmentCreated) -> Words:
    text = f"the shipment is announced to the carrier {event.carrier}, tracking number {event.tracking_number}"
    return Words(text + _again(event), None, "carrier")


def _taken_back(event: shipping.ShipmentCancelled) -> Words:
    text = "the shipment was taken back" if event.shipment_id else "there was no shipment to take back"
    return Words(text + _again(event), None, "carrier")


def _mailed(what: str) -> Callable[[Any], Words]:
    return lambda event: Words(f"{what} was mailed" if event.mailed else f"{what} was not mailed: nobody to write to")


def _told_of_the_end(event: notifications.OrderMailSent) -> Words:
    end = {"order_failed": "the order failed", "order_cancelled": "the order was cancelled"}[event.template]
    return Words(f"the customer was told by mail that {end}" if event.mailed else f"no mail was sent that {end}")


def _by_provider(text: Callable[[Any], str]) -> Callable[[Any], Words]:
    return lambda event: Words(text(event) + _again(event), event.error, "payment provider")


def _replied(event: StepReply) -> Words:
    """For a reply that has no words of its own."""
    return Words(f"{_step(event.step, event.undo)} is done{_again(event)}") if event.success else _not_done(event)


def _not_done(event: StepReply) -> Words:
    return Words(f"{_step(event.step, event.undo)} did not work{_attempt(event)}", event.error)


def _not_answered(event: StepTimedOut) -> Words:
    return Words(f"{_step(event.step, event.undo)} was not answered in time{_attempt(event)}")


# The run


def _undoing(event: fulfillment.RunCompensating) -> Words:
    if event.cause == "cancelled":
        return Words("what was done is being undone: the order is being cancelled", event.error)
    return Words(f"what was done is being undone: {_step(event.step or '', False)} failed", event.error)


def _stuck(event: fulfillment.RunStuck) -> Words:
    return Words(f"{_step(event.step, True)} did not work: somebody has to look{_attempt(event)}", event.error)


# In words


def _step(name: str, undo: bool) -> str:
    if name in STEPS:
        return STEPS[name][undo]
    return f"{'undoing ' if undo else ''}{name.replace('_', ' ')}"


def _attempt(event: StepReply | StepTimedOut | fulfillment.RunStuck) -> str:
    return f" (attempt {event.attempt})" if event.attempt > 1 else ""


def _again(event: StepReply) -> str:
    """An answer to a later attempt may repeat what was known."""
    return f" (as answer to attempt {event.attempt})" if event.attempt > 1 else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _units(items: Sequence[inventory.ReservedItem]) -> str:
    return _count(sum(item.quantity for item in items), "unit")


def _money(amount: Money) -> str:
    return f"{amount.amount} {amount.currency}"


def _always(text: str, doer: Doer | None = None) -> Callable[[Any], Words]:
    return lambda _: Words(text, None, doer)


def _because(text: str) -> Callable[[Any], Words]:
    return lambda event: Words(text, event.reason)


def _in_contracts(kind: type[M]) -> list[type[M]]:
    """The messages of this kind that contracts declare."""
    return [model for model in kind.__subclasses__() if model.__module__.startswith("services.contracts.")]


_OWN_WORDS: Mapping[type[Message], Callable[[Any], Words]] = {
    orders.OrderDrafted: _always("a draft was begun"),
    orders.OrderDraftUpdated: _always("the draft was changed"),
    orders.OrderCreated: _placed,
    orders.OrderImported: _imported,
    orders.OrderUpdated: _updated,
    orders.OrderCancellationRequested: _because("a cancellation was asked for"),
    orders.OrderCancelled: _because("the order was cancelled"),
    orders.OrderConfirmed: lambda event: Words(f"the order was confirmed: {_money(event.total)}"),
    orders.OrderFailed: _because("the order failed"),
    orders.OrderShipped: lambda event: Words(
        f"the carrier has the goods, tracking number {event.tracking_number}", None, "carrier"
    ),
    orders.OrderDelivered: _always("the goods arrived", "carrier"),
    fulfillment.RunStarted: _always("fulfillment began"),
    fulfillment.RunCompensating: _undoing,
    fulfillment.RunCompensated: _always("what was done has been undone"),
    fulfillment.RunStuck: _stuck,
    fulfillment.RunResumed: lambda event: Words("fulfillment goes on", f"looked at by {event.by}", "operator"),
    fulfillment.StepTimedOut: _not_answered,
    inventory.InventoryChecked: _checked,
    inventory.InventoryCheckFailed: _not_done,
    inventory.InventoryReleased: _released,
    inventory.ReservationCommitted: lambda event: Words(f"{_units(event.items)} left the shelf"),
    inventory.ReservationExpired: lambda event: Words(f"nobody came for {_units(event.items)} in time: let go"),
    payments.PaymentAuthorized: _by_provider(lambda event: f"{_money(event.amount)} is held"),
    payments.PaymentDeclined: _by_provider(lambda event: f"the payment of {_money(event.amount)} was declined"),
    payments.PaymentCaptured: _by_provider(lambda event: f"{_money(event.amount)} was taken"),
    payments.PaymentVoided: _by_provider(
        lambda event: "the money was let go" if event.transaction_id else "no money was held"
    ),
    payments.PaymentRefunded: _refunded,
    payments.PaymentFailed: _not_done,
    payments.ProviderReported: _reported,
    shipping.FulfillmentPrepared: lambda event: Words(f"{_count(event.parcels, 'parcel')} planned{_again(event)}"),
    shipping.FulfillmentDiscarded: lambda event: Words(f"the plan of the parcels was dropped{_again(event)}"),
    shipping.ShipmentCreated: _handed_over,
    shipping.ShipmentCancelled: _taken_back,
    shipping.ShippingRefused: _not_done,
    shipping.ShippingFailed: _not_done,
    notifications.ConfirmationSent: _mailed("the confirmation"),
    notifications.CancellationSent: _mailed("that the confirmation no longer holds"),
    notifications.MailFailed: _not_done,
    notifications.OrderMailSent: _told_of_the_end,
}
TOLD: Mapping[type[Message], Callable[[Any], Words]] = {
    **_OWN_WORDS,
    **{reply: _replied for reply in _in_contracts(StepReply) if reply not in _OWN_WORDS},
}
"""The events that the timeline shows, each with the function that words it."""
TELLING: Mapping[str, Callable[[Any], Words]] = {model.type: tell for model, tell in TOLD.items()}

REQUEST = "a request: its answer is told"
ANSWER = "how the run took an answer that is told"
SILENT: Mapping[type[Message], str] = {
    **dict.fromkeys(_in_contracts(StepRequest), REQUEST),
    fulfillment.StepSucceeded: ANSWER,
    fulfillment.StepFailed: ANSWER,
    fulfillment.RunAmended: "the change of the order is told",
    fulfillment.RunCompleted: "the order is told to be confirmed",
    fulfillment.RunFailed: "the order is told to have failed",
    fulfillment.StepTimer: "an alarm: what follows from it is told",
    shipping.ShipmentDispatched: "the order is told to be with the carrier",
    shipping.ShipmentDelivered: "the order is told to be delivered",
    scheduler.TimerRequested: "how it is done, not what",
    scheduler.TimerCancelled: "how it is done, not what",
}
"""What belongs to an order's life and is deliberately not told, and why."""
