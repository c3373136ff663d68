"""The answers of payments."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

__all__ = ["PaidAmount", "Payment"]


class PaidAmount(TypedDict):
    """An exact amount of money."""

    amount: Annotated[str, Field(examples=["12.50"])]
    """An exact decimal as text, with the decimals of the currency."""
    currency: Annotated[str, Field(examples=["GBP"])]
    """The ISO 4217 code."""


class Payment(TypedDict):
    """The payment of the order."""

    order_id: str
    status: Literal["none", "authorized", "captured", "declined", "voided", "refunded"]
    transaction_id: NotRequired[str | None]
    """The provider's id; null if the provider never held money."""
    amount: NotRequired[PaidAmount]
    refunded: NotRequired[PaidAmount | None]
    """The amount that was refunded."""
    reason: NotRequired[str | None]
    """Why the provider declined."""
