"""A transaction at the payment provider, put together from facts that arrive in any order and more than once.

Facts come from the answer to a call, from a webhook, and from a question to the provider. Each part of a transaction
only moves forward: a refund from pending to succeeded to failed, a dispute from open to lost to won. So two sequences
of the same facts lead to the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce
from typing import Literal

from services.contracts.payments import ReportedChange
from services.kit.domain.message import Money

__all__ = ["Fact", "Refund", "Transaction", "transaction_of", "with_fact"]

NOTHING = Decimal(0)
REFUND_RANK: Mapping[ReportedChange, int] = {"refund_pending": 0, "refund_succeeded": 1, "refund_failed": 2}
DISPUTE_RANK: Mapping[ReportedChange, int] = {"inquiry": 0, "disputed": 1, "dispute_lost": 2, "dispute_won": 3}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that the provider says about a transaction; `reference` is its id of the refund or of the dispute.

    `amount` is held, captured, disputed, or refunded by this refund; of "refunded" and "partly_refunded", which have no
    reference, it is the sum of all refunds that were begun. `refund_id` is our id of a refund that staff requested,
    `charge_id` the edit for whose surcharge the transaction is.
    """

    what: ReportedChange
    transaction_id: str
    amount: Money | None = None
    reference: str = ""
    refund_id: str = ""
    charge_id: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund: its amount and how far it is; `refund_id` is our id of it, if staff requested it."""

    amount: Decimal
    status: ReportedChange
    refund_id: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as far as it is known.

    `ended` tells how its hold ended; if it was canceled, it does not matter that it expired. `refunded_in_all` is the
    sum of the refunds that were begun, also of those that failed or whose ids are unknown. `charge_id` is the edit for
    whose surcharge the transaction is; empty for the first charge of the order.
    """

    held: Money | None = None
    captured: Money | None = None
    ended: Literal["", "expired", "canceled"] = ""
    refunded_in_all: Decimal = NOTHING
    refunds: Mapping[str, Refund] = field(default_factory=dict[str, Refund])
    disputes: Mapping[str, ReportedChange] = field(default_factory=dict[str, ReportedChange])
    charge_id: str = ""

    @property
    def released(self) -> bool:
        """True if the hold was canceled or has expired."""
        return bool(self.ended)

    @property
    def charged(self) -> Money | None:
        """The money that was captured; if that is not known yet, the money that was held."""
        return self.captured or self.held

    @property
    def pending(self) -> Decimal:
        """The sum of the refunds that the provider has begun and not finished."""
        return self._sum("refund_pending")

    @property
    def returned(self) -> Decimal:
        """The sum of the refunds that arrived."""
        return self.refunded_in_all - self.pending - self._sum("refund_failed")

    @property
    def left(self) -> Decimal:
        """The money that no refund returns."""
        return max(self.charged.amount - self.returned - self.pending, NOTHING) if self.charged else NOTHING

    @property
    def is_captured(self) -> bool:
        """Whether money was captured, which a refund or a dispute proves."""
        return bool(self.captured or self.refunded_in_all or self.refunds or self.disputes)

    @property
    def is_held(self) -> bool:
        """Whether the provider holds money that is neither captured nor released."""
        return self.held is not None and not (self.is_captured or self.released)

    @property
    def is_charged_back(self) -> bool:
        """Whether the customer's bank has the money: a dispute is open or lost."""
        return any(status in ("disputed", "dispute_lost") for status in self.disputes.values())

    @property
    def is_doubted(self) -> bool:
        """Whether the customer's bank has the money or asks about it."""
        return self.is_charged_back or "inquiry" in self.disputes.values()

    @property
    def has_failed_refund(self) -> bool:
        """Whether a refund failed and the customer did not get the money in another way."""
        return self.left > 0 and self._sum("refund_failed") > 0 and not self.is_charged_back

    @property
    def has_failed_undo(self) -> bool:
        """The same of a refund that staff did not request; of one that they did, only that refund shows it."""
        failed = [refund for refund in self.refunds.values() if refund.status == "refund_failed"]
        return self.has_failed_refund and not all(refund.refund_id for refund in failed)

    def _sum(self, status: ReportedChange) -> Decimal:
        return sum((refund.amount for refund in self.refunds.values() if refund.status == status), NOTHING)


def transaction_of(facts: Iterable[Fact]) -> Transaction:
    """The transaction of which these facts are known."""
    return reduce(with_fact, facts, Transaction())


def with_fact(transaction: Transaction, fact: Fact) -> Transaction:
    """The transaction after a fact; a fact that is older than what is known changes nothing."""
    if fact.charge_id and not transaction.charge_id:
        transaction = replace(transaction, charge_id=fact.charge_id)
    amount = NOTHING if fact.amount is None else fact.amount.amount
    match fact.what:
        case "authorized":
            return replace(transaction, held=_larger(transaction.held, fact.amount))
        case "captured":
            return replace(transaction, captured=_larger(transaction.captured, fact.amount))
        case "canceled" | "expired":
            return replace(transaction, ended="canceled" if transaction.ended == "canceled" else fact.what)
        case "refunded" | "partly_refunded":
            return replace(transaction, refunded_in_all=max(transaction.refunded_in_all, amount))
        case "refund_pending" | "refund_succeeded" | "refund_failed":
            return _with_refund(transaction, fact.reference, Refund(amount, fact.what, fact.refund_id))
        case "inquiry" | "disputed" | "dispute_lost" | "dispute_won":
            known = transaction.disputes.get(fact.reference)
            if known is not None and DISPUTE_RANK[known] >= DISPUTE_RANK[fact.what]:
                return transaction
            return replace(transaction, disputes={**transaction.disputes, fact.reference: fact.what})


def _larger(known: Money | None, told: Money | None) -> Money | None:
    return known if known and (told is None or known.amount >= told.amount) else told


def _with_refund(transaction: Transaction, reference: str, refund: Refund) -> Transaction:
    known = transaction.refunds.get(reference)
    if known is not None:
        newer = refund if REFUND_RANK[refund.status] > REFUND_RANK[known.status] else known
        amount = max(known.amount, refund.amount)  # a fact about the end of a refund may name none
        refund = replace(newer, amount=amount, refund_id=known.refund_id or refund.refund_id)
    refunds = {**transaction.refunds, reference: refund}
    begun = sum((each.amount for each in refunds.values()), NOTHING)
    return replace(transaction, refunds=refunds, refunded_in_all=max(transaction.refunded_in_all, begun))
