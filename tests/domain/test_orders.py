"""What may happen to an order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.orders import (
    Address,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDelivered,
    OrderDrafted,
    OrderFailed,
    OrderImported,
    OrderLine,
    OrderShipped,
    OrderUpdated,
    PaymentMethod,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.kit.privacy.encryption import erased
from services.kit.testing import assert_idempotent
from services.orders.domain import ORDER, total_of
from services.orders.order import (
    Amend,
    Cancel,
    Confirm,
    Deliver,
    Fail,
    Finished,
    Import,
    Nothing,
    Place,
    Ship,
    Submit,
    Undone,
    Wanted,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
ID = "ord_1"
ADDRESS = Address(name="Ann", line1="1 Road", city="Leeds", country="GB")


def line(price: str, quantity: int = 1) -> OrderLine:
    return OrderLine(product_id="P", product_name="P", quantity=quantity, unit_price=Decimal(price))


def wanted(*lines: OrderLine, currency: str = "GBP", total: str | None = None) -> Wanted:
    return Wanted(
        order_id=ID,
        customer_id="cus_1",
        email="a@b.c",
        customer_name=None,
        lines=lines or (line("2.50"),),
        currencies=frozenset({currency}),
        given_total=Money(amount=Decimal(total), currency=currency) if total else None,
        shipping_address=ADDRESS,
        payment_method=PaymentMethod(token="tok_approve"),
        priority="standard",
        notes=None,
    )


def finished(**changed: Any) -> Import:
    details: dict[str, Any] = {name: getattr(wanted(), name) for name in ("order_id", "customer_id", "email", "customer_name", "lines",
        "currencies", "given_total", "shipping_address", "priority", "notes")}  # fmt: skip
    came: dict[str, Any] = {
        "source": "old-shop",
        "number": "7",
        "placed_at": AT - timedelta(days=900),
        "status": "confirmed",
    }
    return Import(at=AT, finished=Finished(**{**details, **came, **changed}))


PLACE = Place(at=AT, wanted=wanted())
DRAFT = Place(at=AT, wanted=wanted(), draft=True)
REDRAFT = Place(at=AT, wanted=wanted(line("3.00")), redraft=True)
SUBMIT = Submit(at=AT)
AMEND = Amend(at=AT, order_id=ID, email="new@b.c")
CANCEL = Cancel(at=AT, order_id=ID, reason="changed my mind")
CONFIRM = Confirm(at=AT, order_id=ID)
FAIL = Fail(at=AT, order_id=ID, code="card-declined", reason="the card was declined")
UNDONE = Undone(at=AT, order_id=ID, reason="changed my mind")
SHIP = Ship(at=AT, order_id=ID, tracking_number="T1")
DELIVER = Deliver(at=AT, order_id=ID)
IMPORT = finished()
COMMANDS = [PLACE, DRAFT, REDRAFT, IMPORT, SUBMIT, AMEND, CANCEL, CONFIRM, FAIL, UNDONE, SHIP, DELIVER]


def after(*commands):
    """The state after these commands, each of which must be accepted."""
    state = ORDER.initial
    for command in commands:
        decision = ORDER.decide(command, state)
        assert not isinstance(decision, Rejected), decision
        state = ORDER.fold(decision, state)
    return state


def kinds(decision):
    assert not isinstance(decision, Rejected), decision
    return [type(event) for event in decision]


@pytest.mark.parametrize(
    ("before", "command", "events"),
    [
        ([], PLACE, [OrderCreated]),
        ([], DRAFT, [OrderDrafted]),
        ([DRAFT], SUBMIT, [OrderCreated]),
        ([DRAFT], CANCEL, [OrderCancelled]),
        ([PLACE], AMEND, [OrderUpdated]),
        ([PLACE], CANCEL, [OrderCancellationRequested]),
        ([PLACE], CONFIRM, [OrderConfirmed]),
        ([PLACE], FAIL, [OrderFailed]),
        ([PLACE], SHIP, [OrderShipped]),
        ([PLACE, CONFIRM], CANCEL, [OrderCancellationRequested]),
        ([PLACE, CONFIRM], SHIP, [OrderShipped]),
        ([PLACE, CONFIRM, SHIP], DELIVER, [OrderDelivered]),
        ([PLACE, CANCEL], UNDONE, [OrderCancelled]),
        ([PLACE, CANCEL], FAIL, [OrderCancelled]),
        ([PLACE, CANCEL], CONFIRM, []),
        ([PLACE, CONFIRM, CANCEL, UNDONE], CANCEL, []),
        ([PLACE, SHIP], CONFIRM, []),
        ([], IMPORT, [OrderImported]),
        # what is said of a run or a parcel that it cannot have changes nothing
        *(([IMPORT], command, []) for command in (IMPORT, CONFIRM, FAIL, UNDONE, SHIP, DELIVER, PLACE)),
    ],
)
def test_what_follows(before, command, events):
    state = after(*before)
    assert kinds(ORDER.decide(command, state)) == events


@pytest.mark.parametrize("before", [[], [DRAFT], [PLACE], [PLACE, CONFIRM], [PLACE, CANCEL], [PLACE, FAIL], [IMPORT]])
@pytest.mark.parametrize("command", [PLACE, IMPORT, CANCEL, CONFIRM, FAIL, UNDONE, SHIP, DELIVER])
def test_a_repeated_command_decides_nothing(before, command):
    state = after(*before)
    if not isinstance(ORDER.decide(command, state), Rejected):
        assert_idempotent(ORDER, command, state)


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ([PLACE, CONFIRM], AMEND, "order-not-changeable"),
        ([PLACE, SHIP], CANCEL, "order-not-cancellable"),
        ([PLACE, FAIL], CANCEL, "order-not-cancellable"),
        ([PLACE], REDRAFT, "order-not-draft"),
        ([], SUBMIT, "order-not-found"),
        ([], CANCEL, "order-not-found"),
        ([], Place(at=AT, wanted=wanted(total="9.99")), "total-mismatch"),
        ([], Place(at=AT, wanted=replace(wanted(), placed_at=AT + timedelta(seconds=1))), "placed-in-future"),
        ([], Place(at=AT, wanted=wanted(line("0"))), "nothing-to-pay"),
        ([], Place(at=AT, wanted=replace(wanted(), currencies=frozenset({"GBP", "USD"}))), "mixed-currencies"),
        ([IMPORT], SUBMIT, "order-fulfilled-elsewhere"),
        ([IMPORT], AMEND, "order-fulfilled-elsewhere"),
        ([IMPORT], CANCEL, "order-fulfilled-elsewhere"),
        ([IMPORT], replace(CANCEL, own="cus_2"), "order-not-found"),
        ([IMPORT], REDRAFT, "order-not-draft"),
        ([IMPORT], finished(status="shipped"), "import-differs"),
        ([IMPORT], finished(email="other@b.c"), "import-differs"),
        ([IMPORT], finished(lines=(line("2.50"), line("2.50"))), "import-differs"),
        ([PLACE], IMPORT, "import-differs"),
        ([], finished(placed_at=AT + timedelta(seconds=1)), "placed-in-future"),
        ([], finished(lines=(line("0"),)), "nothing-to-pay"),
        ([], finished(given_total=Money(amount=Decimal("9.99"), currency="GBP")), "total-mismatch"),
        ([], finished(status="cancelled"), "reason-mismatch"),
        ([], finished(reason="too late"), "reason-mismatch"),
        ([], finished(tracking_number="T1"), "not-shipped"),
    ],
)
def test_what_is_refused(before, command, code):
    decision = ORDER.decide(command, after(*before))
    assert isinstance(decision, Rejected)
    assert decision.code == code


@pytest.mark.parametrize(
    ("lines", "currency", "total"),
    [
        ([line("0.005")], "GBP", "0.01"),  # half up, not half to even
        ([line("0.0049", 3)], "GBP", "0.01"),
        ([line("0.001", 4)], "GBP", "0.00"),
        ([line("1.255"), line("1.255")], "GBP", "2.51"),  # the sum is rounded, not the lines
        ([line("10.5")], "JPY", "11"),
        ([line("0.0015")], "KWD", "0.002"),
    ],
)
def test_totals(lines, currency, total):
    assert total_of(wanted(*lines, currency=currency)).amount == Decimal(total)


@pytest.mark.parametrize(
    ("price", "quantity", "currency", "accepted"),
    [
        ("999999999.999990", 1_000, "GBP", True),
        ("999999999.999999", 1_000, "GBP", False),  # below the bound until it is rounded
        ("999999999.999500", 1_000, "JPY", False),
        ("999999999.999999", 1_000_000, "GBP", False),
    ],
)
def test_a_total_is_below_the_bound_as_it_is_charged(price: str, quantity: int, currency: str, accepted: bool) -> None:
    content: dict[str, Any] = {"lines": (line(price, quantity),), "currencies": frozenset({currency})}
    for command in (replace(PLACE, wanted=replace(wanted(), **content)), finished(**content)):
        decision = ORDER.decide(command, ORDER.initial)
        assert (decision.code if isinstance(decision, Rejected) else None) == (None if accepted else "total-too-large")


def test_the_newest_address_of_a_draft_is_ordered():
    moved = Amend(at=AT, order_id=ID, shipping_address=ADDRESS.model_copy(update={"city": "York"}))
    decision = ORDER.decide(SUBMIT, after(DRAFT, moved))
    assert not isinstance(decision, Rejected)
    (created,) = decision
    assert isinstance(created, OrderCreated)
    assert created.shipping_address.city == "York"


def test_an_imported_order_is_known_again_however_its_prices_are_written():
    assert kinds(ORDER.decide(finished(lines=(line("2.5"),)), after(finished(lines=(line("2.5000"),))))) == []


def test_an_imported_order_is_known_again_when_its_person_is_erased():
    address = ADDRESS.model_copy(update={"line2": "Flat 2", "postal_code": "LS1"})
    command = finished(shipping_address=address, notes="ring twice")
    decision = ORDER.decide(command, ORDER.initial)
    assert not isinstance(decision, Rejected)
    (event,) = decision
    forgotten = ORDER.fold([erased(event)])
    assert forgotten != ORDER.fold([event])
    assert kinds(ORDER.decide(command, forgotten)) == []
    moved = finished(shipping_address=address.model_copy(update={"country": "FR"}), notes="ring twice")
    assert isinstance(ORDER.decide(moved, forgotten), Rejected)


@given(st.lists(st.sampled_from(COMMANDS), max_size=12))
def test_whatever_comes_an_order_ends_once(commands):
    state, events = ORDER.initial, []
    for command in commands:
        decision = ORDER.decide(command, state)
        if not isinstance(decision, Rejected):
            events += decision
            state = ORDER.fold(decision, state)
    ends = [e for e in events if isinstance(e, OrderCancelled | OrderFailed | OrderDelivered)]
    assert len(ends) <= 1
    assert sum(isinstance(e, OrderCreated | OrderImported) for e in events) <= 1
    assert len(events) == 1 or not any(isinstance(e, OrderImported) for e in events)
    assert isinstance(state, Nothing) == (not events)
