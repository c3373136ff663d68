"""What may happen to money: whatever order the requests come in, nothing is kept that must go back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.payments import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentVoided,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.payments.domain import PAYMENT, Ask, Done, NotDone, Record, call_for

AT = datetime(2026, 1, 1, tzinfo=UTC)
MONEY = Money(amount=Decimal("10.00"), currency="GBP")
NONE = Money(amount=Decimal(0), currency="GBP")
UNDO = {"authorize": False, "capture": False, "void": True, "refund": True}


class Books:
    """A provider that moves money at once and keeps books."""

    def __init__(self) -> None:
        self.held = self.taken = self.returned = self.let_go = False

    def answer(self, call) -> Done | NotDone:
        match call.verb:
            case "authorize":
                self.held = True
                return Done("t", MONEY)
            case "capture" if self.held and not self.let_go:
                self.taken = True
                return Done("t", MONEY)
            case "capture":
                return NotDone("nothing-held", "", transient=False)
            case "void" if self.taken and not self.returned:
                return NotDone("already-captured", "", transient=False)
            case "void":
                self.let_go = True
                return Done("t" if self.held else "", MONEY if self.held else NONE)
            case _:
                self.returned = self.returned or self.taken
                return Done("t", MONEY if self.taken else NONE)

    @property
    def kept(self) -> bool:
        return (self.held and not self.let_go and not self.taken) or (self.taken and not self.returned)


def ask(verb, attempt=1, **more) -> Ask:
    return Ask(saga_id="o", step="s", undo=UNDO[verb], attempt=attempt, verb=verb, amount=MONEY, **more)


def run(books, *verbs):
    state, events = PAYMENT.initial, []
    for attempt, verb in enumerate(verbs, 1):
        request = ask(verb, attempt)
        call = call_for(request, state)
        decision = PAYMENT.decide(Record(at=AT, ask=request, answer=books.answer(call) if call else None), state)
        assert not isinstance(decision, Rejected)
        (event,) = decision
        events.append(event)
        state = PAYMENT.fold(decision, state)
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
def test_answers(verbs, last, success):
    _, events = run(Books(), *verbs)
    assert isinstance(events[-1], last)
    assert events[-1].success is success


@pytest.mark.parametrize("verbs", [["void", "authorize"], ["authorize", "void", "capture"], ["capture"]])
def test_refusals(verbs):
    _, events = run(Books(), *verbs)
    assert (events[-1].success, events[-1].transient) == (False, False)


def test_a_declined_card_stays_declined():
    no = NotDone("card-declined", "no", transient=False)
    decision = PAYMENT.decide(Record(at=AT, ask=ask("authorize"), answer=no), PAYMENT.initial)
    assert not isinstance(decision, Rejected)
    assert isinstance(decision[0], PaymentDeclined)
    state = PAYMENT.fold(decision)
    assert call_for(ask("authorize", 2), state) is None
    again = PAYMENT.decide(Record(at=AT, ask=ask("authorize", 2)), state)
    assert not isinstance(again, Rejected)
    assert isinstance(again[0], PaymentDeclined)


def test_a_transient_failure_leaves_everything_open():
    busy = NotDone("provider-error", "busy", transient=True)
    decision = PAYMENT.decide(Record(at=AT, ask=ask("authorize"), answer=busy), PAYMENT.initial)
    assert not isinstance(decision, Rejected)
    assert PAYMENT.fold(decision) == PAYMENT.initial


@settings(max_examples=500)
@given(st.permutations(["authorize", "capture", "refund", "void"]), st.lists(st.sampled_from(list(UNDO)), max_size=4))
def test_once_both_undos_were_answered_nothing_is_kept(first, more):
    books = Books()
    run(books, *first, *more, "refund", "void")
    assert not books.kept
    assert not (books.taken and books.let_go)
