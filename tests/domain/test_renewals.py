"""Renewals of authorizations that expire before the capture: once, and no hold is left of an order that ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.orders import PaymentMethod
from services.contracts.payments import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCapture,
    PaymentCaptured,
    PaymentFailed,
    PaymentProcess,
    PaymentRefund,
    PaymentVoid,
    ProviderFact,
    ProviderUpdated,
    RenewalRefused,
    RenewalRequested,
    VoidRequested,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.kit.testing import assert_idempotent
from services.payments.by_hand import CaptureByHand, VoidByHand
from services.payments.calls import Call, ProviderResult, RecordCall
from services.payments.domain import PARTICIPANT, PAYMENT, Payment, PaymentCommand, Report, Request, call_to_settle
from services.payments.standing import Authorized, Captured, Released, is_paid, is_renewing, standing
from services.payments.transactions import Fact
from tests.domain.test_by_hand import WAITING
from tests.domain.test_payment_facts import CANCELED, EXPIRED, HELD
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEN = Money(amount=Decimal(10), currency="GBP")
DECLINED = Failure("card-declined", "the card was declined", transient=False)
RENEW = Call("renew", "t", TEN)
RENEWED = RecordCall(at=AT, order_id="o", call=RENEW, result=ProviderResult("t2", TEN))
NOT_RENEWED = RecordCall(at=AT, order_id="o", call=RENEW, result=DECLINED)


def report(*facts: Fact) -> Report:
    return Report(at=AT, order_id="o", facts=facts)


def decided(command: PaymentCommand, payment: Payment) -> list[Message]:
    decision = PAYMENT.decide(command, payment)
    assert not isinstance(decision, Rejected), decision
    return list(decision)


def after(payment: Payment, *commands: PaymentCommand) -> Payment:
    for command in commands:
        payment = assert_idempotent(PAYMENT, command, payment)
    return payment


def capture(attempt: int = 1) -> PaymentCapture:
    return PaymentCapture(saga_id="o", step="capture_payment", attempt=attempt, amount=TEN)


def test_authorization_that_expires_is_renewed_and_the_order_stays_paid() -> None:
    expired, requested = decided(report(EXPIRED), HELD)
    assert isinstance(expired, ProviderUpdated)
    assert (expired.what, expired.unpaid) == ("expired", False)
    assert isinstance(requested, RenewalRequested)
    assert (requested.transaction_id, requested.amount) == ("t", TEN)
    renewing = after(HELD, report(EXPIRED))
    assert is_renewing(renewing)
    (held,) = decided(RENEWED, renewing)
    assert isinstance(held, ProviderUpdated)
    assert (held.what, held.transaction_id) == ("authorized", "t2")
    assert standing(after(renewing, RENEWED)) == Authorized("t2", TEN)


def test_authorization_that_somebody_ends_is_not_renewed() -> None:
    (canceled,) = decided(report(CANCELED), HELD)
    assert isinstance(canceled, ProviderFact)
    assert canceled.unpaid
    both = decided(report(EXPIRED, CANCELED), HELD)
    assert [each.unpaid for each in both if isinstance(each, ProviderFact)] == [False, True]
    assert not any(isinstance(each, RenewalRequested) for each in both)


def test_renewal_that_the_provider_refuses_leaves_the_order_unpaid() -> None:
    renewing = after(HELD, report(EXPIRED))
    (refused,) = decided(NOT_RENEWED, renewing)
    assert isinstance(refused, RenewalRefused)
    assert refused.error == "the card was declined"
    lapsed = after(renewing, NOT_RENEWED)
    assert isinstance(standing(lapsed), Released)
    assert not is_paid(lapsed)
    assert decided(report(EXPIRED), lapsed) == []


def test_second_expiry_is_final() -> None:
    renewed = after(HELD, report(EXPIRED), RENEWED)
    (expired,) = decided(report(Fact("expired", "t2")), renewed)
    assert isinstance(expired, ProviderUpdated)
    assert expired.unpaid


def test_capture_that_finds_the_authorization_expired_is_tried_again_after_the_renewal() -> None:
    called = Called(Call("capture", "t", TEN), ProviderResult("t", TEN, (EXPIRED,), refused=DECLINED))
    said = decided(HandleRequest(at=AT, request=capture(), called=called), HELD)
    assert isinstance(said[0], PaymentFailed)
    assert (said[0].error_code, said[0].transient) == ("authorization-expired", True)
    assert isinstance(said[-1], RenewalRequested)
    renewing = PAYMENT.fold(said, HELD)
    (waits,) = decided(HandleRequest(at=AT, request=capture(2)), renewing)
    assert isinstance(waits, PaymentFailed)
    assert waits.transient
    renewed = after(renewing, RENEWED)
    assert PARTICIPANT.call_for(capture(3), False, renewed) == Call("capture", "t2", TEN)


def test_capture_by_staff_goes_on_with_the_renewed_authorization() -> None:
    requested = after(WAITING, CaptureByHand(at=AT, order_id="o"))
    found = RecordCall(
        at=AT, order_id="o", call=Call("capture", "t", TEN),
        result=ProviderResult("t", TEN, (EXPIRED,), refused=DECLINED),
    )  # fmt: skip
    renewing = after(requested, found)
    held, again = decided(RENEWED, renewing)
    assert isinstance(held, ProviderUpdated)
    assert isinstance(again, CaptureRequested)
    assert again.transaction_id == "t2"
    done = RecordCall(at=AT, order_id="o", call=Call("capture", "t2", TEN), result=ProviderResult("t2", TEN))
    (reply,) = decided(done, after(renewing, RENEWED))
    assert isinstance(reply, PaymentCaptured)
    assert (reply.transaction_id, reply.success) == ("t2", True)


def test_staff_wait_until_the_renewal_is_done() -> None:
    renewing = after(WAITING, report(EXPIRED))
    for command in (CaptureByHand(at=AT, order_id="o"), VoidByHand(at=AT, order_id="o", reason="x")):
        decision = PAYMENT.decide(command, renewing)
        assert isinstance(decision, Rejected)
        assert decision.code == "authorization-renewing"
        assert not isinstance(PAYMENT.decide(command, after(renewing, RENEWED)), Rejected)


def test_renewal_of_an_order_that_was_given_up_meanwhile_is_voided() -> None:
    void: PaymentCommand = HandleRequest(at=AT, request=PaymentVoid(saga_id="o", step="s", undo=True))
    renewing = after(HELD, report(EXPIRED))
    closed = PAYMENT.fold(decided(void, renewing), renewing)
    assert not is_renewing(closed)
    assert call_to_settle(after(closed, RENEWED)) == Call("void", "t2")
    assert decided(NOT_RENEWED, closed) == []


# Whole payments whose authorizations expire at any time


@dataclass
class Provider:
    """Keeps the transactions of one order in a plain way."""

    holds: dict[str, str] = field(default_factory=dict)
    """The state of each transaction: held, captured, expired, voided, refunded."""

    def facts(self, name: str) -> tuple[Fact, ...]:
        more = {
            "captured": ["captured"], "expired": ["expired"], "voided": ["canceled"], "refunded": ["captured", "refunded"],
        }  # fmt: skip
        said = ["authorized", *more.get(self.holds[name], [])]
        return tuple(Fact(what, name, None if what in ("expired", "canceled") else TEN) for what in said)  # type: ignore[arg-type]

    def carry_out(self, call: Call) -> ProviderResult | Failure:
        name, verb = call.transaction_id, call.verb
        match verb, self.holds.get(name):
            case "authorize", _:
                self.holds.setdefault("t1", "held")
                name = "t1"
            case "renew", _:
                name = "t2"
                self.holds.setdefault("t2", "held")
            case "capture", "held":
                self.holds[name] = "captured"
            case "capture", "captured":
                pass
            case "void", None:
                return ProviderResult("", TEN)
            case "void", "held":
                self.holds[name] = "voided"
            case "refund", "captured":
                self.holds[name] = "refunded"
            case "refund", _:
                return ProviderResult(name, Money(amount=Decimal(0), currency="GBP"), self.facts(name))
            case _:
                return ProviderResult(name, TEN, self.facts(name), refused=DECLINED)
        return ProviderResult(name, TEN, self.facts(name))


class Life:
    """The saga, staff and payments' own messages, against the provider; answers and messages may be delayed."""

    def __init__(self, data: st.DataObject, by_hand: bool) -> None:
        self.provider, self.data, self.by_hand = Provider(), data, by_hand
        self.payment: Payment = PAYMENT.initial
        self.said: list[Message] = []
        self.inbox: list[Message] = []
        self.attempts = 0

    def decide(self, command: PaymentCommand) -> list[Message]:
        decision = PAYMENT.decide(command, self.payment)
        events = [] if isinstance(decision, Rejected) else list(decision)
        self.payment = PAYMENT.fold(events, self.payment)
        self.said += events
        self.inbox += [each for each in events if isinstance(each, RenewalRequested | CaptureRequested | VoidRequested)]
        return events

    def ask(self, request: Request) -> None:
        self.attempts += 1
        request = request.model_copy(update={"attempt": self.attempts})
        call = PARTICIPANT.call_for(request, False, self.payment)
        called = Called(call, self.provider.carry_out(call)) if call else None
        self.decide(HandleRequest(at=AT, request=request, called=called))

    def deliver(self) -> None:
        message = self.inbox.pop(self.data.draw(st.integers(0, len(self.inbox) - 1)))
        match message:
            case RenewalRequested():
                if is_renewing(self.payment):
                    call = Call("renew", message.transaction_id, message.amount)
                    declined = self.data.draw(st.booleans())
                    result = DECLINED if declined else self.provider.carry_out(call)
                    self.decide(RecordCall(at=AT, order_id="o", call=call, result=result))
            case CaptureRequested():
                call = Call("capture", message.transaction_id, message.amount)
                self.decide(RecordCall(at=AT, order_id="o", call=call, result=self.provider.carry_out(call)))
            case VoidRequested():
                call = Call("void", message.transaction_id)
                self.decide(RecordCall(at=AT, order_id="o", call=call, result=self.provider.carry_out(call)))
            case _:
                raise AssertionError(message)

    def act(self, what: str) -> None:
        policy = {"capture": "by_hand"} if self.by_hand else {}
        to = {"saga_id": "o", "step": "s", "amount": TEN}
        match what:
            case "process":
                card = PaymentMethod(token="tok_1")
                self.ask(PaymentProcess.model_validate({**to, "payment_method": card}))
            case "capture":
                answer_by = AT + timedelta(minutes=2)
                self.ask(PaymentCapture.model_validate({**to, **policy, "step": "c", "answer_by": answer_by}))
            case "staff capture":
                self.decide(CaptureByHand(at=AT, order_id="o"))
            case "staff void":
                self.decide(VoidByHand(at=AT, order_id="o", reason="x"))
            case "expire":
                for name in [name for name, state in self.provider.holds.items() if state == "held"]:
                    self.provider.holds[name] = "expired"
            case "hear":
                for name in self.provider.holds:
                    self.decide(report(*self.provider.facts(name)))
            case _ if self.inbox:
                self.deliver()
            case _:
                pass


