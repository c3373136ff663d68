"""Scopes of tokens that lift the limit to the caller's own things."""

from __future__ import annotations

__all__ = ["ORDERS_ADMIN", "USERS_ADMIN"]

USERS_ADMIN = "users:admin"
"""Reaches the accounts of all users."""
ORDERS_ADMIN = "orders:admin"
"""Reaches the orders, payments and shipments of all customers, and everything else but accounts."""
