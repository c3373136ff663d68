"""The status of an order after each event that decides it alone."""

from __future__ import annotations

from collections.abc import Mapping

from services.contracts import orders
from services.kit.domain.message import Message

__all__ = ["STATUS_AFTER"]

STATUS_AFTER: Mapping[type[Message], str] = {
    orders.OrderDrafted: "draft",
    orders.OrderDraftUpdated: "draft",
    orders.OrderCreated: "pending",
    orders.OrderHeld: "on_hold",
    orders.OrderCancellationRequested: "cancelling",
    orders.OrderCancelled: "cancelled",
    orders.OrderConfirmed: "confirmed",
    orders.OrderFailed: "failed",
    orders.OrderShipped: "shipped",
    orders.OrderDelivered: "delivered",
}
