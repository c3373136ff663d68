"""Facts of the payment provider: in any order, repeated, before or after our own record, they lead to the same payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from services.contracts.orders import PaymentMethod
from services.contracts.payments import (
    PaymentAuthorized,
    PaymentCapture,
    PaymentCaptured,
    PaymentFailed,
    PaymentProcess,
    PaymentRefund,
    PaymentRefunded,
    PaymentRefundPending,
    PaymentVoid,
    PaymentVoided,
    ProviderFact,
    ProviderUpdated,
    ReportedChange,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.kit.testing import assert_idempotent
from services.payments.domain import (
    PARTICIPANT,
    PAYMENT,
    Authorized,
    Call,
    Captured,
    Payment,
    ProviderResult,
    Refunding,
    Released,
    Report,
    Request,
    Returned,
    call_to_settle,
    standing,
)
from services.payments.transactions import Fact
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
LOST = Failure("provider-timeout", "the answer was lost", transient=True)


def money(amount: str | Decimal) -> Money:
    return Money(amount=Decimal(amount), currency="GBP")


def fact(what: ReportedChange, amount: str | None = None, reference: str = "", transaction: str = "t") -> Fact:
    return Fact(what, transaction, None if amount is None else money(amount), reference)


def reply(model: type[StepReply], **fields: object) -> StepReply:
    return model.model_validate({"saga_id": "o", "step": "s", "transaction_id": "t", **fields})


AUTHORIZED, CAPTURED = fact("authorized", "10"), fact("captured", "10")
PARTLY, WHOLE = fact("partly_refunded", "4"), fact("refunded", "10")
FIRST, SECOND = fact("refund_succeeded", "4", "re_1"), fact("refund_succeeded", "6", "re_2")
FIRST_FAILED, SECOND_FAILED = fact("refund_failed", "4", "re_1"), fact("refund_failed", "6", "re_2")
OPENED, WON, LOST_IT = (fact(what, "10", "dp_1") for what in ("disputed", "dispute_won", "dispute_lost"))
EXPIRED, CANCELED = fact("expired"), fact("canceled")
OUR_HOLD = reply(PaymentAuthorized, amount=money("10"))
OUR_CAPTURE = reply(PaymentCaptured, amount=money("10"))

HISTORIES: dict[str, tuple[Sequence[Fact | StepReply], type[object], str]] = {
    "captured": ([AUTHORIZED, OUR_HOLD, OUR_CAPTURE, CAPTURED], Captured, "0"),
    "partly refunded": ([OUR_HOLD, OUR_CAPTURE, CAPTURED, PARTLY, FIRST], Captured, "4"),
    "refunded in two parts": ([OUR_HOLD, OUR_CAPTURE, PARTLY, FIRST, WHOLE, SECOND], Returned, "10"),
    "a refund failed": ([OUR_HOLD, OUR_CAPTURE, WHOLE, FIRST, SECOND, SECOND_FAILED], Captured, "4"),
    "both refunds failed": ([OUR_CAPTURE, WHOLE, FIRST, SECOND, SECOND_FAILED, FIRST_FAILED], Captured, "0"),
    "a refund is pending": ([OUR_CAPTURE, WHOLE, FIRST, fact("refund_pending", "6", "re_2")], Refunding, "4"),
    "disputed": ([AUTHORIZED, OUR_HOLD, OUR_CAPTURE, CAPTURED, OPENED], Returned, "0"),
    "dispute won": ([OUR_HOLD, OUR_CAPTURE, fact("inquiry", "10", "dp_1"), OPENED, WON], Captured, "0"),
    "dispute lost": ([OUR_HOLD, OUR_CAPTURE, CAPTURED, OPENED, LOST_IT], Returned, "0"),
    "refunded, then disputed and won": ([OUR_CAPTURE, WHOLE, FIRST, SECOND, OPENED, WON], Returned, "10"),
    "expired": ([AUTHORIZED, OUR_HOLD, EXPIRED, CANCELED], Released, "0"),
    "cancelled in the dashboard": ([AUTHORIZED, OUR_HOLD, CANCELED], Released, "0"),
}


def known(payment: Payment) -> Payment:
    """What is known, without what payments did about it: a renewal is requested when an expiry is first heard of."""
    return replace(payment, renewal="")


def told(payment: Payment, item: Fact | StepReply) -> Payment:
    """The payment after a fact was reported, or after our own record of a reply."""
    if isinstance(item, StepReply):
        return PAYMENT.evolve(payment, item)
    return assert_idempotent(PAYMENT, Report(at=AT, order_id="o", facts=(item,)), payment)


@pytest.mark.parametrize("name", HISTORIES)
def test_every_order_of_the_facts_leads_to_the_same_payment(name: str) -> None:
    items, expected, returned = HISTORIES[name]
    found = []
    for order in permutations(items):
        payment = PAYMENT.initial
        for item in order:
            payment = told(payment, item)
        if known(payment) not in found:
            found.append(known(payment))
    (payment,) = found
    assert isinstance(standing(payment), expected)
    assert payment.transactions["t"].returned == Decimal(returned)


ALL = [
    AUTHORIZED,
    CAPTURED,
    PARTLY,
    WHOLE,
    FIRST,
    SECOND,
    FIRST_FAILED,
    SECOND_FAILED,
    OPENED,
    WON,
    LOST_IT,
    EXPIRED,
    CANCELED,
]


@settings(max_examples=examples(500))
@given(st.lists(st.sampled_from([*ALL, OUR_HOLD, OUR_CAPTURE]), max_size=12), st.data())
def test_any_facts_repeated_and_shuffled_lead_to_the_same_payment(
    items: list[Fact | StepReply], data: st.DataObject
) -> None:
    repeated = [item for item in items if data.draw(st.booleans())]
    shuffled = data.draw(st.permutations([*items, *repeated]))
    states = []
    for order in (items, shuffled):
        payment = PAYMENT.initial
        for item in order:
            payment = told(payment, item)
        states.append(known(payment))
    assert states[0] == states[1]


# Whole payments against a provider that loses answers


class Provider:
    """Keeps one transaction in a plain way, and tells each change as a fact that may be delivered at any time."""

    def __init__(self) -> None:
        self.held = self.captured = self.released = False
        self.refunds: dict[str, tuple[Decimal, str]] = {}
        self.ours: dict[str, str] = {}
        """Our id of each refund that staff requested, by its name here."""
        self.dispute = ""
        self.untold: list[Fact] = []
        self.charge_backs = 0

    @property
    def left(self) -> Decimal:
        back = sum((amount for amount, status in self.refunds.values() if status != "failed"), Decimal(0))
        return Decimal(10) - back if self.captured else Decimal(0)

    @property
    def keeps_money(self) -> bool:
        open_hold = self.held and not self.captured and not self.released
        failed = any(status == "failed" for _, status in self.refunds.values())
        return open_hold or (self.left > 0 and self.dispute not in ("disputed", "dispute_lost") and not failed)

    def facts(self) -> tuple[Fact, ...]:
        """The answer to a question."""
        found = [AUTHORIZED] * self.held + [CAPTURED] * self.captured + [CANCELED] * self.released
        found += [self.told(name) for name in self.refunds]
        return (*found, *([fact(self.dispute, "10", "dp_1")] if self.dispute else []))  # type: ignore[arg-type]

    def carry_out(self, call: Call, refund_status: str) -> ProviderResult | Failure:
        """As an adapter does, with the question after a refusal."""
        match call.verb:
            case "authorize":
                self.change(held=True, captured=call.policy == "at_once" or self.captured)
                return ProviderResult("t", money("10"), self.facts())
            case "capture" if self.held and not self.released:
                self.change(captured=True)
                return ProviderResult("t", money("10"), self.facts())
            case "void" if not self.held:
                return ProviderResult("", money("0"))
            case "void" if not self.captured:
                self.change(released=True)
                return ProviderResult("t", money("10"), self.facts())
            case "refund" if self.left == 0:
                return ProviderResult("t", money("0"), self.facts())
            case "refund_part" if call.refund_id in self.ours.values():
                return ProviderResult("t", money("0"), self.facts())
            case "refund_part" if call.amount and call.amount.amount > self.left:
                return ProviderResult("t", money("0"), self.facts(), refused=Failure("too-large", "", transient=False))
            case "refund_part" if call.amount and self.dispute not in ("disputed", "dispute_lost"):
                name = f"re_{len(self.refunds)}"
                self.ours[name] = call.refund_id
                self.refund(name, call.amount.amount, refund_status)
                return ProviderResult("t", call.amount, self.facts(), name)
            case "refund" if self.dispute not in ("disputed", "dispute_lost"):
                name, amount = f"re_{len(self.refunds)}", self.left
                self.refund(name, amount, refund_status)
                refused = Failure("refund-failed", "", transient=True) if refund_status == "failed" else None
                return ProviderResult("t", money(amount), self.facts(), name, refused)
            case _:
                return ProviderResult("t", money("0"), self.facts(), refused=Failure("refused", "", transient=False))

    def change(self, **flags: bool) -> None:
        before = set(self.facts())
        for name, value in flags.items():
            setattr(self, name, value)
        self.untold += [each for each in self.facts() if each not in before]

    def refund(self, name: str, amount: Decimal, status: str) -> None:
        self.refunds[name] = (amount, status)
        self.untold.append(self.told(name))

    def told(self, name: str) -> Fact:
        amount, status = self.refunds[name]
        return Fact(f"refund_{status}", "t", money(amount), name, self.ours.get(name, ""))  # type: ignore[arg-type]

    def happen(self, what: str) -> None:
        """Something that a colleague, the bank or time causes, if it can happen now."""
        pending = [name for name, (_, status) in self.refunds.items() if status == "pending"]
        match what:
            case "expire" if self.held and not self.captured:
                self.change(released=True)
            case "refund a part" if self.left > 3 and not self.dispute:
                self.refund(f"re_{len(self.refunds)}", Decimal(3), "succeeded")
            case "refund all" if self.left and not self.dispute:
                self.refund(f"re_{len(self.refunds)}", self.left, "succeeded")
            case "arrive" | "fail" if pending:
                self.refund(pending[0], self.refunds[pending[0]][0], "succeeded" if what == "arrive" else "failed")
            case "dispute" if self.captured and not self.dispute:
                self.dispute = "disputed"
                self.untold.append(OPENED)
            case "win" | "lose" if self.dispute == "disputed":
                self.dispute = "dispute_won" if what == "win" else "dispute_lost"
                self.untold.append(WON if what == "win" else LOST_IT)
            case _:
                pass


class Saga:
    """Requests of payments as the saga does, with answers that the test lets get lost."""

    def __init__(self, provider: Provider, data: st.DataObject) -> None:
        self.provider, self.data = provider, data
        self.payment: Payment = PAYMENT.initial
        self.said: list[Message] = []
        self.attempts = 0

    def ask(self, model: type[Request]) -> StepReply:
        self.attempts += 1
        fields = {"amount": money("10"), "payment_method": PaymentMethod(token="tok_1")}
        own = {name: value for name, value in fields.items() if name in model.model_fields}
        undo = model in (PaymentVoid, PaymentRefund)
        to = {"saga_id": "o", "step": model.__name__, "attempt": self.attempts, "undo": undo}
        request = model.model_validate({**to, **own})
        call = PARTICIPANT.call_for(request, False, self.payment)
        self.trouble()  # while the call is under way, facts may arrive
        called = None if call is None else Called(call, self.call(call))
        before = len(self.said)
        self.decide(HandleRequest(at=AT, request=request, called=called))
        (answer,) = [e for e in self.said[before:] if isinstance(e, StepReply) and e.attempt == self.attempts]
        return answer

    def call(self, call: Call) -> ProviderResult | Failure:
        lost, status = self.data.draw(st.sampled_from(["answered", "answered", "lost", "not done"])), "succeeded"
        if lost == "not done":
            return LOST
        if call.verb == "refund":
            status = self.data.draw(st.sampled_from(["succeeded", "succeeded", "pending", "failed"]))
        result = self.provider.carry_out(call, status)
        return LOST if lost == "lost" else result

    def trouble(self) -> None:
        for what in self.data.draw(st.lists(st.sampled_from(WORLD), max_size=2)):
            self.provider.happen(what)
        untold = self.provider.untold
        for _ in range(self.data.draw(st.integers(0, len(untold)))):
            told = untold.pop(self.data.draw(st.integers(0, len(untold) - 1)))
            self.decide(Report(at=AT, order_id="o", facts=(told,)))

    def decide(self, command: HandleRequest[Request, Call, ProviderResult] | Report) -> None:
        decision = PAYMENT.decide(command, self.payment)
        assert not isinstance(decision, Rejected)
        self.said += decision
        self.payment = PAYMENT.fold(decision, self.payment)

    def undo(self, model: type[Request]) -> StepReply:
        """Request until the undo succeeds or is pending."""
        for _ in range(60):
            answer = self.ask(model)
            if answer.success or isinstance(answer, PaymentRefundPending):
                return answer
        raise AssertionError(f"{model.__name__} never succeeds")


WORLD = ["expire", "refund a part", "refund all", "dispute", "win", "lose", "arrive", "fail"]


@settings(max_examples=examples(200), deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.data())
def test_no_money_is_kept_for_an_order_that_is_given_up(data: st.DataObject) -> None:
    provider = Provider()
    saga = Saga(provider, data)
    for model in data.draw(st.lists(st.sampled_from([PaymentProcess, PaymentProcess, PaymentCapture]), max_size=4)):
        saga.ask(model)
    saga.undo(PaymentRefund)
    saga.undo(PaymentVoid)
    saga.trouble()
    for _ in range(60):
        while provider.untold:
            saga.decide(Report(at=AT, order_id="o", facts=(provider.untold.pop(),)))
        call = call_to_settle(saga.payment)
        if call is None:
            break
        result = saga.call(call)
        facts = result.facts if isinstance(result, ProviderResult) else ()
        saga.decide(Report(at=AT, order_id="o", facts=facts))
    else:
        raise AssertionError(f"it never ends: {saga.payment}")
    event(type(standing(saga.payment)).__name__)
    assert not provider.keeps_money
    owed = [status for _, status in provider.refunds.values()].count("failed") and provider.left > 0
    if owed and provider.dispute not in ("disputed", "dispute_lost"):
        assert saga.payment.settled is None, "the saga hears that the refund failed"


def decided(payment: Payment, *facts: Fact) -> Sequence[Message]:
    decision = PAYMENT.decide(Report(at=AT, order_id="o", facts=facts), payment)
    assert not isinstance(decision, Rejected)
    return decision


PAID = PAYMENT.fold([OUR_HOLD, OUR_CAPTURE])
HELD = PAYMENT.fold([OUR_HOLD])


@pytest.mark.parametrize(
    ("before", "facts", "unpaid"),
    [
        (PAID, [PARTLY], False),
        (PAID, [WHOLE], True),
        (PAID, [FIRST, SECOND], True),
        (PAID, [fact("refund_pending", "10", "re_1")], True),
        (PAID, [OPENED], True),
        (PAID, [fact("inquiry", "10", "dp_1")], True),
        (PAID, [WON], False),
        (HELD, [EXPIRED], False),
        (HELD, [EXPIRED, CANCELED], True),
        (HELD, [CANCELED], True),
        (HELD, [CAPTURED], False),
        (HELD, [OPENED], True),
        (PAYMENT.fold([reply(PaymentRefunded, undo=True, amount=money("10"))], PAID), [WHOLE, OPENED], False),
    ],
)
def test_a_fact_says_whether_the_order_is_still_paid(before: Payment, facts: list[Fact], unpaid: bool) -> None:
    said = [each for each in decided(before, *facts) if isinstance(each, ProviderFact)]
    assert [each.unpaid for each in said].count(True) == unpaid


@pytest.mark.parametrize("facts", [*permutations([FIRST, fact("refund_failed", reference="re_1")])])
def test_refund_that_fails_by_a_fact_without_amount_returns_nothing(facts: Sequence[Fact]) -> None:
    payment = PAYMENT.fold(decided(PAID, *facts), PAID)
    known = payment.transactions["t"]
    assert (known.returned, known.left, known.refunds["re_1"].amount) == (0, 10, 4)


def test_an_order_whose_money_went_back_elsewhere_is_not_captured() -> None:
    for payment in (PAYMENT.fold(decided(HELD, each), HELD) for each in (OPENED, CANCELED, WHOLE)):
        request = PaymentCapture(saga_id="o", step="s", amount=money("10"))
        assert PARTICIPANT.call_for(request, False, payment) is None
        (answer,) = PARTICIPANT.decide(HandleRequest(at=AT, request=request), payment)
        assert (answer.success, answer.transient) == (False, False)


def test_a_pending_refund_is_answered_when_it_arrives_or_fails() -> None:
    pending = reply(PaymentRefundPending, undo=True, amount=money("10"), refund_id="re_1", refund_amount=money("10"))
    payment = PAYMENT.fold([pending], PAID)
    assert isinstance(standing(payment), Refunding)
    report, done = decided(payment, fact("refund_succeeded", "10", "re_1"))
    assert isinstance(report, ProviderUpdated)
    assert isinstance(done, PaymentRefunded)
    assert (done.step, done.undo, done.amount) == ("s", True, money("10"))
    _, failed = decided(payment, fact("refund_failed", "10", "re_1"))
    assert isinstance(failed, PaymentFailed)
    assert (failed.error_code, failed.transient, failed.revokes) == ("refund-failed", False, False)


def test_a_refund_that_fails_after_it_arrived_is_taken_back() -> None:
    done = reply(PaymentRefunded, undo=True, attempt=2, amount=money("10"), refund_id="re_1", refund_amount=money("10"))
    payment = PAYMENT.fold([done], PAID)
    said = decided(payment, fact("refund_failed", "10", "re_1"))
    assert isinstance(said[-1], PaymentFailed)
    assert (said[-1].attempt, said[-1].undo, said[-1].revokes) == (2, True, True)
    again = PAYMENT.fold(said, payment)
    assert call_to_settle(again) is None, "an operator decides"
    assert PARTICIPANT.call_for(PaymentRefund(saga_id="o", step="s", undo=True), False, again) == Call("refund", "t")


def test_money_of_a_dispute_that_is_won_after_the_order_was_given_up_goes_back() -> None:
    disputed = PAYMENT.fold(decided(PAID, OPENED), PAID)
    request = PaymentRefund(saga_id="o", step="s", undo=True)
    (answer,) = PARTICIPANT.decide(HandleRequest(at=AT, request=request), disputed)
    assert isinstance(answer, PaymentRefunded)
    assert answer.charged_back
    closed = PAYMENT.fold([answer], disputed)
    assert call_to_settle(closed) is None
    assert call_to_settle(PAYMENT.fold(decided(closed, WON), closed)) == Call("refund", "t")


@pytest.mark.parametrize("verb", ["authorize", "capture"])
def test_an_answer_that_arrives_after_the_order_was_given_up_is_settled(verb: str) -> None:
    voided = PAYMENT.decide(
        HandleRequest(
            at=AT,
            request=PaymentVoid(saga_id="o", step="s", undo=True),
            called=Called(Call("void"), ProviderResult("", money("0"))),
        ),
        PAYMENT.initial,
    )
    assert not isinstance(voided, Rejected)
    closed = PAYMENT.fold(voided)
    facts = () if verb == "authorize" else (AUTHORIZED, CAPTURED)
    call = Call("authorize", amount=money("10"), method=PaymentMethod(token="tok_1"))
    process = PaymentProcess(saga_id="o", step="s", amount=money("10"), payment_method=PaymentMethod(token="tok_1"))
    late: HandleRequest[Request, Call, ProviderResult] = HandleRequest(
        at=AT, request=process, called=Called(call, ProviderResult("t", money("10"), facts))
    )
    decision = PAYMENT.decide(late, closed)
    assert not isinstance(decision, Rejected)
    assert isinstance(decision[0], PaymentFailed)
    expected = Call("void", "t") if verb == "authorize" else Call("refund", "t")
    assert call_to_settle(PAYMENT.fold(decision, closed)) == expected


def test_hold_that_is_known_beside_the_payment_is_let_go_only_when_the_order_is_given_up() -> None:
    assert call_to_settle(HELD) is None
    assert isinstance(standing(HELD), Authorized)
    stray = PAYMENT.fold(decided(HELD, fact("authorized", "10", transaction="s")), HELD)
    given_up = PAYMENT.fold([reply(PaymentRefunded, undo=True), reply(PaymentVoided, undo=True)], stray)
    assert call_to_settle(given_up) == Call("void", "s")
