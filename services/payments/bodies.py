"""Request bodies of payments."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal, Self, cast

from pydantic import ConfigDict, Field, StringConstraints, WrapValidator, model_validator
from pydantic.config import JsonDict

from services.contracts.orders import ORDER_LINES_MAX
from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.message import Money
from services.kit.domain.texts import Line
from services.kit.rest.bodies import RequestBody

__all__ = ["Amount", "RefundBody", "RefundLine", "VoidBody"]


class Amount(RequestBody):
    """An exact amount of money."""

    amount: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")]
    currency: KnownCurrency

    @property
    def money(self) -> Money:
        """The amount as a number."""
        return Money(amount=Decimal(self.amount), currency=self.currency)


REASON = "The mug arrived broken."
EXAMPLES: list[JsonDict] = [
    {"lines": [{"line": 1, "quantity": 1}], "shipping": True, "reason": REASON, "restock": False},
    {"amount": {"amount": "4.50", "currency": "GBP"}, "reason": REASON},
]


class VoidBody(RequestBody):
    """Why a payment is voided."""

    reason: Line = Field(description="Why the money is not taken. The customer can read it.")


class RefundLine(RequestBody):
    """Units of one line of the order."""

    line: int = Field(ge=1, le=ORDER_LINES_MAX, strict=True, description="The place of the line in the order, from 1.")
    quantity: int = Field(ge=1, le=1_000_000, strict=True)
    restock: bool | None = Field(
        default=None,
        strict=True,
        description="Whether these units go back into stock. Default: `restock` of the refund.",
    )


def _true_or_amount(value: object, amount: Callable[[object], Amount]) -> Amount | bool:
    return value if isinstance(value, bool) else amount(value)


class RefundBody(RequestBody):
    """A refund and its reason: either an amount, or lines, the shipping cost, or both."""

    model_config = ConfigDict(json_schema_extra={"examples": list(EXAMPLES)})
    amount: Amount | None = None
    lines: Annotated[list[RefundLine], Field(min_length=1, max_length=ORDER_LINES_MAX)] | None = None
    # no union: its errors would name the field `shipping.Amount.amount`
    shipping: Annotated[Amount, WrapValidator(_true_or_amount, json_schema_input_type=Amount | bool)] | None = Field(
        default=None, description="true for what is left of the shipping cost, or an amount of it."
    )
    reason: Line = Field(description="Why the money goes back. The customer can read it.")
    restock: bool = Field(
        default=False, strict=True, description="Whether the units of the lines are in stock again and can be sold."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.amount is None) == (not self.lines and not self.shipping):
            raise ValueError("name either an amount, or lines, shipping, or both")
        if self.restock and not self.lines:
            raise ValueError("restock needs lines: only their units can go back into stock")
        numbers = [line.line for line in self.lines or ()]
        if twice := next((number for number in numbers if numbers.count(number) > 1), None):
            raise ValueError(f"lines names line {twice} more than once: name it once, with all units")
        return self

    @property
    def shipping_part(self) -> Money | Literal["all"] | None:
        """The part of the shipping cost that goes back."""
        part = cast("Amount | bool | None", self.shipping)
        return part.money if isinstance(part, Amount) else "all" if part else None
