"""The timeline of an order: each event type has a sentence or a reason to have none, and names who acted and why."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import services.contracts
from services.contracts import fulfillment, inventory, notifications, orders, payments, shipping
from services.fulfillment.saga import ORDER_SAGA
from services.kit.domain.message import ERASED, Message, Money
from services.kit.eventstore.port import Position, RecordedEvent
from services.kit.privacy.encryption import personal_fields
from services.kit.saga.messages import StepReply
from services.projection.views.sentences import SENTENCES, STEPS, WITHOUT_SENTENCE, _replied, sentence_of
from services.projection.views.timeline import entry_of
from services.read_model.timeline import TimelineEntry
from tests.services.read_side import ADDRESS, checked, created, imported, reserved_items, started

AT = datetime(2026, 3, 1, tzinfo=UTC)
ID = "ord_1"
NOT_OF_AN_ORDER = {"endpoint_id", "subject", "client_id", "user_id", "person_id", "product_id", "sku", "bucket", "tick"}
GBP = Money(amount=Decimal("12.50"), currency="GBP")


def said() -> Iterator[type[Message]]:
    """The classes of all messages."""
    for module in pkgutil.iter_modules(services.contracts.__path__, "services.contracts."):
        for value in vars(importlib.import_module(module.name)).values():
            ours = isinstance(value, type) and issubclass(value, Message) and value.__module__ == module.name
            if ours and "type" in vars(value):
                yield value


def test_every_event_of_an_orders_life_has_words_or_is_silent_on_purpose() -> None:
    of_an_order = {model for model in said() if model.key not in NOT_OF_AN_ORDER}
    assert len(of_an_order) > 50
    assert of_an_order == set(SENTENCES) | set(WITHOUT_SENTENCE)
    assert not set(SENTENCES) & set(WITHOUT_SENTENCE)
    assert all(WITHOUT_SENTENCE.values())


def test_the_words_for_steps_belong_to_steps_of_the_saga() -> None:
    assert set(STEPS) <= {step.name for step in ORDER_SAGA.steps}


@pytest.mark.parametrize(
    ("undo", "success", "text"),
    [
        (False, True, "gift wrap is done"),
        (True, True, "undoing gift wrap is done"),
        (False, False, "gift wrap did not work"),
        (True, False, "undoing gift wrap did not work"),
    ],
)
def test_a_new_step_is_told_by_its_name(undo: bool, success: bool, text: str) -> None:
    assert _replied(StepReply(saga_id=ID, step="gift_wrap", undo=undo, success=success)).text == text


def reply(model: type[Message], **fields: Any) -> Message:
    return model.model_validate({"saga_id": ID, "step": "authorize_payment", **fields})


FAILED = {"success": False, "error_code": "away", "error": "the provider is away"}
SHORT = inventory.InventoryChecked(
    saga_id=ID,
    step="reserve_inventory",
    success=False,
    all_items_available=False,
    items=tuple(
        inventory.CheckedItem(product_id=f"P{n}", requested=n + 2, available=n, is_available=False) for n in range(7)
    ),
)
TOLD_AS: Sequence[tuple[Message, str, str | None]] = (
    (created(ID), "the order was placed: 1 line, 12.50 GBP", None),
    (orders.OrderUpdated(order_id=ID, shipping_address=ADDRESS), "the delivery address was changed", None),
    (orders.OrderUpdated(order_id=ID, notes="ring"), "details of the order were changed", None),
    (orders.OrderCancellationRequested(order_id=ID, reason="too late"), "a cancellation was requested", "too late"),
    (orders.OrderFailed(order_id=ID, code="x", reason="declined"), "the order failed", "declined"),
    (orders.OrderShipped(order_id=ID, tracking_number="T1"), "the carrier has the goods, tracking number T1", None),
    (
        SHORT,
        "there is not enough in stock",
        "P0: 2 requested, 0 available; P1: 3 requested, 1 available; P2: 4 requested, 2 available; "
        "P3: 5 requested, 3 available; P4: 6 requested, 4 available; 2 more",
    ),
    (checked(ID, ("mug", 2)), "the goods are held", None),
    (checked(ID, ("mug", 2)).model_copy(update={"attempt": 2}), "the goods are held (as answer to attempt 2)", None),
    (reply(inventory.InventoryReleased, items=reserved_items(("a", 2), ("b", 1))), "3 units released", None),
    (reply(inventory.InventoryReleased, items=reserved_items(("a", 1)), restocked=True),
     "1 unit went back on the shelf", None),
    (reply(payments.PaymentAuthorized, transaction_id="t", amount=GBP), "12.50 GBP is held", None),
    (reply(payments.PaymentDeclined, amount=GBP, success=False, error="no money", attempt=1),
     "the payment of 12.50 GBP was declined", "no money"),
    (reply(payments.PaymentFailed, attempt=3, **FAILED), "holding the money did not work (attempt 3)",
     "the provider is away"),
    (reply(payments.PaymentFailed, undo=True, **FAILED), "releasing the money did not work",
     "the provider is away"),
    (reply(payments.PaymentRefunded, amount=GBP, undo=True), "12.50 GBP was given back", None),
    (reply(payments.PaymentRefunded, undo=True), "no money had been taken", None),
    (payments.ProviderUpdated(order_id=ID, transaction_id="t", what="refund_failed", amount=GBP, reference="re_1"),
     "12.50 GBP could not be given back", None),
    (reply(payments.PaymentCapturePending, transaction_id="t", amount=GBP), "12.50 GBP waits to be taken by staff", None),
    (payments.CaptureRequested(order_id=ID, transaction_id="t", amount=GBP), "staff decided to take 12.50 GBP", None),
    (payments.VoidRequested(order_id=ID, transaction_id="t", reason="out of stock"),
     "staff decided to release the money", "out of stock"),
    (payments.RefundRequested(order_id=ID, refund_id="rfd_1", transaction_id="t", amount=GBP, reason="broken"),
     "a refund of 12.50 GBP was requested", "broken"),
    (payments.RefundRefused(order_id=ID, refund_id="rfd_1", amount=GBP, error_code="x", error="the card is closed"),
     "the refund of 12.50 GBP was refused", "the card is closed"),
    (notifications.OrderNoticeSent(order_id=ID, template="order_refunded", refund_id="rfd_1", mailed=True),
     "the mail that the order was refunded was sent", None),
    (reply(payments.PaymentRefundPending, amount=GBP, undo=True), "12.50 GBP is on its way back", None),
    (payments.ProviderReported(order_id=ID, transaction_id="t", what="disputed", amount=GBP),
     "the payment of 12.50 GBP is disputed", None),
    (reply(shipping.ShipmentCreated, shipment_id="s", carrier="Post", tracking_number="T1"),
     "the shipment is announced to the carrier Post, tracking number T1", None),
    (fulfillment.StepTimedOut(saga_id=ID, step="create_shipment", attempt=2),
     "handing the goods to the carrier was not answered in time (attempt 2)", None),
    (fulfillment.RunCompensating(saga_id=ID, cause="failed", step="authorize_payment", error_code="x", error="declined"),
     "the finished steps are being undone: holding the money failed", "declined"),
    (fulfillment.RunStuck(saga_id=ID, step="capture_payment", attempt=9, error_code="x", error="away"),
     "giving the money back did not work: staff have to resolve it (attempt 9)", "away"),
    (fulfillment.RunResumed(saga_id=ID, by="Ann"), "fulfillment goes on", "looked at by Ann"),
    (notifications.OrderMailSent(order_id=ID, template="order_failed", mailed=True),
     "the customer was told by mail that the order failed", None),
    (reply(notifications.ConfirmationSent, mailed=False), "the confirmation was not mailed: no address, or this mail is switched off", None),
    (
        imported(ID, status="delivered", tracking_number="T7"),
        "the order was brought from old-shop, where it was number 7: 1 line, 12.50 GBP, delivered, tracking number T7",
        None,
    ),
    (
        imported(ID, status="cancelled", reason="credit note C1"),
        "the order was brought from old-shop, where it was number 7: 1 line, 12.50 GBP, cancelled",
        "credit note C1",
    ),
    (orders.OrderHeld(order_id=ID, reason="review: total-above"), "the order was put on hold", "review: total-above"),
    (orders.OrderReleased(order_id=ID, reason="called"), "the order was released", "called"),
    (orders.OrderEdited.of(created(ID), edit_id="edt_1", reason="one is broken", difference=GBP),
     "the lines of the order were changed: 1 line, 12.50 GBP", "one is broken"),
    (orders.OrderEditRefused(order_id=ID, edit_id="edt_1", code="x", reason="not enough of P"),
     "the lines of the order could not be changed", "not enough of P"),
    (inventory.ReservationReduced(order_id=ID, edit_id="edt_1", items=reserved_items(("a", 2))),
     "2 units went back on the shelf", None),
    (inventory.ReservationExtended(order_id=ID, edit_id="edt_1", items=reserved_items(("a", 1)), gives_back=(), units=1),
     "1 unit taken from the shelf for the change", None),
)  # fmt: skip


@pytest.mark.parametrize(("event", "text", "why"), TOLD_AS)
def test_what_is_told(event: Message, text: str, why: str | None) -> None:
    told = sentence_of(event)
    assert (told.text, told.why) == (text, why)


def without_personal(event: Message) -> Message:
    """The message as it is read after its person was erased."""
    fields = personal_fields(type(event))
    own = {name: ERASED if required else None for name, required in fields.own.items()}
    inner = {
        name: value.model_copy(update={each: ERASED if must else None for each, must in fields.inner[name].own.items()})
        for name in fields.inner
        if (value := getattr(event, name)) is not None
    }
    return event.model_copy(update={**own, **inner})


@pytest.mark.parametrize("event", [*(event for event, _, _ in TOLD_AS), started(ID)])
def test_nothing_personal_is_told_so_that_an_erasure_changes_no_word(event: Message) -> None:
    assert sentence_of(without_personal(event)) == sentence_of(event)


def moment(event: Message, service: str, **meta: str) -> TimelineEntry:
    known = {"partitionkey": ID, "causationid": "/zerocart/fulfillment/fulfillment-ord_1:3", **meta}
    row = RecordedEvent(service, "s", 1, Position(3), event.type, AT, event.write(), json.dumps(known))
    return entry_of(row, event)


CUSTOMER = {"authtype": "app_user", "authid": "usr_1"}
OPERATOR = {"authtype": "user", "authid": "ann"}
ASKED = {"causationid": "/zerocart/orders"}


@pytest.mark.parametrize(
    ("event", "service", "meta", "who"),
    [
        (created(ID), "orders", {**CUSTOMER, **ASKED}, ("customer", None, "usr_1")),
        (created(ID), "orders", {**OPERATOR, **ASKED}, ("operator", None, "ann")),
        (created(ID), "orders", {"authtype": "app_user", "authid": "cli_1", **ASKED}, ("program", None, "cli_1")),
        (imported(ID), "orders", {**OPERATOR, **ASKED}, ("operator", None, "ann")),
        (created(ID), "orders", ASKED, ("somebody", None, None)),
        (started(ID), "fulfillment", CUSTOMER, ("zerocart", "customer", "usr_1")),
        (started(ID), "fulfillment", {}, ("zerocart", None, None)),
        (TOLD_AS[11][0], "payments", OPERATOR, ("payment provider", "operator", "ann")),
        (TOLD_AS[5][0], "orders", OPERATOR, ("carrier", None, None)),
        (fulfillment.RunResumed(saga_id=ID, by="Ann"), "fulfillment",
         {**OPERATOR, "causationid": "/zerocart/fulfillment"}, ("operator", None, "ann")),
        (TOLD_AS[17][0], "payments", {"causationid": "/zerocart/payments"}, ("payment provider", None, None)),
    ],
)  # fmt: skip
def test_who_did_it(
    event: Message, service: str, meta: dict[str, str], who: tuple[str, str | None, str | None]
) -> None:
    found = moment(event, service, **meta)
    assert (found.who, found.on_behalf_of, found.by) == who
    assert (found.order_id, found.service, found.time) == (ID, service, AT)
