"""How events change a payment. They may repeat facts and replies that are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from services.contracts.payments import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCapturePending,
    PaymentDeclined,
    PaymentFailed,
    PaymentItemised,
    PaymentRefunded,
    PaymentRefundPending,
    PaymentVoided,
    ProviderReported,
    ProviderUpdated,
    RefundRefused,
    RefundRequested,
    RenewalRefused,
    RenewalRequested,
    SurchargePaid,
    SurchargeRefused,
    SurchargeRequested,
    SurchargeUndone,
    VoidRequested,
)
from services.kit.domain.message import Message, Money
from services.kit.saga.participant import reply_to
from services.payments.refunds import with_refusal, with_request
from services.payments.requested import renumbered
from services.payments.standing import NoPayment, Payment, standing
from services.payments.surcharges import with_surcharge
from services.payments.transactions import Fact, Transaction, with_fact

__all__ = ["evolve", "with_facts"]


def evolve(payment: Payment, event: Message) -> Payment:
    """The payment after an event; facts and replies may repeat earlier ones."""
    match event:
        case ProviderReported() | ProviderUpdated():
            return with_facts(payment, (_fact_in(event),))
        case SurchargeRequested() | SurchargeRefused() | SurchargeUndone():
            return with_surcharge(payment, event)
        case SurchargePaid(transaction_id=name, amount=amount, edit_id=edit_id):
            paid = Fact("captured", name, amount, charge_id=edit_id)
            return with_surcharge(with_facts(payment, (paid,)), event)
        case RenewalRequested():
            return replace(payment, renewal="requested")
        case RenewalRefused():
            return replace(payment, renewal="refused")
        case RefundRequested():
            return with_request(payment, event)
        case RefundRefused():
            return with_refusal(payment, event)
        case PaymentItemised() if payment.itemised is None or event.order_version >= payment.itemised.order_version:
            return replace(payment, itemised=event, requested=renumbered(payment, event))
        case PaymentAuthorized(transaction_id=name, amount=amount):
            return with_facts(payment, (Fact("authorized", name, amount),))
        case PaymentCaptured(transaction_id=name, amount=amount):
            return replace(with_facts(payment, (Fact("captured", name, amount),)), capturing=None)
        case PaymentCapturePending():
            return replace(payment, capturing=event)
        case CaptureRequested():
            return replace(payment, decided="capture")
        case VoidRequested():
            return replace(payment, decided="void")
        case PaymentDeclined() if payment.capturing and event.step == payment.capturing.step:
            return replace(payment, capturing=None)
        case PaymentDeclined() if isinstance(standing(payment), NoPayment):
            return replace(payment, declined=event)
        case PaymentVoided(transaction_id=name):
            return replace(with_facts(payment, (Fact("canceled", name),) if name else ()), closed=True)
        case PaymentRefundPending():
            return replace(with_facts(payment, _facts_of(event, "refund_pending")), closed=True, waiting=event)
        case PaymentRefunded(amount=Money()):
            known = with_facts(payment, _facts_of(_of_one_charge(event, payment), "refund_succeeded"))
            return replace(known, closed=True, waiting=None, settled=event)
        case PaymentFailed(undo=True, transient=False):
            waiting, settled = payment.waiting, payment.settled
            return replace(
                payment,
                waiting=None if waiting and reply_to(waiting) == reply_to(event) else waiting,
                settled=None if settled and reply_to(settled) == reply_to(event) else settled,
            )
        case _:
            return payment


def _fact_in(event: ProviderReported | ProviderUpdated) -> Fact:
    return Fact(
        event.what,
        event.transaction_id,
        event.amount,
        event.reference or "",
        event.refund_id or "",
        event.charge_id or "",
    )


def _of_one_charge(reply: PaymentRefunded, payment: Payment) -> PaymentRefunded:
    """The reply with the part of its amount that its transaction charged: it names the sum of all charges."""
    known = payment.transactions.get(reply.transaction_id or "")
    if known is None or known.charged is None or reply.amount is None or reply.amount.amount <= known.charged.amount:
        return reply
    return reply.model_copy(update={"amount": known.charged})


def _facts_of(
    reply: PaymentRefunded | PaymentRefundPending, status: Literal["refund_pending", "refund_succeeded"]
) -> list[Fact]:
    name, facts = reply.transaction_id or "", list[Fact]()
    if reply.refund_id:
        facts.append(Fact(status, name, reply.refund_amount, reply.refund_id))
    if isinstance(reply, PaymentRefunded) and not reply.charged_back:
        facts.append(Fact("refunded", name, reply.amount))
    return facts


def with_facts(payment: Payment, facts: Iterable[Fact]) -> Payment:
    """The payment of which these facts are known, too."""
    transactions = dict(payment.transactions)
    for fact in facts:
        transactions[fact.transaction_id] = with_fact(transactions.get(fact.transaction_id, Transaction()), fact)
    return replace(payment, transactions=transactions)
