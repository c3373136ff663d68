"""REST of payments: read a payment, and refund a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, assert_never

from fastapi import Path

from services.contracts.payments import ReportedChange
from services.contracts.scopes import ORDERS_ADMIN
from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import Forbidden, NotFound
from services.kit.domain.ids import new_id
from services.kit.domain.message import Money
from services.kit.rest.answers import Answer, CommandAnswer
from services.kit.rest.app import Handler, RestCause, json_router, respond
from services.kit.saga.participant import customer_of
from services.payments.answers import Decided, Dispute, PaidAmount, RefundAccepted, RefundStatus, Status
from services.payments.answers import Payment as PaymentShown
from services.payments.answers import Refund as RefundShown
from services.payments.bodies import RefundBody, VoidBody
from services.payments.by_hand import CaptureByHand, VoidByHand
from services.payments.domain import (
    PAYMENT,
    Authorized,
    Captured,
    Declined,
    NoPayment,
    Payment,
    Refunding,
    Released,
    Returned,
    standing,
)
from services.payments.refunds import RequestRefund, refund_at_provider, refundable
from services.payments.standing import RequestedRefund
from services.payments.transactions import Refund, Transaction

__all__ = ["Handler", "OrderId", "routes", "shown"]

routes = json_router()

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


@routes.get("/payments/{order_id}")
async def read_payment(
    order_id: OrderId, caller: Annotated[Caller, needs("payments:read")], handler: Handler
) -> Answer[PaymentShown]:
    """Read an order's payment.

    Shows where the money for an order is: authorized, captured, declined, voided, refunded, or disputed by the
    customer's bank. Lists each refund: one is pending until it arrives, and may fail. Refused (404) if no payment was
    requested for the order yet, or the order belongs to another customer.
    """
    messages = [message for _, message in await handler.history(PAYMENT, order_id)]
    if not messages or not caller.may_reach(customer_of(messages)):
        raise NotFound("payment-not-found", "no payment was requested for this order")
    return Answer(shown(order_id, PAYMENT.fold(messages)))


@routes.post("/payments/{order_id}/refunds", status_code=202)
async def refund_payment(
    order_id: OrderId,
    body: RefundBody,
    caller: Annotated[Caller, needs("payments:write")],
    cause: RestCause,
    handler: Handler,
) -> CommandAnswer[RefundAccepted]:
    """Refund a part of a payment.

    Reserves the amount and asks the payment provider to refund it; `GET /payments/{order_id}` shows how it goes on, and
    the customer gets a mail when it has succeeded. An order can have several refunds. A refund of all that is left
    cancels an order whose parcel the carrier does not have yet. Needs the scope `orders:admin`, too. Refused (409) with
    the amount that remains if the refund is larger, if no money is captured, or if the customer's bank disputes the
    payment.
    """
    _require_staff(caller)
    refund_id, amount = new_id("rfd"), body.amount.money
    command = RequestRefund(at=cause.at, order_id=order_id, refund_id=refund_id, amount=amount, reason=body.reason)
    return await respond(
        cause,
        lambda marked: handler.handle(PAYMENT, order_id, command, marked),
        status=202,
        body=RefundAccepted(order_id=order_id, refund_id=refund_id, status="requested", amount=_amount(amount)),
    )


@routes.post("/payments/{order_id}/capture", status_code=202)
async def capture_payment(
    order_id: OrderId, caller: Annotated[Caller, needs("payments:write")], cause: RestCause, handler: Handler
) -> CommandAnswer[Decided]:
    """Capture a payment.

    Takes the authorized money of an order whose capture waits for staff (policy `by_hand`); fulfillment then goes on.
    Capturing again changes nothing. Needs the scope `orders:admin`, too. Refused (409) if the order does not wait for
    staff, if a void was requested before, or if the money is not held any more.
    """
    _require_staff(caller)
    command = CaptureByHand(at=cause.at, order_id=order_id)
    return await respond(
        cause,
        lambda marked: handler.handle(PAYMENT, order_id, command, marked),
        status=202,
        body=Decided(order_id=order_id, status="capture_requested"),
    )


@routes.post("/payments/{order_id}/void", status_code=202)
async def void_payment(
    order_id: OrderId,
    body: VoidBody,
    caller: Annotated[Caller, needs("payments:write")],
    cause: RestCause,
    handler: Handler,
) -> CommandAnswer[Decided]:
    """Void a payment.

    Releases the authorized money of an order whose capture waits for staff (policy `by_hand`); the order is cancelled
    and its goods are released. Voiding again changes nothing. Needs the scope `orders:admin`, too. Refused (409) if
    the order does not wait for staff, or if a capture was requested before: refund it instead.
    """
    _require_staff(caller)
    command = VoidByHand(at=cause.at, order_id=order_id, reason=body.reason)
    return await respond(
        cause,
        lambda marked: handler.handle(PAYMENT, order_id, command, marked),
        status=202,
        body=Decided(order_id=order_id, status="void_requested"),
    )


def _require_staff(caller: Caller) -> None:
    if caller.own is not None:
        raise Forbidden(ORDERS_ADMIN)


def shown(order_id: str, payment: Payment) -> PaymentShown:
    """The payment as REST answers it."""
    match money := standing(payment):
        case NoPayment():
            return PaymentShown(order_id=order_id, status="none")
        case Declined(reply=reply):
            return PaymentShown(order_id=order_id, status="declined", reason=reply.error)
        case Released(transaction_id=released):
            return PaymentShown(order_id=order_id, status="voided", transaction_id=released, refunded=None)
        case Authorized(name, amount) | Captured(name, amount) | Refunding(name, amount) | Returned(name, amount):
            known = payment.transactions[name]
            return PaymentShown(
                order_id=order_id,
                status=_status(money, known),
                transaction_id=name,
                amount=_amount(amount),
                refunded=_unless_zero(known.returned, amount.currency),
                capture_by=_capture_by(payment, money),
                refundable=_unless_zero(refundable(payment), amount.currency),
                refunds=_refunds(payment, amount.currency),
                dispute=_dispute(known),
            )
        case _:
            assert_never(money)


def _capture_by(payment: Payment, money: Authorized | Captured | Refunding | Returned) -> datetime | None:
    waits = payment.capturing and isinstance(money, Authorized) and not (payment.closed or payment.decided)
    return payment.capturing.answer_by if payment.capturing and waits else None


def _status(money: Authorized | Captured | Refunding | Returned, known: Transaction) -> Status:
    match money:
        case Authorized():
            return "authorized"
        case Refunding():
            return "refund_pending"
        case Captured() | Returned() if known.is_doubted:
            return "disputed"
        case Returned():
            return "refunded"
        case Captured():
            return "refund_failed" if known.has_failed_undo else "captured"


def _refunds(payment: Payment, currency: str) -> list[RefundShown]:
    requested = [
        _requested(refund_id, each, refund_at_provider(payment, refund_id))
        for refund_id, each in payment.requested.items()
    ]
    return requested + [
        RefundShown(
            refund_id=None, status=REFUNDS[each.status], reference=reference or None, reason=None, error=None,
            amount=_amount(Money(amount=each.amount, currency=currency)),
        )
        for transaction in payment.transactions.values()
        for reference, each in transaction.refunds.items()
        if not each.refund_id
    ]  # fmt: skip


def _requested(refund_id: str, requested: RequestedRefund, made: tuple[str, Refund] | None) -> RefundShown:
    status: RefundStatus = REFUNDS[made[1].status] if made else "requested" if requested.refused is None else "refused"
    return RefundShown(
        refund_id=refund_id,
        status=status,
        amount=_amount(requested.amount),
        reference=made and made[0],
        reason=requested.reason,
        error=requested.refused,
    )


REFUNDS: Mapping[ReportedChange, RefundStatus] = {
    "refund_pending": "pending",
    "refund_succeeded": "succeeded",
    "refund_failed": "failed",
}


def _dispute(known: Transaction) -> Dispute | None:
    for status, name in DISPUTES.items():
        if status in known.disputes.values():
            return name
    return None


DISPUTES: Mapping[ReportedChange, Dispute] = {
    "disputed": "open",
    "inquiry": "inquiry",
    "dispute_lost": "lost",
    "dispute_won": "won",
}
"""The open ones first."""


def _unless_zero(amount: Decimal, currency: str) -> PaidAmount | None:
    return _amount(Money(amount=amount, currency=currency)) if amount else None


def _amount(money: Money) -> PaidAmount:
    return {"amount": str(money.amount), "currency": money.currency}
