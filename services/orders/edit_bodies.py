"""The request body of an edit of an order's lines."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from services.contracts.orders import ORDER_LINES_MAX
from services.kit.domain.amounts import SignedExact
from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.message import Money, Sku, Value
from services.kit.domain.texts import Line
from services.kit.rest.bodies import RequestBody
from services.orders.bodies import Price
from services.orders.order import ChangedLine
from services.orders.pricing import WantedLine

__all__ = ["EditBody"]


class Difference(Money):
    """What an edit adds to the total; below zero if the customer gets money back."""

    amount: Annotated[Decimal, SignedExact] = Field(max_digits=15, decimal_places=4, allow_inf_nan=False)
    currency: KnownCurrency


class EditedLine(Value):
    """The new quantity of a line of the order, or an added product."""

    line: int | None = Field(
        default=None, ge=1, strict=True, description="The number of the line in the order, from 1."
    )
    product_id: Sku | None = Field(default=None, description="A product to add, at the price of the catalogue.")
    quantity: int = Field(ge=0, le=1_000_000, strict=True, description="0 removes the line.")
    product_name: Line | None = Field(default=None, description="Of an added product. Needs `orders:price`.")
    unit_price: Price | None = Field(default=None, description="Of an added product. Needs `orders:price`.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.line is None) == (self.product_id is None):
            raise ValueError("a changed line has either the number of a line or a product to add")
        if self.line is not None and (self.product_name or self.unit_price):
            raise ValueError("a line of the order keeps its name and its price: remove it and add the product")
        if self.product_id is not None and self.quantity == 0:
            raise ValueError("an added product has a quantity of at least 1")
        return self

    @property
    def change(self) -> ChangedLine:
        """The change of the order."""
        if self.product_id is None:
            return ChangedLine(quantity=self.quantity, line=self.line)
        price = self.unit_price
        wanted = WantedLine(
            product_id=self.product_id,
            quantity=self.quantity,
            product_name=self.product_name,
            unit_price=price.amount if price else None,
        )
        return ChangedLine(quantity=self.quantity, wanted=wanted, currency=price.currency if price else None)


class EditBody(RequestBody):
    """The changes of an order's lines; lines that are not named stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"lines": [{"line": 1, "quantity": 1}], "reason": "The customer wants one less."}]
        },
    )
    lines: list[EditedLine] = Field(min_length=1, max_length=ORDER_LINES_MAX)
    reason: Line = Field(description="The customer can read it.")
    expected_difference: Difference | None = Field(
        default=None, description="What the edit adds to the total; refused (409) if it is another amount."
    )

    @field_validator("lines")
    @classmethod
    def _each_line_once(cls, lines: list[EditedLine]) -> list[EditedLine]:
        numbers = [line.line for line in lines if line.line is not None]
        if len(numbers) != len(set(numbers)):
            raise ValueError("each line of the order can be named once")
        return lines

    @property
    def named_prices(self) -> tuple[str, ...]:
        """The fields with which this body names a price instead of leaving it to the shop."""
        return tuple(
            f"lines.{place}.{name}"
            for place, line in enumerate(self.lines)
            for name in ("product_name", "unit_price")
            if getattr(line, name) is not None
        )
