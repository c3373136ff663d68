"""What may happen to the money of one order; the provider is asked between two decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from services.contracts.payments import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    ProviderReported,
)
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import ReplyTo, StepReply

__all__ = ["PAYMENT", "Ask", "Call", "Record", "Report", "Verb", "What", "call_for", "is_unwanted"]

Verb = Literal["authorize", "capture", "void", "refund"]
What = Literal["refunded", "partly_refunded", "canceled", "disputed"]

# What a payment can be


@dataclass(frozen=True, slots=True)
class Nothing:
    """No money was asked for yet."""


@dataclass(frozen=True, slots=True)
class Held:
    """So much is held."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Taken:
    """So much was taken."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider refused, for good."""

    answer: PaymentDeclined


@dataclass(frozen=True, slots=True)
class Closed:
    """Let go or given back: no money may be held or taken for this order again."""

    transaction_id: str | None
    refunded: Money | None


Payment = Nothing | Held | Taken | Declined | Closed

# What can be wished


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request of the saga, as far as deciding needs it."""

    saga_id: str
    step: str
    undo: bool
    attempt: int
    verb: Verb
    amount: Money | None = None
    too_late: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What the provider must be asked; `transaction_id` is empty for an authorisation."""

    verb: Verb
    transaction_id: str
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Done:
    """The provider did it."""

    transaction_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class NotDone:
    """The provider did not; `transient` if asking again may help."""

    code: str
    detail: str
    transient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Command):
    """The answer to `ask`: from the provider, or None where it need not be asked."""

    ask: Ask
    answer: Done | NotDone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Command):
    """The provider says what happened to the money of an order without our asking."""

    order_id: str
    transaction_id: str
    what: What
    amount: Money | None = None


PaymentCommand = Record | Report


def call_for(ask: Ask, payment: Payment) -> Call | None:
    """What the provider must be asked for `ask`; None if the answer is known without it."""
    match ask.verb, payment:
        case "authorize", Nothing() if not ask.too_late:
            return Call("authorize", "", ask.amount)
        case "capture", Held(transaction_id=transaction_id, amount=amount) if not ask.too_late:
            return Call("capture", transaction_id, amount)
        case "void", Nothing():
            return Call("void", "", None)  # an authorisation may have been lost on its way to us
        case "void", Held(transaction_id=transaction_id):
            return Call("void", transaction_id, None)
        case (("void" | "refund"), Taken(transaction_id=transaction_id, amount=amount)):
            return Call("refund", transaction_id, amount)
        case "refund", Held(transaction_id=transaction_id):
            return Call("refund", transaction_id, None)  # a capture may have been lost on its way to us
        case _:
            return None


def decide(command: PaymentCommand, payment: Payment) -> Decision:
    """The answer to a request, or what a report is worth."""
    return _report(command, payment) if isinstance(command, Report) else _answer(command, payment)


def is_unwanted(payment: Payment) -> bool:
    """Whether nothing may be held for the order any more: a hold that turns up is to be let go."""
    return isinstance(payment, Closed | Declined)


def _report(report: Report, payment: Payment) -> Decision:
    """What we know already, having done it ourselves, is no news; nor is a transaction that is not this order's."""
    match report.what, payment:
        case "refunded", Taken(transaction_id=known):
            news = known == report.transaction_id
        case "canceled", Held(transaction_id=known):
            news = known == report.transaction_id
        case (("partly_refunded" | "disputed"), (Taken(transaction_id=known) | Closed(transaction_id=known))):
            news = known == report.transaction_id
        case _:
            news = False
    if not news:
        return []
    return [
        ProviderReported(
            order_id=report.order_id, transaction_id=report.transaction_id, what=report.what, amount=report.amount
        )
    ]


def _answer(command: Record, payment: Payment) -> Decision:
    """One that was answered is answered again, with the attempt it came with."""
    ask, answer = command.ask, command.answer
    if isinstance(answer, NotDone):
        return [_not_done(ask, answer)]
    match ask.verb:
        case "authorize":
            return [_authorized(ask, answer, payment)]
        case "capture":
            return [_captured(ask, answer, payment)]
        case "void":
            return [_voided(ask, answer, payment)]
        case "refund":
            return [_refunded(ask, answer, payment)]
        case _:
            assert_never(ask.verb)


