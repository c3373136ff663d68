"""The demo's own arithmetic of money, so that a mistake in the rules of orders shows as a difference."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

__all__ = ["pennies", "shares", "tax_in"]

PENNY = Decimal("0.01")


def pennies(amount: Decimal) -> Decimal:
    """An amount rounded half up to pennies."""
    return amount.quantize(PENNY, ROUND_HALF_UP)


def shares(whole: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Whole pennies in proportion to the weights that sum to `whole` (largest remainder)."""
    units, total = int(whole / PENNY), sum(map(Fraction, weights))
    exact = [units * Fraction(weight) / total for weight in weights]
    found = [each.numerator // each.denominator for each in exact]
    places = sorted(range(len(exact)), key=lambda place: found[place] - exact[place])
    for place in places[: units - sum(found)]:
        found[place] += 1
    return [each * PENNY for each in found]


def tax_in(price: Decimal, percent: Decimal) -> Decimal:
    """The tax that a price includes."""
    return pennies(price * percent / (100 + percent))
