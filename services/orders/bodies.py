"""What clients send about orders, field by field."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from services.contracts.orders import ORDER_LINES_MAX, Address, OrderLine, PaymentMethod, Priority
from services.kit.domain.errors import FieldError, Invalid
from services.kit.domain.instants import KnownInstant
from services.kit.domain.message import Email, Money, Sku
from services.kit.domain.texts import Line, is_one_line

__all__ = ["AmendBody", "CancelBody", "DetailsBody", "OrderBody"]

Notes = Annotated[str, StringConstraints(max_length=2_000)]
AMOUNT = r"^[0-9]{1,15}(\.[0-9]{1,6})?$"
CustomerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]


def _exact(given: object) -> object:
    """Pydantic would take a JSON number, which is a float to many programs, and the digits of every script."""
    if not isinstance(given, str) or not re.fullmatch(AMOUNT, given):
        raise ValueError('an amount is a text such as "12.50"')
    return given


def _on_lines(address: Address) -> Address:
    odd = [name for name, text in address if isinstance(text, str) and not is_one_line(text)]
    if odd:
        raise ValueError(f"control characters in {', '.join(odd)}")
    return address


EXAMPLE: JsonDict = {
    "email": "ann@example.com",
    "customer_name": "Ann Archer",
    "items": [
        {
            "product_id": "MUG",
            "product_name": "Mug",
            "quantity": 2,
            "unit_price": {"amount": "4.50", "currency": "GBP"},
        }
    ],
    "shipping_address": {"name": "Ann Archer", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
    "payment_method": {"kind": "card", "token": "tok_approve"},
    "total": {"amount": "9.00", "currency": "GBP"},
}
Exact = BeforeValidator(_exact, json_schema_input_type=Annotated[str, Field(pattern=AMOUNT)])
Destination = Annotated[Address, AfterValidator(_on_lines)]


class Price(Money):
    """What one unit costs; what the contract's order line can hold."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)


class Total(Money):
    """What an order costs."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)


class Item(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(extra="forbid")
    product_id: Sku
    product_name: Line
    quantity: int = Field(ge=1, le=1_000_000, strict=True)
    unit_price: Price


class DetailsBody(BaseModel):
    """Who orders what: a known customer, or a guest with an e-mail address."""

    model_config = ConfigDict(extra="forbid")
    customer_id: CustomerId | None = None
    email: Email | None = None
    customer_name: Line | None = None
    items: list[Item] = Field(min_length=1, max_length=ORDER_LINES_MAX)
    shipping_address: Destination
    priority: Priority = "standard"
    notes: Notes | None = None
    total: Total | None = None

    @property
    def lines(self) -> tuple[OrderLine, ...]:
        """As the contract has them."""
        return tuple(
            OrderLine(
                product_id=i.product_id,
                product_name=i.product_name,
                quantity=i.quantity,
                unit_price=i.unit_price.amount,
            )
            for i in self.items
        )

    @property
    def currencies(self) -> frozenset[str]:
        """Of the prices."""
        return frozenset(item.unit_price.currency for item in self.items)

    @property
    def given_total(self) -> Money | None:
        """What the client believes that it costs."""
        return self.total and Money(amount=self.total.amount, currency=self.total.currency)

    def must_be_somebodys(self, customer_id: str | None) -> None:
        """Invalid if neither the customer is known nor how to write to a guest."""
        if customer_id is None and self.email is None:
            detail = "customer_id, or email for a guest, is needed"
            raise Invalid("no-customer", detail, (FieldError("customer_id", "missing", detail),))


class OrderBody(DetailsBody):
    """An order as a client sends it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})
    payment_method: PaymentMethod
    placed_at: KnownInstant | None = Field(
        default=None,
        description="When it was placed, for an order brought here from elsewhere; needs the scope orders:admin.",
        examples=["2011-12-09T12:50:00Z"],
    )


class AmendBody(BaseModel):
    """What can be changed until the shipment exists."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})
    email: Email | None = None
    customer_name: Line | None = None
    shipping_address: Destination | None = None
    notes: Notes | None = None


class CancelBody(BaseModel):
    """Why an order is cancelled."""

    model_config = ConfigDict(extra="forbid")
    reason: Line
