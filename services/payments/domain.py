"""The payment of one order: which request is allowed in which state, and when the provider has to be called first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from services.contracts.orders import PaymentMethod
from services.contracts.payments import (
    PaymentAuthorized,
    PaymentCapture,
    PaymentCaptured,
    PaymentDeclined,
    PaymentFailed,
    PaymentProcess,
    PaymentRefund,
    PaymentRefunded,
    PaymentVoid,
    PaymentVoided,
    ProviderReported,
)
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import CallFirst, Failure, HandleRequest, Participant, Refusal, failed, reply_to

__all__ = [
    "PARTICIPANT", "PAYMENT", "Authorized", "Call", "Captured", "Change", "Closed", "Declined", "Payment",
    "ProviderResult", "Report", "Request", "accepts_money",
]  # fmt: skip

Verb = Literal["authorize", "capture", "void", "refund"]
Change = Literal["refunded", "partly_refunded", "canceled", "disputed"]
Request = PaymentProcess | PaymentCapture | PaymentVoid | PaymentRefund

# States


@dataclass(frozen=True, slots=True)
class NoPayment:
    """No authorization was requested yet."""


@dataclass(frozen=True, slots=True)
class Authorized:
    """The provider holds `amount`."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Captured:
    """The provider charged `amount`."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider declined the authorization."""

    reply: PaymentDeclined


@dataclass(frozen=True, slots=True)
class Closed:
    """Voided or refunded: no money may be authorized or captured for this order again."""

    transaction_id: str | None
    refunded: Money | None


Payment = NoPayment | Authorized | Captured | Declined | Closed

# Commands


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the provider; `transaction_id` is empty where the provider has to look it up by the order."""

    verb: Verb
    transaction_id: str = ""
    amount: Money | None = None
    method: PaymentMethod | None = None


@dataclass(frozen=True, slots=True)
class ProviderResult:
    """The provider carried out a call, for `amount`."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Command):
    """The provider reports a change of the payment that payments did not request."""

    order_id: str
    transaction_id: str
    change: Change
    amount: Money | None = None


PaymentCommand = HandleRequest[Request, Call, ProviderResult] | Report


def answer(request: Request, payment: Payment) -> StepReply | Refusal | CallFirst[Call, ProviderResult]:
    """What a request means in each state."""
    to = reply_to(request)
    match request, payment:
        case PaymentProcess(amount=amount, payment_method=method), NoPayment():
            return CallFirst(
                Call("authorize", amount=amount, method=method),
                lambda done: PaymentAuthorized(**to, transaction_id=done.transaction_id, amount=done.amount),
            )
        case PaymentProcess(), Authorized(transaction_id, amount) | Captured(transaction_id, amount):
            return PaymentAuthorized(**to, transaction_id=transaction_id, amount=amount)
        case PaymentProcess(), Declined(reply):
            return reply.model_copy(update={"attempt": request.attempt})
        case PaymentProcess(), Closed():
            return Refusal("payment-closed", "the payment of this order is closed")
        case PaymentCapture(), Authorized(transaction_id, amount):
            return CallFirst(
                Call("capture", transaction_id, amount),
                lambda done: PaymentCaptured(**to, transaction_id=done.transaction_id, amount=done.amount),
            )
        case PaymentCapture(), Captured(transaction_id, amount):
            return PaymentCaptured(**to, transaction_id=transaction_id, amount=amount)
        case PaymentCapture(), NoPayment() | Declined() | Closed():
            return Refusal("nothing-held", "no money is held for this order")
        case ((PaymentVoid() | PaymentRefund()), Captured(transaction_id, amount)):
            refunded = PaymentRefunded(**to, transaction_id=transaction_id, amount=amount)
            return CallFirst(Call("refund", transaction_id, amount), lambda _: refunded)
        case PaymentVoid(), NoPayment():  # the reply to an authorization may have been lost on its way to us
            return CallFirst(Call("void"), lambda done: PaymentVoided(**to, transaction_id=done.transaction_id or None))
        case PaymentVoid(), Authorized(transaction_id):
            voided = PaymentVoided(**to, transaction_id=transaction_id)
            return CallFirst(Call("void", transaction_id), lambda _: voided)
        case PaymentVoid(), Declined():
            return PaymentVoided(**to)
        case PaymentVoid(), Closed(transaction_id):
            return PaymentVoided(**to, transaction_id=transaction_id)
        case PaymentRefund(), Authorized(transaction_id):  # the reply to a capture may have been lost
            return CallFirst(
                Call("refund", transaction_id),
                lambda done: PaymentRefunded(**to, transaction_id=transaction_id, amount=_unless_zero(done.amount)),
            )
        case PaymentRefund(), NoPayment() | Declined():
            return PaymentRefunded(**to)
        case PaymentRefund(), Closed(transaction_id, refunded):
            return PaymentRefunded(**to, transaction_id=transaction_id, amount=refunded)
        case _:
            assert_never((request, payment))


