"""The port to whoever moves the money; every call is idempotent by our key."""

from __future__ import annotations

from typing import Protocol

from services.contracts.orders import PaymentMethod
from services.kit.domain.message import Money
from services.kit.resilience.outgoing import CallFailed
from services.payments.domain import Call, Done, NotDone

__all__ = ["Provider", "ask_provider"]


class Provider(Protocol):
    """A payment provider; it may raise CallFailed.

    An answer it gave to a key is its answer to that key for ever, unless it was transient.
    """

    async def authorize(self, key: str, amount: Money, method: PaymentMethod) -> Done | NotDone:
        """Hold money."""
        ...

    async def capture(self, key: str, transaction_id: str, amount: Money) -> Done | NotDone:
        """Take what is held, all of it or less."""
        ...

    async def void(self, key: str, transaction_id: str) -> Done | NotDone:
        """Let go of what is held."""
        ...

    async def refund(self, key: str, transaction_id: str, amount: Money | None) -> Done | NotDone:
        """Give back so much, or (None) whatever was taken; Done with amount 0 if nothing was."""
        ...

    async def find(self, order_id: str) -> str:
        """The transaction that holds or took money for this order; empty if there is none."""
        ...


async def ask_provider(provider: Provider, order_id: str, call: Call, method: PaymentMethod | None) -> Done | NotDone:
    """Carry out one call under the key of its order and verb: asked twice, it happens once."""
    try:
        return await _asked(provider, order_id, call, method)
    except CallFailed as error:
        return NotDone(error.code, error.detail, transient=error.transient)


async def _asked(provider: Provider, order_id: str, call: Call, method: PaymentMethod | None) -> Done | NotDone:
    key = f"{order_id}:{call.verb}"
    match call:
        case Call("authorize", _, Money() as amount) if method is not None:
            return await provider.authorize(key, amount, method)
        case Call("capture", transaction_id, Money() as amount):
            return await provider.capture(key, transaction_id, amount)
        case Call("void", transaction_id):
            return await provider.void(key, transaction_id or await provider.find(order_id))
        case Call("refund", transaction_id, amount):
            return await provider.refund(key, transaction_id, amount)
        case _:
            return NotDone("bad-request", f"{call.verb} without an amount or a method", transient=False)
