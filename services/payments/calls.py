"""Calls of the payment provider and its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from services.contracts.orders import CapturePolicy, PaymentMethod
from services.kit.domain.message import Money
from services.kit.saga.participant import Failure
from services.payments.transactions import Fact

__all__ = ["NOTHING", "Call", "ProviderResult", "Verb"]

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