def _unless_zero(amount: Money) -> Money | None:
    return amount if amount.amount > 0 else None


def _not_done(request: Request, failure: Failure) -> StepReply:
    if failure.transient or isinstance(request, PaymentVoid | PaymentRefund):
        return failed(PaymentFailed, request, failure)
    return failed(PaymentDeclined, request, failure, amount=request.amount)


PARTICIPANT = Participant(
    (PaymentProcess, PaymentCapture, PaymentVoid, PaymentRefund), answer, refused=PaymentFailed, failed=_not_done
)


def decide(command: PaymentCommand, payment: Payment) -> Decision:
    """The reply to a request, or the event for a report that is news."""
    if not isinstance(command, Report):
        return PARTICIPANT.decide(command, payment)
    if not _is_news(command, payment):
        return []
    return [
        ProviderReported(
            order_id=command.order_id,
            transaction_id=command.transaction_id,
            what=command.change,
            amount=command.amount,
        )
    ]


def _is_news(report: Report, payment: Payment) -> bool:
    """Whether the report is about this order's transaction, and about a change that payments did not make itself."""
    match report.change, payment:
        case "refunded", Captured(transaction_id):
            return transaction_id == report.transaction_id
        case "canceled", Authorized(transaction_id):
            return transaction_id == report.transaction_id
        case (("partly_refunded" | "disputed"), Captured(transaction_id) | Closed(transaction_id)):
            return transaction_id == report.transaction_id
        case _:
            return False


def accepts_money(payment: Payment) -> bool:
    """Whether money may still be held for the order; if not, an authorization that turns up has to be voided."""
    return not isinstance(payment, Closed | Declined)


def evolve(payment: Payment, event: Message) -> Payment:
    """The payment after an event; a reply that repeats an earlier one changes nothing."""
    match event, payment:
        case PaymentAuthorized(transaction_id=transaction_id, amount=amount), NoPayment():
            return Authorized(transaction_id, amount)
        case PaymentCaptured(transaction_id=transaction_id, amount=amount), Authorized():
            return Captured(transaction_id, amount)
        case PaymentDeclined(), NoPayment():
            return Declined(event)
        case ProviderReported(what="refunded", transaction_id=transaction_id, amount=amount), _:
            return Closed(transaction_id, amount)
        case ProviderReported(what="canceled", transaction_id=transaction_id), _:
            return Closed(transaction_id, None)
        case PaymentVoided(transaction_id=transaction_id), NoPayment() | Authorized() | Captured() | Declined():
            return Closed(transaction_id, None)
        case PaymentRefunded(transaction_id=transaction_id, amount=amount), Captured():
            return Closed(transaction_id, amount)
        case PaymentRefunded(transaction_id=transaction_id, amount=Money() as amount), Authorized():
            return Closed(transaction_id, amount)  # without an amount the authorization is still to be voided
        case _:
            return payment


PAYMENT: Decider[PaymentCommand, Payment] = Decider(
    "payment", NoPayment(), decide, evolve,
    (
        PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentFailed, PaymentRefunded, PaymentVoided,
        ProviderReported,
    ),
)  # fmt: skip
