"""The port to the payment provider; every call carries an idempotency key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from services.contracts.orders import CapturePolicy, PaymentMethod
from services.kit.domain.message import Money
from services.kit.saga.participant import Failure
from services.payments.calls import NOTHING, Call, ProviderResult
from services.payments.transactions import Fact

__all__ = ["Provider", "call_or_ask", "call_provider"]


class Provider(Protocol):
    """A payment provider; its methods may raise CallFailed.

    A call that is repeated with its key gets the same result again, unless that was a transient failure.
    """

    async def authorize(
        self, key: str, amount: Money, method: PaymentMethod, policy: CapturePolicy | None = None
    ) -> ProviderResult | Failure:
        """Hold `amount`, or charge it at once if that is the policy."""
        ...

    async def renew(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Hold `amount` on the card of a transaction whose authorization expired, by a new transaction."""
        ...

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Charge `amount` of what is held, or all of it."""
        ...

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Void the authorization."""
        ...

    async def refund(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Refund all that was captured and is not refunded; the result's amount is 0 if that is nothing."""
        ...

    async def refund_part(
        self, key: str, transaction_id: str, amount: Money, refund_id: str
    ) -> ProviderResult | Failure:
        """Refund `amount` once for each `refund_id`, which the fact about the refund names; Failure if less is left."""
        ...

    async def surcharge(self, key: str, transaction_id: str, amount: Money, charge_id: str) -> ProviderResult | Failure:
        """Charge `amount` at once to the card of a transaction, by a new one that bears `charge_id`."""
        ...

    async def find(self, order_id: str, charge_id: str = "") -> str:
        """The transaction that holds or took money for this order, or for its surcharge; empty if there is none."""
        ...

    async def look(self, transaction_id: str) -> tuple[Fact, ...]:
        """All that the provider knows about a transaction."""
        ...


async def call_or_ask(provider: Provider, order_id: str, key: str, call: Call, /) -> ProviderResult | Failure:
    """Carry out a call, and ask for the facts if the provider refuses it: they may be other than we know."""
    result = await call_provider(provider, order_id, key, call)
    if not isinstance(result, Failure) or result.transient or call.verb in ("authorize", "renew", "surcharge"):
        return result
    if not (transaction_id := call.transaction_id or await provider.find(order_id)):
        return result
    facts = [fact for name in (transaction_id, *call.also) for fact in await provider.look(name)]
    return ProviderResult(transaction_id, NOTHING, tuple(facts), refused=result)


async def call_provider(provider: Provider, order_id: str, key: str, call: Call, /) -> ProviderResult | Failure:
    """Carry out a call; it may raise CallFailed."""
    match call:
        case Call("authorize", amount=Money() as amount, method=PaymentMethod() as method):
            return await provider.authorize(key, amount, method, call.policy)
        case Call("renew", transaction_id, Money() as amount):
            return await provider.renew(key, transaction_id, amount)
        case Call("capture", transaction_id, Money() as amount):
            # an order whose authorization was renewed is captured by a second call
            return await provider.capture(f"{key}:{transaction_id}", transaction_id, amount)
        case Call("void", transaction_id):
            name = transaction_id or await provider.find(order_id)
            return await provider.void(f"{key}:{name}", name)
        case Call("refund", transaction_id, also=also):
            results = [await provider.refund(f"{key}:{name}", name) for name in (transaction_id, *also)]
            return _combined(results)
        case Call("refund_part", transaction_id, Money() as amount, refund_id=refund_id):
            return await provider.refund_part(key, transaction_id, amount, refund_id)
        case Call("surcharge", transaction_id, Money() as amount, charge_id=charge_id):
            return await provider.surcharge(key, transaction_id, amount, charge_id)
        case _:
            return Failure("bad-request", f"{call.verb} needs an amount and a payment method", transient=False)


def _combined(results: Sequence[ProviderResult | Failure]) -> ProviderResult | Failure:
    """The answer to refunds of several transactions: the first failure, or the first result with the facts of all."""
    done = [each for each in results if isinstance(each, ProviderResult)]
    facts = tuple(fact for each in done for fact in each.facts)
    if failure := next((each for each in results if isinstance(each, Failure)), None):
        return failure
    refused = next((each.refused for each in done if each.refused), None)
    return replace(done[0], facts=facts, refused=refused)
