"""What Stripe's objects say about a payment, as facts, and amounts in the minor units that Stripe counts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from services.contracts.payments import ReportedChange
from services.kit.domain.currencies import MINOR_DIGITS
from services.kit.domain.message import Money
from services.payments.transactions import Fact

__all__ = [
    "Answer", "charge_of", "dispute_fact", "end_fact", "intent_facts", "member", "minor_units", "of_minor_units",
    "refund_fact", "refund_facts",
]  # fmt: skip

STRIPE_DIGITS = {"ISK": 2, "MGA": 0, "UGX": 2}
"""The decimals that Stripe counts where ISO 4217 names others (docs.stripe.com/currencies#special-cases)."""
WHOLE_ONLY = frozenset({"ISK", "UGX"})
"""Currencies that Stripe counts in hundredths and takes in whole units only: 5 UGX are sent as 500."""
Answer = Mapping[str, Any]


def minor_units(amount: Money) -> int:
    """The amount in the minor units that Stripe counts; ValueError if Stripe does not take such an amount."""
    digits = _digits(amount.currency)
    step = 100 if amount.currency in WHOLE_ONLY else 10 if digits == 3 else 1
    units = amount.amount.scaleb(digits)
    if units % step:
        least = Decimal(step).scaleb(-digits)
        raise ValueError(
            f"Stripe takes {amount.currency} in steps of {least:f}, so {amount.amount:f} cannot be charged: set prices"
            " whose total is such a step"
        )
    return int(units)


def of_minor_units(units: int, currency: str) -> Money:
    """Return an amount in minor units as a decimal amount of the currency."""
    upper = currency.upper()
    return Money(amount=Decimal(units).scaleb(-_digits(upper)), currency=upper)


def _digits(currency: str) -> int:
    return STRIPE_DIGITS.get(currency, MINOR_DIGITS.get(currency, 2))


def intent_facts(intent: Answer) -> Iterator[Fact]:
    """The facts in a PaymentIntent itself."""
    name, currency, charge = str(intent["id"]), str(intent["currency"]), charge_of(intent)
    if intent["status"] in ("requires_capture", "succeeded"):
        yield Fact("authorized", name, of_minor_units(int(intent["amount"]), currency), charge_id=charge)
    if intent["status"] == "succeeded":
        yield Fact("captured", name, of_minor_units(int(intent["amount_received"]), currency), charge_id=charge)
    if intent["status"] == "canceled":
        yield end_fact(str(intent.get("cancellation_reason")), name)


def charge_of(intent: Answer) -> str:
    """The edit for whose surcharge a PaymentIntent is; empty for the first charge of an order."""
    return str(member(intent.get("metadata"), "charge_id") or "")


def end_fact(reason: str, transaction_id: str) -> Fact:
    """The fact that a hold ended; Stripe itself cancels what expired (docs.stripe.com/api/payment_intents/object)."""
    return Fact("expired" if reason in ("automatic", "expired") else "canceled", transaction_id)


def refund_facts(charge: object, name: str, currency: str) -> Iterator[Fact]:
    """The facts about refunds in the charge of a PaymentIntent."""
    listed = member(charge, "refunds")
    refunds: list[Answer] = member(listed, "data") or []  # pyright: ignore[reportAssignmentType] - parsed JSON
    for refund in refunds:
        yield refund_fact(refund, name)
    total = int(str(member(charge, "amount_refunded") or 0))
    if total and (not refunds or member(listed, "has_more")):
        yield Fact("refunded", name, of_minor_units(total, currency))


def refund_fact(refund: Answer, transaction_id: str) -> Fact:
    """The fact in a Refund; one that needs the customer's action is pending (docs.stripe.com/api/refunds/object)."""
    status = REFUND_STATUSES.get(str(refund.get("status")), "refund_pending")
    amount = of_minor_units(int(refund["amount"]), str(refund["currency"]))
    ours = str(member(refund.get("metadata"), "refund_id") or "")
    return Fact(status, transaction_id, amount, str(refund.get("id") or ""), ours)


def dispute_fact(dispute: Answer, transaction_id: str) -> Fact:
    """The fact in a Dispute; before a dispute the bank may inquire (docs.stripe.com/api/disputes/object)."""
    status = DISPUTE_STATUSES.get(str(dispute.get("status")), "disputed")
    amount = of_minor_units(int(dispute["amount"]), str(dispute["currency"]))
    return Fact(status, transaction_id, amount, str(dispute["id"]))


REFUND_STATUSES: Mapping[str, ReportedChange] = {
    "succeeded": "refund_succeeded",
    "failed": "refund_failed",
    "canceled": "refund_failed",
}
DISPUTE_STATUSES: Mapping[str, ReportedChange] = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "dispute_won",
    "won": "dispute_won",
    "lost": "dispute_lost",
}


def member(found: object, name: str) -> object:
    """A member of a JSON object; None if it is absent, or `found` is no object."""
    if not isinstance(found, dict):
        return None
    return found.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - parsed JSON
