"""Edits of placed orders: which lines and amounts follow, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.catalogue import Product
from services.contracts.orders import (
    Discount,
    OrderConfirmed,
    OrderEdited,
    OrderEditOverdue,
    OrderEditRefused,
    OrderEditRequested,
    OrderReleased,
    PricedFields,
    ProductChange,
    RefundedLine,
)
from services.contracts.payments import ProviderUpdated, RefundRefused, RefundRequested
from services.contracts.scheduler import TimerRequested
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.kit.testing import assert_idempotent
from services.orders.domain import ORDER
from services.orders.editing import EDIT_DEADLINE
from services.orders.order import ChangedLine, ConcludeEdit, Confirmed, Edit, OnHold, Place, RecordRefund, RemindEdit
from services.orders.pricing import Basket, WantedLine, price
from services.orders.shop_rules import Coupon, Delivery, Review, ShopRules, TaxRate
from tests.domain import test_orders as usual
from tests.domain.test_holding import FIELDS, HOLD, RELEASE
from tests.domain.test_orders import AT, CANCEL, CONFIRM, DELIVER, FAIL, FINALIZE, ID, SHIP, UNDONE, after, kinds

REVIEW = Review(total_above={"GBP": Decimal(0)})
RULES = ShopRules(
    review=REVIEW,
    taxes=(TaxRate(country="GB", percent=Decimal(20)),),
    coupons=(Coupon(code="TEN", percent=Decimal(10), subtotal_min=Decimal(5), valid_until=AT + timedelta(days=1)),),
)
MUG = Product.model_validate(
    {"sku": "MUG", "name": "Mug", "active": True, "tax_class": "standard", "metadata": {},
     "prices": [{"currency": "GBP", "amount": "4.50"}]}
)  # fmt: skip


def wanted(product: str, unit_price: str | None, quantity: int = 1, **more: Any) -> WantedLine:
    amount = Decimal(unit_price) if unit_price else None
    return WantedLine(
        product_id=product,
        product_name=None if amount is None else product,
        quantity=quantity,
        unit_price=amount,
        **more,
    )


def held(*lines: WantedLine, **conditions: Any) -> Place:
    """An order of these lines that a rule of the shop holds."""
    basket = Basket(lines=lines or (wanted("P", "2.50", 2),), currencies=frozenset({"GBP"}), **conditions)
    return replace(usual.PLACE, fields=FIELDS, basket=basket, rules=RULES)


def edit(*changes: ChangedLine, **more: Any) -> Edit:
    return Edit(
        at=AT + timedelta(days=9), order_id=ID, edit_id="edt_1", changes=changes, reason="asked by telephone",
        rules=RULES, **more,
    )  # fmt: skip


def change(line: int, quantity: int) -> ChangedLine:
    return ChangedLine(line=line, quantity=quantity)


def add(product: str, unit_price: str | None, quantity: int = 1) -> ChangedLine:
    return ChangedLine(quantity=quantity, wanted=wanted(product, unit_price, quantity))


def edited(order: Place, *changes: ChangedLine, **more: Any) -> OrderEdited:
    decision = ORDER.decide(edit(*changes, **more), after(order))
    assert not isinstance(decision, Rejected), decision
    (event,) = decision
    assert isinstance(event, OrderEdited)
    return event


def gbp(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="GBP")


def test_quantities_change_lines_go_and_products_come_at_the_price_of_now() -> None:
    order = held(wanted("P", "2.50", 2), wanted("Q", "1.00", 3))
    found = edited(order, change(1, 3), change(2, 0), add("MUG", None, 2), book={"MUG": MUG})
    assert [(line.product_id, line.quantity, line.price_from) for line in found.lines] == [
        ("P", 3, None), ("MUG", 2, "catalogue"),
    ]  # fmt: skip
    assert (found.subtotal, found.tax_total, found.total) == (Decimal("16.50"), Decimal("3.30"), gbp("19.80"))
    assert found.difference == gbp("10.20"), "before: 8.00 and 20 %"


def test_line_that_stays_keeps_its_price_though_the_catalogue_has_another() -> None:
    order = held(wanted("MUG", None, 2))
    cheap = MUG.model_copy(update={"prices": ()})
    state = after(replace(order, book={"MUG": MUG}))
    (found,) = ORDER.decide(edit(change(1, 1), book={"MUG": cheap}), state)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(found, OrderEdited)
    assert (found.lines[0].unit_price, found.lines[0].price_from, found.lines[0].tax_from) == (
        Decimal("4.50"), "catalogue", "shop",
    )  # fmt: skip


def test_discounts_are_taken_anew_and_the_shipping_cost_stays() -> None:
    order = held(
        wanted("P", "10.00", 2), discounts=(Discount(percent=Decimal(50)),), shipping_cost=Decimal("3.95"),
        tax_included=True,
    )  # fmt: skip
    found = edited(order, change(1, 1))
    assert (found.discount_total, found.shipping_total, found.total) == (Decimal(5), Decimal("3.95"), gbp("8.95"))


def test_coupon_holds_after_its_time_and_takes_nothing_off_below_its_minimum() -> None:
    order = held(wanted("P", "2.50", 4), coupon="ten", tax_included=True)
    assert edited(order, change(1, 2)).discount_total == Decimal("0.50")
    below = edited(order, change(1, 1))
    assert (below.discount_total, below.coupon, below.total) == (Decimal(0), "ten", gbp("2.50"))


def test_second_edit_starts_from_the_first_and_fulfillment_gets_the_last() -> None:
    order = held(wanted("P", "2.50", 2), wanted("Q", "1.00"))
    second = replace(edit(change(1, 5)), edit_id="edt_2")
    state = after(order, edit(change(1, 0)), second)
    assert isinstance(state, OnHold)
    (released,) = ORDER.decide(RELEASE, state)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(released, OrderReleased)
    assert released.content is not None
    assert [(line.product_id, line.quantity) for line in released.content.lines] == [("Q", 5)]
    assert released.content.total == gbp("6.00")


@pytest.mark.parametrize(
    ("changes", "more", "code", "field"),
    [
        ([change(2, 1)], {}, "line-not-found", "lines.0.line"),
        ([change(1, 0)], {}, "nothing-left", "lines"),
        ([add("MUG", None)], {}, "product-not-sold", "lines.0.product_id"),
        ([add("MUG", None)], {"book": {"MUG": MUG.model_copy(update={"prices": ()})}}, "product-without-price",
         "lines.0.product_id"),
        ([replace(add("Q", "1.00"), currency="EUR")], {}, "mixed-currencies", "lines.0.unit_price.currency"),
        ([change(1, 0), add("Q", "0.00")], {}, "nothing-to-pay", "lines"),
        ([change(1, 1_000_000), add("Q", "999999.00", 1_000_000)], {}, "total-too-large", "lines"),
        ([change(1, 1)], {"expected_difference": gbp("3.00")}, "price-changed", ""),
    ],
)  # fmt: skip
def test_refused_edit_names_the_field(
    changes: Sequence[ChangedLine], more: dict[str, Any], code: str, field: str
) -> None:
    refused = ORDER.decide(edit(*changes, **more), after(held()))
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == (code, field)


def test_expected_difference_that_is_right_is_accepted() -> None:
    assert edited(held(), change(1, 1), expected_difference=gbp("-3.00")).difference == gbp("-3.00")


PLACE = replace(usual.PLACE, fields=FIELDS)


@pytest.mark.parametrize(
    "before",
    [[held(), CANCEL], [PLACE, CONFIRM, SHIP], [usual.DRAFT]],
    ids=["cancelled", "shipped", "draft"],
)
def test_order_that_cannot_be_edited_says_what_to_do(before: list[Any]) -> None:
    refused = ORDER.decide(edit(change(1, 1)), after(*before))
    assert isinstance(refused, Rejected)
    assert refused.code == "order-not-editable"
    assert refused.detail.endswith((" get back.", " with PUT."))


def test_order_that_is_unknown_or_imported_is_not_edited() -> None:
    for state, code in ((ORDER.initial, "order-not-found"), (after(usual.IMPORT), "order-fulfilled-elsewhere")):
        refused = ORDER.decide(edit(change(1, 1)), state)
        assert isinstance(refused, Rejected)
        assert refused.code == code


prices = st.decimals("1.00", "99.99", places=2)  # a discount of 99 % leaves something to pay
lines = st.lists(st.builds(lambda p, q: wanted("P", str(p), q), prices, st.integers(1, 9)), min_size=1, max_size=5)


@given(lines, st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), max_size=8), st.integers(0, 99))
def test_edits_in_any_sequence_come_to_the_amounts_of_an_order_with_the_last_lines(
    first: list[WantedLine], changes: list[tuple[int, int]], percent: int
) -> None:
    """Differences sum to the change of the total, and the result is what placing the same lines would come to."""
    discounts = (Discount(percent=Decimal(percent)),)
    state = after(held(*first, discounts=discounts))
    assert isinstance(state, OnHold)
    total = state.placed.total
    for number, (line, quantity) in enumerate(changes):
        decision = ORDER.decide(replace(edit(change(line, quantity)), edit_id=f"edt_{number}"), state)
        if isinstance(decision, Rejected):
            continue
        (event,) = decision
        assert isinstance(event, OrderEdited)
        total += event.difference
        state = ORDER.fold(decision, state)
        assert isinstance(state, OnHold)
    content = state.placed.content
    assert content.total == total
    same = Basket(
        lines=tuple(wanted("P", str(each.unit_price), each.quantity) for each in content.lines),
        currencies=frozenset({"GBP"}),
        discounts=discounts,
    )
    to = usual.FIELDS.shipping_address
    placed = price(same, {}, datetime(2026, 1, 1, tzinfo=UTC), RULES, Delivery.to(to))
    assert isinstance(placed, PricedFields)
    assert placed.total == content.total
    assert sum((each.total or Decimal(0) for each in content.lines), Decimal(0)) == total.amount


# Confirmed orders

BOUGHT = [replace(PLACE, basket=Basket(lines=(wanted("P", "2.50", 2),), currencies=frozenset({"GBP"}))), CONFIRM]
LESS = replace(edit(change(1, 1)), rules=ShopRules())
DONE = ConcludeEdit(at=AT, order_id=ID, edit_id="edt_1")
MORE = replace(edit(change(1, 3)), rules=ShopRules())
DUE = RemindEdit(at=AT, order_id=ID, edit_id="edt_1", attempt=1)
REFUSED = ConcludeEdit(at=AT, order_id=ID, edit_id="edt_1", code="insufficient-stock", reason="not enough of P")


def refund(
    refund_id: str, amount: str = "1.00", line: int = 0, quantity: int = 1, *, restock: bool = False
) -> RecordRefund:
    goods = RefundedLine(line=line, product_id="P", product_name="P", quantity=quantity, restock=restock)
    fact = ProviderUpdated(
        order_id=ID,
        transaction_id="t",
        what="refund_succeeded",
        refund_id=refund_id,
        amount=gbp(amount),
        refunded=gbp(amount),
        lines=(goods,) if line else (),
    )
    return RecordRefund(at=AT, order_id=ID, fact=fact)


SWAP = replace(edit(change(1, 0), add("Q", "6.00")), rules=ShopRules())


@pytest.mark.parametrize(
    "before",
    [
        [refund("rfd_1", amount="2.50")],
        [refund("rfd_1", line=1)],
        [LESS, DONE, refund("rfd_edt_1", "2.50"), refund("rfd_edt_1-2", "9.00")],
        [refund("rfd_1", line=1), refund("rfd_2", amount="1.50")],
    ],
)
def test_order_is_edited_after_a_refund_that_the_edit_does_not_touch(before: list[Any]) -> None:
    command = replace(LESS, edit_id="edt_2")
    assert kinds(ORDER.decide(command, after(*BOUGHT, *before))) == [OrderEditRequested, TimerRequested]


REQUESTED = RefundRequested(
    order_id=ID, refund_id="rfd_1", transaction_id="t", amount=gbp("2.50"), reason="a scratch",
    lines=(RefundedLine(line=1, product_id="P", product_name="P", quantity=2),),
)  # fmt: skip
RESTOCKED = REQUESTED.model_copy(update={"lines": (REQUESTED.lines[0].model_copy(update={"restock": True}),)})
UNPAID = RefundRefused(order_id=ID, refund_id="rfd_1", amount=gbp("2.50"), error_code="no", error="no")
LOST = ProviderUpdated(order_id=ID, transaction_id="t", what="refund_failed", refund_id="rfd_1", amount=gbp("2.50"))
ARRIVED = LOST.model_copy(update={"what": "refund_succeeded", "refunded": gbp("2.50")})


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ([REQUESTED], "line-refunded"),
        ([REQUESTED, UNPAID], None),
        ([UNPAID, REQUESTED], None),
        ([REQUESTED, LOST], None),
        ([LOST, REQUESTED], None),
        ([LOST, REQUESTED, ARRIVED], None),
        ([ARRIVED.model_copy(update={"lines": REQUESTED.lines}), REQUESTED], "line-refunded"),
        ([RESTOCKED], "order-restocked"),
        ([RESTOCKED, UNPAID], None),
        ([RESTOCKED, LOST.model_copy(update={"lines": RESTOCKED.lines})], "order-restocked"),
    ],
)
def test_edit_regards_a_refund_from_its_request_until_it_fails(facts: list[Any], code: str | None) -> None:
    told = [RecordRefund(at=AT, order_id=ID, fact=fact) for fact in facts]
    decision = ORDER.decide(LESS, after(*BOUGHT, *told))
    assert (decision.code if isinstance(decision, Rejected) else None) == code
    for command in told if isinstance(facts[0], RefundRequested) and ARRIVED not in facts else ():
        assert_idempotent(ORDER, command, after(*BOUGHT))


@pytest.mark.parametrize("waits", [[], [HOLD], [FINALIZE], [HOLD, LESS, RELEASE]])
def test_edit_of_an_order_in_fulfillment_begins_when_it_is_confirmed(waits: list[Any]) -> None:
    state = after(BOUGHT[0], *waits) if LESS in waits else after(BOUGHT[0], *waits, LESS)
    confirmed, asked, timer = ORDER.decide(CONFIRM, state)  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(confirmed, OrderConfirmed)
    assert confirmed.total == gbp("5.00"), "that is what was captured"
    assert isinstance(asked, OrderEditRequested)
    assert (asked.edit_id, asked.difference, asked.units) == ("edt_1", gbp("-2.50"), 1)
    assert isinstance(timer, TimerRequested)
    assert timer.due_at == CONFIRM.at + EDIT_DEADLINE
    done = after(BOUGHT[0], *waits, *([] if LESS in waits else [LESS]), CONFIRM, DONE)
    assert isinstance(done, Confirmed)
    assert done.content is not None
    assert done.content.total == gbp("2.50")


def test_planned_edit_ends_with_a_cancellation_or_a_failure() -> None:
    for end in (CANCEL, FAIL):
        state = after(BOUGHT[0], LESS, end)
        assert ORDER.decide(CONFIRM, state) == []


def test_edit_of_a_confirmed_order_names_the_units_of_each_product() -> None:
    swap = replace(edit(change(1, 0), add("P", "2.00"), add("Q", "1.00")), rules=ShopRules())
    asked, timer = ORDER.decide(swap, after(*BOUGHT))  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(asked, OrderEditRequested)
    assert isinstance(timer, TimerRequested)
    assert timer.due_at == swap.at + EDIT_DEADLINE
    assert asked.changes == (ProductChange(product_id="P", units=-1), ProductChange(product_id="Q", units=1))
    assert (asked.units, asked.difference, asked.total) == (2, gbp("-2.00"), gbp("3.00"))


@pytest.mark.parametrize(
    ("before", "command", "events"),
    [
        ([*BOUGHT], LESS, [OrderEditRequested, TimerRequested]),
        ([*BOUGHT, LESS], DONE, [OrderEdited]),
        ([*BOUGHT, LESS], REFUSED, [OrderEditRefused]),
        ([*BOUGHT, LESS], replace(DONE, edit_id="edt_other"), []),
        ([*BOUGHT, LESS, DONE], DONE, []),
        ([*BOUGHT, LESS, DONE], REFUSED, []),
        ([*BOUGHT, LESS, REFUSED], LESS, [OrderEditRequested, TimerRequested]),
        (
            [*BOUGHT, LESS, DONE, refund("rfd_edt_1")],
            replace(LESS, edit_id="edt_2"),
            [OrderEditRequested, TimerRequested],
        ),
        ([*BOUGHT], MORE, [OrderEditRequested, TimerRequested]),
        ([*BOUGHT, LESS], DUE, [OrderEditOverdue, TimerRequested]),
        ([*BOUGHT, LESS, SHIP], DUE, [OrderEditOverdue, TimerRequested]),
        ([*BOUGHT, LESS], replace(DUE, edit_id="edt_other"), []),
        ([*BOUGHT, LESS, DONE], DUE, []),
        ([*BOUGHT, LESS, REFUSED], DUE, []),
        ([*BOUGHT, LESS, SHIP], DONE, [OrderEdited]),
        ([*BOUGHT, LESS, SHIP, DELIVER], REFUSED, [OrderEditRefused]),
        ([*BOUGHT, LESS, UNDONE], DONE, []),  # the provider cancelled the payment meanwhile
        ([*BOUGHT, LESS, FAIL], DONE, []),
        ([PLACE], DONE, []),
    ],
)
def test_edit_of_a_confirmed_order_ends_once(before: list[Any], command: Any, events: list[type]) -> None:
    state = after(*before)
    assert kinds(ORDER.decide(command, state)) == events
    assert_idempotent(ORDER, command, state)


@pytest.mark.parametrize(
    ("before", "command", "code"),
    [
        ([*BOUGHT, LESS], replace(LESS, edit_id="edt_2"), "edit-in-progress"),
        ([*BOUGHT, LESS], CANCEL, "edit-in-progress"),
        ([BOUGHT[0], LESS], replace(LESS, edit_id="edt_2"), "edit-in-progress"),
        ([BOUGHT[0], HOLD, LESS], replace(LESS, edit_id="edt_2"), "edit-in-progress"),
        ([*BOUGHT, refund("rfd_1", line=1, restock=True)], LESS, "order-restocked"),
        ([*BOUGHT, refund("rfd_1", line=1, quantity=2)], LESS, "line-refunded"),
        ([*BOUGHT, refund("rfd_1", line=2)], replace(SWAP, edit_id="edt_2"), "line-refunded"),
        ([*BOUGHT, refund("rfd_1", amount="2.51")], LESS, "refunded-more"),
        ([*BOUGHT, refund("rfd_1", amount="2.00"), refund("rfd_2", amount="0.51")], LESS, "refunded-more"),
        ([*BOUGHT], replace(edit(change(1, 0)), rules=ShopRules()), "nothing-left"),
    ],
)
def test_edit_that_cannot_begin_says_why(before: list[Any], command: Any, code: str) -> None:
    refused = ORDER.decide(command, after(*before))
    assert isinstance(refused, Rejected)
    assert refused.code == code


def test_second_edit_of_a_confirmed_order_starts_from_the_first() -> None:
    state = after(*BOUGHT, LESS, DONE)
    assert isinstance(state, Confirmed)
    assert state.content is not None
    assert state.content.total == gbp("2.50")
    refused = after(*BOUGHT, LESS, REFUSED)
    assert isinstance(refused, Confirmed)
    assert refused.content is not None
    assert refused.content.total == gbp("5.00")
