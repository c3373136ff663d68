"""Refunds of an order: none exceeds what is left, and the refund of everything that is left leaves zero."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.payments.refundable import Refundable, RefundableLine, after_lines

pennies = st.integers(0, 100_000).map(lambda units: Decimal(units).scaleb(-2))


@st.composite
def orders(draw: st.DrawFn) -> Refundable:
    lines = draw(st.lists(st.builds(RefundableLine, st.integers(1, 12), pennies), min_size=1, max_size=5))
    shipping = draw(pennies)
    paid = sum((line.total for line in lines), shipping)
    return Refundable(dict(enumerate(lines, 1)), shipping, paid, "GBP")


def after_amount(order: Refundable, amount: Decimal) -> Refundable | None:
    return replace(order, left=order.left - amount) if amount <= order.left else None


def everything_left(order: Refundable) -> Refundable:
    units = {n: left for n, line in order.lines.items() if (left := line.quantity - line.returned)}
    after = after_lines(order, units, order.shipping)
    assert after is not None
    return after


steps = st.lists(
    st.tuples(st.dictionaries(st.integers(1, 5), st.integers(1, 12), max_size=3), pennies) | pennies, max_size=12
)


@given(orders(), steps)
def test_refunds_never_exceed_what_was_paid_and_the_last_one_leaves_zero(order, steps):
    paid, left = order.left, order
    for step in steps:
        after = after_lines(left, *step) if isinstance(step, tuple) else after_amount(left, step)
        if after is not None:
            assert 0 <= after.left <= left.left <= paid
            left = after
    assert everything_left(left).left == 0


@given(orders())
def test_units_refunded_one_by_one_sum_to_the_amount_of_their_line(order):
    left = order
    for number, line in order.lines.items():
        before = left.left
        for _ in range(line.quantity):
            after = after_lines(left, {number: 1}, Decimal(0))
            assert after is not None
            left = after
        assert before - left.left == line.total
    assert left.left == order.shipping


def test_more_than_is_left_is_refused():
    order = Refundable({1: RefundableLine(2, Decimal("5.00"))}, Decimal("1.00"), Decimal("6.00"), "GBP")
    assert after_lines(order, {1: 3}, Decimal(0)) is None
    assert after_lines(order, {2: 1}, Decimal(0)) is None
    assert after_lines(order, {1: 0}, Decimal(0)) is None
    assert after_lines(order, {}, Decimal("1.01")) is None
    assert everything_left(replace(order, left=Decimal(0))).left == 0
