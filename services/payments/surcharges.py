"""Surcharges: what an edit adds to the total of a confirmed order is charged to the same card by another transaction.

The edit waits until the money is there. An edit that is refused afterwards gets its surcharge back, also one whose
charge becomes known only later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.contracts.payments import SurchargePaid, SurchargeRefused, SurchargeRequested, SurchargeUndone
from services.kit.domain.message import Message, Money
from services.payments.calls import OrderCommand
from services.payments.standing import Captured, Payment, Surcharge, SurchargeStatus, charges, is_paid, standing

__all__ = [
    "RequestSurcharge", "UndoSurcharge", "is_awaited", "paid_surcharges", "request_surcharge", "undo_surcharge",
    "with_surcharge",
]  # fmt: skip

SurchargeEvent = SurchargeRequested | SurchargePaid | SurchargeRefused | SurchargeUndone
STATUS_AFTER: dict[type[SurchargeEvent], SurchargeStatus] = {
    SurchargeRequested: "requested",
    SurchargePaid: "paid",
    SurchargeRefused: "refused",
    SurchargeUndone: "undone",
}
NOT_PAID = ("nothing-captured", "no money is captured for the order any more, so that nothing is added to it")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSurcharge(OrderCommand):
    """Charge what an edit adds to the total of the order, which has `units` after it."""

    edit_id: str
    amount: Money
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoSurcharge(OrderCommand):
    """The edit was refused: charge nothing for it any more, and give back what was charged."""

    edit_id: str


def request_surcharge(command: RequestSurcharge, payment: Payment) -> list[Message]:
    """Ask the provider for the money, once; refuse it if the order is not paid."""
    to = {"order_id": command.order_id, "edit_id": command.edit_id}
    if command.edit_id in payment.surcharges:
        return []
    if payment.closed or not isinstance(standing(payment), Captured) or not is_paid(payment):
        code, error = NOT_PAID
        return [SurchargeRefused(**to, error_code=code, error=error)]
    first = next(iter(charges(payment)))
    return [SurchargeRequested(**to, transaction_id=first, amount=command.amount, units=command.units)]


def undo_surcharge(command: UndoSurcharge, payment: Payment) -> list[SurchargeUndone]:
    """Record once that the edit was refused, also if the surcharge was not requested yet."""
    known = payment.surcharges.get(command.edit_id)
    if known is not None and known.status in ("refused", "undone"):
        return []
    return [SurchargeUndone(order_id=command.order_id, edit_id=command.edit_id)]


def is_awaited(payment: Payment, edit_id: str) -> bool:
    """Whether the surcharge was requested and the provider's answer is not known."""
    known = payment.surcharges.get(edit_id)
    return known is not None and known.status == "requested"


def paid_surcharges(payment: Payment) -> Iterator[SurchargePaid]:
    """The events that surcharges are charged, whichever fact tells it first."""
    if payment.closed:
        return
    for name, each in payment.transactions.items():
        request = payment.surcharges[each.charge_id].request if is_awaited(payment, each.charge_id) else None
        if request and each.is_captured:
            to = {"order_id": request.order_id, "edit_id": request.edit_id}
            yield SurchargePaid(**to, transaction_id=name, amount=request.amount, units=request.units)


def with_surcharge(payment: Payment, event: SurchargeEvent) -> Payment:
    """The payment after an event about a surcharge."""
    known = payment.surcharges.get(event.edit_id)
    request = event if isinstance(event, SurchargeRequested) else known and known.request
    surcharge = Surcharge(STATUS_AFTER[type(event)], request)
    return replace(payment, surcharges={**payment.surcharges, event.edit_id: surcharge})
