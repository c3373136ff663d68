"""The rows of the read side after each event, in every order of events that is allowed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from time import process_time

import pytest

from services.contracts import catalogue, fulfillment, inventory, orders, payments, shipping, users
from services.inventory.domain import RESERVATION, movements
from services.inventory.levels import Level
from services.kit.domain.message import Message, Money
from services.kit.privacy.encryption import personal_fields
from services.projection.views import VIEWS
from services.projection.views.customers import customer_after
from services.projection.views.order_figures import counted_after
from services.projection.views.orders import order_after
from services.projection.views.products import product_after
from services.projection.views.revocations import revocation_after
from services.projection.views.sentences import sentence_of
from services.projection.views.stock import STOCK_VIEW, moved, stock_after
from services.read_model.analytics import Counted
from services.read_model.orders import Order
from services.read_model.revocations import Revocation
from services.read_model.stock import StockLevel
from tests.services.read_side import ADDRESS, checked, confirmed, counted, created, imported, reserved_items, started

AT = datetime(2026, 3, 1, tzinfo=UTC)
ID = "ord_1"
STUCK = fulfillment.RunStuck(
    saga_id=ID, step="capture_payment", attempt=9, error_code="unavailable", error="the provider is away"
)
ENDINGS: Sequence[tuple[Message, str]] = (
    (confirmed(ID), "confirmed"),
    (orders.OrderHeld(order_id=ID, reason="odd"), "on_hold"),
    (orders.OrderCancellationRequested(order_id=ID, reason="changed my mind"), "cancelling"),
    (orders.OrderCancelled(order_id=ID, reason="changed my mind"), "cancelled"),
    (orders.OrderFailed(order_id=ID, code="declined", reason="the card was declined"), "failed"),
    (orders.OrderShipped(order_id=ID, tracking_number="T1"), "shipped"),
    (orders.OrderDelivered(order_id=ID), "delivered"),
)


def order_of(*events: Message) -> Order:
    row: Order | None = None
    for second, event in enumerate(events):
        row = order_after(row, event, AT + timedelta(seconds=second))
    assert row is not None
    return row


def test_an_order_shows_the_tracking_number_of_its_shipment_until_that_is_cancelled() -> None:
    announced = shipping.ShipmentCreated(
        saga_id=ID, step="create_shipment", shipment_id="S1", carrier="sandbox", tracking_number="T1"
    )
    taken_back = shipping.ShipmentCancelled(saga_id=ID, step="create_shipment", undo=True, shipment_id="S1")
    assert order_of(created(ID), announced).tracking_number == "T1"
    assert order_of(created(ID), announced, confirmed(ID)).tracking_number == "T1"
    assert order_of(created(ID), announced, taken_back).tracking_number is None


def test_an_order_that_was_shipped_is_not_looked_into_any_more() -> None:
    closed = fulfillment.RunClosed(saga_id=ID)
    shipped = orders.OrderShipped(order_id=ID, tracking_number="T1")
    for events in ((shipped, STUCK, closed), (STUCK, closed, shipped), (STUCK, shipped, closed)):
        row = order_of(created(ID), confirmed(ID), *events)
        assert (row.status, row.reason, row.stuck_since) == ("shipped", None, None)


def counted_of(*events: Message) -> Counted:
    row: Counted | None = None
    for event in events:
        row = counted_after(row, event, AT)
    assert row is not None
    return row


def stock_of(*events: Message) -> StockLevel:
    row: StockLevel | None = None
    for event in events:
        for change in moved(event):
            row = stock_after(row, change, event, AT)
    assert row is not None
    return row


def test_an_order_that_was_placed_is_pending_until_its_run_starts() -> None:
    assert order_of(created(ID)).status == "pending"
    assert order_of(created(ID), started(ID)).status == "processing"


def test_views_read_the_start_of_a_run_without_its_encrypted_and_unchecked_parts() -> None:
    begun, whole = fulfillment.RunStarted.type, started(ID)
    ours = [view.reads[begun] for view in VIEWS.values() if begun in view.reads]
    assert len(ours) == 4
    for model in ours:
        assert not personal_fields(model)
        part = model.read(json.dumps({"saga_id": ID, "lines": "damaged", "personal": {"sealed": "damaged"}}))
        assert order_of(created(ID), part) == order_of(created(ID), whole)
        assert counted_of(created(ID), part) == counted_of(created(ID), whole)
        assert sentence_of(part) == sentence_of(whole)


@pytest.mark.parametrize(("event", "status"), ENDINGS)
def test_each_event_of_an_order_has_its_status(event: Message, status: str) -> None:
    assert order_of(created(ID), started(ID), event).status == status


@pytest.mark.parametrize(("event", "status"), ENDINGS)
def test_a_late_start_does_not_set_an_order_back(event: Message, status: str) -> None:
    assert order_of(created(ID), event, started(ID)).status == status


def test_an_order_shows_the_sum_of_its_refunds_and_less_if_one_fails() -> None:
    def told(what: str, refunded: str) -> payments.ProviderUpdated:
        money = Money(amount=Decimal(refunded), currency="GBP")
        return payments.ProviderUpdated.model_validate(
            {"order_id": ID, "transaction_id": "t", "what": what, "amount": money, "refunded": money}
        )

    assert order_of(created(ID)).refunded == 0
    parts = [told("refund_succeeded", "4"), told("refund_succeeded", "6")]
    assert order_of(created(ID), *parts).refunded == 6
    assert order_of(created(ID), *parts, told("refund_failed", "2")).refunded == 2
    whole = payments.PaymentRefunded(saga_id=ID, step="s", undo=True, amount=Money(amount=Decimal(12), currency="GBP"))
    assert order_of(created(ID), *parts, whole).refunded == 12


def test_a_draft_becomes_an_order_and_keeps_when_it_was_begun() -> None:
    content = created(ID).model_dump(exclude={"held"})
    drafted = orders.OrderDrafted.model_validate(content)
    row = order_of(drafted, orders.OrderDraftUpdated.model_validate({**content, "customer_name": "Bea"}))
    assert (row.status, row.customer_name) == ("draft", "Bea")
    placed = order_of(drafted, created(ID))
    assert (placed.status, placed.created_at, placed.updated_at) == ("pending", AT, AT + timedelta(seconds=1))


def test_an_order_brought_here_was_created_when_it_was_placed_elsewhere() -> None:
    long_ago = AT - timedelta(days=4_000)
    brought = orders.OrderCreated.model_validate({**created(ID).model_dump(), "placed_at": long_ago})
    row = order_of(brought, started(ID))
    assert (row.created_at, row.updated_at) == (long_ago, AT + timedelta(seconds=1))
    assert (row.source, row.number) == (None, None)
    before = customer_after(None, created("ord_2"), AT)
    customer = customer_after(before, brought, AT + timedelta(seconds=1))
    assert customer is not None
    assert (customer.first_order_at, customer.last_order_at) == (long_ago, AT)


@pytest.mark.parametrize("status", ["confirmed", "shipped", "delivered", "cancelled"])
def test_an_imported_order_stands_as_it_ended(status: str) -> None:
    sent = {"tracking_number": "T1"} if status in ("shipped", "delivered") else {}
    brought = imported(ID, status=status, reason="too late" if status == "cancelled" else None, **sent)
    row = order_of(brought)
    assert (row.status, row.reason, row.tracking_number) == (status, brought.reason, sent.get("tracking_number"))
    assert (row.created_at, row.updated_at, row.line_count) == (brought.placed_at, AT, 1)
    assert (row.source, row.number) == ("old-shop", "7")
    customer = customer_after(None, brought, AT)
    assert customer is not None
    assert (customer.orders, customer.last_order_at) == (1, brought.placed_at)
    assert customer_after(None, imported(ID, customer_id=None), AT) is None
    sum_of = counted_after(None, brought, AT)
    assert sum_of is not None
    assert (sum_of.status, sum_of.placed_at, sum_of.source) == (status, brought.placed_at, "old-shop")
    assert sum_of.seconds is None


def test_an_imported_order_shows_its_refund_and_a_correction_replaces_it() -> None:
    brought = imported(ID, status="delivered", refunded=Money(amount=Decimal("2.50"), currency="GBP"))
    without = orders.OrderImportCorrected.of(imported(ID, status="delivered"))
    more = orders.OrderImportCorrected.of(
        imported(ID, status="delivered", refunded=Money(amount=Decimal("4"), currency="GBP"))
    )
    for events, refunded in (((brought,), "2.50"), ((brought, more), "4"), ((brought, without), "0")):
        assert order_of(*events).refunded == Decimal(refunded)
        row: Counted | None = None
        for event in events:
            row = counted_after(row, event, AT)
        assert row is not None and row.refunded == Decimal(refunded)


def test_an_amendment_changes_only_what_it_names() -> None:
    moved_house = orders.OrderUpdated(order_id=ID, shipping_address=ADDRESS.model_copy(update={"city": "York"}))
    row = order_of(created(ID), moved_house)
    assert (row.city, row.country, row.customer_name, row.status) == ("York", "GB", "Ann", "pending")


@pytest.mark.parametrize("event", [*(event for event, _ in ENDINGS), started(ID), STUCK, created(ID)])
def test_the_time_of_the_last_change_never_goes_back(event: Message) -> None:
    at = AT + timedelta(hours=1)
    before = order_after(None, created(ID), at)
    for other, expected in ((AT, at), (at, at), (at + timedelta(hours=1), at + timedelta(hours=1))):
        row = order_after(before, event, other)
        assert row is not None
        assert row.updated_at == expected


def test_the_time_of_the_last_change_of_stock_and_products_never_goes_back() -> None:
    at = AT + timedelta(hours=1)
    count = counted("P", 3)
    for second in (count, inventory.StockAdjusted(product_id="P", delta=1, on_hand=4, reserved=0, reason="found")):
        row = None
        for event, time in ((count, at), (second, AT)):
            (change,) = moved(event)
            row = stock_after(row, change, event, time)
        assert row is not None
        assert row.updated_at == at
    first = catalogue.ProductDefined(sku="P", version=1, name="Mug", active=True, prices=())
    product = product_after(product_after(None, first, at), first.model_copy(update={"version": 2}), AT)
    assert (product.version, product.updated_at) == (2, at)


def test_a_stuck_run_is_visible() -> None:
    assert order_of(created(ID), STUCK).reason == "being looked into: the provider is away"
    assert order_of(created(ID), STUCK, fulfillment.RunResumed(saga_id=ID, by="ann")).reason is None


@pytest.mark.parametrize("event", [*(event for event, _ in ENDINGS), started(ID), STUCK])
def test_what_is_said_of_an_unknown_order_shows_nothing(event: Message) -> None:
    assert order_after(None, event, AT) is None


def test_a_customer_is_known_from_placed_orders() -> None:
    one = customer_after(None, created("ord_1"), AT)
    two = customer_after(one, created("ord_2"), AT + timedelta(days=1))
    assert two is not None
    assert (two.orders, two.first_order_at, two.last_order_at) == (2, AT, AT + timedelta(days=1))
    assert customer_after(None, created("ord_3", customer_id=None), AT) is None


def test_goods_that_are_held_then_leave() -> None:
    committed = inventory.ReservationCommitted(order_id=ID, items=reserved_items(("mug", 3)))
    row = stock_of(counted("mug", 10), checked(ID, ("mug", 3)), committed)
    assert (row.on_hand, row.reserved) == (7, 0)


@pytest.mark.parametrize(
    ("event", "on_hand", "reserved"),
    [
        (inventory.ReservationExpired(order_id=ID, items=reserved_items(("mug", 3))), 10, 0),
        (inventory.InventoryReleased(saga_id=ID, step="s", items=reserved_items(("mug", 3))), 10, 0),
        (checked(ID, ("mug", 3), repeated=True), 10, 3),
        (inventory.StockAdjusted(product_id="mug", delta=-4, on_hand=6, reserved=3, reason="broken"), 6, 3),
    ],
)
def test_goods_that_are_held(event: Message, on_hand: int, reserved: int) -> None:
    row = stock_of(counted("mug", 10), checked(ID, ("mug", 3)), event)
    assert (row.on_hand, row.reserved) == (on_hand, reserved)


def test_goods_of_a_cancelled_order_go_back_on_the_shelf() -> None:
    back = inventory.InventoryReleased(saga_id=ID, step="s", items=reserved_items(("mug", 3)), restocked=True)
    row = stock_of(counted("mug", 7), back)
    assert (row.on_hand, row.reserved) == (10, 0)


def test_what_is_reserved_does_not_depend_on_where_a_count_or_an_adjustment_stands() -> None:
    """A reservation that waited for the row of the product has an earlier position than the count, but took effect after it."""
    events = (
        checked("ord_1", ("mug", 5)),
        counted("mug", 50, reserved=0),
        inventory.StockAdjusted(product_id="mug", delta=0, on_hand=50, reserved=0, reason="looked"),
    )
    assert {(stock_of(*order).on_hand, stock_of(*order).reserved) for order in permutations(events)} == {(50, 5)}


def test_what_is_on_hand_does_not_depend_on_where_a_count_stands_either() -> None:
    events = (
        inventory.StockSet(product_id="mug", on_hand=10, delta=10, reserved=0, low_below=0, reason="counted"),
        checked(ID, ("mug", 3)),
        inventory.ReservationCommitted(order_id=ID, items=reserved_items(("mug", 3))),
        inventory.StockSet(product_id="mug", on_hand=20, delta=13, reserved=0, low_below=0, reason="counted"),
    )
    assert {(stock_of(*order).on_hand, stock_of(*order).reserved) for order in permutations(events)} == {(20, 0)}


@pytest.mark.parametrize("model", RESERVATION.events, ids=lambda model: model.__name__)
def test_stock_shown_is_the_stock_that_inventory_has_after_each_event(model: type[Message]) -> None:
    reserved = inventory.ReservedItem(product_id="mug", quantity=2)
    wanted = inventory.CheckedItem(product_id="mug", requested=2, available=5, is_available=True)
    items = (wanted,) if model is inventory.InventoryChecked else (reserved,)
    for restocked in (True, False):
        event = model.model_construct(items=items, all_items_available=True, repeated=False, restocked=restocked)
        shown = {product: Level(on_hand, held) for product, on_hand, held in moved(event)}
        assert shown == movements([event])
        assert not shown or model in STOCK_VIEW.wakes


def test_many_lines_take_time_by_their_number_not_its_square() -> None:
    event = checked(ID, *((f"product-{number}", 1) for number in range(1_114)))
    began = process_time()
    assert sum(stock_after(None, change, event, AT).reserved for change in moved(event)) == 1_114
    assert process_time() - began < 0.2  # it is some milliseconds; the square was most of a second


def test_totals_are_exact() -> None:
    assert order_of(created(ID, amount="0.10")).total == Decimal("0.10")


ANN = "usr_ann"
SUSPENDED, REINSTATED = users.UserSuspended(user_id=ANN, reason="fraud"), users.UserReinstated(user_id=ANN)
DELETED, PASSWORD = (
    users.UserDeleted(user_id=ANN),
    users.PasswordChanged(user_id=ANN, email="ann@example.com", name="Ann", notice_id="1"),
)
ERASED_PERSON = users.PersonErased(person_id=ANN)


def revoked(seconds: int) -> Message:
    return users.TokensRevoked(subject=ANN, issued_before=AT + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("events", "void_before"),
    [
        ([PASSWORD], 0),
        ([revoked(7)], 7),
        ([revoked(7), revoked(5)], 7),
        ([revoked(7), PASSWORD], 7),
        ([SUSPENDED], None),
        ([SUSPENDED, revoked(9)], None),
        ([SUSPENDED, REINSTATED], 1),
        ([SUSPENDED, PASSWORD, REINSTATED, revoked(9)], 9),
        ([SUSPENDED, REINSTATED, DELETED], None),
        ([DELETED, revoked(9)], None),
        ([ERASED_PERSON, PASSWORD], None),
    ],
)
def test_the_tokens_of_a_subject_are_void_before_the_time_that_the_vault_stores(
    events: Sequence[Message], void_before: int | None
) -> None:
    row: Revocation | None = None
    for second, event in enumerate(events):
        row = revocation_after(row, event, AT + timedelta(seconds=second))
    assert row == Revocation(ANN, None if void_before is None else AT + timedelta(seconds=void_before))
