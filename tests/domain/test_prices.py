"""The price of a product at an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.contracts.catalogue import Price, Product
from services.orders.price_book import price_at

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def price(amount: str, begins: int | None = None, ends: int | None = None, currency: str = "GBP", **more: Any) -> Price:
    """A price that is valid from and until so many hours after noon."""
    return Price(
        currency=currency,
        amount=Decimal(amount),
        valid_from=None if begins is None else NOON + begins * HOUR,
        valid_until=None if ends is None else NOON + ends * HOUR,
        **more,
    )


def product(*prices: Price) -> Product:
    return Product(sku="mug", name="Mug", prices=prices)


TABLE: dict[str, tuple[tuple[Price, ...], str | None]] = {
    "no price at all": ((), None),
    "a price without limits": ((price("2"),), "2"),
    "a price in another currency": ((price("2", currency="EUR"),), None),
    "a price that begins at this instant": ((price("2", 0),), "2"),
    "a price that begins later": ((price("2", 1),), None),
    "a price that ends at this instant": ((price("2", None, 0),), None),
    "a price that ends later": ((price("2", None, 1),), "2"),
    "a sale in the validity of the usual price": ((price("2"), price("1", -1, 1)), "1"),
    "a sale that is over": ((price("2"), price("1", -2, -1)), "2"),
    "a sale that is still to come": ((price("2"), price("1", 1, 2)), "2"),
    "two that overlap, the later one first": ((price("3", -1), price("2", -2)), "3"),
    "fractions of a penny": ((price("0.000001"),), "0.000001"),
    "a price of nothing": ((price("0"),), "0"),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_valid_price_with_the_latest_beginning_wins(name: str) -> None:
    prices, expected = TABLE[name]
    assert price_at(product(*prices), "GBP", NOON) == (None if expected is None else Decimal(expected))


HOURS = st.integers(-3, 3)


@given(st.lists(st.tuples(HOURS, HOURS), unique_by=lambda hours: hours[0], max_size=6), st.randoms())
def test_the_order_of_the_prices_does_not_matter(windows: list[tuple[int, int]], random: Any) -> None:
    prices = [price(str(number + 1), begins, ends) for number, (begins, ends) in enumerate(windows)]
    shuffled = random.sample(prices, len(prices))
    assert price_at(product(*prices), "GBP", NOON) == price_at(product(*shuffled), "GBP", NOON)


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity", "0.0000001", "1000000000"])
def test_an_amount_that_no_price_can_have_is_refused(amount: str) -> None:
    with pytest.raises(ValidationError):
        price(amount)
