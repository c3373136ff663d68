"""What the timeline of an order says of an event, in plain words."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["TOLD", "words_for"]

WORDS: Mapping[str, str] = {
    "orders.order.drafted": "a draft was begun",
    "orders.order.draft_updated": "the draft was changed",
    "orders.order.created": "the order was placed",
    "orders.order.updated": "the order was changed",
    "orders.order.cancellation_requested": "a cancellation was asked for",
    "orders.order.cancelled": "the order was cancelled",
    "orders.order.confirmed": "the order was confirmed",
    "orders.order.failed": "the order failed",
    "orders.order.shipped": "the goods are with the carrier",
    "orders.order.delivered": "the goods arrived",
    "fulfillment.run.started": "fulfillment began",
    "fulfillment.run.compensating": "what was done is being undone",
    "fulfillment.run.compensated": "what was done has been undone",
    "fulfillment.run.stuck": "fulfillment needs somebody to look",
    "fulfillment.run.resumed": "fulfillment goes on",
    "fulfillment.step.timed_out": "a step did not answer in time",
    "inventory.checked": "the stock was checked",
    "inventory.released": "the goods were let go",
    "inventory.reservation.committed": "the goods left the shelf",
    "inventory.reservation.expired": "the reservation ran out",
    "payments.payment.authorized": "the money is held",
    "payments.payment.declined": "the payment was declined",
    "payments.payment.captured": "the money was taken",
    "payments.payment.voided": "the money was let go",
    "payments.payment.refunded": "the money was given back",
    "payments.provider.reported": "the payment provider reported a change",
    "shipping.fulfillment.prepared": "the parcels are planned",
    "shipping.shipment.created": "the shipment was handed to the carrier",
    "shipping.shipment.cancelled": "the shipment was taken back",
    "shipping.refused": "shipping was refused",
    "notifications.confirmation.sent": "the confirmation was mailed",
    "notifications.cancellation.sent": "the cancellation was mailed",
    "notifications.order_mail.sent": "the customer was told",
}

TOLD = frozenset(f"zerocart.{name}.v1" for name in WORDS)
"""The types of the events that belong in a timeline."""


def words_for(cloudevents_type: str) -> str | None:
    """What the timeline says of an event; None if it does not belong there."""
    return WORDS.get(cloudevents_type.removeprefix("zerocart.").removesuffix(".v1"))