def _authorized(ask: Ask, answer: Done | None, payment: Payment) -> StepReply:
    match payment:
        case Nothing() if answer is not None:
            return PaymentAuthorized(**_to(ask), transaction_id=answer.transaction_id, amount=answer.amount)
        case Nothing():
            return _refusal(ask, "request-expired", "the request came too late")
        case Held(transaction_id=transaction_id, amount=amount) | Taken(transaction_id=transaction_id, amount=amount):
            return PaymentAuthorized(**_to(ask), transaction_id=transaction_id, amount=amount)
        case Declined(answer=first):
            return first.model_copy(update={"attempt": ask.attempt})
        case Closed():
            return _refusal(ask, "payment-closed", "the payment of this order is closed")
        case _:
            assert_never(payment)


def _captured(ask: Ask, answer: Done | None, payment: Payment) -> StepReply:
    match payment:
        case Held() if answer is not None:
            return PaymentCaptured(**_to(ask), transaction_id=answer.transaction_id, amount=answer.amount)
        case Taken(transaction_id=transaction_id, amount=amount):
            return PaymentCaptured(**_to(ask), transaction_id=transaction_id, amount=amount)
        case Held():
            return _refusal(ask, "request-expired", "the request came too late")
        case Nothing() | Declined() | Closed():
            return _refusal(ask, "nothing-held", "no money is held for this order")
        case _:
            assert_never(payment)


def _voided(ask: Ask, answer: Done | None, payment: Payment) -> StepReply:
    match payment:
        case Taken(transaction_id=transaction_id, amount=amount):
            return PaymentRefunded(**_to(ask), transaction_id=transaction_id, amount=amount)
        case Held(transaction_id=transaction_id):
            return PaymentVoided(**_to(ask), transaction_id=transaction_id)
        case Nothing() | Declined():
            return PaymentVoided(**_to(ask), transaction_id=(answer.transaction_id or None) if answer else None)
        case Closed(transaction_id=transaction_id):
            return PaymentVoided(**_to(ask), transaction_id=transaction_id)
        case _:
            assert_never(payment)


def _refunded(ask: Ask, answer: Done | None, payment: Payment) -> StepReply:
    match payment:
        case Taken(transaction_id=transaction_id, amount=amount):
            return PaymentRefunded(**_to(ask), transaction_id=transaction_id, amount=amount)
        case Held(transaction_id=transaction_id):
            back = answer.amount if answer is not None and answer.amount.amount > 0 else None
            return PaymentRefunded(**_to(ask), transaction_id=transaction_id, amount=back)
        case Closed(transaction_id=transaction_id, refunded=refunded):
            return PaymentRefunded(**_to(ask), transaction_id=transaction_id, amount=refunded)
        case Nothing() | Declined():
            return PaymentRefunded(**_to(ask))
        case _:
            assert_never(payment)


def _to(ask: Ask) -> ReplyTo:
    return {"saga_id": ask.saga_id, "step": ask.step, "undo": ask.undo, "attempt": ask.attempt}


def _refusal(ask: Ask, code: str, why: str) -> PaymentFailed:
    return PaymentFailed(**_to(ask), success=False, error_code=code, error=why)


def _not_done(ask: Ask, answer: NotDone) -> StepReply:
    code, detail = answer.code, answer.detail
    if answer.transient or ask.undo or ask.amount is None:
        return PaymentFailed(**_to(ask), success=False, transient=answer.transient, error_code=code, error=detail)
    return PaymentDeclined(**_to(ask), success=False, error_code=code, error=detail, amount=ask.amount)


def evolve(payment: Payment, event: Message) -> Payment:
    """The payment after an event; an answer that repeats an older fact changes nothing."""
    match event:
        case PaymentAuthorized(transaction_id=transaction_id, amount=amount) if isinstance(payment, Nothing):
            return Held(transaction_id, amount)
        case PaymentCaptured(transaction_id=transaction_id, amount=amount) if isinstance(payment, Held):
            return Taken(transaction_id, amount)
        case PaymentDeclined() if isinstance(payment, Nothing):
            return Declined(event)
        case ProviderReported(what="refunded", transaction_id=transaction_id, amount=amount):
            return Closed(transaction_id, amount)
        case ProviderReported(what="canceled", transaction_id=transaction_id):
            return Closed(transaction_id, None)
        case PaymentVoided(transaction_id=transaction_id) if not isinstance(payment, Closed):
            return Closed(transaction_id, None)
        case PaymentRefunded(transaction_id=transaction_id, amount=amount) if isinstance(payment, Taken | Held):
            # given back after a capture, the hold is gone too; a hold that was never taken is still to be let go
            return Closed(transaction_id, amount) if isinstance(payment, Taken) or amount else payment
        case _:
            return payment


PAYMENT: Decider[PaymentCommand, Payment] = Decider(
    "payment", Nothing(), decide, evolve,
    (
        PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentFailed, PaymentRefunded, PaymentVoided,
        ProviderReported,
    ),
)  # fmt: skip
