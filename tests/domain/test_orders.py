"""The rules of an order: which command is possible in which state, and what it causes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.orders import (
    Address,
    AmendedFields,
    ImportedFields,
    OrderAcknowledged,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDelivered,
    OrderDrafted,
    OrderDraftUpdated,
    OrderFailed,
    OrderFinalize,
    OrderFinalized,
    OrderImportCorrected,
    OrderImported,
    OrderImportUndone,
    OrderNoteAdded,
    OrderNotFinalized,
    OrderRefunded,
    OrderShipped,
    OrderUpdated,
    PaymentMethod,
    PlacedFields,
    RecipientFields,
)
from services.contracts.payments import ProviderUpdated
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.kit.privacy.encryption import erased
from services.kit.testing import assert_idempotent
from services.orders.domain import ORDER
from services.orders.order import (
    AddNote,
    Amend,
    BeginDraft,
    Cancel,
    CompleteCancellation,
    Confirm,
    Deliver,
    Fail,
    Finalize,
    Import,
    NoOrder,
    Place,
    RecordRefund,
    RewriteDraft,
    Ship,
    Submit,
    UndoImport,
)
from services.orders.pricing import Basket, WantedLine, price

AT = datetime(2026, 1, 1, tzinfo=UTC)
ID = "ord_1"
ADDRESS = Address(name="Ann", line1="1 Road", city="Leeds", country="GB")


def line(price: str, quantity: int = 1) -> WantedLine:
    return WantedLine(product_id="P", product_name="P", quantity=quantity, unit_price=Decimal(price))


def basket(*lines: WantedLine, currencies: Iterable[str] = ("GBP",), total: str | None = None) -> Basket:
    """These lines, or one of 2.50; `total` is what the client expects to pay."""
    expected = Money(amount=Decimal(total), currency="GBP") if total else None
    return Basket(lines=lines or (line("2.50"),), currencies=frozenset(currencies), expected_total=expected)


FIELDS = PlacedFields(
    customer_id="cus_1",
    email="a@b.c",
    shipping_address=ADDRESS,
    payment_method=PaymentMethod(token="tok_approve"),
)


def imported(priced: Basket | None = None, **changed: Any) -> Import:
    """The import of an order that another system confirmed, with some of its fields changed."""
    came: dict[str, Any] = {"number": "7", "placed_at": AT - timedelta(days=900), "status": "confirmed", **changed}
    fields = ImportedFields.of(FIELDS, **came)
    return Import(at=AT, order_id=ID, source="old-shop", fields=fields, basket=priced or basket())


PLACE = Place(at=AT, order_id=ID, fields=FIELDS, basket=basket())
DRAFT = BeginDraft(at=AT, order_id=ID, fields=FIELDS, basket=basket())
REWRITE = RewriteDraft(at=AT, order_id=ID, fields=FIELDS, basket=basket(line("3.00")))
SUBMIT = Submit(at=AT, order_id=ID)
AMEND = Amend(at=AT, order_id=ID, changes=AmendedFields(email="new@b.c"))
CANCEL = Cancel(at=AT, order_id=ID, reason="changed my mind")
FINALIZE = Finalize(at=AT, order_id=ID, request=OrderFinalize(saga_id=ID, step="finalize_order"))
CONFIRM = Confirm(at=AT, order_id=ID)
FAIL = Fail(at=AT, order_id=ID, code="card-declined", reason="the card was declined")
UNDONE = CompleteCancellation(at=AT, order_id=ID, reason="changed my mind")
SHIP = Ship(at=AT, order_id=ID, tracking_number="T1")
DELIVER = Deliver(at=AT, order_id=ID)
NOTE = AddNote(at=AT, order_id=ID, text="rang twice")
POUND = Money(amount=Decimal(1), currency="GBP")
REFUNDED = ProviderUpdated(
    order_id=ID, transaction_id="t", what="refund_succeeded", refund_id="rfd_1", amount=POUND, refunded=POUND
)
REFUND = RecordRefund(at=AT, order_id=ID, fact=REFUNDED)
IMPORT = imported()
CORRECT = replace(imported(status="shipped", tracking_number="T2"), corrects=True)
UNDO_IMPORT = UndoImport(at=AT, order_id=ID)
COMMANDS = [
    PLACE,
    DRAFT,
    REWRITE,
    IMPORT,
    SUBMIT,
    AMEND,
    CANCEL,
    FINALIZE,
    CONFIRM,
    FAIL,
    UNDONE,
    SHIP,
    DELIVER,
    REFUND,
]


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
        ([DRAFT], REWRITE, [OrderDraftUpdated]),
        ([DRAFT, REWRITE], REWRITE, []),
        ([DRAFT], SUBMIT, [OrderCreated]),
        ([DRAFT], CANCEL, [OrderCancelled]),
        ([PLACE], AMEND, [OrderUpdated]),
        *((before, NOTE, [OrderNoteAdded]) for before in ([DRAFT], [PLACE], [PLACE, CANCEL, UNDONE], [IMPORT])),
        ([PLACE, CONFIRM, SHIP, DELIVER], NOTE, [OrderNoteAdded]),
        ([PLACE], CANCEL, [OrderCancellationRequested]),
        ([PLACE], FINALIZE, [OrderFinalized]),
        ([PLACE, FINALIZE], FINALIZE, [OrderFinalized]),  # each attempt gets its reply
        ([PLACE, FINALIZE], CANCEL, [OrderCancellationRequested]),
        ([PLACE, FINALIZE], CONFIRM, [OrderConfirmed]),
        ([PLACE, CANCEL], FINALIZE, [OrderNotFinalized]),
        ([PLACE, FAIL], FINALIZE, [OrderNotFinalized]),
        ([PLACE, CONFIRM], FINALIZE, []),
        ([PLACE], CONFIRM, [OrderConfirmed]),
        ([PLACE], FAIL, [OrderFailed]),
        ([PLACE], SHIP, [OrderShipped]),
        ([PLACE, CONFIRM], CANCEL, [OrderCancellationRequested]),
        ([PLACE, CONFIRM], SHIP, [OrderShipped]),
        ([PLACE, CONFIRM, SHIP], DELIVER, [OrderDelivered]),
        *(
            ([PLACE, *more], REFUND, [OrderRefunded])
            for more in ([], [CONFIRM], [CONFIRM, SHIP], [CONFIRM, SHIP, DELIVER], [CANCEL], [FAIL])
        ),
        ([DRAFT], REFUND, []),
        ([IMPORT], REFUND, []),
        ([PLACE, CANCEL], UNDONE, [OrderCancelled]),
        ([PLACE, CANCEL], FAIL, [OrderCancelled]),
        ([PLACE, CANCEL], CONFIRM, []),
        ([PLACE, CONFIRM, CANCEL, UNDONE], CANCEL, []),
        ([PLACE, SHIP], CONFIRM, []),
        ([], IMPORT, [OrderImported]),
        ([IMPORT], CORRECT, [OrderImportCorrected]),
        ([IMPORT, CORRECT], CORRECT, []),
        ([IMPORT], replace(IMPORT, corrects=True), []),
        ([], CORRECT, [OrderImported]),
        ([IMPORT], UNDO_IMPORT, [OrderImportUndone]),
        ([IMPORT, CORRECT], UNDO_IMPORT, [OrderImportUndone]),
        ([], UNDO_IMPORT, []),
        ([IMPORT, UNDO_IMPORT], UNDO_IMPORT, []),
        ([IMPORT, UNDO_IMPORT], imported(status="shipped"), [OrderImported]),
        # messages of fulfillment and of the carrier do not change an imported order
        *(([IMPORT], command, []) for command in (IMPORT, CONFIRM, FAIL, UNDONE, SHIP, DELIVER, PLACE)),
    ],
)
def test_a_command_causes_these_events(before, command, events):
    state = after(*before)
    assert kinds(ORDER.decide(command, state)) == events


@pytest.mark.parametrize("before", [[], [DRAFT], [PLACE], [PLACE, CONFIRM], [PLACE, CANCEL], [PLACE, FAIL], [IMPORT]])
@pytest.mark.parametrize("command", [PLACE, IMPORT, CORRECT, UNDO_IMPORT, CANCEL, CONFIRM, FAIL, UNDONE, SHIP, DELIVER])
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
        ([PLACE], REWRITE, "order-not-draft"),
        ([], REWRITE, "order-not-found"),
        ([], SUBMIT, "order-not-found"),
        ([], CANCEL, "order-not-found"),
        ([], replace(PLACE, basket=basket(total="9.99")), "price-changed"),
        ([], replace(PLACE, fields=PlacedFields.of(FIELDS, placed_at=AT + timedelta(seconds=1))), "placed-in-future"),
        ([], replace(PLACE, basket=basket(line("0"))), "nothing-to-pay"),
        ([], replace(PLACE, basket=basket(currencies=("GBP", "USD"))), "mixed-currencies"),
        ([DRAFT, CANCEL], SUBMIT, "order-not-draft"),
        ([DRAFT, SUBMIT, CANCEL], SUBMIT, "order-not-draft"),
        ([DRAFT, SUBMIT, FAIL], SUBMIT, "order-not-draft"),
        ([IMPORT], SUBMIT, "order-fulfilled-elsewhere"),
        ([IMPORT], AMEND, "order-fulfilled-elsewhere"),
        ([IMPORT], CANCEL, "order-fulfilled-elsewhere"),
        ([IMPORT], replace(CANCEL, restricted_to="cus_2"), "order-not-found"),
        ([IMPORT], REWRITE, "order-not-draft"),
        ([IMPORT], imported(status="shipped"), "import-differs"),
        ([IMPORT], imported(email="other@b.c"), "import-differs"),
        ([IMPORT], imported(basket(line("2.50"), line("2.50"))), "import-differs"),
        ([PLACE], IMPORT, "import-differs"),
        ([PLACE], CORRECT, "import-differs"),
        ([IMPORT, CORRECT], IMPORT, "import-differs"),
        ([IMPORT], replace(imported(status="cancelled"), corrects=True), "reason-mismatch"),
        ([PLACE], UNDO_IMPORT, "order-not-imported"),
        ([DRAFT], UNDO_IMPORT, "order-not-imported"),
        ([IMPORT, UNDO_IMPORT], CANCEL, "order-not-found"),
        ([], imported(placed_at=AT + timedelta(seconds=1)), "placed-in-future"),
        ([], imported(basket(line("0"))), "nothing-to-pay"),
        ([], imported(basket(total="9.99")), "total-mismatch"),
        ([], imported(status="cancelled"), "reason-mismatch"),
        ([], imported(reason="too late"), "reason-mismatch"),
        ([], imported(tracking_number="T1"), "not-shipped"),
    ],
)
def test_a_command_is_refused(before, command, code):
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
        ([line("10.5")], "XAF", "11"),
        ([line("0.00005")], "CLF", "0.0001"),
        ([line("0.0015")], "KWD", "0.002"),
    ],
)
def test_a_total_is_the_exact_sum_rounded_once_half_up(lines, currency, total):
    priced = price(basket(*lines, currencies=[currency]), {}, AT)
    if isinstance(priced, Rejected):
        assert (priced.code, Decimal(total)) == ("nothing-to-pay", 0)
    else:
        assert priced.total.amount == priced.subtotal == Decimal(total)


@pytest.mark.parametrize(
    ("unit_price", "quantity", "currency", "accepted"),
    [
        ("999999999.999990", 1_000, "GBP", True),
        ("999999999.999999", 1_000, "GBP", False),  # below the bound until it is rounded
        ("999999999.999500", 1_000, "JPY", False),
        ("999999999.999999", 1_000_000, "GBP", False),
    ],
)
def test_the_rounded_total_must_be_below_the_bound(unit_price, quantity, currency, accepted):
    large = basket(line(unit_price, quantity), currencies=[currency])
    for command in (replace(PLACE, basket=large), imported(large)):
        decision = ORDER.decide(command, ORDER.initial)
        assert (decision.code if isinstance(decision, Rejected) else None) == (None if accepted else "total-too-large")


def test_a_submitted_draft_has_its_newest_address():
    york = ADDRESS.model_copy(update={"city": "York"})
    moved = Amend(at=AT, order_id=ID, changes=AmendedFields(shipping_address=york))
    decision = ORDER.decide(SUBMIT, after(DRAFT, moved))
    assert not isinstance(decision, Rejected)
    (created,) = decision
    assert isinstance(created, OrderCreated)
    assert created.shipping_address.city == "York"


def test_refund_has_the_last_address_of_the_order_also_after_it_arrived():
    decision = ORDER.decide(REFUND, after(PLACE, AMEND, CONFIRM, SHIP, DELIVER))
    assert not isinstance(decision, Rejected)
    (refunded,) = decision
    assert isinstance(refunded, OrderRefunded)
    assert (refunded.email, refunded.refund_id) == ("new@b.c", "rfd_1")


def test_a_repeated_import_may_write_its_prices_with_other_zeros():
    assert kinds(ORDER.decide(imported(basket(line("2.5"))), after(imported(basket(line("2.5000")))))) == []


def test_a_repeated_import_is_recognised_after_its_person_was_erased():
    address = ADDRESS.model_copy(update={"line2": "Flat 2", "postal_code": "LS1"})
    command = imported(shipping_address=address, notes="ring twice")
    decision = ORDER.decide(command, ORDER.initial)
    assert not isinstance(decision, Rejected)
    (event,) = decision
    forgotten = ORDER.fold([erased(event)])
    assert forgotten != ORDER.fold([event])
    assert kinds(ORDER.decide(command, forgotten)) == []
    moved = imported(shipping_address=address.model_copy(update={"country": "FR"}), notes="ring twice")
    assert isinstance(ORDER.decide(moved, forgotten), Rejected)


@given(st.lists(st.sampled_from(COMMANDS), max_size=12))
def test_an_order_begins_and_ends_once_in_any_sequence_of_commands(commands):
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
    assert isinstance(state, NoOrder) == (not events)


def test_the_final_address_and_contact_are_the_last_that_were_accepted():
    moved = ADDRESS.model_copy(update={"line1": "2 New Road"})
    changes = AmendedFields(email="new@b.c", shipping_address=moved, notes="ring twice")
    amend = replace(AMEND, changes=changes)
    decision = ORDER.decide(FINALIZE, after(PLACE, amend))
    assert not isinstance(decision, Rejected)
    (final,) = decision
    assert RecipientFields.of(final) == RecipientFields(customer_id="cus_1", email="new@b.c", shipping_address=moved)
    assert final.person == "cus_1"
    refused = ORDER.decide(amend, after(PLACE, amend, FINALIZE))
    assert isinstance(refused, Rejected)
    assert (refused.code, "parcel is being made" in refused.detail) == ("order-not-changeable", True)


def test_an_order_keeps_the_number_of_its_draft():
    decision = ORDER.decide(SUBMIT, after(replace(DRAFT, number="10042"), replace(REWRITE, number="10043")))
    assert not isinstance(decision, Rejected)
    assert [getattr(event, "number", None) for event in decision] == ["10042"]


NUMBERED = replace(PLACE, number="10042")


@pytest.mark.parametrize("begin", [PLACE, DRAFT])
def test_the_mail_about_a_placed_order_is_caused_once_and_only_if_the_shop_wants_it(begin):
    place = SUBMIT if begin is DRAFT else PLACE
    wanted = replace(place, is_acknowledged=True)
    before = after(DRAFT) if begin is DRAFT else after()
    decided = ORDER.decide(wanted, before)
    assert isinstance(decided, list)
    assert (kinds(ORDER.decide(place, before)), kinds(decided)) == ([OrderCreated], [OrderCreated, OrderAcknowledged])
    assert OrderAcknowledged.of(decided[0]) == decided[1]
    assert ORDER.decide(wanted, ORDER.fold(decided, before)) == []


def test_an_order_placed_elsewhere_is_not_acknowledged_again():
    fields = FIELDS.model_copy(update={"placed_at": AT - timedelta(days=1)})
    assert kinds(ORDER.decide(replace(PLACE, fields=fields, is_acknowledged=True), after())) == [OrderCreated]


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([NUMBERED], FAIL), ([NUMBERED], SHIP), ([NUMBERED, CANCEL], UNDONE), ([NUMBERED, CONFIRM], UNDONE),
        ([NUMBERED, CONFIRM, SHIP], DELIVER), ([NUMBERED, AMEND, FINALIZE, CONFIRM, SHIP, DELIVER], REFUND),
        ([replace(DRAFT, number="10042")], CANCEL), ([replace(DRAFT, number="10042"), SUBMIT], SHIP),
    ],
)  # fmt: skip
def test_events_of_which_mails_are_sent_have_the_number_of_the_order(before, command):
    decision = ORDER.decide(command, after(*before))
    assert not isinstance(decision, Rejected)
    assert [getattr(event, "number", None) for event in decision] == ["10042"]
