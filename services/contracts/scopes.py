"""Scopes of tokens that permit more than a customer may do with their own data."""

from __future__ import annotations

__all__ = ["ORDERS_ADMIN", "ORDERS_PRICE", "USERS_ADMIN"]

USERS_ADMIN = "users:admin"
"""Permits access to the accounts of all users."""
ORDERS_ADMIN = "orders:admin"
"""Permits access to the orders, payments and shipments of all customers, and to all other data except accounts."""
ORDERS_PRICE = "orders:price"
"""Permits orders whose prices, discounts, taxes and shipping cost the request names, instead of the shop."""
