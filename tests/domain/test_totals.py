"""The amounts of an order: laws for any order, a second implementation from the rules, and published examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.orders.totals import Off, PricedLine, Pricing, spread, totals_of

DIGITS = {"GBP": 2, "JPY": 0, "KWD": 3}
currencies = st.sampled_from(sorted(DIGITS))
rates = st.sampled_from(["0", "4", "5.5", "7.25", "19", "20", "25"]).map(Decimal)
prices = st.decimals(0, 10_000, places=6) | st.decimals(0, 100, places=2)


def whole(currency: str, largest: int) -> st.SearchStrategy[Decimal]:
    return st.integers(0, largest).map(lambda units: Decimal(units).scaleb(-DIGITS[currency]))


def offs(currency: str) -> st.SearchStrategy[Off]:
    percents = st.decimals(0, 100, places=2).map(lambda percent: Off(percent=percent))
    return st.just(Off()) | percents | whole(currency, 200_000).map(Off)


@st.composite
def pricings(draw: st.DrawFn) -> Pricing:
    currency = draw(currencies)
    lines = st.builds(PricedLine, prices, st.integers(1, 5_000), offs(currency), rates, st.none())
    return Pricing(
        lines=draw(st.lists(lines, min_size=1, max_size=8)),
        currency=currency,
        offs=draw(st.lists(offs(currency), max_size=3)),
        shipping=draw(whole(currency, 10_000)),
        shipping_tax_rate=draw(rates),
        tax_included=draw(st.booleans()),
    )


@given(pricings())
def test_amounts_of_lines_sum_to_the_totals_and_none_is_negative(pricing):
    totals = totals_of(pricing)
    assert sum(line.subtotal for line in totals.lines) == totals.subtotal
    assert sum(line.discount for line in totals.lines) == totals.discount_total
    assert sum(line.tax for line in totals.lines) + totals.shipping_tax == totals.tax_total
    added = Decimal(0) if pricing.tax_included else totals.shipping_tax
    assert sum(line.total for line in totals.lines) + totals.shipping_total + added == totals.total
    for amounts in totals.lines:
        assert min(amounts.subtotal, amounts.discount, amounts.tax, amounts.total) >= 0
        assert amounts.discount <= amounts.subtotal
        assert amounts.tax <= amounts.total


@given(pricings(), st.data())
def test_amounts_of_tax_from_another_system_are_kept_and_sum_to_the_totals(pricing, data):
    pricing = replace(pricing, tax_included=False)
    of_order = data.draw(st.none() | whole(pricing.currency, 200_000))
    taxed = [line._replace(tax=data.draw(st.none() | whole(pricing.currency, 500))) for line in pricing.lines]
    shipping_tax = data.draw(st.none() | whole(pricing.currency, 500))
    if of_order is not None and shipping_tax is not None:
        shipping_tax = min(shipping_tax, of_order)
    totals = totals_of(replace(pricing, lines=taxed, tax=of_order, shipping_tax=shipping_tax))
    rates = totals_of(pricing)
    assert totals.subtotal - totals.discount_total == rates.subtotal - rates.discount_total
    assert sum(line.tax for line in totals.lines) + totals.shipping_tax == totals.tax_total
    assert sum(line.total for line in totals.lines) + totals.shipping_total + totals.shipping_tax == totals.total
    if of_order is not None:
        assert totals.tax_total == of_order
        net = rates.subtotal - rates.discount_total
        assert totals.shipping_tax == ((shipping_tax or Decimal(0)) if net else of_order)
        return
    assert totals.shipping_tax == (rates.shipping_tax if shipping_tax is None else shipping_tax)
    if len(set(pricing.lines)) < len(pricing.lines):
        return  # the amount of tax decides which of several equal lines gets the odd unit of a discount
    for line, amounts, by_rate in zip(taxed, totals.lines, rates.lines, strict=True):
        assert amounts.tax == (by_rate.tax if line.tax is None else line.tax)


@given(pricings(), st.data())
def test_an_included_tax_of_the_order_is_in_each_line_at_most_what_the_line_costs(pricing, data):
    included = replace(pricing, tax_included=True)
    costs = totals_of(included)
    net = costs.subtotal - costs.discount_total
    tax = data.draw(st.integers(0, int(net.scaleb(DIGITS[pricing.currency])))) if net else 0
    totals = totals_of(replace(included, tax=Decimal(tax).scaleb(-DIGITS[pricing.currency])))
    assert totals.total == costs.total
    assert all(line.tax <= line.total for line in totals.lines)


@given(pricings(), st.randoms())
def test_the_order_of_lines_does_not_change_a_total(pricing, chance):
    places = list(range(len(pricing.lines)))
    chance.shuffle(places)
    shuffled = totals_of(replace(pricing, lines=[pricing.lines[place] for place in places]))
    straight = totals_of(pricing)
    assert replace(shuffled, lines=()) == replace(straight, lines=())
    assert sorted(map(repr, shuffled.lines)) == sorted(map(repr, straight.lines))


@given(pricings())
@example(Pricing(lines=[PricedLine(Decimal("1804.358557"), 422)] * 2, currency="KWD"))
def test_every_amount_is_in_whole_minor_units_and_a_share_is_within_one_of_its_proportion(pricing):
    unit = Decimal(1).scaleb(-DIGITS[pricing.currency])
    totals = totals_of(pricing)
    exact = [Fraction(line.unit_price) * line.quantity for line in pricing.lines]
    for of_line, amounts in zip(exact, totals.lines, strict=True):
        assert all(amount % unit == 0 for amount in (amounts.subtotal, amounts.discount, amounts.tax))
        proportion = Fraction(totals.subtotal) * of_line / (sum(exact) or 1)
        assert abs(Fraction(amounts.subtotal) - proportion) < Fraction(unit)


# a second implementation, in minor units and fractions


def half_up(value: Fraction) -> int:
    return int((2 * value + 1) // 2)


def apportioned(whole: int, weights: Sequence[Fraction]) -> list[int]:
    """One unit after the other goes to the line that lacks most of its exact share, the first of equals."""
    if not sum(weights):
        return [0] * len(weights)
    exact = [Fraction(whole) * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    while sum(shares) < whole:
        lacking = [share - given for share, given in zip(exact, shares, strict=True)]
        shares[lacking.index(max(lacking))] += 1
    return shares


def computed_anew(pricing: Pricing) -> tuple[int, int, int, int]:
    """Subtotal, discounts, tax and total by the rules of the module, in minor units."""
    scale = 10 ** DIGITS[pricing.currency]

    def off(one: Off, base: int) -> int:
        return min(base, half_up(Fraction(one.amount) * scale + base * Fraction(one.percent) / 100))

    def tax(base: int, rate: Decimal) -> int:
        return half_up(base * Fraction(rate) / (100 + Fraction(rate) if pricing.tax_included else 100))

    lines = sorted(pricing.lines, key=lambda x: (x.unit_price, x.quantity, x.off.amount, x.off.percent, x.tax_rate))
    exact = [Fraction(line.unit_price) * line.quantity * scale for line in lines]
    subtotal = half_up(sum(exact, Fraction(0)))
    nets = apportioned(subtotal, exact)
    nets = [net - off(line.off, net) for net, line in zip(nets, lines, strict=True)]
    base = sum(nets)
    whole = min(base, sum(off(one, base) for one in pricing.offs))
    parts = apportioned(whole, [Fraction(net) for net in nets])
    nets = [net - part for net, part in zip(nets, parts, strict=True)]
    shipping = int(pricing.shipping * scale)
    taxes = sum(tax(net, line.tax_rate) for net, line in zip(nets, lines, strict=True))
    taxes += tax(shipping, pricing.shipping_tax_rate)
    return subtotal, subtotal - sum(nets), taxes, sum(nets) + shipping + (0 if pricing.tax_included else taxes)


@given(pricings())
def test_a_second_implementation_comes_to_the_same_totals(pricing):
    totals, scale = totals_of(pricing), 10 ** DIGITS[pricing.currency]
    amounts = (totals.subtotal, totals.discount_total, totals.tax_total, totals.total)
    assert tuple(int(amount * scale) for amount in amounts) == computed_anew(pricing)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_shares_sum_to_the_whole_and_each_is_its_proportion_rounded(whole, weights):
    shares = spread(whole, weights)
    heavy = sum(weights)
    assert sum(shares) == (whole if heavy else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert heavy == 0 or abs(share * heavy - whole * weight) < heavy


# published examples


def line(price: str, quantity: int = 1, *, rate: str = "0", off: Off | None = None) -> PricedLine:
    return PricedLine(Decimal(price), quantity, off or Off(), Decimal(rate))


def pricing(*lines: PricedLine, currency: str = "GBP", included: bool = False, shipping: str = "0") -> Pricing:
    return Pricing(lines=lines, currency=currency, tax_included=included, shipping=Decimal(shipping))


EXAMPLES = {
    # https://help.cloudcart.com/en/support/solutions/articles/77000472435-how-taxes-are-calculated
    # three items of 6.99 at 20 %: rounded per line the tax is 3 x 1.40 = 4.20, on the sum it would be 4.19
    "cloudcart: tax is rounded per line": (
        pricing(*[line("6.99", rate="20")] * 3, currency="EUR"), "4.20", "25.17",
    ),
    # https://docs.zuora.com/zuora-billing/set-up-zuora-billing/apply-taxes/additional-resources-on-taxes/rounding-rule-for-inclusive-tax-mode
    # 2.99 with 4 % included, "rounding tax amount": round(2.99 x 0.04 / 1.04) = round(0.115) = 0.12
    "zuora: included tax is rounded half up": (
        pricing(line("2.99", rate="4"), currency="USD", included=True), "0.12", "2.99",
    ),
    # https://support.caterbook.net/hc/en-gb/articles/28438479223185-How-is-VAT-calculated-on-invoices
    # 9 x 9.99 with 20 % included: 89.91 / 6 = 14.985, rounded 14.99
    "caterbook: the VAT fraction of a line": (pricing(line("9.99", 9, rate="20"), included=True), "14.99", "89.91"),
    # https://docs.saleor.io/developer/discounts/examples, "Manual line discount with catalogue promotion"
    # line 1: 2 x 50.00 less 50 %, line 2: 30.00, shipping 20.00
    "saleor: a percentage off a line": (
        pricing(line("50.00", 2, off=Off(percent=Decimal(50))), line("30.00"), currency="USD", shipping="20.00"),
        "0.00", "100.00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_example(name):
    given_, tax, total = EXAMPLES[name]
    totals = totals_of(given_)
    assert (totals.tax_total, totals.total) == (Decimal(tax), Decimal(total))


def test_discount_of_an_order_is_spread_over_its_lines_to_the_penny():
    """10.00 off three lines of 33.33, 33.33 and 33.34: the shares are 3.33, 3.33 and 3.34."""
    three = pricing(line("33.33"), line("33.33"), line("33.34"))
    totals = totals_of(replace(three, offs=(Off(Decimal("10.00")),)))
    assert [str(one.discount) for one in totals.lines] == ["3.33", "3.33", "3.34"]
    assert (totals.discount_total, totals.total) == (Decimal("10.00"), Decimal("90.00"))


def test_discounts_never_exceed_what_the_lines_cost():
    totals = totals_of(
        replace(pricing(line("4.00"), shipping="2.00"), offs=(Off(Decimal(9)), Off(percent=Decimal(50))))
    )
    assert (totals.discount_total, totals.total) == (Decimal("4.00"), Decimal("2.00"))


def test_fractions_of_a_penny_are_summed_before_they_are_rounded():
    totals = totals_of(pricing(*[line("0.0049", 1)] * 3))
    assert totals.subtotal == Decimal("0.01")
    assert sorted(one.subtotal for one in totals.lines) == [Decimal(0), Decimal(0), Decimal("0.01")]
