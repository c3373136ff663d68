"""The price of an order: the lines as a client sends them, the total they come to, and the limits of a total."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from services.contracts.orders import OrderLine
from services.kit.domain.currencies import rounded
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.orders.totals import PricedLine, Pricing, totals_of

__all__ = ["TOTAL_BELOW", "Basket", "price_problem", "total_of"]

TOTAL_BELOW = Decimal(1_000_000_000_000)
"""The bound of a total in any currency: `Money` can hold it, and what is added to it later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """The lines of an order, the currencies of their prices, and the total that the client expects, if it says one."""

    lines: tuple[OrderLine, ...]
    currencies: frozenset[str]
    expected_total: Money | None = None


def total_of(basket: Basket) -> Money:
    """The exact sum of the lines, rounded once, half up, to the minor unit of their one currency."""
    (currency,) = basket.currencies
    lines = [PricedLine(line.unit_price, line.quantity) for line in basket.lines]
    return Money(amount=totals_of(Pricing(lines=lines, currency=currency)).total, currency=currency)


def price_problem(basket: Basket) -> Rejected | None:
    """Why an order at this price is refused; None if it is not."""
    if len(basket.currencies) != 1:
        return Rejected("mixed-currencies", "All prices of an order must have the same currency.", field="items")
    exact = sum((line.unit_price * line.quantity for line in basket.lines), Decimal(0))
    if rounded(exact, *basket.currencies) >= TOTAL_BELOW:
        return Rejected("total-too-large", f"The total of an order must be below {TOTAL_BELOW:,f}.", field="items")
    total = total_of(basket)
    if total.amount <= 0:
        return Rejected("nothing-to-pay", "The total of an order must be above zero.", field="items")
    if basket.expected_total not in (None, total):
        detail = f"The items come to {total.amount} {total.currency}. Leave out `total` or send this amount."
        return Rejected("total-mismatch", detail, field="total")
    return None
