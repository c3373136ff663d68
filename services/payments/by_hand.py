"""Captures and voids by staff: the saga waits for its capture until staff decide, or until the authorization lapses.

A capture or a void that was requested is not taken back: the provider carries out whichever reaches it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.contracts.payments import (
    CaptureRequested,
    PaymentCapture,
    PaymentCaptured,
    PaymentCapturePending,
    PaymentDeclined,
    VoidRequested,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import Refusal, failed, reply_to
from services.payments.calls import OrderCommand, RecordCall
from services.payments.standing import Authorized, Captured, NoPayment, Payment, Released, is_renewing, standing

__all__ = [
    "CAPTURE_WAIT",
    "CaptureByHand",
    "VoidByHand",
    "captured_reply",
    "replies_by_hand",
    "request_by_hand",
    "wait_for_staff",
    "with_wait",
]

CAPTURE_WAIT = timedelta(days=6)
"""How long the saga waits for staff: most cards release an authorization after seven days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureByHand(OrderCommand):
    """Capture a payment for which the saga waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidByHand(OrderCommand):
    """Void a payment for which the saga waits; the order is cancelled."""

    reason: str


def request_by_hand(command: CaptureByHand | VoidByHand, payment: Payment) -> Decision:
    """Ask the provider to capture or to void, once."""
    order_id, money = command.order_id, standing(payment)
    match command, money:
        case _, NoPayment():
            return Rejected("payment-not-found", f"There is no payment for order {order_id}.", missing=True)
        case _, Released() if is_renewing(payment):
            detail = f"The authorization of order {order_id} expired and is being renewed: try again in a minute."
            return Rejected("authorization-renewing", detail)
        case (CaptureByHand(), Captured()) if payment.decided == "capture":
            return []
        case (VoidByHand(), Released()) if payment.decided == "void":
            return []
        case _, (Authorized() | Captured() | Released()) if payment.capturing is None or payment.closed:
            detail = f"The payment of order {order_id} does not wait for staff: fulfillment captures or voids it."
            return Rejected("not-by-hand", detail)
        case CaptureByHand(), Authorized(name, amount) if not payment.decided:
            return [CaptureRequested(order_id=order_id, transaction_id=name, amount=amount)]
        case VoidByHand(reason=reason), Authorized(name) if not payment.decided:
            return [VoidRequested(order_id=order_id, transaction_id=name, reason=reason)]
        case _, Authorized():
            same = (payment.decided == "capture") == isinstance(command, CaptureByHand)
            detail = f"The payment of order {order_id} cannot change: staff requested its {payment.decided} before."
            return [] if same else Rejected(f"{payment.decided}-requested", detail)
        case _:
            return Rejected("nothing-held", f"No money is held for order {order_id} any more.")


def wait_for_staff(request: PaymentCapture, held: Authorized, payment: Payment) -> StepReply | Refusal:
    """The reply that the saga has to wait; a refusal if it asks again because it waited long enough."""
    until = payment.capturing.answer_by if payment.capturing else None
    if until and request.answer_by and request.answer_by > until:
        return Refusal("authorization-lapsed", f"nobody captured the payment within {CAPTURE_WAIT.days} days")
    to = reply_to(request)
    return PaymentCapturePending(**to, transaction_id=held.transaction_id, amount=held.amount, answer_by=until)


def with_wait(reply: StepReply, at: datetime) -> StepReply:
    """The reply with the time until which the saga waits for staff, if it has to wait."""
    if isinstance(reply, PaymentCapturePending) and reply.answer_by is None:
        return reply.model_copy(update={"answer_by": at + CAPTURE_WAIT})
    return reply


def captured_reply(payment: Payment) -> list[PaymentCaptured]:
    """The reply that ends the wait for a capture."""
    money = standing(payment)
    if payment.capturing is None or payment.closed or not isinstance(money, Captured):
        return []
    to = reply_to(payment.capturing)
    return [PaymentCaptured(**to, transaction_id=money.transaction_id, amount=money.amount)]


def replies_by_hand(command: RecordCall, payment: Payment) -> list[StepReply]:
    """The reply that ends the wait, after the provider answered the call; `payment` knows the facts of the answer."""
    waits = not payment.closed and isinstance(standing(payment), Authorized)
    if command.refused and command.call.verb == "capture" and payment.capturing and waits:
        return [failed(PaymentDeclined, payment.capturing, command.refused, amount=payment.capturing.amount)]
    return [*captured_reply(payment)]
