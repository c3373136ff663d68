"""Scopes of tokens that permit access to the data of all customers; without them a token permits its subject's only."""

from __future__ import annotations

__all__ = ["ORDERS_ADMIN", "USERS_ADMIN"]

USERS_ADMIN = "users:admin"
"""Permits access to the accounts of all users."""
ORDERS_ADMIN = "orders:admin"
"""Permits access to the orders, payments and shipments of all customers, and to all other data except accounts."""
