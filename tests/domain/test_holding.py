"""Orders on hold: what stops an order, what may be held and released when, and what fulfillment is told meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.orders import (
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderFailed,
    OrderFinalized,
    OrderFinalizePending,
    OrderHeld,
    OrderNotFinalized,
    OrderReleased,
    OrderUpdated,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.ids import instant_of, new_id
from services.kit.domain.message import Message
from services.kit.testing import assert_idempotent
from services.orders.domain import ORDER
from services.orders.holding import HOLD_WAIT
from services.orders.order import Finalize, Hold, OnHold, Pending, Release
from services.orders.shop_rules import Review, ShopRules
from tests.domain import test_orders as usual
from tests.domain.test_orders import ADDRESS, AMEND, AT, CANCEL, CONFIRM, FAIL, FINALIZE, ID, UNDONE, after, kinds

FIELDS = usual.FIELDS.model_copy(update={"capture": "when_reserved"})
PLACE = replace(usual.PLACE, fields=FIELDS)
RULES = ShopRules(review=Review(total_above={"GBP": Decimal(2)}))
MATCHED = replace(PLACE, rules=RULES, number="10042")
DRAFT = replace(usual.DRAFT, fields=FIELDS)
HOLD = Hold(at=AT, order_id=ID, reason="the address looks odd")
RELEASE = Release(at=AT, order_id=ID, reason="called the customer")
AGAIN = replace(FINALIZE, request=FINALIZE.request.model_copy(update={"attempt": 2}))


def asked_again(later: timedelta) -> Finalize:
    until = AT + later + timedelta(minutes=2)
    return replace(AGAIN, at=AT + later, request=AGAIN.request.model_copy(update={"answer_by": until}))


@pytest.mark.parametrize(
    ("before", "command", "events"),
    [
        ([], MATCHED, [OrderCreated, OrderHeld]),
        ([DRAFT], replace(usual.SUBMIT, rules=RULES), [OrderCreated, OrderHeld]),
        ([MATCHED], HOLD, []),
        ([MATCHED], AMEND, [OrderUpdated]),
        ([MATCHED], RELEASE, [OrderReleased]),
        ([MATCHED, RELEASE], RELEASE, []),
        ([MATCHED, RELEASE], HOLD, [OrderHeld]),
        ([MATCHED], CANCEL, [OrderCancelled]),
        ([PLACE], HOLD, [OrderHeld]),
        ([PLACE, HOLD], AMEND, [OrderUpdated]),
        ([PLACE, HOLD], RELEASE, [OrderReleased]),
        ([PLACE, HOLD], CANCEL, [OrderCancellationRequested]),
        ([PLACE, HOLD, CANCEL], UNDONE, [OrderCancelled]),
        ([PLACE, HOLD], FAIL, [OrderFailed]),
        ([PLACE, HOLD], UNDONE, [OrderCancelled]),
        ([PLACE, HOLD], CONFIRM, [OrderConfirmed]),
        ([PLACE, HOLD], FINALIZE, [OrderFinalizePending]),
        ([PLACE, HOLD, FINALIZE], AGAIN, [OrderFinalizePending]),
        ([PLACE, HOLD, FINALIZE], RELEASE, [OrderReleased, OrderFinalized]),
        ([PLACE, HOLD, FINALIZE, RELEASE], AGAIN, [OrderFinalized]),
        ([PLACE, HOLD, RELEASE], FINALIZE, [OrderFinalized]),
        ([PLACE, HOLD, RELEASE, FINALIZE], RELEASE, []),
        ([PLACE, HOLD, RELEASE], HOLD, [OrderHeld]),
        ([PLACE, HOLD, FINALIZE, CANCEL], AGAIN, [OrderNotFinalized]),
    ],
)
def test_command_causes_these_events(before: Sequence[object], command: object, events: Sequence[type]) -> None:
    assert kinds(ORDER.decide(command, after(*before))) == events  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ([], HOLD, "order-not-found"),
        ([], RELEASE, "order-not-found"),
        ([DRAFT], HOLD, "order-not-holdable"),
        ([PLACE, FINALIZE], HOLD, "order-not-holdable"),
        ([PLACE, HOLD, FINALIZE, RELEASE], HOLD, "order-not-holdable"),
        ([PLACE, CONFIRM], HOLD, "order-not-holdable"),
        ([PLACE, CANCEL], HOLD, "order-not-holdable"),
        ([replace(PLACE, fields=FIELDS.model_copy(update={"capture": "at_once"}))], HOLD, "charged-at-once"),
        ([usual.PLACE], HOLD, "charged-at-once"),  # an order of an older release does not say when it is charged
        ([usual.IMPORT], HOLD, "order-fulfilled-elsewhere"),
        ([usual.IMPORT], RELEASE, "order-fulfilled-elsewhere"),
        ([DRAFT], RELEASE, "order-not-on-hold"),
        ([PLACE], RELEASE, "order-not-on-hold"),
        ([PLACE, FINALIZE], RELEASE, "order-not-on-hold"),
        ([PLACE, CONFIRM], RELEASE, "order-not-on-hold"),
    ],
)
def test_refused_hold_or_release_says_why(before: Sequence[object], command: object, code: str) -> None:
    refused = ORDER.decide(command, after(*before))  # pyright: ignore[reportArgumentType]
    assert isinstance(refused, Rejected)
    assert refused.code == code


def test_fulfillment_starts_with_the_content_as_it_was_changed_on_hold() -> None:
    created, held = ORDER.decide(MATCHED, ORDER.initial)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(created, OrderCreated)
    assert isinstance(held, OrderHeld)
    assert (created.held, held.rules, held.number, held.email) == (True, ("total-above",), "10042", "a@b.c")
    moved = replace(AMEND, changes=AMEND.changes.model_copy(update={"billing_address": ADDRESS}))
    (released,) = ORDER.decide(RELEASE, after(MATCHED, moved))  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(released, OrderReleased)
    assert released.content is not None
    assert (released.content.email, released.content.billing_address) == ("new@b.c", ADDRESS)
    assert (released.content.total, released.content.lines) == (created.total, created.lines)
    (of_begun,) = ORDER.decide(RELEASE, after(PLACE, HOLD))  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(of_begun, OrderReleased)
    assert of_begun.content is None


def test_fulfillment_waits_six_days_and_is_then_refused() -> None:
    held = after(PLACE, HOLD)
    (pending,) = ORDER.decide(FINALIZE, held)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(pending, OrderFinalizePending)
    assert pending.answer_by == AT + HOLD_WAIT
    held = ORDER.fold([pending], held)
    early = asked_again(timedelta(days=2))
    (same,) = ORDER.decide(early, held)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(same, OrderFinalizePending)
    assert same.answer_by == pending.answer_by
    late = asked_again(HOLD_WAIT)
    (refused,) = ORDER.decide(late, held)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(refused, OrderNotFinalized)
    assert refused.error_code == "held-too-long"


COMMANDS = [PLACE, MATCHED, HOLD, RELEASE, AMEND, CANCEL, FINALIZE, AGAIN, CONFIRM, FAIL, UNDONE]


@given(st.lists(st.sampled_from(COMMANDS), max_size=12))
def test_order_on_hold_is_never_final_and_a_final_order_is_never_put_on_hold(
    commands: list[object],
) -> None:
    state, history = ORDER.initial, list[Message]()
    for command in commands:
        decision = ORDER.decide(command, state)  # pyright: ignore[reportArgumentType]
        events = [] if isinstance(decision, Rejected) else list(decision)
        if isinstance(state, OnHold) and not any(isinstance(event, OrderReleased) for event in events):
            assert not any(isinstance(event, OrderFinalized) for event in events)
        if any(isinstance(event, OrderHeld) for event in events):
            finals = [event for event in history if isinstance(event, OrderFinalized)]
            assert not finals, "fulfillment captures the payment of a final order"
        history += events
        state = ORDER.fold(events, state)
        if isinstance(command, Hold | Release):
            assert_idempotent(ORDER, command, state)


# Rules of the shop

OTHER = ADDRESS.model_copy(update={"line1": "2 Road"})
SAME = ADDRESS.model_copy(update={"name": "Ann's firm", "line1": " 1 ROAD"})


@pytest.mark.parametrize(
    ("review", "changes", "rules"),
    [
        (Review(), {}, ()),
        (Review(total_above={"GBP": Decimal("2.49")}), {}, ("total-above",)),
        (Review(total_above={"GBP": Decimal("2.50")}), {}, ()),
        (Review(total_above={"EUR": Decimal("0.01")}), {}, ()),
        (Review(addresses_differ=True), {"billing_address": OTHER}, ("addresses-differ",)),
        (Review(addresses_differ=True), {"billing_address": SAME}, ()),
        (Review(addresses_differ=True), {}, ()),
        (Review(first_order=True), {}, ("first-order",)),
        (Review(account_days_below=7), {"customer_id": new_id("usr")}, ()),  # AT is before this account exists
        (Review(account_days_below=7), {"customer_id": "cus_1"}, ()),
        (Review(account_days_below=7), {"customer_id": None}, ()),
        (
            Review(addresses_differ=True, first_order=True),
            {"billing_address": OTHER},
            ("addresses-differ", "first-order"),
        ),
    ],
)
def test_rules_of_the_shop_hold_orders(review: Review, changes: dict[str, object], rules: tuple[str, ...]) -> None:
    place = replace(PLACE, rules=ShopRules(review=review), fields=FIELDS.model_copy(update=changes))
    if changes.get("customer_id"):
        made = instant_of("usr", str(changes["customer_id"]))
        place = replace(place, at=made + timedelta(days=7) if made else AT)
    decision = ORDER.decide(place, ORDER.initial)
    assert not isinstance(decision, Rejected)
    assert tuple(rule for event in decision if isinstance(event, OrderHeld) for rule in event.rules) == rules


def test_every_rule_that_holds_an_order_is_in_the_reason() -> None:
    rules = ShopRules(review=Review(addresses_differ=True, first_order=True))
    fields = FIELDS.model_copy(update={"billing_address": OTHER})
    _, held = ORDER.decide(replace(PLACE, rules=rules, fields=fields), ORDER.initial)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(held, OrderHeld)
    assert held.reason == (
        "the shop looks into it, because it is billed and sent to different addresses and it is the first order of this"
        " customer"
    )


def test_order_of_an_account_that_is_too_young_is_held() -> None:
    customer_id = new_id("usr")
    made = instant_of("usr", customer_id)
    assert made is not None
    young = replace(
        PLACE,
        rules=ShopRules(review=Review(account_days_below=7)),
        fields=FIELDS.model_copy(update={"customer_id": customer_id}),
        at=made + timedelta(days=6, hours=23),
    )
    assert kinds(ORDER.decide(young, ORDER.initial)) == [OrderCreated, OrderHeld]


def test_customer_who_has_bought_is_no_new_customer() -> None:
    known = replace(PLACE, rules=ShopRules(review=Review(first_order=True)), has_bought=True)
    assert kinds(ORDER.decide(known, ORDER.initial)) == [OrderCreated]
    assert isinstance(after(known), Pending)


@pytest.mark.parametrize("identity", ["", "usr_", "cus_1", "usr_i" + "0" * 25, "usr_z" + "0" * 25, "ord_" + "0" * 26])
def test_id_that_was_not_made_here_has_no_instant(identity: str) -> None:
    assert instant_of("usr", identity) is None
