"""Refusals that several commands to an order share."""

from __future__ import annotations

from datetime import datetime

from services.kit.domain.decider import Rejected
from services.orders.order import Imported, OnHold, Order, OrderIntent

__all__ = ["fulfilled_elsewhere", "name_of", "not_found", "placed_in_future"]


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


def placed_in_future(placed_at: datetime | None, now: datetime) -> Rejected | None:
    """The refusal of a time that has not come yet; None if there is no such time."""
    if placed_at is None or placed_at <= now:
        return None
    detail = f"`placed_at` must not be after {now:%Y-%m-%dT%H:%M:%SZ}."
    return Rejected("placed-in-future", detail, field="placed_at")
