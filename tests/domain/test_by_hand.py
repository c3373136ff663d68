"""Captures and voids by staff: the saga waits, gets one reply, and no money is taken or kept against a decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from services.contracts.orders import PaymentMethod
from services.contracts.payments import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCapture,
    PaymentCaptured,
    PaymentCapturePending,
    PaymentDeclined,
    PaymentFailed,
    PaymentProcess,
    PaymentRefund,
    PaymentVoid,
    ProviderReported,
    VoidRequested,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.kit.testing import assert_idempotent
from services.payments.by_hand import CAPTURE_WAIT, CaptureByHand, VoidByHand
from services.payments.calls import Call, ProviderResult, RecordCall
from services.payments.domain import PARTICIPANT, PAYMENT, Payment, PaymentCommand, Report, Request, call_to_settle
from tests.domain.test_payment_facts import CANCELED, CAPTURED, EXPIRED, HELD, PAID, Provider
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEN = Money(amount=Decimal(10), currency="GBP")
CAPTURE, VOID = CaptureByHand(at=AT, order_id="o"), VoidByHand(at=AT, order_id="o", reason="out of stock")
CAPTURE_CALL, VOID_CALL = Call("capture", "t", TEN), Call("void", "t")


def asked(attempt: int = 1, at: datetime = AT) -> HandleRequest[Request, Call, ProviderResult]:
    request = PaymentCapture(
        saga_id="o", step="capture_payment", attempt=attempt, amount=TEN, capture="by_hand",
        answer_by=at + timedelta(minutes=2),
    )  # fmt: skip
    return HandleRequest(at=at, request=request)


def answered(call: Call, *facts: Any, refused: Failure | None = None) -> RecordCall:
    return RecordCall(at=AT, order_id="o", call=call, result=ProviderResult("t", TEN, facts, refused=refused))


def decided(command: PaymentCommand, payment: Payment) -> list[Message]:
    decision = PAYMENT.decide(command, payment)
    assert not isinstance(decision, Rejected), decision
    return list(decision)


def after(payment: Payment, *commands: PaymentCommand) -> Payment:
    for command in commands:
        payment = PAYMENT.fold(decided(command, payment), payment)
    return payment


WAITING = after(HELD, asked())


def test_saga_has_to_wait_until_staff_capture() -> None:
    assert PARTICIPANT.call_for(asked().request, False, HELD) is None
    (pending,) = decided(asked(), HELD)
    assert isinstance(pending, PaymentCapturePending)
    assert (pending.success, pending.answer_by) == (False, AT + CAPTURE_WAIT)
    (again,) = decided(asked(2, AT + timedelta(minutes=2)), WAITING)
    assert isinstance(again, PaymentCapturePending)
    assert again.answer_by == AT + CAPTURE_WAIT, "the authorization does not live longer because the saga asks again"


def test_saga_that_waited_for_the_life_of_the_authorization_is_refused() -> None:
    (failed,) = decided(asked(2, AT + CAPTURE_WAIT), WAITING)
    assert isinstance(failed, PaymentFailed)
    assert (failed.error_code, failed.transient) == ("authorization-lapsed", False)


def test_capture_by_staff_ends_the_wait_once() -> None:
    (requested,) = decided(CAPTURE, WAITING)
    assert isinstance(requested, CaptureRequested)
    payment = assert_idempotent(PAYMENT, CAPTURE, WAITING)
    (reply,) = decided(answered(CAPTURE_CALL), payment)
    assert isinstance(reply, PaymentCaptured)
    assert (reply.step, reply.attempt, reply.success) == ("capture_payment", 1, True)
    assert_idempotent(PAYMENT, answered(CAPTURE_CALL), payment)
    assert decided(CAPTURE, after(payment, answered(CAPTURE_CALL))) == []


def test_capture_at_the_provider_itself_ends_the_wait_too() -> None:
    said = decided(Report(at=AT, order_id="o", facts=(CAPTURED,)), WAITING)
    assert [type(each) for each in said if isinstance(each, StepReply)] == [PaymentCaptured]


def test_void_by_staff_leaves_the_order_unpaid() -> None:
    (requested,) = decided(VOID, WAITING)
    assert isinstance(requested, VoidRequested)
    (reported,) = decided(answered(VOID_CALL, CANCELED), after(WAITING, VOID))
    assert isinstance(reported, ProviderReported)
    assert (reported.what, reported.unpaid) == ("canceled", True)


def test_capture_that_the_provider_declines_fails_the_step() -> None:
    refused = answered(CAPTURE_CALL, refused=Failure("capture-declined", "the capture was declined", transient=False))
    (reply,) = decided(refused, after(WAITING, CAPTURE))
    assert isinstance(reply, PaymentDeclined)
    assert reply.error == "the capture was declined"


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        (PAYMENT.initial, CAPTURE, "payment-not-found"),
        (HELD, CAPTURE, "not-by-hand"),
        (HELD, VOID, "not-by-hand"),
        (PAID, VOID, "not-by-hand"),
        (PAID, CAPTURE, "not-by-hand"),
        (after(HELD, Report(at=AT, order_id="o", facts=(CANCELED,))), VOID, "not-by-hand"),
        (after(WAITING, CAPTURE), VOID, "capture-requested"),
        (after(WAITING, VOID), CAPTURE, "void-requested"),
        (after(WAITING, Report(at=AT, order_id="o", facts=(EXPIRED,))), CAPTURE, "authorization-renewing"),
        (after(WAITING, Report(at=AT, order_id="o", facts=(CANCELED,))), CAPTURE, "nothing-held"),
    ],
)
def test_decision_that_is_not_possible_is_refused(before: Payment, command: PaymentCommand, code: str) -> None:
    decision = PAYMENT.decide(command, before)
    assert isinstance(decision, Rejected)
    assert decision.code == code


def test_money_that_is_taken_at_once_needs_no_capture() -> None:
    method = PaymentMethod(token="tok_1")
    process = PaymentProcess(saga_id="o", step="s", amount=TEN, payment_method=method, capture="at_once")
    call = PARTICIPANT.call_for(process, False, PAYMENT.initial)
    assert call == Call("authorize", amount=TEN, method=method, policy="at_once")
    assert call is not None
    result = Provider().carry_out(call, "succeeded")
    done: PaymentCommand = HandleRequest(at=AT, request=process, called=Called(call, result))
    assert isinstance(decided(done, PAYMENT.initial)[0], PaymentAuthorized)
    payment = after(PAYMENT.initial, done)
    capture = PaymentCapture(saga_id="o", step="c", amount=TEN, capture="at_once")
    assert PARTICIPANT.call_for(capture, False, payment) is None
    assert isinstance(decided(HandleRequest(at=AT, request=capture), payment)[0], PaymentCaptured)
    assert PARTICIPANT.call_for(PaymentVoid(saga_id="o", step="s", undo=True), False, payment) == Call("refund", "t")


class ByHand(RuleBasedStateMachine):
    """Staff decide, the saga asks again or undoes, answers get lost, and the authorization may lapse."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = Provider()
        self.provider.held = True
        self.payment = HELD
        self.said: list[Message] = []
        self.attempt = 0
        self.todo: list[Call] = []
        self.undone = False

    def decide(self, command: PaymentCommand) -> Decision:
        decision = PAYMENT.decide(command, self.payment)
        if not isinstance(decision, Rejected):
            self.said += decision
            self.payment = PAYMENT.fold(decision, self.payment)
            self.todo += [CAPTURE_CALL for each in decision if isinstance(each, CaptureRequested)]
            self.todo += [VOID_CALL for each in decision if isinstance(each, VoidRequested)]
        return decision

    @rule()
    def ask(self) -> None:
        if not self.undone:
            self.attempt += 1
            self.decide(asked(self.attempt))

    @rule(command=st.sampled_from([CAPTURE, VOID]))
    def staff_decide(self, command: PaymentCommand) -> None:
        self.decide(command)

    @precondition(lambda self: self.todo)
    @rule(answered=st.booleans())
    def deliver(self, answered: bool) -> None:
        """A refusal is followed by a question, as the reaction asks it; a lost answer is delivered again."""
        call = self.todo[0]
        result = self.provider.carry_out(call, "succeeded")
        if answered:
            self.todo.pop(0)
            self.decide(RecordCall(at=AT, order_id="o", call=call, result=result))

    @rule()
    def lapse(self) -> None:
        self.provider.happen("expire")

    @precondition(lambda self: self.provider.untold)
    @rule()
    def hear(self) -> None:
        self.decide(Report(at=AT, order_id="o", facts=(self.provider.untold.pop(),)))

    @precondition(lambda self: not self.undone)
    @rule()
    def undo(self) -> None:
        self.undone = True
        for model in (PaymentRefund, PaymentVoid):
            request = model(saga_id="o", step=model.__name__, undo=True)
            for _ in range(5):
                call = PARTICIPANT.call_for(request, False, self.payment)
                called = Called(call, self.provider.carry_out(call, "succeeded")) if call else None
                before = len(self.said)
                self.decide(HandleRequest(at=AT, request=request, called=called))
                if any(isinstance(each, StepReply) and each.success for each in self.said[before:]):
                    break

    def teardown(self) -> None:
        for call in self.todo:
            result = self.provider.carry_out(call, "succeeded")
            self.decide(RecordCall(at=AT, order_id="o", call=call, result=result))
        self.decide(Report(at=AT, order_id="o", facts=self.provider.facts()))
        if self.undone:
            if call := call_to_settle(self.payment):
                self.provider.carry_out(call, "succeeded")
            assert not self.provider.keeps_money
            return
        captured = [each for each in self.said if isinstance(each, PaymentCaptured)]
        waited = any(isinstance(each, PaymentCapturePending) for each in self.said)
        assert bool(captured) == (waited and self.provider.captured)
        if self.provider.released:
            assert any(getattr(each, "unpaid", False) for each in self.said), "the order is cancelled"


ByHand.TestCase.settings = settings(max_examples=examples(200), stateful_step_count=15, deadline=None)
test_decisions_of_staff_in_any_order = ByHand.TestCase
