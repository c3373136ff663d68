"""REST queries of payments."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from services.kit.auth.access import needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound
from services.kit.domain.message import Money
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.payments.answers import PaidAmount
from services.payments.answers import Payment as PaymentShown
from services.payments.domain import PAYMENT, Closed, Declined, Held, Payment, Taken

__all__ = ["routes"]

routes = json_router()

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]
Handler = Annotated[CommandHandler, provided(CommandHandler)]


@routes.get("/payments/{order_id}", dependencies=[needs("payments:read")])
async def read_payment(order_id: OrderId, handler: Handler) -> Answer[PaymentShown]:
    """Read an order's payment.

    Shows whether the money for an order is authorized, captured, declined, voided or refunded. Refused (404) if no
    payment was requested for the order yet.
    """
    loaded = await handler.reload(PAYMENT, order_id)
    if loaded.version == 0:
        raise NotFound("payment-not-found", "no payment was requested for this order")
    return Answer(_shown(order_id, loaded.state))


def _shown(order_id: str, payment: Payment) -> PaymentShown:
    shown = PaymentShown(order_id=order_id, status="none")
    match payment:
        case Held(transaction_id=transaction_id, amount=amount):
            shown |= {"status": "authorized", "transaction_id": transaction_id, "amount": _amount(amount)}
        case Taken(transaction_id=transaction_id, amount=amount):
            shown |= {"status": "captured", "transaction_id": transaction_id, "amount": _amount(amount)}
        case Declined(answer=answer):
            shown |= {"status": "declined", "reason": answer.error}
        case Closed(transaction_id=transaction_id, refunded=refunded):
            amount = _amount(refunded) if refunded else None
            status = "refunded" if refunded else "voided"
            shown |= {"status": status, "transaction_id": transaction_id, "refunded": amount}
        case _:
            pass
    return shown


def _amount(money: Money) -> PaidAmount:
    return {"amount": str(money.amount), "currency": money.currency}
