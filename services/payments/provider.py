"""The port to the payment provider; every call carries an idempotency key."""

from __future__ import annotations

from typing import Protocol

from services.contracts.orders import PaymentMethod
from services.kit.domain.message import Money
from services.kit.saga.participant import Failure
from services.payments.domain import Call, ProviderResult

__all__ = ["Provider", "call_provider"]


class Provider(Protocol):
    """A payment provider; its methods may raise CallFailed.

    A call that is repeated with its key gets the same result again, unless that was a transient failure.
    """

    async def authorize(self, key: str, amount: Money, method: PaymentMethod) -> ProviderResult | Failure:
        """Hold `amount`."""
        ...

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Charge `amount` of what is held, or all of it."""
        ...

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Void the authorization."""
        ...

    async def refund(self, key: str, transaction_id: str, amount: Money | None) -> ProviderResult | Failure:
        """Refund `amount`, or (None) all that was captured; the result's amount is 0 if nothing was."""
        ...

    async def find(self, order_id: str) -> str:
        """The transaction that holds or took money for this order; empty if there is none."""
        ...


async def call_provider(provider: Provider, order_id: str, key: str, call: Call, /) -> ProviderResult | Failure:
    """Carry out a call; it may raise CallFailed."""
    match call:
        case Call("authorize", amount=Money() as amount, method=PaymentMethod() as method):
            return await provider.authorize(key, amount, method)
        case Call("capture", transaction_id, Money() as amount):
            return await provider.capture(key, transaction_id, amount)
        case Call("void", transaction_id):
            return await provider.void(key, transaction_id or await provider.find(order_id))
        case Call("refund", transaction_id, amount):
            return await provider.refund(key, transaction_id, amount)
        case _:
            return Failure("bad-request", f"{call.verb} needs an amount and a payment method", transient=False)
