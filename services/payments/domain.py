"""The payment of one order: which request is allowed in which state, and when the provider has to be called first.

The state is made of facts about transactions at the provider (`services.payments.transactions`), which arrive in any
order, and of the replies that payments gave. `standing` says where the money is; the rules follow from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import assert_never, get_args

from services.contracts.payments import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCapture,
    PaymentCaptured,
    PaymentCapturePending,
    PaymentDeclined,
    PaymentFailed,
    PaymentItemised,
    PaymentProcess,
    PaymentRefund,
    PaymentRefunded,
    PaymentRefundPending,
    PaymentVoid,
    PaymentVoided,
    ProviderReported,
    ProviderUpdated,
    RefundRefused,
    RefundRequested,
    RenewalRefused,
    RenewalRequested,
    RestockRequested,
    SurchargePaid,
    SurchargeRefused,
    SurchargeRequested,
    SurchargeUndone,
    VoidRequested,
)
from services.kit.domain.decider import Decider, Decision, Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import CallFirst, Failure, HandleRequest, Participant, Refusal, failed, reply_to
from services.payments.by_hand import (
    CaptureByHand,
    VoidByHand,
    captured_reply,
    replies_by_hand,
    request_by_hand,
    wait_for_staff,
    with_wait,
)
from services.payments.calls import NOTHING, Call, OrderCommand, ProviderResult, RecordCall, facts_of
from services.payments.evolution import evolve, with_facts
from services.payments.refunds import PayBack, RequestRefund, pay_back, request_refund, restocks
from services.payments.renewal import RENEWING, follow_up
from services.payments.requested import is_open, lines_of
from services.payments.standing import (
    Authorized,
    Captured,
    Declined,
    NoPayment,
    Payment,
    Refunding,
    Released,
    Returned,
    charged_in,
    charges,
    expired_hold,
    is_paid,
    is_renewing,
    refundable_charges,
    returned,
    standing,
)
from services.payments.surcharges import (
    RequestSurcharge,
    UndoSurcharge,
    is_awaited,
    paid_surcharges,
    request_surcharge,
    undo_surcharge,
)
from services.payments.transactions import Fact

__all__ = [
    "NOTHING", "PARTICIPANT", "PAYMENT", "Authorized", "Call", "Captured", "Declined", "NoPayment", "Payment",
    "ProviderResult", "Refunding", "Released", "Report", "Request", "Returned", "call_to_settle", "standing",
]  # fmt: skip

Request = PaymentProcess | PaymentCapture | PaymentVoid | PaymentRefund

REFUND_WAIT = timedelta(days=1)
"""How long the saga waits for a pending refund before it asks again; refunds to banks take days."""

# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(OrderCommand):
    """The provider tells facts about the order's payment."""

    facts: tuple[Fact, ...]


PaymentCommand = (
    HandleRequest[Request, Call, ProviderResult]
    | Report | RecordCall | RequestRefund | PayBack | CaptureByHand | VoidByHand | RequestSurcharge | UndoSurcharge
)  # fmt: skip

# Replies to the saga


def answer(request: Request, payment: Payment) -> StepReply | Refusal | CallFirst[Call, ProviderResult]:
    """Return the reply to a request in this state, a refusal, or the call of the provider that must come first."""
    match request:
        case PaymentProcess() | PaymentCapture():
            return _answer_to_do(request, payment)
        case PaymentVoid() | PaymentRefund():
            return _answer_to_undo(request, payment)
        case _:
            assert_never(request)


CLOSED = Refusal("payment-closed", "the payment of this order is closed")
NOT_HELD = Refusal("nothing-held", "no money is held for this order")
RETURNED = Refusal("payment-returned", "the money was refunded, or the customer's bank disputes the payment")


