"""The roles of staff, each a named set of scopes.

A token of staff has the scopes of the role and those for the own account. It has no scope that customers have for
their own orders: `orders:admin` would extend it to the orders of everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.contracts.scopes import EVERY_SCOPE, ORDERS_ADMIN, ORDERS_PRICE, USERS_ADMIN
from services.contracts.users import StaffRole

__all__ = ["CUSTOMER_SCOPES", "ROLES", "scopes_of"]

CUSTOMER_SCOPES = (
    "users:read", "users:write", "orders:read", "orders:write", "stock:read", "fulfillments:read",
    "payments:read", "shipments:read",
)  # fmt: skip
"""The scopes that a user without a role may request; each covers the user's own data only."""
OWN_ACCOUNT = ("users:read", "users:write")

_VIEWER = (
    "orders:read", ORDERS_ADMIN, "stock:read", "payments:read", "shipments:read", "fulfillments:read", "analytics:read",
    "operations:read",
)  # fmt: skip
_FULFILMENT = (*_VIEWER, "stock:write", "shipments:write")
_SUPPORT = (*_VIEWER, "orders:write", "payments:write", "shipments:write", "fulfillments:write")
_MANAGER = (
    *_SUPPORT, "stock:write", "catalogue:write", ORDERS_PRICE, "orders:import", USERS_ADMIN, "operations:write",
    "events:read", "webhooks:read", "webhooks:write",
)  # fmt: skip

ROLES: Mapping[StaffRole, Sequence[str]] = {
    "viewer": _VIEWER,
    "fulfilment": _FULFILMENT,
    "support": _SUPPORT,
    "manager": _MANAGER,
    "admin": EVERY_SCOPE,
}


def scopes_of(role: StaffRole | None) -> Sequence[str]:
    """The scopes that a user with this role may request."""
    return tuple(dict.fromkeys((*OWN_ACCOUNT, *ROLES[role]))) if role else CUSTOMER_SCOPES
