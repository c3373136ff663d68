"""The payment of an order: in whatever order the requests come, no money is kept that must go back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.orders import PaymentMethod
from services.contracts.payments import (
    PaymentAuthorized,
    PaymentCapture,
    PaymentCaptured,
    PaymentDeclined,
    PaymentProcess,
    PaymentRefund,
    PaymentRefunded,
    PaymentVoid,
    PaymentVoided,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.payments.domain import PARTICIPANT, PAYMENT, Call, ProviderResult, Request
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
MONEY = Money(amount=Decimal("10.00"), currency="GBP")
ZERO = Money(amount=Decimal(0), currency="GBP")
CARD = PaymentMethod(token="tok_1")


class Bookkeeping:
    """A provider that carries out every call at once and records the state of the money."""

    def __init__(self) -> None:
        self.authorized = self.captured = self.refunded = self.voided = False

    def carry_out(self, call: Call) -> ProviderResult | Failure:
        match call.verb:
            case "authorize":
                self.authorized = True
                return ProviderResult("t", MONEY)
            case "capture" if self.authorized and not self.voided:
                self.captured = True
                return ProviderResult("t", MONEY)
            case "capture":
                return Failure("nothing-held", "", transient=False)
            case "void" if self.captured and not self.refunded:
                return Failure("already-captured", "", transient=False)
            case "void":
                self.voided = True
                return ProviderResult("t" if self.authorized else "", MONEY if self.authorized else ZERO)
            case _:
                self.refunded = self.refunded or self.captured
                return ProviderResult("t", MONEY if self.captured else ZERO)

    @property
    def keeps_money(self) -> bool:
        held = self.authorized and not self.voided and not self.captured
        return held or (self.captured and not self.refunded)


def request(verb: str, attempt: int = 1) -> Request:
    match verb:
        case "authorize":
            return PaymentProcess(saga_id="o", step="s", attempt=attempt, amount=MONEY, payment_method=CARD)
        case "capture":
            return PaymentCapture(saga_id="o", step="s", attempt=attempt, amount=MONEY)
        case "void":
            return PaymentVoid(saga_id="o", step="s", undo=True, attempt=attempt)
        case _:
            return PaymentRefund(saga_id="o", step="s", undo=True, attempt=attempt)


def decided(state, asked: Request, result: ProviderResult | Failure | None = None):
    """The only event of the decision; a needed call of the provider returns `result`."""
    call = PARTICIPANT.call_for(asked, False, state)
    called = Called(call, result) if call and result else None
    decision = PAYMENT.decide(HandleRequest(at=AT, request=asked, called=called), state)
    assert not isinstance(decision, Rejected)
    (event,) = decision
    return event


def handled(provider: Bookkeeping, *verbs: str):
    state, events = PAYMENT.initial, []
    for attempt, verb in enumerate(verbs, 1):
        asked = request(verb, attempt)
        call = PARTICIPANT.call_for(asked, False, state)
        events.append(decided(state, asked, provider.carry_out(call) if call else None))
        state = PAYMENT.fold(events[-1:], state)
    return state, events


@pytest.mark.parametrize(
    ("verbs", "last", "success"),
    [
        (["authorize"], PaymentAuthorized, True),
        (["authorize", "authorize"], PaymentAuthorized, True),
        (["authorize", "capture"], PaymentCaptured, True),
        (["authorize", "capture", "capture"], PaymentCaptured, True),
        (["authorize", "void"], PaymentVoided, True),
        (["authorize", "capture", "refund"], PaymentRefunded, True),
        (["authorize", "capture", "void"], PaymentRefunded, True),
        (["void"], PaymentVoided, True),
        (["refund"], PaymentRefunded, True),
    ],
)
def test_a_sequence_of_requests_ends_with_this_reply(verbs, last, success):
    _, events = handled(Bookkeeping(), *verbs)
    assert isinstance(events[-1], last)
    assert events[-1].success is success


@pytest.mark.parametrize("verbs", [["void", "authorize"], ["authorize", "void", "capture"], ["capture"]])
def test_a_sequence_of_requests_ends_with_a_refusal(verbs):
    _, events = handled(Bookkeeping(), *verbs)
    assert (events[-1].success, events[-1].transient) == (False, False)


def test_declined_card_stays_declined():
    declined = decided(PAYMENT.initial, request("authorize"), Failure("card-declined", "no", transient=False))
    assert isinstance(declined, PaymentDeclined)
    state = PAYMENT.fold([declined])
    assert PARTICIPANT.call_for(request("authorize", 2), False, state) is None
    assert isinstance(decided(state, request("authorize", 2)), PaymentDeclined)


def test_transient_failure_does_not_change_the_payment():
    busy = decided(PAYMENT.initial, request("authorize"), Failure("provider-error", "busy", transient=True))
    assert PAYMENT.fold([busy]) == PAYMENT.initial


@settings(max_examples=examples(500))
@given(
    st.permutations(["authorize", "capture", "refund", "void"]),
    st.lists(st.sampled_from(["authorize", "capture", "void", "refund"]), max_size=4),
)
def test_no_money_is_kept_after_both_undos_are_answered(first, more):
    provider = Bookkeeping()
    handled(provider, *first, *more, "refund", "void")
    assert not provider.keeps_money
    assert not (provider.captured and provider.voided)
