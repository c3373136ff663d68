"""How an order is fulfilled.

The run first reserves the goods, authorizes the payment and plans the parcels, all three at once. When all three are
done orders makes the order final: from then on neither a change of the order nor a hold is accepted. Then the run
captures the payment, orders the transport to the final address, and mails the confirmation to the final contact. If a
step fails, the run undoes the earlier steps in reverse order: it refunds before it releases the goods.

While the order is on hold, orders does not make it final, so that nothing is charged. If staff capture the payment by
hand, payments waits for them. In both cases the run waits, too. A step names its requests and the replies to
each; which messages fulfillment publishes and handles follows from the table. `services.kit.saga.interpreter` runs the
table, and `tests/sagas/traces` shows what a run does.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.contracts import inventory, notifications, orders, payments, shipping
from services.contracts.fulfillment import RunStarted
from services.fulfillment.domain import paid_lines, paid_shipping, wanted_items
from services.fulfillment.vocabulary import VOCABULARY
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.table import Request, Saga, Step

__all__ = ["FULFILLMENT", "ORDER_SAGA", "ORDER_SAGA_1", "ORDER_TABLES", "OrderStep"]

ANSWER_DEADLINE = timedelta(minutes=2)
"""Longer than a burst of orders takes: messages are not lost, so a reply is missing only after a delivery gave up."""
RESERVED_HOURS = 14 * 24
"""Longer than an order may be on hold and then wait for a capture by hand, so that the goods are still there."""
RESERVED_HOURS_BY_HAND_1 = 8 * 24
MAIL_DEADLINE = timedelta(minutes=5)
MAIL_ATTEMPTS_MAX = 10
MAIL_RETRY_DELAY = timedelta(seconds=5)
"""All retries together take ten minutes: a mail server that is away for a moment must not cost a shipped order."""

OrderStep = Step[RunStarted]

ORDER_SAGA = Saga(
    "fulfillment",
    VOCABULARY,
    (
        OrderStep(
            name="reserve_inventory",
            do=Request(
                inventory.InventoryCheck,
                (inventory.InventoryChecked, inventory.InventoryCheckFailed),
                {
                    "items": lambda run: wanted_items(run.lines),
                    "hold_hours": lambda _: RESERVED_HOURS,
                },
            ),
            undo=Request(inventory.InventoryRelease, (inventory.InventoryReleased,)),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="authorize_payment",
            do=Request(
                payments.PaymentProcess,
                (payments.PaymentAuthorized, payments.PaymentDeclined, payments.PaymentFailed),
                {
                    "amount": lambda run: run.total,
                    "lines": lambda run: paid_lines(run.lines),
                    "shipping": lambda run: paid_shipping(run.lines, run.total),
                },
            ),
            undo=Request(
                payments.PaymentVoid,
                (
                    payments.PaymentVoided,
                    payments.PaymentRefunded,
                    payments.PaymentRefundPending,
                    payments.PaymentFailed,
                ),
            ),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="prepare_fulfillment",
            do=Request(
                shipping.FulfillmentPrepare,
                (shipping.FulfillmentPrepared, shipping.ShippingRefused, shipping.ShippingFailed),
                {"items": lambda run: wanted_items(run.lines)},
            ),
            undo=Request(shipping.FulfillmentDiscard, (shipping.FulfillmentDiscarded,)),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="finalize_order",
            after=("reserve_inventory", "authorize_payment", "prepare_fulfillment"),
            do=Request(
                orders.OrderFinalize, (orders.OrderFinalized, orders.OrderFinalizePending, orders.OrderNotFinalized)
            ),
            undo=None,
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="capture_payment",
            after=("finalize_order",),
            do=Request(
                payments.PaymentCapture,
                (
                    payments.PaymentCaptured,
                    payments.PaymentCapturePending,
                    payments.PaymentDeclined,
                    payments.PaymentFailed,
                ),
                {"amount": lambda run: run.total},
            ),
            undo=Request(
                payments.PaymentRefund,
                (payments.PaymentRefunded, payments.PaymentRefundPending, payments.PaymentFailed),
            ),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="create_shipment",
            after=("capture_payment",),
            do=Request(
                shipping.ShipmentCreate,
                (shipping.ShipmentCreated, shipping.ShippingRefused, shipping.ShippingFailed),
            ),
            undo=Request(
                shipping.ShipmentCancel,
                (shipping.ShipmentCancelled, shipping.ShippingRefused, shipping.ShippingFailed),
            ),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="send_confirmation",
            after=("create_shipment",),
            do=Request(notifications.ConfirmationSend, (notifications.ConfirmationSent, notifications.MailFailed)),
            undo=Request(notifications.CancellationSend, (notifications.CancellationSent, notifications.MailFailed)),
            deadline=MAIL_DEADLINE,
            attempts_max=MAIL_ATTEMPTS_MAX,
            retry_delay=MAIL_RETRY_DELAY,
        ),
    ),
    version=2,
)


def _reserved_hours_1(run: RunStarted) -> int | None:
    return RESERVED_HOURS_BY_HAND_1 if run.capture == "by_hand" else None


def _version_1() -> Saga[RunStarted]:
    """The table before orders could be on hold: it captured the payment while orders made the order final."""
    step = ORDER_SAGA.by_name
    first = ("reserve_inventory", "authorize_payment", "prepare_fulfillment")
    reserve = step["reserve_inventory"].do
    by_hand = {**reserve.fields, "hold_hours": _reserved_hours_1}
    steps = (
        replace(step["reserve_inventory"], do=replace(reserve, fields=by_hand)),
        step["authorize_payment"],
        step["prepare_fulfillment"],
        replace(step["capture_payment"], after=first),
        replace(step["finalize_order"], after=first),
        replace(step["create_shipment"], after=("capture_payment", "finalize_order")),
        replace(step["send_confirmation"], after=("create_shipment",)),
    )
    return Saga(ORDER_SAGA.category, ORDER_SAGA.vocabulary, steps, version=1)


ORDER_SAGA_1 = _version_1()
ORDER_TABLES = (ORDER_SAGA_1, ORDER_SAGA)
"""The versions of the table, the newest last. An old table stays until no open run began under it."""
FULFILLMENT = saga_decider(*ORDER_TABLES)
