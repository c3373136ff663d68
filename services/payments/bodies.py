"""Request bodies of payments."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.message import Money
from services.kit.domain.texts import Line

__all__ = ["Amount", "RefundBody", "VoidBody"]


class Amount(BaseModel):
    """An exact amount of money."""

    model_config = ConfigDict(extra="forbid")
    amount: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]
    currency: KnownCurrency

    @property
    def money(self) -> Money:
        """The amount as a number."""
        return Money(amount=Decimal(self.amount), currency=self.currency)


EXAMPLE: JsonDict = {"amount": {"amount": "4.50", "currency": "GBP"}, "reason": "The mug arrived broken."}


class VoidBody(BaseModel):
    """Why a payment is voided."""

    model_config = ConfigDict(extra="forbid")
    reason: Line = Field(description="Why the money is not taken. The customer can read it.")


class RefundBody(BaseModel):
    """How much of the payment goes back to the customer, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})
    amount: Amount
    reason: Line = Field(description="Why the money goes back. The customer can read it.")
