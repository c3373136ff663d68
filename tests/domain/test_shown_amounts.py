"""Amounts as answers, mails and files show them: with the decimals of the currency's minor unit (ISO 4217)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.kit.domain.currencies import shown_money


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("500", "JPY", "500"), ("500.00", "JPY", "500"), ("0.5", "JPY", "0.5"), ("0", "JPY", "0"), ("1E+3", "XAF", "1000"),
        ("4.5", "GBP", "4.50"), ("0", "GBP", "0.00"), ("0.005", "GBP", "0.005"), ("-0.1", "GBP", "-0.10"),
        ("1.2", "KWD", "1.200"), ("1.23450", "KWD", "1.2345"), ("1.2", "CLF", "1.2000"), ("3", "ZZZ", "3.00"),
    ],
)  # fmt: skip
def test_an_amount_has_the_decimals_of_its_currency(amount: str, currency: str, shown: str) -> None:
    assert shown_money(Decimal(amount), currency) == {"amount": shown, "currency": currency}
