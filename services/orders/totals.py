"""The amounts of an order, from its prices, discounts, shipping cost and tax rates. Pure, and exact to the minor unit.

The rules, in this order:

1. The subtotal is the exact sum of the lines, rounded once, half up, to the minor unit. Each line gets its share of it.
2. A line's discount is an amount, or a percentage of the line's share, rounded half up; it is at most the share.
3. Discounts of the order are amounts, or percentages of what the line discounts leave, rounded half up. Together they
   are at most what is left. They are spread over the lines in proportion to what is left of each.
4. Tax is computed per line on what the discounts leave of it, and on the shipping cost, each rounded half up to the
   minor unit. It is added to the prices, or included in them. An order of another system may bring amounts of tax
   instead of rates: of a line, of the shipping, or of the whole order. What the latter has beyond the tax of the
   shipping is spread over the lines in proportion to what the discounts leave of them. If they leave nothing, it is
   all of the shipping.

Shares are whole minor units and sum exactly to what is spread (largest remainder). Equal remainders are decided by the
content of the lines, so that no total depends on the order of the lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from services.kit.domain.currencies import MINOR_DIGITS, rounded

__all__ = ["NO_OFF", "LineAmounts", "Off", "PricedLine", "Pricing", "Totals", "spread", "totals_of"]

ZERO = Decimal(0)
PRICE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Off:
    """A discount: `amount`, or else `percent` of what it is taken from."""

    amount: Decimal = ZERO
    percent: Decimal = ZERO


NO_OFF = Off()


class PricedLine(NamedTuple):
    """A line before the arithmetic; `tax_rate` is in percent, `tax` an amount instead of it.

    A named tuple, because a frozen dataclass takes four times as long to make, and an order has up to 2,000 lines.
    """

    unit_price: Decimal
    quantity: int
    off: Off = NO_OFF
    tax_rate: Decimal = ZERO
    tax: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """All that decides the amounts of an order; `tax` is that of the whole order and replaces the rates."""

    lines: Sequence[PricedLine]
    currency: str
    offs: Sequence[Off] = ()
    shipping: Decimal = ZERO
    shipping_tax_rate: Decimal = ZERO
    shipping_tax: Decimal | None = None
    tax: Decimal | None = None
    tax_included: bool = False


class LineAmounts(NamedTuple):
    """The share of a line: `total` is subtotal - discount, plus the tax if it is added to the prices."""

    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """The amounts of an order; `lines` are in the order of the pricing's lines.

    `total` is subtotal - discount_total + shipping_total, plus tax_total if tax is added to the prices. `tax_total`
    is the tax of the lines and `shipping_tax`.
    """

    lines: Sequence[LineAmounts]
    subtotal: Decimal
    discount_total: Decimal
    shipping_total: Decimal
    shipping_tax: Decimal
    tax_total: Decimal
    total: Decimal


def totals_of(pricing: Pricing) -> Totals:
    """The amounts of an order. No amount may be negative, and shipping and taxes must be whole minor units."""
    order = sorted(range(len(pricing.lines)), key=lambda place: _content(pricing.lines[place]))
    computed = _amounts([pricing.lines[place] for place in order], pricing)
    lines = [amounts for _, amounts in sorted(zip(order, computed, strict=True), key=lambda pair: pair[0])]
    subtotal, discount = sum((one.subtotal for one in lines), ZERO), sum((one.discount for one in lines), ZERO)
    shipping_tax = _shipping_tax(pricing, subtotal - discount)
    tax = sum((one.tax for one in lines), shipping_tax)
    added = ZERO if pricing.tax_included else tax
    total = subtotal - discount + pricing.shipping + added
    return Totals(lines, subtotal, discount, pricing.shipping, shipping_tax, tax, total)


def _content(line: PricedLine) -> tuple[Decimal | int, ...]:
    tax = -1 if line.tax is None else line.tax
    return line.unit_price, line.quantity, line.off.amount, line.off.percent, line.tax_rate, tax


def _shipping_tax(pricing: Pricing, net: Decimal) -> Decimal:
    """The tax of the shipping; `net` is what the discounts leave of the lines."""
    if pricing.tax is not None and not net:
        return rounded(pricing.tax, pricing.currency)
    if pricing.shipping_tax is not None or pricing.tax is not None:
        return rounded(pricing.shipping_tax or ZERO, pricing.currency)
    return _tax(pricing.shipping, pricing.shipping_tax_rate, pricing)


def _amounts(lines: Sequence[PricedLine], pricing: Pricing) -> list[LineAmounts]:
    exact = [line.unit_price * line.quantity for line in lines]
    subtotal = rounded(sum(exact, ZERO), pricing.currency)
    shares = _shares(subtotal, exact, pricing.currency)
    own = [_discount(line.off, share, pricing.currency) for line, share in zip(lines, shares, strict=True)]
    left = [share - discount for share, discount in zip(shares, own, strict=True)]
    base = sum(left, ZERO)
    whole = min(base, sum((_discount(off, base, pricing.currency) for off in pricing.offs), ZERO))
    parts = [one + part for one, part in zip(own, _shares(whole, left, pricing.currency), strict=True)]
    nets = [share - part for share, part in zip(shares, parts, strict=True)]
    taxes = _taxes(lines, nets, pricing)
    return [_line(*each, pricing) for each in zip(shares, parts, taxes, strict=True)]


def _taxes(lines: Sequence[PricedLine], nets: Sequence[Decimal], pricing: Pricing) -> list[Decimal]:
    if pricing.tax is not None:
        return _shares(pricing.tax - (pricing.shipping_tax or ZERO), nets, pricing.currency)
    pairs = zip(lines, nets, strict=True)
    return [
        _tax(net, line.tax_rate, pricing) if line.tax is None else rounded(line.tax, pricing.currency)
        for line, net in pairs
    ]


def _line(subtotal: Decimal, discount: Decimal, tax: Decimal, pricing: Pricing) -> LineAmounts:
    net = subtotal - discount
    return LineAmounts(subtotal, discount, tax, net if pricing.tax_included else net + tax)


def _discount(off: Off, base: Decimal, currency: str) -> Decimal:
    if off is NO_OFF:
        return ZERO
    return min(base, rounded(off.amount + base * off.percent / 100, currency))


def _tax(base: Decimal, rate: Decimal, pricing: Pricing) -> Decimal:
    return rounded(base * rate / (100 + rate if pricing.tax_included else Decimal(100)), pricing.currency)


def _shares(whole: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    digits = MINOR_DIGITS.get(currency, 2)
    scaled = [int(weight.scaleb(PRICE_DIGITS)) for weight in weights]
    return [Decimal(share).scaleb(-digits) for share in spread(int(whole.scaleb(digits)), scaled)]


def spread(whole: int, weights: Sequence[int]) -> list[int]:
    """Whole shares in proportion to the weights, which sum to `whole` (largest remainder; the first of equals gains).

    Every share is its proportion, rounded down or up. All are 0 if all weights are.
    """
    heavy = sum(weights) or 1
    shares = [whole * weight // heavy for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: -(whole * weights[place] % heavy))
    for place in by_remainder[: whole - sum(shares) if any(weights) else 0]:
        shares[place] += 1
    return shares