ACTIONS = st.lists(
    st.sampled_from(["capture", "staff capture", "staff void", "expire", "expire", "hear", "deliver", "deliver"]),
    max_size=14,
)


@settings(max_examples=examples(500), deadline=None)
@given(st.data(), st.booleans(), ACTIONS)
def test_no_hold_is_left_and_no_money_is_taken_twice(data: st.DataObject, by_hand: bool, actions: list[str]) -> None:
    life = Life(data, by_hand)
    for what in ["process", *actions]:
        life.act(what)
        assert list(life.provider.holds.values()).count("captured") <= 1
    while life.inbox:
        life.deliver()
    captured = "captured" in life.provider.holds.values()
    life.act("hear")
    assert isinstance(standing(life.payment), Captured) == captured
    assert sum(isinstance(each, RenewalRequested) for each in life.said) <= 1
    ends = [each for each in life.said if isinstance(each, StepReply) and each.step == "c" and each.success]
    assert not ends or captured
    for undo in (PaymentRefund(saga_id="o", step="u", undo=True), PaymentVoid(saga_id="o", step="v", undo=True)):
        life.ask(undo)
    while life.inbox:
        life.deliver()
    while call := call_to_settle(life.payment):
        result = life.provider.carry_out(call)
        assert isinstance(result, ProviderResult)
        life.decide(report(*result.facts))
    assert not {"held", "captured"} & set(life.provider.holds.values())
    authorized = [each for each in life.said if isinstance(each, PaymentAuthorized)]
    assert len(authorized) <= 1
