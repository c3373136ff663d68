"""The answers of notifications."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from services.kit.rest.answers import Instant
from services.notifications.domain import OrderMailKind

__all__ = ["OrderMail", "OrderMails"]


class OrderMail(TypedDict):
    """One mail about an order, or an attempt to send it."""

    kind: OrderMailKind
    status: Literal["sent", "not_sent", "failed"]
    """`not_sent`: the order has no e-mail address, a later mail says more, or the shop has switched this mail off.
    `failed`: the mail server refused it."""
    at: Instant
    refund_id: str | None
    """The refund that the mail is about."""
    error: str | None
    """Why the mail server refused the mail."""


class OrderMails(TypedDict):
    """The mails about an order, oldest first."""

    order_id: str
    mails: list[OrderMail]
