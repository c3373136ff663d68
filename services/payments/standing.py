"""Where the money of an order is: the state of a payment, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from services.contracts.orders import RefundedLine
from services.contracts.payments import (
    PaymentCapturePending,
    PaymentDeclined,
    PaymentItemised,
    PaymentRefunded,
    PaymentRefundPending,
    SurchargeRequested,
)
from services.kit.domain.message import Money
from services.payments.transactions import Transaction

__all__ = [
    "Authorized", "Captured", "Declined", "NoPayment", "Payment", "Refunding", "Released", "RequestedRefund",
    "Returned", "Standing", "Surcharge", "SurchargeStatus", "charged", "charged_in", "charges",
    "expired_hold", "is_paid", "is_renewing", "refundable_charges", "returned", "standing",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Payment:
    """The transactions of the order at the provider by id, and what payments replied.

    `closed` says that an undo was answered, so that nothing may be authorized or captured any more. `waiting` is the
    reply to an undo whose refund is pending, `settled` the reply that the refund arrived. `requested` are the refunds
    that staff requested, by their ids. `capturing` is the reply to a capture that waits for staff, and `decided` is
    what they decided. `itemised` says what the customer pays for; it is None of payments of old orders. `renewal` tells
    whether an authorization that expired was renewed. `surcharges` are the charges for edits, by the ids of the edits.
    """

    transactions: Mapping[str, Transaction] = field(default_factory=dict[str, Transaction])
    declined: PaymentDeclined | None = None
    closed: bool = False
    waiting: PaymentRefundPending | None = None
    settled: PaymentRefunded | None = None
    capturing: PaymentCapturePending | None = None
    decided: Literal["", "capture", "void"] = ""
    requested: Mapping[str, RequestedRefund] = field(default_factory=dict[str, "RequestedRefund"])
    itemised: PaymentItemised | None = None
    renewal: Literal["", "requested", "refused"] = ""
    surcharges: Mapping[str, Surcharge] = field(default_factory=dict[str, "Surcharge"])


@dataclass(frozen=True, slots=True)
class RequestedRefund:
    """A refund that staff requested, of lines and shipping or of an amount.

    `refused` is why the provider refused it, None if it did not.
    """

    transaction_id: str
    amount: Money
    reason: str
    refused: str | None = None
    lines: Sequence[RefundedLine] = ()
    shipping: Money | None = None


SurchargeStatus = Literal["requested", "paid", "refused", "undone"]


@dataclass(frozen=True, slots=True)
class Surcharge:
    """What an edit adds to the total; `request` is None if the edit was refused before payments knew the amount."""

    status: SurchargeStatus
    request: SurchargeRequested | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the money belongs to the order, if it is charged."""
        return self.status in ("requested", "paid")


# Where the money is; the transaction is that of the first charge, unless only a surcharge has money left


@dataclass(frozen=True, slots=True)
class NoPayment:
    """No money is known to be held or captured."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider declined the authorization."""

    reply: PaymentDeclined


@dataclass(frozen=True, slots=True)
class Authorized:
    """The provider holds `amount`."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Captured:
    """The provider charged `amount`, and not all of it was refunded."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Refunding:
    """All of `amount` is refunded, and a part of it is still on its way."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Returned:
    """The customer has `amount` back, by refunds or because the bank took it (`charged_back`)."""

    transaction_id: str
    amount: Money
    charged_back: bool


@dataclass(frozen=True, slots=True)
class Released:
    """The hold ended and nothing was captured; `transaction_id` is None if the provider never held money."""

    transaction_id: str | None


Standing = NoPayment | Declined | Authorized | Captured | Refunding | Returned | Released


def standing(payment: Payment) -> Standing:
    """Return where the order's money is: held, captured, refunded, disputed."""
    if payment.declined:
        return Declined(payment.declined)
    first, *more = [_standing_of(name, each) for name, each in charges(payment).items()] or [None]
    if first is None:
        return Released(None) if payment.closed else NoPayment()
    if not more or not isinstance(first, Captured | Refunding | Returned):
        return first
    return next((each for kind in (Captured, Refunding) for each in (first, *more) if isinstance(each, kind)), first)


def charges(payment: Payment) -> dict[str, Transaction]:
    """The transactions by which the customer pays for the order: the first, and then the surcharges that it keeps."""
    known = {
        name: each
        for name, each in payment.transactions.items()
        if not each.charge_id and (each.charged or each.released)
    }
    # of several that are no surcharges, all but this one are settled
    first = min(known, key=lambda each: (known[each].captured is None, not known[each].is_held, each), default=None)
    kept = [edit_id for edit_id, each in payment.surcharges.items() if each.is_kept]
    more = {
        name: each
        for edit_id in kept
        for name, each in payment.transactions.items()
        if each.charge_id == edit_id and each.is_captured
    }
    return {first: known[first], **more} if first else more


def charged(payment: Payment) -> Decimal:
    """Return the amount that the customer was charged for the order in all."""
    return sum((each.charged.amount for each in charges(payment).values() if each.charged), Decimal(0))


def charged_in(payment: Payment, currency: str) -> Money:
    """Return the amount of `charged` as money; `currency` is the payment's."""
    return Money(amount=charged(payment), currency=currency)


def returned(payment: Payment) -> Decimal:
    """Return the amount that arrived at the customer by refunds in all."""
    return sum((each.returned for each in charges(payment).values()), Decimal(0))


def refundable_charges(payment: Payment) -> tuple[str, ...]:
    """All transactions that captured money which the customer's bank has not taken, those of the order first."""
    first = charges(payment)
    known = {**first, **payment.transactions}
    return tuple(name for name, each in known.items() if each.is_captured and not each.is_charged_back)


def _standing_of(name: str, transaction: Transaction) -> Standing:
    charged = transaction.charged
    if transaction.is_held and charged:
        return Authorized(name, charged)
    if charged is None or (transaction.released and not transaction.is_captured):
        return Released(name)
    if transaction.is_charged_back or transaction.left + transaction.pending == 0:
        return Returned(name, charged, transaction.is_charged_back)
    return Captured(name, charged) if transaction.left else Refunding(name, charged)


def expired_hold(payment: Payment) -> Authorized | None:
    """The authorization that expired before the capture and is worth a renewal; None if there is none."""
    money = standing(payment)
    if payment.closed or payment.decided == "void" or not isinstance(money, Released) or money.transaction_id is None:
        return None
    known = payment.transactions[money.transaction_id]
    return Authorized(money.transaction_id, known.held) if known.held and known.ended == "expired" else None


def is_renewing(payment: Payment) -> bool:
    """Whether payments renews an authorization that expired, or is about to."""
    return payment.renewal != "refused" and expired_hold(payment) is not None and len(payment.transactions) == 1


def is_paid(payment: Payment) -> bool:
    """Whether nothing is known that speaks against shipping the goods."""
    doubted = any(each.is_doubted for each in payment.transactions.values())
    paid = isinstance(standing(payment), NoPayment | Authorized | Captured) or is_renewing(payment)
    return paid and not doubted