def _answer_to_do(
    request: PaymentProcess | PaymentCapture, payment: Payment
) -> StepReply | Refusal | CallFirst[Call, ProviderResult]:
    to = reply_to(request)
    match request, standing(payment):
        case PaymentProcess(), Declined(reply):
            return reply.model_copy(update={"attempt": request.attempt})
        case PaymentProcess(), Released(None):
            # an authorization whose answer was lost may have left a hold
            closed = failed(PaymentFailed, request, Failure(CLOSED.code, CLOSED.detail, transient=False))
            return CallFirst(Call("void"), lambda _: closed)
        case _ if payment.closed:
            return CLOSED
        case PaymentProcess(amount=amount, payment_method=method, capture=policy), NoPayment():
            return CallFirst(
                Call("authorize", amount=amount, method=method, policy=policy),
                lambda done: PaymentAuthorized(**to, transaction_id=done.transaction_id, amount=done.amount),
            )
        case PaymentProcess(), Authorized(transaction_id, amount) | Captured(transaction_id, amount):
            return PaymentAuthorized(**to, transaction_id=transaction_id, amount=amount)
        case PaymentCapture(capture="by_hand"), Authorized() as held:
            return wait_for_staff(request, held, payment)
        case PaymentCapture(), Authorized(transaction_id, amount):
            return CallFirst(
                Call("capture", transaction_id, amount),
                lambda done: PaymentCaptured(**to, transaction_id=done.transaction_id, amount=done.amount),
            )
        case PaymentCapture(), Captured(transaction_id, amount):
            return PaymentCaptured(**to, transaction_id=transaction_id, amount=amount)
        case PaymentCapture(), Released() if is_renewing(payment):
            return failed(PaymentFailed, request, RENEWING)
        case _, Refunding() | Returned():
            return RETURNED
        case _, Released() | NoPayment() | Declined():
            return NOT_HELD
        case _ as never:
            assert_never(never)


def _answer_to_undo(
    request: PaymentVoid | PaymentRefund, payment: Payment
) -> StepReply | CallFirst[Call, ProviderResult]:
    to, money = reply_to(request), standing(payment)
    match request, money:
        case _, Captured(transaction_id, amount):
            refunded = PaymentRefunded(**to, transaction_id=transaction_id, amount=charged_in(payment, amount.currency))
            return CallFirst(_refund_of_all(payment), lambda _: refunded)
        case _, Refunding(transaction_id, amount):
            pending = PaymentRefundPending(
                **to, transaction_id=transaction_id, amount=charged_in(payment, amount.currency)
            )
            return CallFirst(_refund_of_all(payment), lambda _: pending)
        case _, Returned(transaction_id, amount, charged_back):
            back = charged_in(payment, amount.currency)
            return PaymentRefunded(**to, transaction_id=transaction_id, amount=back, charged_back=charged_back)
        case PaymentVoid(), NoPayment():  # the reply to an authorization may have been lost on its way to us
            return CallFirst(Call("void"), lambda done: PaymentVoided(**to, transaction_id=done.transaction_id or None))
        case PaymentVoid(), Authorized(transaction_id):
            voided = PaymentVoided(**to, transaction_id=transaction_id)
            return CallFirst(Call("void", transaction_id), lambda _: voided)
        case PaymentVoid(), Released(transaction_id):
            return PaymentVoided(**to, transaction_id=transaction_id)
        case PaymentVoid(), Declined():
            return PaymentVoided(**to)
        case PaymentRefund(), Authorized(transaction_id):  # the reply to a capture may have been lost
            return CallFirst(
                Call("refund", transaction_id),
                lambda done: PaymentRefunded(**to, transaction_id=transaction_id, amount=_unless_zero(done.amount)),
            )
        case PaymentRefund(), Released(transaction_id):
            return PaymentRefunded(**to, transaction_id=transaction_id)
        case PaymentRefund(), NoPayment() | Declined():
            return PaymentRefunded(**to)
        case _:
            assert_never((request, money))


def _refund_of_all(payment: Payment) -> Call:
    first, *also = refundable_charges(payment)
    return Call("refund", first, also=tuple(also))


def _unless_zero(amount: Money) -> Money | None:
    return amount if amount.amount > 0 else None


def _not_done(request: Request, failure: Failure) -> StepReply:
    if failure.transient or isinstance(request, PaymentVoid | PaymentRefund):
        return failed(PaymentFailed, request, failure)
    return failed(PaymentDeclined, request, failure, amount=request.amount)


PARTICIPANT = Participant(
    (PaymentProcess, PaymentCapture, PaymentVoid, PaymentRefund), answer, refused=PaymentFailed, failed=_not_done
)

