"""The scopes of tokens."""

__all__ = ["ACCESS_READ", "ACCESS_WRITE", "AUDIT_READ", "EVERY_SCOPE", "ORDERS_ADMIN", "ORDERS_PRICE", "USERS_ADMIN"]

USERS_ADMIN = "users:admin"
"""Permits access to the accounts of all users."""
ORDERS_ADMIN = "orders:admin"
"""Permits access to the orders, payments and shipments of all customers, and to all other data except accounts."""
ORDERS_PRICE = "orders:price"
"""Permits orders whose prices, discounts, taxes and shipping cost the request names, instead of the shop."""
ACCESS_READ = "access:read"
"""Permits to see staff and API clients."""
ACCESS_WRITE = "access:write"
"""Permits to invite staff and to make API clients, with no more scopes than the own token has."""
AUDIT_READ = "audit:read"
"""Permits to see which person or program changed what."""
EVERY_SCOPE = (
    "users:read", "users:write", USERS_ADMIN, "catalogue:write", "orders:read", "orders:write", ORDERS_ADMIN,
    "orders:import", ORDERS_PRICE, "stock:read", "stock:write", "payments:read", "payments:write", "shipments:read",
    "shipments:write", "fulfillments:read", "fulfillments:write", "analytics:read", "operations:read",
    "operations:write", "events:read", "webhooks:read", "webhooks:write", ACCESS_READ, ACCESS_WRITE,
    AUDIT_READ,
)  # fmt: skip
"""All scopes that a route needs; a test compares them with the routes."""
