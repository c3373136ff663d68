"""The answers of payments."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

__all__ = ["Dispute", "PaidAmount", "Payment", "Status"]

Status = Literal[
    "none", "authorized", "captured", "declined", "voided", "refund_pending", "refund_failed", "refunded", "disputed"
]
Dispute = Literal["inquiry", "open", "won", "lost"]


class PaidAmount(TypedDict):
    """An exact amount of money."""

    amount: Annotated[str, Field(examples=["12.50"])]
    """An exact decimal as text, with the decimals of the currency."""
    currency: Annotated[str, Field(examples=["GBP"])]
    """The ISO 4217 code."""


class Payment(TypedDict):
    """The payment of the order."""

    order_id: str
    status: Status
    transaction_id: NotRequired[str | None]
    """The provider's id; null if the provider never held money."""
    amount: NotRequired[PaidAmount]
    refunded: NotRequired[PaidAmount | None]
    """The amount that arrived at the customer by refunds; null if none did."""
    dispute: NotRequired[Dispute | None]
    """The state of a dispute by the customer's bank; null if there was none."""
    reason: NotRequired[str | None]
    """Why the provider declined."""
