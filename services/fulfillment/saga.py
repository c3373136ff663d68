"""How an order is fulfilled.

Goods are held, money is held and parcels are planned, all at once. Money is taken only when all three are there, then
the carrier is asked, then the customer is told. Whatever fails, everything done so far is undone in reverse: what was
taken is given back before what was held is let go. The address is read when the shipment is asked for, so a change
until then counts. How this table is run: `services.kit.saga.interpreter`; what it looks like: `tests/sagas/traces`.
"""

from __future__ import annotations

from datetime import timedelta

from services.contracts import fulfillment as say
from services.fulfillment.domain import wanted_items
from services.fulfillment.vocabulary import VOCABULARY
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.table import Saga, Step

__all__ = ["FULFILLMENT", "ORDER_SAGA"]

ANSWER_DEADLINE = timedelta(minutes=2)
"""Nothing is lost on the way, so this only heals what was given up somewhere: longer than a burst takes."""
MAIL_DEADLINE = timedelta(minutes=5)
MAIL_ATTEMPTS_MAX = 10
MAIL_RETRY_DELAY = timedelta(seconds=5)
"""Ten minutes of patience in all: a mail server that is away for a moment must not cost a shipped order."""

OrderStep = Step[say.RunStarted]
HELD = ("reserve_inventory", "authorize_payment", "prepare_fulfillment")

ORDER_SAGA = Saga(
    "fulfillment",
    VOCABULARY,
    (
        OrderStep(
            name="reserve_inventory",
            do=lambda run, ask: say.InventoryCheck(**ask, items=wanted_items(run.lines)),
            undo=lambda _, ask: say.InventoryRelease(**ask),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="authorize_payment",
            do=lambda run, ask: say.PaymentProcess(**ask, amount=run.total, payment_method=run.payment_method),
            undo=lambda _, ask: say.PaymentVoid(**ask),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="prepare_fulfillment",
            do=lambda run, ask: say.FulfillmentPrepare(
                **ask,
                customer_id=run.customer_id,
                shipping_address=run.shipping_address,
                items=wanted_items(run.lines),
                priority=run.priority,
            ),
            undo=lambda _, ask: say.FulfillmentDiscard(**ask),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="capture_payment",
            after=HELD,
            do=lambda run, ask: say.PaymentCapture(**ask, amount=run.total),
            undo=lambda _, ask: say.PaymentRefund(**ask),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="create_shipment",
            after=("capture_payment",),
            do=lambda run, ask: say.ShipmentCreate(
                **ask, customer_id=run.customer_id, shipping_address=run.shipping_address
            ),
            undo=lambda _, ask: say.ShipmentCancel(**ask),
            deadline=ANSWER_DEADLINE,
        ),
        OrderStep(
            name="send_confirmation",
            after=("create_shipment",),
            do=lambda run, ask: say.ConfirmationSend(
                **ask,
                customer_id=run.customer_id,
                email=run.email,
                customer_name=run.customer_name,
                lines=run.lines,
                total=run.total,
            ),
            undo=lambda run, ask: say.CancellationSend(
                **ask,
                customer_id=run.customer_id,
                email=run.email,
                customer_name=run.customer_name,
                total=run.total,
            ),
            deadline=MAIL_DEADLINE,
            attempts_max=MAIL_ATTEMPTS_MAX,
            retry_delay=MAIL_RETRY_DELAY,
        ),
    ),
)

FULFILLMENT = saga_decider(ORDER_SAGA)
