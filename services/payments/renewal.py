"""Renewals: an authorization that expires before the capture is made anew with the same card, once for an order.

While payments renews it, the order counts as paid and a capture has to wait. If the provider refuses, the order is not
paid any more, and fulfillment gives it up.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.payments import CaptureRequested, RenewalRequested
from services.kit.domain.message import Message
from services.kit.saga.participant import Failure
from services.payments.standing import Authorized, Payment, expired_hold, is_renewing, standing

__all__ = ["RENEWING", "follow_up"]

RENEWING = Failure("authorization-expired", "the authorization expired, and payments renews it", transient=True)


def follow_up(order_id: str, before: Payment, after: Payment) -> Sequence[Message]:
    """The request to renew what has expired; the capture that staff requested meanwhile, once it is renewed."""
    hold, money = expired_hold(after), standing(after)
    if hold and is_renewing(after) and not after.renewal:
        return [RenewalRequested(order_id=order_id, transaction_id=hold.transaction_id, amount=hold.amount)]
    waits = after.capturing is not None and after.decided == "capture" and not after.closed
    if waits and is_renewing(before) and isinstance(money, Authorized):
        return [CaptureRequested(order_id=order_id, transaction_id=money.transaction_id, amount=money.amount)]
    return []
