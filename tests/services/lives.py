"""The events of whole lives of orders, as the services append them, for tests of the read side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from services.contracts import fulfillment, inventory, notifications, orders, payments, shipping, users
from services.kit.domain.message import Message, Money
from services.kit.domain.principal import Principal
from tests.services.read_side import (
    ADDRESS,
    AT,
    checked,
    confirmed,
    counted,
    created,
    imported,
    reserved_items,
    started,
)

GBP = Money(amount=Decimal("12.50"), currency="GBP")
OPERATOR = Principal("user", "ann")


class Said(NamedTuple):
    """One event with its service and stream, and its principal if that is not the customer."""

    service: str
    stream: str
    message: Message
    principal: Principal | None = None


def smooth(order_id: str, customer_id: str | None = "cus_1") -> list[Said]:
    """A draft that is submitted, changed, confirmed and delivered."""
    content = created(order_id, customer_id, lines=2).model_dump(exclude={"held"})
    order, run = f"order-{order_id}", f"fulfillment-{order_id}"
    moved = orders.OrderUpdated(
        order_id=order_id, customer_id=customer_id, shipping_address=ADDRESS.model_copy(update={"city": "York"})
    )
    return [
        Said("orders", order, orders.OrderDrafted.model_validate(content)),
        Said("orders", order, orders.OrderDraftUpdated.model_validate({**content, "customer_name": "Bea"})),
        Said("orders", order, created(order_id, customer_id, lines=3)),
        Said("fulfillment", run, started(order_id)),
        Said("inventory", f"reservation-{order_id}", checked(order_id, ("mug", 2))),
        Said("payments", f"payment-{order_id}", _reply(payments.PaymentAuthorized, order_id, "authorize_payment",
                                                       transaction_id="t", amount=GBP)),
        Said("orders", order, moved, OPERATOR),
        Said("shipping", f"shipment-{order_id}", _reply(shipping.FulfillmentPrepared, order_id, "prepare_fulfillment",
                                                        parcels=1)),
        Said("payments", f"payment-{order_id}", _reply(payments.PaymentCaptured, order_id, "capture_payment",
                                                       transaction_id="t", amount=GBP)),
        Said("shipping", f"shipment-{order_id}", _reply(shipping.ShipmentCreated, order_id, "create_shipment",
                                                        shipment_id="s", carrier="Post", tracking_number="T1")),
        Said("notifications", f"mail-confirmation-{order_id}",
             _reply(notifications.ConfirmationSent, order_id, "send_confirmation", mailed=True)),
        Said("orders", order, confirmed(order_id)),
        Said("inventory", f"reservation-{order_id}",
             inventory.ReservationCommitted(order_id=order_id, items=reserved_items(("mug", 2)))),
        Said("orders", order, orders.OrderShipped(order_id=order_id, tracking_number="T1"), OPERATOR),
        Said("orders", order, orders.OrderDelivered(order_id=order_id), OPERATOR),
    ]  # fmt: skip


def failed(order_id: str, customer_id: str | None = "cus_2") -> list[Said]:
    """The carrier does not answer and the refund fails; an operator resumes the stuck run, and it ends."""
    run = f"fulfillment-{order_id}"
    late = {"saga_id": order_id, "step": "create_shipment", "error_code": "step-timed-out", "error": "no answer"}
    away = {"success": False, "transient": True, "error_code": "away", "error": "the provider is away"}
    money, fault = f"payment-{order_id}", "no answer in time"
    return [
        Said("orders", f"order-{order_id}", created(order_id, customer_id)),
        Said("fulfillment", run, started(order_id)),
        Said("inventory", f"reservation-{order_id}", checked(order_id, ("mug", 1))),
        Said("payments", money, _reply(payments.PaymentAuthorized, order_id, "authorize_payment",
                                       transaction_id="t", amount=GBP)),
        Said("fulfillment", run, fulfillment.StepTimedOut(saga_id=order_id, step="create_shipment", attempt=2)),
        Said("fulfillment", run, fulfillment.RunCompensating(cause="failed", **late)),
        Said("payments", money, _reply(payments.PaymentFailed, order_id, "capture_payment", undo=True, **away)),
        Said("fulfillment", run, fulfillment.RunStuck(saga_id=order_id, step="capture_payment", attempt=4,
                                                      error_code="away", error="the provider is away")),
        Said("fulfillment", run, fulfillment.RunResumed(saga_id=order_id, by="Ann"), OPERATOR),
        Said("payments", money, _reply(payments.PaymentRefunded, order_id, "capture_payment", undo=True, amount=GBP)),
        Said("inventory", f"reservation-{order_id}", _reply(inventory.InventoryReleased, order_id, "reserve_inventory",
                                                            undo=True, items=reserved_items(("mug", 1)))),
        Said("fulfillment", run, fulfillment.RunCompensated(cause="failed", **late)),
        Said("orders", f"order-{order_id}",
             orders.OrderFailed(order_id=order_id, customer_id=customer_id, code="late", reason=fault)),
        Said("notifications", f"mail-order_failed-{order_id}",
             notifications.OrderMailSent(order_id=order_id, template="order_failed", mailed=True)),
    ]  # fmt: skip


def cancelled(order_id: str, customer_id: str | None = "cus_1") -> list[Said]:
    """The customer cancels the order at once."""
    order = f"order-{order_id}"
    return [
        Said("orders", order, created(order_id, customer_id)),
        Said("orders", order, orders.OrderCancellationRequested(order_id=order_id, reason="too late")),
        Said("orders", order, orders.OrderCancelled(order_id=order_id, customer_id=customer_id, reason="too late")),
        Said("notifications", f"mail-order_cancelled-{order_id}",
             notifications.OrderMailSent(order_id=order_id, template="order_cancelled", mailed=False)),
    ]  # fmt: skip


def brought(order_id: str, customer_id: str | None = "cus_1") -> list[Said]:
    """An order that another system fulfilled."""
    return [
        Said("orders", f"order-{order_id}", imported(order_id, customer_id, "shipped", tracking_number="T7"), OPERATOR)
    ]


def corrected(order_id: str, customer_id: str | None = "cus_1", other: str | None = "cus_2") -> list[Said]:
    """Finished elsewhere, and sent again as the order of somebody else."""
    better = orders.OrderImportCorrected.of(imported(order_id, other, "delivered", number="8"))
    return [*brought(order_id, customer_id), Said("orders", f"order-{order_id}", better, OPERATOR)]


def undone(order_id: str, customer_id: str | None = "cus_1") -> list[Said]:
    """An order that was finished elsewhere, taken back, and imported again."""
    back = orders.OrderImportUndone(order_id=order_id, source="old-shop", customer_id=customer_id)
    return [
        *brought(order_id, customer_id),
        Said("orders", f"order-{order_id}", back, OPERATOR),
        *brought(order_id, customer_id),
        Said("orders", f"order-{order_id}", back, OPERATOR),
    ]


def stocked(on_hand: int = 50) -> Said:
    """A stock count of mugs."""
    return Said("inventory", "stock-mug", counted("mug", on_hand, low_below=5))


def gone(customer_id: str) -> Said:
    """The erasure of a customer."""
    return Said("users", f"user-{customer_id}", users.UserDeleted(user_id=customer_id))


def barred(user_id: str) -> list[Said]:
    """A user who is suspended and reinstated, and whose tokens are revoked before, meanwhile and after."""
    user, tokens = f"user-{user_id}", f"tokens-{user_id}"
    revoked = [users.TokensRevoked(subject=user_id, issued_before=AT + timedelta(hours=hour)) for hour in (1, 2, 0)]
    changed = users.PasswordChanged(user_id=user_id, email="ann@example.com", name="Ann", notice_id="1")
    return [
        Said("users", tokens, revoked[0]),
        Said("users", user, users.UserSuspended(user_id=user_id, reason="fraud")),
        Said("users", tokens, revoked[1]),
        Said("users", user, users.UserReinstated(user_id=user_id)),
        Said("users", user, changed),
        Said("users", tokens, revoked[2]),
    ]


def woven(lives: Sequence[Sequence[Said]], turns: Sequence[int]) -> list[Said]:
    """The events of several lives, interleaved: each of `turns` names the life of the next event; the rest follows."""
    left = [list(life) for life in lives]
    said: list[Said] = []
    for turn in turns:
        open_ = [life for life in left if life]
        if open_:
            said.append(open_[turn % len(open_)].pop(0))
    return [*said, *(each for life in left for each in life)]


def _reply(model: type[Message], order_id: str, step: str, **fields: Any) -> Message:
    return model.model_validate({"saga_id": order_id, "step": step, **fields})