# Decisions


def decide(command: PaymentCommand, payment: Payment) -> Decision:
    """The reply to a request, an event for each fact that is news, and what payments does next by itself."""
    decision = _decision(command, payment)
    if isinstance(decision, Rejected):
        return decision
    order_id = command.request.saga_id if isinstance(command, HandleRequest) else command.order_id
    return [*decision, *follow_up(order_id, payment, PAYMENT.fold(decision, payment))]


def _decision(command: PaymentCommand, payment: Payment) -> Decision:
    match command:
        case Report(order_id=order_id, facts=facts):
            return _reported(order_id, facts, payment)
        case RequestRefund():
            return request_refund(command, payment)
        case PayBack():
            return pay_back(command, payment)
        case CaptureByHand() | VoidByHand():
            return request_by_hand(command, payment)
        case RequestSurcharge():
            return request_surcharge(command, payment)
        case UndoSurcharge():
            return undo_surcharge(command, payment)
        case RecordCall():
            return _recorded(command, payment)
        case HandleRequest():
            return _replied(command, payment)


def _replied(command: HandleRequest[Request, Call, ProviderResult], payment: Payment) -> Decision:
    called = command.called
    if called is None or isinstance(called.result, Failure):
        replies = [with_wait(reply, command.at) for reply in PARTICIPANT.decide(command, payment)]
        return [*replies, *_itemised(command.request, replies, payment)]
    result = called.result
    if result.refused:
        command = replace(command, called=replace(called, result=result.refused))
    facts = facts_of(called.call, result)
    known = with_facts(payment, facts)
    replies = [_completed(reply, result, command) for reply in PARTICIPANT.decide(command, known)]
    events = [*replies, *_itemised(command.request, replies, payment)]
    return [*events, *_reported(command.request.saga_id, facts, PAYMENT.fold(events, payment))]


def _itemised(request: Request, replies: Sequence[Message], payment: Payment) -> list[PaymentItemised]:
    """The event that says what an authorized payment is for, unless that is known."""
    if not isinstance(request, PaymentProcess) or request.shipping is None:
        return []
    itemised = PaymentItemised(order_id=request.saga_id, lines=request.lines, shipping=request.shipping)
    is_news = itemised != payment.itemised and any(isinstance(reply, PaymentAuthorized) for reply in replies)
    return [itemised] if is_news else []


def _recorded(command: RecordCall, payment: Payment) -> Decision:
    """An event for each fact that is news, and the reply or the refusal that follows from the provider's answer."""
    order_id, facts = command.order_id, facts_of(command.call, command.result)
    after = with_facts(payment, facts)
    if command.call.verb in ("capture", "void"):
        replies = replies_by_hand(command, after)
        return [*replies, *_reported(order_id, facts, PAYMENT.fold(replies, payment))]
    return [*_reported(order_id, facts, payment), *_refused(command, after)]


def _refused(command: RecordCall, payment: Payment) -> Iterator[Message]:
    """The event that the provider refused a call, if its answer is still open; `payment` knows the facts in it."""
    if command.refused is None:
        return
    order_id, why = command.order_id, {"error_code": command.refused.code, "error": command.refused.detail}
    match command.call:
        case Call("refund_part", refund_id=refund_id) if is_open(payment, refund_id):
            amount = payment.requested[refund_id].amount
            yield RefundRefused(order_id=order_id, refund_id=refund_id, amount=amount, **why)
        case Call("renew") if payment.renewal == "requested" and (hold := expired_hold(payment)):
            yield RenewalRefused(order_id=order_id, transaction_id=hold.transaction_id, amount=hold.amount, **why)
        case Call("surcharge", charge_id=edit_id) if is_awaited(payment, edit_id):
            yield SurchargeRefused(order_id=order_id, edit_id=edit_id, **why)
        case _:
            pass


def _completed(
    reply: StepReply, result: ProviderResult, command: HandleRequest[Request, Call, ProviderResult]
) -> StepReply:
    """The reply with the refund that the call made, and with the time when the saga asks again for a pending one."""
    if isinstance(reply, PaymentRefundPending):
        reply = reply.model_copy(update={"answer_by": command.at + REFUND_WAIT})
    made = [fact for fact in result.facts if fact.reference and fact.reference == result.refund_id]
    made = [fact for fact in made if fact.transaction_id == getattr(reply, "transaction_id", None)]
    if made and isinstance(reply, PaymentRefundPending | PaymentRefunded):
        return reply.model_copy(update={"refund_id": made[0].reference, "refund_amount": made[0].amount})
    return reply


