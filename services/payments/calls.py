"""Calls of the payment provider and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from services.contracts.orders import CapturePolicy, PaymentMethod
from services.contracts.payments import ReportedChange
from services.kit.domain.decider import Command
from services.kit.domain.message import Money
from services.kit.saga.participant import Failure
from services.payments.transactions import Fact

__all__ = ["NOTHING", "Call", "OrderCommand", "ProviderResult", "RecordCall", "Verb", "facts_of"]

Verb = Literal["authorize", "capture", "void", "refund", "refund_part", "renew", "surcharge"]
NOTHING = Money.model_construct(amount=Decimal(0), currency="XXX")
"""The amount of a call that moved no money; in ISO 4217 XXX stands for no currency."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the provider; `transaction_id` is empty where the provider has to look it up by the order.

    "refund" refunds all that is left, "refund_part" the amount; `refund_id` is our id of that part. `policy` tells
    "authorize" when the capture follows. "renew" authorizes the amount of an expired transaction anew. "surcharge"
    charges the amount to the card of the transaction, by another one for the edit `charge_id`. "refund" refunds the
    transactions of `also`, too.
    """

    verb: Verb
    transaction_id: str = ""
    amount: Money | None = None
    method: PaymentMethod | None = None
    refund_id: str = ""
    policy: CapturePolicy | None = None
    charge_id: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderResult:
    """The answer of the provider to a call: what it did, for which amount, and the facts that it told.

    `refund_id` names the refund that the call made. `refused` is set if the provider refused the call and was asked for
    the facts instead.
    """

    transaction_id: str
    amount: Money
    facts: tuple[Fact, ...] = field(default=(), compare=False)
    refund_id: str = field(default="", compare=False)
    refused: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCommand(Command):
    """A command on the payment of one order."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCall(OrderCommand):
    """Record the provider's answer to a call that no request of the saga needed."""

    call: Call
    result: ProviderResult | Failure

    @property
    def refused(self) -> Failure | None:
        """Why the provider refused the call; None if it carried it out."""
        return self.result if isinstance(self.result, Failure) else self.result.refused


def facts_of(call: Call, result: ProviderResult | Failure) -> tuple[Fact, ...]:
    """The facts in the answer to a call; the first is what the call itself did."""
    if isinstance(result, Failure):
        return ()
    what = DONE.get(call.verb)
    if what is None or result.refused or not result.transaction_id:
        return result.facts
    return (Fact(what, result.transaction_id, result.amount, charge_id=call.charge_id), *result.facts)


DONE: Mapping[Verb, ReportedChange] = {
    "authorize": "authorized",
    "renew": "authorized",
    "capture": "captured",
    "surcharge": "captured",
}
