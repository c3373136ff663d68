"""Refunds by staff: never more than was captured, whatever races, gets lost, or happens at the provider meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.contracts.payments import PaymentRefund, ProviderUpdated, RefundRefused, RefundRequested
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.kit.testing import assert_idempotent
from services.payments.calls import NOTHING, RecordCall
from services.payments.domain import PARTICIPANT, PAYMENT, Call, Payment, PaymentCommand, ProviderResult, Report
from services.payments.refunds import REFUNDS_MAX, RequestRefund
from services.payments.requested import is_open, refund_at_provider, refundable
from services.payments.transactions import Fact
from tests.domain.test_payment_facts import CAPTURED, HELD, OPENED, PAID, PARTLY, WHOLE, Provider, fact
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)


def gbp(amount: str | Decimal) -> Money:
    return Money(amount=Decimal(amount), currency="GBP")


def ask(amount: str, refund_id: str = "rfd_1", currency: str = "GBP") -> RequestRefund:
    money = Money(amount=Decimal(amount), currency=currency)
    return RequestRefund(at=AT, order_id="o", refund_id=refund_id, amount=money, reason="broken")


def answered(*facts: Fact, refused: Failure | None = None) -> RecordCall:
    call = Call("refund_part", "t", refund_id="rfd_1")
    return RecordCall(at=AT, order_id="o", call=call, result=ProviderResult("t", NOTHING, facts, refused=refused))


def after(payment: Payment, *commands: PaymentCommand) -> Payment:
    for command in commands:
        payment = assert_idempotent(PAYMENT, command, payment)
    return payment


def refused_with(decision: Decision) -> tuple[str, str]:
    assert isinstance(decision, Rejected)
    return decision.code, decision.field


def test_requested_refund_reserves_its_amount_at_once() -> None:
    payment = after(PAID, ask("4", "rfd_1"))
    assert refundable(payment) == 6
    decision = PAYMENT.decide(ask("6.01", "rfd_2"), payment)
    assert isinstance(decision, Rejected)
    assert decision.code == "refund-too-large"
    assert "6 of 10 GBP remain" in decision.detail
    assert refundable(after(payment, ask("6", "rfd_2"))) == 0


@pytest.mark.parametrize(
    ("before", "command", "expected"),
    [
        (PAYMENT.initial, ask("1"), ("payment-not-found", "")),
        (HELD, ask("1"), ("nothing-to-refund", "")),
        (PAYMENT.fold([], after(PAID, Report(at=AT, order_id="o", facts=(OPENED,)))), ask("1"), ("nothing-to-refund", "")),
        (after(PAID, Report(at=AT, order_id="o", facts=(WHOLE,))), ask("1"), ("nothing-to-refund", "")),
        (after(PAID, Report(at=AT, order_id="o", facts=(PARTLY,))), ask("6.01"), ("refund-too-large", "")),
        (PAID, ask("10.01"), ("refund-too-large", "")),
        (PAID, ask("0"), ("not-positive", "amount.amount")),
        (PAID, ask("0.001"), ("too-precise", "amount.amount")),
        (PAID, ask("1", currency="EUR"), ("wrong-currency", "amount.currency")),
    ],
)  # fmt: skip
def test_refund_that_is_not_possible_is_refused(
    before: Payment, command: RequestRefund, expected: tuple[str, str]
) -> None:
    assert refused_with(PAYMENT.decide(command, before)) == expected


def test_number_of_refunds_is_bounded() -> None:
    payment = after(PAID, *(ask("0.01", f"rfd_{n}") for n in range(REFUNDS_MAX)))
    assert refused_with(PAYMENT.decide(ask("0.01", "rfd_more"), payment)) == ("too-many-refunds", "")


def test_refund_that_the_provider_refuses_frees_its_amount() -> None:
    refusal = answered(CAPTURED, refused=Failure("x", "the card is closed", False))
    payment = after(PAID, ask("10"), refusal)
    assert (refundable(payment), payment.requested["rfd_1"].refused) == (10, "the card is closed")
    assert refundable(after(payment, ask("10", "rfd_2"))) == 0


def test_refund_that_fails_later_frees_its_amount() -> None:
    pending, failed = (
        Fact(f"refund_{status}", "t", gbp("4"), "re_1", "rfd_1")  # type: ignore[arg-type]
        for status in ("pending", "failed")
    )
    payment = after(PAID, ask("4"), answered(pending))
    assert refundable(payment) == 6
    assert refundable(after(payment, Report(at=AT, order_id="o", facts=(failed,)))) == 10


def test_event_about_a_known_refund_names_our_id_also_if_the_provider_does_not() -> None:
    pending = Fact("refund_pending", "t", gbp("4"), "re_1", "rfd_1")
    payment = after(PAID, ask("4"), answered(pending))
    arrived = PAYMENT.decide(Report(at=AT, order_id="o", facts=(fact("refund_succeeded", "4", "re_1"),)), payment)
    assert not isinstance(arrived, Rejected)
    assert [getattr(each, "refund_id", None) for each in arrived] == ["rfd_1"]


def test_our_id_is_found_whichever_fact_names_it_first() -> None:
    without, with_id = fact("refund_succeeded", "4", "re_1"), Fact("refund_succeeded", "t", gbp("4"), "re_1", "rfd_1")
    report = [Report(at=AT, order_id="o", facts=(each,)) for each in (without, with_id)]
    payments = [after(PAID, ask("4"), *facts) for facts in (report, report[::-1])]
    assert payments[0] == payments[1]
    assert refundable(payments[0]) == 6
    made = refund_at_provider(payments[0], "rfd_1")
    assert made is not None
    assert made[0] == "re_1"


def test_sum_that_only_repeats_a_known_refund_is_no_news() -> None:
    known = after(PAID, Report(at=AT, order_id="o", facts=(fact("refund_succeeded", "4", "re_1"),)))
    assert PAYMENT.decide(Report(at=AT, order_id="o", facts=(PARTLY,)), known) == []


class Refunds(RuleBasedStateMachine):
    """Staff refund, the saga gives everything back, and answers get lost, while the provider has its own life."""

    def __init__(self) -> None:
        super().__init__()
        self.provider = Provider()
        self.provider.held = self.provider.captured = True
        self.payment = PAID
        self.said: list[Message] = []

    def decide(self, command: PaymentCommand) -> Decision:
        decision = PAYMENT.decide(command, self.payment)
        if not isinstance(decision, Rejected):
            self.said += decision
            self.payment = PAYMENT.fold(decision, self.payment)
        return decision

    @rule(pence=st.integers(1, 1_100))
    def request(self, pence: int) -> None:
        left, number = refundable(self.payment), len(self.payment.requested)
        decision = self.decide(ask(str(Decimal(pence).scaleb(-2)), f"rfd_{number}"))
        assert isinstance(decision, Rejected) == (Decimal(pence).scaleb(-2) > left or number >= REFUNDS_MAX)

    @property
    def open(self) -> list[str]:
        return [refund_id for refund_id in self.payment.requested if is_open(self.payment, refund_id)]

    @precondition(lambda self: self.open)
    @rule(
        data=st.data(),
        status=st.sampled_from(["succeeded", "succeeded", "pending", "failed"]),
        answered=st.booleans(),
    )
    def deliver(self, data: st.DataObject, status: str, answered: bool) -> None:
        """Payments asks the provider, perhaps not for the first time; the answer may get lost."""
        refund_id = data.draw(st.sampled_from(self.open))
        call = Call("refund_part", "t", self.payment.requested[refund_id].amount, refund_id=refund_id)
        result = self.provider.carry_out(call, status)
        if answered and isinstance(result, ProviderResult):
            self.decide(RecordCall(at=AT, order_id="o", call=call, result=result))

    @rule(answered=st.booleans(), status=st.sampled_from(["succeeded", "pending"]))
    def give_everything_back(self, answered: bool, status: str) -> None:
        request = PaymentRefund(saga_id="o", step="s", undo=True)
        call = PARTICIPANT.call_for(request, False, self.payment)
        result = self.provider.carry_out(call, status) if call else None
        if call is None or (answered and result):
            called = Called(call, result) if call and result else None
            self.decide(HandleRequest(at=AT, request=request, called=called))

    @rule(what=st.sampled_from(["refund a part", "refund all", "dispute", "win", "lose", "arrive", "fail"]))
    def happen(self, what: str) -> None:
        self.provider.happen(what)

    @precondition(lambda self: self.provider.untold)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        untold = self.provider.untold
        told = untold.pop(data.draw(st.integers(0, len(untold) - 1)))
        self.decide(Report(at=AT, order_id="o", facts=(told,)))

    @invariant()
    def no_more_goes_back_than_was_captured(self) -> None:
        assert self.provider.left >= 0
        assert refundable(self.payment) >= 0

    def teardown(self) -> None:
        """When every answer is found out, each request has ended and payments knows what the provider knows."""
        for refund_id in self.open:
            call = Call("refund_part", "t", self.payment.requested[refund_id].amount, refund_id=refund_id)
            result = self.provider.carry_out(call, "succeeded")
            if isinstance(result, Failure):
                result = ProviderResult("t", NOTHING, self.provider.facts(), refused=result)
            self.decide(RecordCall(at=AT, order_id="o", call=call, result=result))
        self.decide(Report(at=AT, order_id="o", facts=self.provider.facts()))
        assert self.open == []
        assert self.payment.transactions["t"].left == self.provider.left
        for refund_id in self.payment.requested:
            ends = [each for each in self.said if getattr(each, "refund_id", None) == refund_id]
            mailed = [e for e in ends if isinstance(e, ProviderUpdated) and e.what == "refund_succeeded"]
            assert isinstance(ends[0], RefundRequested)
            assert len(mailed) <= 1, "the customer gets one mail"
            assert mailed or len(ends) > 1
            assert sum(isinstance(each, RefundRefused) for each in ends) <= 1


Refunds.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=25, deadline=None)
test_refunds_in_any_order = Refunds.TestCase
