"""Reading a payment over REST."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from services.kit.auth.access import needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound
from services.kit.rest.app import json_router
from services.payments.answers import PAYMENT as PAYMENT_SHOWN
from services.payments.domain import PAYMENT, Authorized, Captured, Closed, Declined, Payment

__all__ = ["router"]

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


def router(handler: CommandHandler) -> APIRouter:
    """The routes of payments."""
    routes = json_router()

    @routes.get("/payments/{order_id}", responses=PAYMENT_SHOWN, dependencies=[needs("payments:read")])
    async def read_payment(order_id: OrderId) -> dict[str, Any]:
        """What became of the money for an order; refused if none was asked for."""
        loaded = await handler.reload(PAYMENT, order_id)
        if loaded.version == 0:
            raise NotFound("payment-not-found", "no money was asked for this order")
        return {"order_id": order_id, **_shown(loaded.state)}

    return routes


def _shown(payment: Payment) -> dict[str, Any]:
    match payment:
        case Authorized(transaction_id=transaction_id, amount=amount):
            return {"status": "authorized", "transaction_id": transaction_id, "amount": amount}
        case Captured(transaction_id=transaction_id, amount=amount):
            return {"status": "captured", "transaction_id": transaction_id, "amount": amount}
        case Declined(reply=reply):
            return {"status": "declined", "reason": reply.error}
        case Closed(transaction_id=transaction_id, refunded=refunded):
            status = "refunded" if refunded else "voided"
            return {"status": status, "transaction_id": transaction_id, "refunded": refunded}
        case _:
            return {"status": "none"}