def _reported(order_id: str, facts: Iterable[Fact], payment: Payment) -> list[Message]:
    events, before = list[Message](), payment
    for fact in facts:
        after = with_facts(payment, (fact,))
        if after == payment:
            continue
        events.append(_report(order_id, fact, payment, after))
        payment = after
    if not events:
        return []
    replies = [*_late_reply(payment), *captured_reply(payment), *paid_surcharges(payment)]
    return [*events, *replies, *restocks(order_id, before, payment)]


def _report(order_id: str, fact: Fact, before: Payment, after: Payment) -> Message:
    is_refund = fact.what.startswith("refund") or fact.what == "partly_refunded"
    if fact.reference and fact.transaction_id not in charges(after):
        is_refund = False  # of the surcharge of a refused edit, which is no money of the order
    transaction = after.transactions[fact.transaction_id]
    back, known = returned(after), transaction.refunds.get(fact.reference)
    ours = known.refund_id if known else ""
    requested = after.requested.get(ours)
    kind = ProviderReported if fact.what in REPORTED else ProviderUpdated
    return kind.model_validate(
        {
            "order_id": order_id,
            "transaction_id": fact.transaction_id,
            "what": fact.what,
            "amount": fact.amount,
            "reference": fact.reference or None,
            "refunded": Money(amount=back, currency=fact.amount.currency) if is_refund and fact.amount else None,
            "unpaid": not after.closed and is_paid(before) and not is_paid(after),
            "refund_id": ours or None,
            "lines": tuple(lines_of(after, ours)),
            "shipping": requested.shipping if requested else None,
            "charge_id": transaction.charge_id or None,
        }
    )


REPORTED = frozenset(get_args(ProviderReported.model_fields["what"].annotation))


def _late_reply(payment: Payment) -> Sequence[StepReply]:
    """The reply that ends the wait for a refund, or that takes back the reply that a refund arrived."""
    undo = payment.waiting or payment.settled
    if undo is None:
        return ()
    if any(each.has_failed_refund for each in payment.transactions.values()):
        return (failed(PaymentFailed, undo, REFUND_FAILED, revokes=payment.waiting is None),)
    money = standing(payment)
    if payment.waiting and isinstance(money, Returned):
        amount = charged_in(payment, money.amount.currency)
        back = {"transaction_id": money.transaction_id, "amount": amount, "charged_back": money.charged_back}
        return (PaymentRefunded.model_validate({**reply_to(undo), **back}),)
    return ()


REFUND_FAILED = Failure(
    "refund-failed",
    "the provider could not deliver the refund: pay the customer in another way, or resume the run to refund again",
    transient=False,
)


def call_to_settle(payment: Payment) -> Call | None:
    """The call that gives back money of an order or of an edit that was given up; None if the provider has none.

    A refund that failed is left to an operator: another would fail too.
    """
    given_up = payment.closed or payment.declined is not None
    refused = {edit_id for edit_id, each in payment.surcharges.items() if not each.is_kept}
    for name, each in sorted(payment.transactions.items()):
        if not (given_up or each.charge_id in refused):
            continue
        if each.is_held:
            return Call("void", name)
        if each.is_captured and each.left and not (each.is_charged_back or each.has_failed_refund):
            return Call("refund", name)
    return None


PAYMENT: Decider[PaymentCommand, Payment] = Decider(
    "payment", Payment(), decide, evolve,
    (
        PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentFailed, PaymentRefunded, PaymentRefundPending,
        PaymentVoided, ProviderReported, ProviderUpdated, RefundRefused, RefundRequested, PaymentCapturePending,
        CaptureRequested, VoidRequested, PaymentItemised, RestockRequested, RenewalRefused,
        RenewalRequested, SurchargeRequested, SurchargePaid, SurchargeRefused, SurchargeUndone,
    ),
)  # fmt: skip
