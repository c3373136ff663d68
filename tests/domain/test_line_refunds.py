"""Refunds of lines and shipping: they add up to what was paid, whatever is refunded in between, refused or fails."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.inventory import ReservationCommitted, ReservedItem
from services.contracts.payments import (
    PaidLine,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentItemised,
    ProviderUpdated,
    RefundRequested,
    RestockRequested,
)
from services.inventory.domain import RESERVATION, Reservation, Restock, movements
from services.kit.domain.currencies import MINOR_DIGITS
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message, Money
from services.kit.saga.participant import Failure
from services.kit.testing import assert_idempotent
from services.orders.totals import Off, PricedLine, Pricing, totals_of
from services.payments.calls import Call, RecordCall
from services.payments.domain import PAYMENT, Payment, Report
from services.payments.refundable import paid_for
from services.payments.refunds import LineWish, PayBack, RequestRefund
from services.payments.requested import refundable, refundable_order
from services.payments.transactions import Fact
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
Shipping = Money | Literal["all"] | None


def paid(itemised: PaymentItemised | None, total: Money) -> Payment:
    to = {"saga_id": "o", "step": "s", "transaction_id": "t", "amount": total}
    events: list[Message] = [PaymentAuthorized.model_validate(to), PaymentCaptured.model_validate(to)]
    return PAYMENT.fold([*events, *([itemised] if itemised else [])])


def itemised(*lines: tuple[str, int, str], shipping: str = "0") -> PaymentItemised:
    paid_lines = [
        PaidLine(line=number, product_id=product, product_name=product.title(), quantity=quantity, total=Decimal(total))
        for number, (product, quantity, total) in enumerate(lines, 1)
    ]
    return PaymentItemised(order_id="o", lines=tuple(paid_lines), shipping=Decimal(shipping))


def gbp(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="GBP")


ORDER = paid(itemised(("MUG", 3, "10.00"), ("PEN", 1, "1.50"), ("GIFT", 1, "0"), shipping="4.00"), gbp("15.50"))


def ask(
    *lines: tuple[int, int], shipping: Shipping = None, amount: Money | None = None, restock: bool = False, n: int = 1
) -> RequestRefund:
    wishes = tuple(LineWish(line, quantity, restock) for line, quantity in lines)
    return RequestRefund(
        at=AT, order_id="o", refund_id=f"rfd_{n}", amount=amount, lines=wishes, shipping=shipping, reason="broken"
    )


def told(payment: Payment, n: int, status: Literal["succeeded", "pending", "failed"]) -> Report:
    amount = payment.requested[f"rfd_{n}"].amount
    fact = Fact(f"refund_{status}", "t", amount, f"re_{n}", f"rfd_{n}")  # type: ignore[arg-type]
    return Report(at=AT, order_id="o", facts=(fact,))


def refused(n: int) -> RecordCall:
    call, failure = Call("refund_part", "t", refund_id=f"rfd_{n}"), Failure("closed", "the card is closed", False)
    return RecordCall(at=AT, order_id="o", call=call, result=failure)


def after(payment: Payment, *commands: RequestRefund | Report | RecordCall | PayBack) -> Payment:
    for command in commands:
        payment = assert_idempotent(PAYMENT, command, payment)
    return payment


def requested(command: RequestRefund, payment: Payment) -> RefundRequested:
    decision = PAYMENT.decide(command, payment)
    assert not isinstance(decision, Rejected), decision
    (event,) = decision
    assert isinstance(event, RefundRequested)
    return event


def test_amount_of_lines_and_shipping_follows_from_what_was_paid() -> None:
    event = requested(ask((1, 2), (2, 1), shipping="all"), ORDER)
    assert (event.amount, event.shipping) == (gbp("12.16"), gbp("4.00"))
    assert [(line.line, line.product_id, line.product_name, line.quantity) for line in event.lines] == [
        (1, "MUG", "Mug", 2),
        (2, "PEN", "Pen", 1),
    ]
    assert requested(ask((1, 1), n=2), after(ORDER, ask((1, 2)))).amount == gbp("3.34"), "the last unit gets the rest"
    assert requested(ask(shipping=gbp("1.50")), ORDER).amount == gbp("1.50")


@pytest.mark.parametrize(
    ("before", "command", "expected"),
    [
        (ORDER, ask((4, 1)), ("line-unknown", "lines.0.line")),
        (ORDER, ask((1, 1), (9, 1)), ("line-unknown", "lines.1.line")),
        (ORDER, ask((1, 4)), ("too-many-units", "")),
        (after(ORDER, ask((1, 2))), ask((1, 2), n=2), ("too-many-units", "")),
        (ORDER, ask((3, 1)), ("nothing-to-refund", "")),
        (ORDER, ask(shipping=gbp("4.01")), ("refund-too-large", "")),
        (ORDER, ask(shipping=gbp("0.001")), ("too-precise", "shipping.amount")),
        (ORDER, ask(shipping=gbp("0")), ("not-positive", "shipping.amount")),
        (ORDER, ask(shipping=Money(amount=Decimal(1), currency="EUR")), ("wrong-currency", "shipping.currency")),
        (after(ORDER, ask(shipping="all")), ask(shipping="all", n=2), ("nothing-to-refund", "")),
        (paid(None, gbp("10")), ask((1, 1)), ("lines-unknown", "")),
        (PAYMENT.initial, ask((1, 1)), ("payment-not-found", "")),
    ],
)
def test_refund_of_lines_that_is_not_possible_is_refused(
    before: Payment, command: RequestRefund, expected: tuple[str, str]
) -> None:
    decision = PAYMENT.decide(command, before)
    assert isinstance(decision, Rejected)
    assert (decision.code, decision.field) == expected


def test_money_that_is_left_in_all_bounds_a_refund_of_lines() -> None:
    after_amount = after(ORDER, ask(amount=gbp("12.00")))
    assert requested(ask((1, 3), n=2), after_amount).amount == gbp("3.50")
    in_dashboard = Report(at=AT, order_id="o", facts=(Fact("partly_refunded", "t", gbp("15.00")),))
    assert requested(ask((1, 3)), after(ORDER, in_dashboard)).amount == gbp("0.50")


def test_lost_dispute_leaves_no_line_to_refund() -> None:
    lost = Report(at=AT, order_id="o", facts=(Fact("dispute_lost", "t", gbp("15.50"), "dp_1"),))
    decision = PAYMENT.decide(ask((1, 1)), after(ORDER, lost))
    assert isinstance(decision, Rejected)
    assert decision.code == "nothing-to-refund"
    won = Report(at=AT, order_id="o", facts=(Fact("dispute_won", "t", gbp("15.50"), "dp_1"),))
    assert requested(ask((1, 1)), after(ORDER, lost, won)).amount == gbp("3.33")


@pytest.mark.parametrize("end", ["refused", "failed"])
def test_refund_that_comes_to_nothing_gives_its_units_back(end: str) -> None:
    payment = after(ORDER, ask((1, 3), shipping="all"))
    payment = after(payment, refused(1) if end == "refused" else told(payment, 1, "failed"))
    order = refundable_order(payment)
    assert order == refundable_order(ORDER)
    assert order is not None
    assert (paid_for(order, 1), order.shipping, order.left) == (Decimal("10.00"), Decimal("4.00"), Decimal("15.50"))


def test_fact_about_a_refund_names_its_lines_and_the_units_that_the_customer_has_the_money_for() -> None:
    payment = after(ORDER, ask((1, 1)), ask((1, 2), shipping="all", n=2))
    payment = after(payment, told(payment, 1, "succeeded"))
    (arrived,) = PAYMENT.decide(told(payment, 2, "succeeded"), payment)  # type: ignore[misc]
    assert isinstance(arrived, ProviderUpdated)
    assert [(line.line, line.quantity, line.refunded) for line in arrived.lines] == [(1, 2, 3)]
    assert arrived.shipping == gbp("4.00")
    payment = after(payment, told(payment, 2, "succeeded"))
    (failed,) = PAYMENT.decide(told(payment, 2, "failed"), payment)  # type: ignore[misc]
    assert isinstance(failed, ProviderUpdated)
    assert [(line.line, line.quantity, line.refunded) for line in failed.lines] == [(1, 2, 1)]


def restocked(payment: Payment, *commands: Report) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for command in commands:
        decision = PAYMENT.decide(command, payment)
        assert not isinstance(decision, Rejected)
        found += [
            {item.product_id: item.quantity for item in event.items}
            for event in decision
            if isinstance(event, RestockRequested)
        ]
        payment = PAYMENT.fold(decision, payment)
    return found


def test_goods_return_once_the_provider_accepts_the_refund() -> None:
    payment = after(ORDER, ask((1, 2), restock=True))
    assert restocked(payment, told(payment, 1, "pending"), told(payment, 1, "succeeded")) == [{"MUG": 2}]
    assert restocked(payment, told(payment, 1, "succeeded"), told(payment, 1, "pending")) == [{"MUG": 2}]
    assert restocked(payment, told(payment, 1, "failed")) == []
    assert restocked(after(payment, refused(1))) == []
    without = after(ORDER, ask((1, 2)))
    assert restocked(without, told(without, 1, "succeeded")) == []


def test_lines_that_replace_those_of_the_order_have_their_own_units() -> None:
    payment = after(ORDER, ask((1, 2)))
    edited = PAYMENT.fold([itemised(("CUP", 2, "8.00"), ("PEN", 1, "1.50"))], payment)
    order = refundable_order(edited)
    assert order is not None
    assert (order.lines[1].returned, order.left) == (0, Decimal("8.84"))


# Whole lives of a payment


@st.composite
def orders(draw: st.DrawFn) -> tuple[Payment, str]:
    currency = draw(st.sampled_from(["JPY", "GBP", "KWD"]))
    unit = Decimal(1).scaleb(-MINOR_DIGITS[currency])
    rates = st.sampled_from([Decimal(0), Decimal("7.7"), Decimal(20)])
    lines = draw(
        st.lists(
            st.builds(
                PricedLine,
                st.integers(0, 5_000).map(lambda price: price * unit / 10),
                st.integers(1, 9),
                st.builds(Off, percent=st.sampled_from([Decimal(0), Decimal("12.5")])),
                rates,
                st.none(),
            ),
            min_size=1,
            max_size=5,
        )
    )
    totals = totals_of(
        Pricing(
            lines=lines,
            currency=currency,
            offs=draw(st.lists(st.builds(Off, amount=st.integers(0, 300).map(lambda amount: amount * unit)))),
            shipping=draw(st.integers(0, 900)) * unit,
            shipping_tax_rate=draw(rates),
            tax_included=draw(st.booleans()),
        )
    )
    parts = enumerate(zip(lines, totals.lines, strict=True))
    shown = [(f"P{n % 3}", each.quantity, str(part.total)) for n, (each, part) in parts]
    shipping = totals.total - sum((part.total for part in totals.lines), Decimal(0))
    return paid(itemised(*shown, shipping=str(shipping)), Money(amount=totals.total, currency=currency)), currency


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 6), st.integers(1, 9), max_size=3)
        | st.integers(1, 9_000)
        | st.sampled_from(["all", 1, 300]).map(lambda shipping: (shipping,)),
        st.sampled_from(["succeeded", "pending", "failed", "refused", "open", "failed later"]),
    ),
    max_size=12,
)


def money_back(payment: Payment) -> Decimal:
    statuses = [(each.amount, each.status) for each in payment.transactions["t"].refunds.values()]
    return sum((amount for amount, status in statuses if status != "refund_failed"), Decimal(0))


def command_of(step: object, n: int, currency: str) -> RequestRefund:
    def money(units: int) -> Money:
        return Money(amount=Decimal(units).scaleb(-MINOR_DIGITS[currency]), currency=currency)

    match step:
        case int():
            return ask(amount=money(step), n=n)
        case (shipping,):  # type: ignore[misc]
            return ask(shipping="all" if shipping == "all" else money(shipping), n=n)
        case dict():
            return ask(*step.items(), restock=True, n=n)
        case _:
            raise AssertionError(step)


@settings(max_examples=examples(300), deadline=None)
@given(orders(), STEPS, st.data())
def test_refunds_add_up_and_the_last_one_leaves_exactly_zero(
    order: tuple[Payment, str], steps: list[tuple[object, str]], data: st.DataObject
) -> None:
    payment, currency = order
    captured = payment.transactions["t"].left
    messages: list[RestockRequested] = []

    def carry_out(command: RequestRefund | Report | RecordCall) -> None:
        nonlocal payment
        decision = PAYMENT.decide(command, payment)
        if not isinstance(decision, Rejected):
            messages.extend(event for event in decision if isinstance(event, RestockRequested))
            payment = PAYMENT.fold(decision, payment)

    for n, (step, end) in enumerate(steps):
        left = refundable(payment)
        carry_out(command_of(step, n, currency))
        assert 0 <= refundable(payment) <= left
        if f"rfd_{n}" not in payment.requested or end == "open":
            continue
        for status in {"failed later": ["succeeded", "failed"], "refused": []}.get(end, [end]):
            carry_out(told(payment, n, status))  # type: ignore[arg-type]
        if end == "refused":
            carry_out(refused(n))
        assert money_back(payment) <= captured

    order_left = refundable_order(payment)
    if order_left is not None and refundable(payment):
        units = [(line, each.quantity - each.returned) for line, each in order_left.lines.items()]
        carry_out(ask(*(each for each in units if each[1]), shipping="all", restock=True, n=99))
        # the lines of a refund that was cut to the money left are refunded, so that later money remains without lines
        cut = any(isinstance(step, int) for step, _ in steps) and any(end != "succeeded" for _, end in steps)
        assert refundable(payment) == 0 or cut
        if left := refundable(payment):
            carry_out(ask(amount=Money(amount=left, currency=currency), n=100))
        assert refundable(payment) == 0
    for n in [*range(len(steps)), 99, 100]:
        if f"rfd_{n}" in payment.requested and payment.requested[f"rfd_{n}"].refused is None:
            carry_out(told(payment, n, "succeeded"))
    assert money_back(payment) <= captured
    if not any(isinstance(step, int) for step, _ in steps) and "failed" not in str(steps):
        assert money_back(payment) == captured, "everything by lines and shipping comes to all"
    assert_units_return_once(payment, messages, data)


def assert_units_return_once(payment: Payment, messages: list[RestockRequested], data: st.DataObject) -> None:
    """Inventory hears the messages in any order and repeated, and adds no unit twice."""
    assert payment.itemised is not None
    bought: dict[str, int] = {}
    for line in payment.itemised.lines:
        bought[line.product_id] = bought.get(line.product_id, 0) + line.quantity
    items = tuple(ReservedItem(product_id=product, quantity=units) for product, units in bought.items())
    reservation: Reservation = RESERVATION.fold([ReservationCommitted(order_id="o", items=items)])
    back: dict[str, int] = {}
    for message in data.draw(st.permutations([*messages, *messages])):
        restock = Restock(at=AT, order_id="o", refund_id=message.refund_id, returned=message.items)
        decision = RESERVATION.decide(restock, reservation)
        assert not isinstance(decision, Rejected)
        reservation = RESERVATION.fold(decision, reservation)
        for product, level in movements(decision).items():
            back[product] = back.get(product, 0) + level.on_hand
    expected: dict[str, int] = {}
    for message in messages:
        for item in message.items:
            expected[item.product_id] = max(item.quantity, expected.get(item.product_id, 0))
    assert back == expected
    assert all(units <= bought[product] for product, units in back.items())


def edited(after: PaymentItemised, amount: str) -> PayBack:
    later = after.model_copy(update={"order_version": 2})
    return PayBack(at=AT, order_id="o", itemised=later, refund_id="rfd_edt", amount=gbp(amount), reason="less")


def test_edit_does_not_pay_back_units_whose_refund_is_on_its_way() -> None:
    before = paid(itemised(("MUG", 3, "10.00"), ("PEN", 2, "5.01")), gbp("15.01"))
    payment = after(before, ask((2, 1)), edited(itemised(("MUG", 3, "10.00")), "5.01"))
    assert refundable(payment) == 10, "the refund paid back one pen and the edit the other"
    payment = after(before, ask((2, 2)), edited(itemised(("MUG", 2, "6.67")), "8.34"))
    assert refundable(payment) == Decimal("6.67")


def test_refund_on_its_way_follows_its_line_when_an_edit_removes_one_before_it() -> None:
    before = paid(itemised(("MUG", 1, "10.00"), ("PEN", 2, "5.00"), ("PEN", 1, "2.00")), gbp("17.00"))
    payment = after(before, ask((2, 1)), edited(itemised(("PEN", 2, "5.00"), ("PEN", 1, "2.00")), "10.00"))
    order = refundable_order(payment)
    assert order is not None
    assert [(line.quantity, line.returned) for line in order.lines.values()] == [(2, 1), (1, 0)]
    assert [line.line for line in payment.requested["rfd_1"].lines] == [1]
