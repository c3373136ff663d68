"""The events that wake webhooks. It then reads all new events, of whatever types endpoints ask for.

The types are those that programs wait for. Others come with the next of these: the payment of an order comes when the
order is confirmed, a moment later.
"""

from __future__ import annotations

from services.contracts import catalogue, fulfillment, inventory, orders, payments, users, webhooks

__all__ = ["TYPES"]

_MODELS = (
    catalogue.ProductDefined, catalogue.ProductChanged, catalogue.ProductWithdrawn,
    orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderUpdated, orders.OrderConfirmed,
    orders.OrderCancellationRequested, orders.OrderCancelled, orders.OrderFailed, orders.OrderShipped,
    orders.OrderDelivered, orders.OrderRefunded, orders.OrderNoteAdded, orders.OrderHeld, orders.OrderReleased,
    orders.OrderEdited, orders.OrderEditRefused,
    inventory.StockSet, inventory.StockAdjusted,
    payments.PaymentCapturePending, payments.RefundRequested, payments.RefundRefused, payments.ProviderReported,
    payments.ProviderUpdated,
    fulfillment.RunCompensating, fulfillment.RunStuck,
    users.UserRegistered, users.UserActivated, users.UserSuspended, users.UserReinstated, users.UserDeleted,
    users.PersonErased, users.ClientExpired, users.ClientRevoked, users.StaffRoleChanged,
    webhooks.DeliveriesDue,
)  # fmt: skip

TYPES = frozenset(model.type for model in _MODELS)
"""The types of the service's Trigger."""
