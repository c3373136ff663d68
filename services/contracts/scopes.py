"""The scopes of tokens."""

from collections.abc import Mapping

__all__ = [
    "ACCESS_READ", "ACCESS_WRITE", "AUDIT_READ", "EVERY_SCOPE", "ORDERS_ADMIN", "ORDERS_PRICE", "SCOPES", "USERS_ADMIN",
]  # fmt: skip

USERS_ADMIN = "users:admin"
ORDERS_ADMIN = "orders:admin"
ORDERS_PRICE = "orders:price"
ACCESS_READ = "access:read"
ACCESS_WRITE = "access:write"
AUDIT_READ = "audit:read"
SCOPES: Mapping[str, str] = {
    "users:read": "Read the own account.",
    "users:write": "Change and delete the own account.",
    USERS_ADMIN: "Extends the scopes for accounts to the accounts of everybody; suspend accounts and erase persons.",
    "catalogue:write": "Define, change and withdraw products. Reading the catalogue needs no token.",
    "orders:read": "Read the own orders, their documents and their mails.",
    "orders:write": "Place, change and cancel own orders.",
    ORDERS_ADMIN: "Extends all other scopes, except those for accounts, from the own data to the data of everybody. It "
    "permits nothing alone: with `orders:read` a token reads all orders, and only with `orders:write` it changes them.",
    "orders:import": "Import orders that another system fulfilled, and take imports back.",
    ORDERS_PRICE: "Name prices, discounts, taxes and the shipping cost in an order, instead of those of the shop.",
    "stock:read": "Read stock levels.",
    "stock:write": "Count and adjust the stock.",
    "payments:read": "Read payments and refunds.",
    "payments:write": "Capture, void and refund payments.",
    "shipments:read": "Read shipments.",
    "shipments:write": "Report that a carrier collected or delivered a parcel.",
    "fulfillments:read": "Read the steps by which an order is fulfilled.",
    "fulfillments:write": "Resume a stuck fulfillment.",
    "analytics:read": "Read sales and times of all orders.",
    "operations:read": "Read the state of the system, and messages that failed.",
    "operations:write": "Replay and discard failed messages.",
    "events:read": "Read and follow the events that the other scopes of the token permit.",
    "webhooks:read": "Read webhook endpoints and their deliveries.",
    "webhooks:write": "Register, change, test and remove webhook endpoints; send messages again.",
    ACCESS_READ: "Read the list of staff and of API clients.",
    ACCESS_WRITE: "Invite staff and make API clients, with no more scopes than the own token has.",
    AUDIT_READ: "Read which person or program changed what.",
}
"""Every scope, and what it permits; /docs shows the texts."""
EVERY_SCOPE = tuple(SCOPES)
"""All scopes that a route needs; a test compares them with the routes."""
