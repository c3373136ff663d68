"""REST queries of payments."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from services.kit.auth.access import Caller, needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound
from services.kit.domain.message import Money
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.payments.answers import PaidAmount
from services.payments.answers import Payment as PaymentShown
from services.payments.domain import PAYMENT, Authorized, Captured, Closed, Declined, Payment

__all__ = ["routes"]

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

    Shows whether the money for an order is authorized, captured, declined, voided or refunded. Refused (404) if no
    payment was requested for the order yet, or the order belongs to another customer.
    """
    messages = [message for _, message in await handler.history(PAYMENT, order_id)]
    customer_id = next((found for each in messages if (found := getattr(each, "customer_id", None))), None)
    if not messages or not caller.may_reach(customer_id):
        raise NotFound("payment-not-found", "no payment was requested for this order")
    return Answer(_shown(order_id, PAYMENT.fold(messages)))


def _shown(order_id: str, payment: Payment) -> PaymentShown:
    match payment:
        case Authorized(transaction_id=held, amount=amount):
            return PaymentShown(order_id=order_id, status="authorized", transaction_id=held, amount=_amount(amount))
        case Captured(transaction_id=taken, amount=amount):
            return PaymentShown(order_id=order_id, status="captured", transaction_id=taken, amount=_amount(amount))
        case Declined(reply=reply):
            return PaymentShown(order_id=order_id, status="declined", reason=reply.error)
        case Closed(transaction_id=closed, refunded=back) if back:
            return PaymentShown(order_id=order_id, status="refunded", transaction_id=closed, refunded=_amount(back))
        case Closed(transaction_id=closed):
            return PaymentShown(order_id=order_id, status="voided", transaction_id=closed, refunded=None)
        case _:
            return PaymentShown(order_id=order_id, status="none")


def _amount(money: Money) -> PaidAmount:
    return {"amount": str(money.amount), "currency": money.currency}
