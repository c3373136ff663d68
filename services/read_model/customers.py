"""The tables of the view `customers`: who has ordered, how often and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from services.read_model.table import About, Count, Id, Instant, Table, Text

__all__ = ["CUSTOMERS", "CUSTOMER_ORDERS", "Customer", "CustomerOrder"]


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer with an account who has placed at least one order."""

    customer_id: Id
    customer_name: Annotated[Text | None, About(personal=True)]
    email: Annotated[Text | None, About(personal=True)]
    orders: Count
    first_order_at: Instant
    last_order_at: Instant


@dataclass(frozen=True, slots=True)
class CustomerOrder:
    """The order of a customer: when an import is taken back, the customer's figures are computed again from these."""

    order_id: Id
    customer_id: Id
    placed_at: Instant


CUSTOMERS = Table("customers", "customers", Customer, ("customer_id",))
CUSTOMER_ORDERS = Table(
    "customers", "customer_orders", CustomerOrder, ("order_id",),
    indexes={"customer_orders_by_customer": "(customer_id, placed_at)"},
)  # fmt: skip
