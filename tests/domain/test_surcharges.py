"""Charges for edits: the order has several, refunds spread over them, and no charge of a refused edit is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.contracts.payments import (
    PaymentRefund,
    PaymentRefunded,
    PaymentRefundPending,
    ProviderFact,
    ProviderUpdated,
    RefundRequested,
    ReportedChange,
    SurchargePaid,
    SurchargeRefused,
    SurchargeRequested,
    SurchargeUndone,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.kit.testing import assert_idempotent
from services.payments.calls import Call, ProviderResult, RecordCall
from services.payments.domain import PARTICIPANT, PAYMENT, Payment, PaymentCommand, Report, Request, call_to_settle
from services.payments.requested import is_open, refundable
from services.payments.standing import charged, charges, returned
from services.payments.surcharges import RequestSurcharge, UndoSurcharge
from services.payments.transactions import Fact, Transaction, transaction_of
from tests.domain.test_payment_facts import HELD, OPENED, PAID, WHOLE, fact, money
from tests.domain.test_refunds import AT, ask
from tests.examples import examples

DECLINED = Failure("card-declined", "the card was declined", transient=False)
UNDO = UndoSurcharge(at=AT, order_id="o", edit_id="e1")


def surcharge(amount: str = "5", edit_id: str = "e1") -> RequestSurcharge:
    return RequestSurcharge(at=AT, order_id="o", edit_id=edit_id, amount=money(amount), units=3)


def told(what: ReportedChange, amount: str, transaction: str = "t2", edit_id: str = "e1") -> Fact:
    return Fact(what, transaction, money(amount), charge_id=edit_id)


def answered(result: ProviderResult | Failure, edit_id: str = "e1") -> RecordCall:
    return RecordCall(at=AT, order_id="o", call=Call("surcharge", "t", charge_id=edit_id), result=result)


def report(*facts: Fact) -> Report:
    return Report(at=AT, order_id="o", facts=facts)


def after(payment: Payment, *commands: PaymentCommand) -> Payment:
    for command in commands:
        payment = assert_idempotent(PAYMENT, command, payment)
    return payment


def undo() -> Request:
    return PaymentRefund(saga_id="o", step="s", undo=True)


def kinds(decision: Decision) -> list[type[Message]]:
    assert not isinstance(decision, Rejected)
    return [type(event) for event in decision]


CHARGED = answered(ProviderResult("t2", money("5")))
REPORTED = report(told("captured", "5"))
RAISED = after(PAID, surcharge(), CHARGED)


@pytest.mark.parametrize(
    ("before", "command", "last"),
    [
        ([], surcharge(), SurchargeRequested),
        ([surcharge()], CHARGED, SurchargePaid),
        ([surcharge()], REPORTED, SurchargePaid),
        ([surcharge()], answered(DECLINED), SurchargeRefused),
        ([surcharge()], UNDO, SurchargeUndone),
        ([surcharge(), CHARGED], UNDO, SurchargeUndone),
        ([], UNDO, SurchargeUndone),
        ([report(WHOLE)], surcharge(), SurchargeRefused),
        ([report(OPENED)], surcharge(), SurchargeRefused),
    ],
)
def test_surcharge_goes_on(before: list[PaymentCommand], command: PaymentCommand, last: type[Message]) -> None:
    payment = after(PAID, *before)
    assert kinds(PAYMENT.decide(command, payment))[-1] is last
    assert_idempotent(PAYMENT, command, payment)


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([surcharge(), REPORTED], CHARGED),
        ([surcharge(), CHARGED], answered(DECLINED)),
        ([UNDO], surcharge()),
        ([surcharge(), answered(DECLINED)], UNDO),
    ],
)
def test_surcharge_that_has_ended_does_not_begin_or_end_again(
    before: list[PaymentCommand], command: PaymentCommand
) -> None:
    assert PAYMENT.decide(command, after(PAID, *before)) == []


def test_order_that_was_never_paid_takes_no_surcharge() -> None:
    for payment in (PAYMENT.initial, HELD):
        assert kinds(PAYMENT.decide(surcharge(), payment)) == [SurchargeRefused]


def test_charge_that_becomes_known_after_the_edit_was_refused_goes_back() -> None:
    for late in (CHARGED, REPORTED):
        payment = after(PAID, surcharge(), UNDO, late)
        assert call_to_settle(payment) == Call("refund", "t2")
        assert (charged(payment), refundable(payment)) == (10, 10), "it is no part of the order"
        settled = after(payment, report(fact("refund_succeeded", "5", "re_1", "t2")))
        assert call_to_settle(settled) is None
        assert returned(settled) == 0


def test_refund_takes_one_charge_if_it_can_and_several_if_it_must() -> None:
    assert (charged(RAISED), refundable(RAISED)) == (15, 15)
    for amount, shares in (("4", [("t", "4")]), ("10", [("t", "10")]), ("15", [("t", "10"), ("t2", "5")])):
        assert requested(RAISED, amount) == shares
    assert requested(after(RAISED, ask("7")), "4") == [("t2", "4")]
    assert requested(after(RAISED, ask("7")), "6") == [("t", "3"), ("t2", "3")]


def requested(payment: Payment, amount: str) -> list[tuple[str, str]]:
    decision = PAYMENT.decide(ask(amount, "rfd_9"), payment)
    assert not isinstance(decision, Rejected)
    requests = [event for event in decision if isinstance(event, RefundRequested)]
    assert [each.refund_id for each in requests] == ["rfd_9", "rfd_9-2"][: len(requests)]
    return [(each.transaction_id, f"{each.amount.amount:f}") for each in requests]


def test_order_stays_paid_until_every_charge_is_back() -> None:
    first = Report(at=AT, order_id="o", facts=(WHOLE,))
    assert unpaid(PAYMENT.decide(first, RAISED)) == [False]
    partly = after(RAISED, first)
    assert refundable(partly) == 5
    second = report(fact("refund_succeeded", "5", "re_2", "t2"))
    decision = PAYMENT.decide(second, partly)
    assert not isinstance(decision, Rejected)
    assert unpaid(decision) == [True]
    (told_last,) = (event for event in decision if isinstance(event, ProviderFact))
    assert told_last.refunded == money("15")
    assert told_last.charge_id == "e1"


def unpaid(decision: Decision) -> list[bool]:
    assert not isinstance(decision, Rejected)
    return [event.unpaid for event in decision if isinstance(event, ProviderFact)]


def test_cancelled_order_gets_every_charge_back_by_one_request() -> None:
    request = undo()
    call = PARTICIPANT.call_for(request, False, RAISED)
    assert call
    assert call == Call("refund", "t", also=("t2",))
    facts = (fact("refund_succeeded", "10", "re_1"), fact("refund_succeeded", "5", "re_2", "t2"))
    result = ProviderResult("t", money("10"), facts, refund_id="re_1")
    command = HandleRequest(at=AT, request=request, called=Called(call, result))
    decision = PAYMENT.decide(command, RAISED)
    assert not isinstance(decision, Rejected)
    assert isinstance(decision[0], PaymentRefunded)
    assert decision[0].amount == money("15")
    closed = PAYMENT.fold(decision, RAISED)
    assert (returned(closed), call_to_settle(closed)) == (15, None)
    assert PARTICIPANT.call_for(request, False, closed) is None


def test_pending_refund_of_a_surcharge_keeps_the_saga_waiting() -> None:
    request = undo()
    facts = (fact("refund_succeeded", "10", "re_1"), fact("refund_pending", "5", "re_2", "t2"))
    called = Called(Call("refund", "t", also=("t2",)), ProviderResult("t", money("10"), facts, refund_id="re_1"))
    decision = PAYMENT.decide(HandleRequest(at=AT, request=request, called=called), RAISED)
    assert not isinstance(decision, Rejected)
    assert isinstance(decision[0], PaymentRefundPending)
    waiting = PAYMENT.fold(decision, RAISED)
    last = PAYMENT.decide(report(fact("refund_succeeded", "5", "re_2", "t2")), waiting)
    assert not isinstance(last, Rejected)
    assert isinstance(last[-1], PaymentRefunded)
    assert last[-1].amount == money("15")


def test_order_of_one_charge_that_an_older_release_recorded_is_read_as_before() -> None:
    stored = (
        '{"order_id": "o", "transaction_id": "t", "what": "captured", "amount": {"amount": "10", "currency": "GBP"}}'
    )
    payment = PAYMENT.fold([ProviderUpdated.model_validate_json(stored)])
    assert list(charges(payment)) == ["t"]
    assert (charged(payment), refundable(payment)) == (10, 10)


@dataclass
class Bank:
    """A provider with several transactions; each is what its facts say."""

    facts: dict[str, list[Fact]] = field(default_factory=lambda: {"t": [fact("captured", "10")]})

    def known(self, name: str) -> Transaction:
        return transaction_of(self.facts[name])

    def charge(self, edit_id: str, amount: Decimal) -> ProviderResult:
        name = f"t_{edit_id}"
        self.facts.setdefault(name, [Fact("captured", name, money(amount), charge_id=edit_id)])
        return ProviderResult(name, money(amount), tuple(self.facts[name]))

    def refund(self, name: str, amount: Decimal, refund_id: str = "") -> ProviderResult:
        if refund_id and any(each.refund_id == refund_id for each in self.facts[name]):
            return ProviderResult(name, money(amount), tuple(self.facts[name]))
        if amount > self.known(name).left:
            return ProviderResult(name, money("0"), tuple(self.facts[name]), refused=DECLINED)
        if amount:
            reference = f"re_{name}_{len(self.facts[name])}"
            self.facts[name].append(Fact("refund_succeeded", name, money(amount), reference, refund_id))
        return ProviderResult(name, money(amount), tuple(self.facts[name]))


class Charges(RuleBasedStateMachine):
    """Edits charge, are refused and refunded, while answers get lost; the provider moves money as it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.bank, self.payment, self.edits = Bank(), PAID, 0

    def decide(self, command: PaymentCommand) -> Decision:
        decision = PAYMENT.decide(command, self.payment)
        if not isinstance(decision, Rejected):
            self.payment = PAYMENT.fold(decision, self.payment)
        return decision

    @rule(pence=st.integers(1, 900))
    def raise_total(self, pence: int) -> None:
        self.edits += 1
        self.decide(surcharge(str(Decimal(pence).scaleb(-2)), f"e{self.edits}"))

    @property
    def awaited(self) -> list[str]:
        return [name for name, each in self.payment.surcharges.items() if each.status == "requested"]

    @precondition(lambda self: self.awaited)
    @rule(data=st.data(), end=st.sampled_from(["answered", "lost", "declined"]))
    def charge(self, data: st.DataObject, end: str) -> None:
        edit_id = data.draw(st.sampled_from(self.awaited))
        request = self.payment.surcharges[edit_id].request
        assert request
        if end == "declined" and f"t_{edit_id}" not in self.bank.facts:
            self.decide(answered(DECLINED, edit_id))
        elif end != "declined":
            result = self.bank.charge(edit_id, request.amount.amount)
            if end == "answered":
                self.decide(answered(result, edit_id))

    @precondition(lambda self: self.edits)
    @rule(data=st.data())
    def refuse_edit(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.edits + 1))
        self.decide(UndoSurcharge(at=AT, order_id="o", edit_id=f"e{number}"))

    @rule(pence=st.integers(1, 1_500))
    def refund_part(self, pence: int) -> None:
        left, amount = refundable(self.payment), Decimal(pence).scaleb(-2)
        decision = self.decide(ask(str(amount), f"rfd_{len(self.payment.requested)}"))
        assert isinstance(decision, Rejected) == (amount > left)
        if not isinstance(decision, Rejected):
            assert sum(each.amount.amount for each in decision if isinstance(each, RefundRequested)) == amount

    @rule()
    def refund_all_that_is_left(self) -> None:
        left = refundable(self.payment)
        if left:
            self.decide(ask(str(left), f"rfd_{len(self.payment.requested)}"))
            assert refundable(self.payment) == 0

    @property
    def open(self) -> list[str]:
        return [refund_id for refund_id in self.payment.requested if is_open(self.payment, refund_id)]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), lost=st.booleans())
    def pay_back(self, data: st.DataObject, lost: bool) -> None:
        self._pay_back(data.draw(st.sampled_from(self.open)), lost=lost)

    def _pay_back(self, refund_id: str, *, lost: bool) -> None:
        wanted = self.payment.requested[refund_id]
        result = self.bank.refund(wanted.transaction_id, wanted.amount.amount, refund_id)
        if not lost:
            call = Call("refund_part", wanted.transaction_id, wanted.amount, refund_id=refund_id)
            self.decide(RecordCall(at=AT, order_id="o", call=call, result=result))

    def ask_the_provider(self) -> None:
        self.decide(report(*(each for facts in self.bank.facts.values() for each in facts)))

    @invariant()
    def no_charge_returns_more_than_it_took(self) -> None:
        for name in self.bank.facts:
            known = self.bank.known(name)
            assert known.captured
            assert known.returned <= known.captured.amount
        assert 0 <= refundable(self.payment) <= charged(self.payment)

    def teardown(self) -> None:
        """When every answer is known, refused edits cost nothing, and a cancellation leaves exactly zero."""
        for refund_id in self.open:
            self._pay_back(refund_id, lost=False)
        self.ask_the_provider()
        self._settle()
        for edit_id, each in self.payment.surcharges.items():
            if each.status in ("undone", "refused") and f"t_{edit_id}" in self.bank.facts:
                assert self.bank.known(f"t_{edit_id}").left == 0
        self._cancel()
        assert sum(self.bank.known(name).left for name in self.bank.facts) == 0

    def _settle(self) -> None:
        while call := call_to_settle(self.payment):
            self.decide(report(*self.bank.refund(call.transaction_id, self.bank.known(call.transaction_id).left).facts))

    def _cancel(self) -> None:
        request = undo()
        call = PARTICIPANT.call_for(request, False, self.payment)
        if call is None:
            return
        names: Sequence[str] = (call.transaction_id, *call.also)
        results = [self.bank.refund(name, self.bank.known(name).left) for name in names]
        facts = tuple(each for result in results for each in result.facts)
        result = ProviderResult(call.transaction_id, Money(amount=Decimal(0), currency="GBP"), facts)
        self.decide(HandleRequest(at=AT, request=request, called=Called(call, result)))
        self._settle()


Charges.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=25, deadline=None)
test_charges_in_any_order = Charges.TestCase
