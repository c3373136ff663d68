"""Refusals that several commands to an order share."""

from __future__ import annotations

from services.kit.domain.decider import Rejected
from services.orders.order import Imported, OnHold, Order, OrderIntent

__all__ = ["fulfilled_elsewhere", "name_of", "not_found"]


def not_found(command: OrderIntent) -> Rejected:
    """There is no such order, or not for this caller."""
    return Rejected("order-not-found", f"There is no order {command.order_id}.", missing=True)


def fulfilled_elsewhere(command: OrderIntent, order: Imported) -> Rejected:
    """The order was imported in its final status."""
    detail = f"Order {command.order_id} cannot be changed here: {order.source} fulfilled it, and it was imported."
    return Rejected("order-fulfilled-elsewhere", detail)


def name_of(order: Order) -> str:
    """The status of an order in words."""
    return "on hold" if isinstance(order, OnHold) else type(order).__name__.lower()
