"""Renewals: an authorization that expires before the capture is made anew with the same card, once for an order.

While payments renews it, the order counts as paid and a capture has to wait. If the provider refuses, the order is not
paid any more, and fulfillment gives it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.payments import CaptureRequested, RenewalRefused, RenewalRequested
from services.kit.domain.decider import Command
from services.kit.domain.message import Message
from services.kit.saga.participant import Failure
from services.payments.calls import ProviderResult
from services.payments.standing import Authorized, Payment, expired_hold, is_renewing, standing
from services.payments.transactions import Fact

__all__ = ["RENEWING", "RecordRenewal", "facts_of", "follow_up", "refusal_of"]

RENEWING = Failure("authorization-expired", "the authorization expired, and payments renews it", transient=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRenewal(Command):
    """Record the provider's answer to a renewal."""

    order_id: str
    result: ProviderResult | Failure


def facts_of(command: RecordRenewal) -> tuple[Fact, ...]:
    """The facts of a renewal that the provider made."""
    result = command.result
    if isinstance(result, Failure):
        return ()
    return (Fact("authorized", result.transaction_id, result.amount), *result.facts)


def refusal_of(command: RecordRenewal, payment: Payment) -> list[RenewalRefused]:
    """The event that the provider refused the renewal, unless payments does not wait for it any more."""
    hold, result = expired_hold(payment), command.result
    if hold is None or not isinstance(result, Failure) or payment.renewal != "requested":
        return []
    what = {"transaction_id": hold.transaction_id, "amount": hold.amount}
    return [RenewalRefused.model_validate({"order_id": command.order_id, **what, **_why(result)})]


def _why(failure: Failure) -> dict[str, str]:
    return {"error_code": failure.code, "error": failure.detail}


def follow_up(order_id: str, before: Payment, after: Payment) -> Sequence[Message]:
    """The request to renew what has expired; the capture that staff requested meanwhile, once it is renewed."""
    hold, money = expired_hold(after), standing(after)
    if hold and is_renewing(after) and not after.renewal:
        return [RenewalRequested(order_id=order_id, transaction_id=hold.transaction_id, amount=hold.amount)]
    waits = after.capturing is not None and after.decided == "capture" and not after.closed
    if waits and is_renewing(before) and isinstance(money, Authorized):
        return [CaptureRequested(order_id=order_id, transaction_id=money.transaction_id, amount=money.amount)]
    return []
