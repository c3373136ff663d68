"""REST queries of payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, assert_never

from fastapi import Path

from services.contracts.payments import ReportedChange
from services.kit.auth.access import Caller, needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound
from services.kit.domain.message import Money
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.saga.participant import customer_of
from services.payments.answers import Dispute, PaidAmount, Status
from services.payments.answers import Payment as PaymentShown
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
from services.payments.transactions import Transaction

__all__ = ["Handler", "OrderId", "routes", "shown"]

routes = json_router()

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]
Handler = Annotated[CommandHandler, provided(CommandHandler)]


@routes.get("/payments/{order_id}")
async def read_payment(
    order_id: OrderId, caller: Annotated[Caller, needs("payments:read")], handler: Handler
) -> Answer[PaymentShown]:
    """Read an order's payment.

    Shows where the money for an order is: authorized, captured, declined, voided, refunded, or disputed by the
    customer's bank. A refund is pending until it arrives, and may fail. Refused (404) if no payment was requested for
    the order yet, or the order belongs to another customer.
    """
    messages = [message for _, message in await handler.history(PAYMENT, order_id)]
    if not messages or not caller.may_reach(customer_of(messages)):
        raise NotFound("payment-not-found", "no payment was requested for this order")
    return Answer(shown(order_id, PAYMENT.fold(messages)))


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
            back = Money(amount=known.returned, currency=amount.currency) if known.returned else None
            return PaymentShown(
                order_id=order_id,
                status=_status(money, known),
                transaction_id=name,
                amount=_amount(amount),
                refunded=back and _amount(back),
                dispute=_dispute(known),
            )
        case _:
            assert_never(money)


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
            return "refund_failed" if known.has_failed_refund else "captured"


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


def _amount(money: Money) -> PaidAmount:
    return {"amount": str(money.amount), "currency": money.currency}
