"""REST of payments: read a payment, and refund a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, assert_never, cast

from fastapi import Path

from services.contracts.orders import RefundedLine as RequestedLine
from services.contracts.payments import RefundRequested, ReportedChange
from services.kit.auth.access import Caller, needs
from services.kit.domain.currencies import rounded, shown_money
from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.domain.ids import new_id
from services.kit.domain.message import Message, Money
from services.kit.rest.answers import Answer, CommandAnswer
from services.kit.rest.app import Handler, RestCause, json_router, respond
from services.kit.saga.participant import customer_of
from services.payments.answers import (
    Charge,
    Decided,
    Dispute,
    PaidAmount,
    Refundable,
    RefundableLine,
    RefundAccepted,
    RefundedLine,
    RefundStatus,
    Status,
)
from services.payments.answers import Payment as PaymentShown
from services.payments.answers import Refund as RefundShown
from services.payments.bodies import RefundBody, VoidBody
from services.payments.by_hand import CaptureByHand, VoidByHand
from services.payments.domain import (
    PAYMENT,
    Authorized,
    Captured,
    Declined,
    NoPayment,
    Payment,
    Refunding,
    Released,
    Returned,
    standing,
)
from services.payments.refundable import paid_for
from services.payments.refunds import LineWish, RequestRefund
from services.payments.requested import refund_at_provider, refundable, refundable_order
from services.payments.standing import RequestedRefund, charged_in, charges, is_renewing, returned
from services.payments.transactions import Refund, Transaction

__all__ = ["Handler", "OrderId", "routes", "shown"]

routes = json_router()

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


@routes.get("/payments/{order_id}")
async def read_payment(
    order_id: OrderId, caller: Annotated[Caller, needs("payments:read")], handler: Handler
) -> Answer[PaymentShown]:
    """Read an order's payment.

    Shows the status of the payment: authorized, captured, declined, voided, refunded, disputed by the customer's bank,
    or renewing while payments renews an expired authorization. Lists each refund, which is pending until the money
    arrives, and may fail. Refused (404) if no payment was requested for the order yet, or if the order belongs to
    another customer.
    """
    messages = [message for _, message in await handler.history(PAYMENT, order_id)]
    if not messages or not caller.may_reach(customer_of(messages)):
        raise NotFound("payment-not-found", "No payment was requested for this order yet, or the order does not exist.")
    return Answer(shown(order_id, PAYMENT.fold(messages)))


@routes.post("/payments/{order_id}/refunds", status_code=202)
async def refund_payment(
    order_id: OrderId,
    body: RefundBody,
    caller: Annotated[Caller, needs("payments:write")],
    cause: RestCause,
    handler: Handler,
) -> CommandAnswer[RefundAccepted]:
    """Refund a part of a payment.

    Refunds units of lines, the shipping cost, or an amount. For lines and shipping, payments computes the amount from
    what the customer paid, with discounts and taxes, and refunds at most what remains of the payment. Payments reserves
    the amount and requests the refund from the provider; `GET /payments/{order_id}` shows its status, and the customer
    gets a mail when it has succeeded. Needs the scope `orders:admin`, too.

    With `restock` the units go back into stock once the provider has accepted the refund; they stay there if it fails
    later. An order can have several refunds. If a refund leaves nothing and the carrier does not have the parcel yet,
    the order is cancelled.

    Refused (409) if the refund is larger than what remains, which the answer names, if no money is captured, if the
    customer's bank disputes the payment, or if the lines of an old order are not known (`lines-unknown`): refund an
    amount then.
    """
    caller.require_admin()
    command = _refund_command(order_id, body, cause.at)
    return await respond(
        cause,
        lambda marked: handler.handle(PAYMENT, order_id, command, marked),
        status=202,
        body=_accepted,
    )


def _refund_command(order_id: str, body: RefundBody, at: datetime) -> RequestRefund:
    lines = [
        LineWish(each.line, each.quantity, body.restock if each.restock is None else each.restock)
        for each in body.lines or ()
    ]
    return RequestRefund(
        at=at,
        order_id=order_id,
        refund_id=new_id("rfd"),
        amount=body.amount.money if body.amount else None,
        lines=tuple(lines),
        shipping=body.shipping_part,
        reason=body.reason,
    )


def _accepted(events: Sequence[Message]) -> RefundAccepted:
    requests = [event for event in events if isinstance(event, RefundRequested)]
    event, amount = requests[0], sum((each.amount.amount for each in requests), Decimal(0))
    return RefundAccepted(
        order_id=event.order_id,
        refund_id=event.refund_id,
        status="requested",
        amount=_amount(Money(amount=amount, currency=event.amount.currency)),
        lines=_lines(event.lines),
        shipping=_amount(event.shipping) if event.shipping else None,
    )


def _lines(lines: Sequence[RequestedLine]) -> list[RefundedLine]:
    return [
        RefundedLine(line=each.line, product_id=each.product_id, quantity=each.quantity, restock=each.restock)
        for each in lines
    ]


@routes.get("/payments/{order_id}/refundable")
async def read_refundable(
    order_id: OrderId, caller: Annotated[Caller, needs("payments:read")], handler: Handler
) -> Answer[Refundable]:
    """Read the refundable amounts.

    Shows what can still be refunded of a payment: units and amount of each line, the shipping cost, and the amount in
    all. Refunds that the provider has not answered count as refunded. Needs the scope `orders:admin`, too. Refused
    (404) if the order has no payment, and (409) if no money was captured.
    """
    caller.require_admin()
    payment = (await handler.reload(PAYMENT, order_id)).state
    match standing(payment):
        case NoPayment():
            raise NotFound("payment-not-found", f"There is no payment for order {order_id}.")
        case Captured(amount=amount) | Refunding(amount=amount) | Returned(amount=amount):
            return Answer(_refundable(order_id, payment, amount.currency))
        case Authorized() | Declined() | Released():
            raise RuleViolation("nothing-to-refund", f"No money is captured for order {order_id}.")


def _refundable(order_id: str, payment: Payment, currency: str) -> Refundable:
    def amount(value: Decimal) -> PaidAmount:
        return _amount(Money(amount=rounded(value, currency), currency=currency))

    order = refundable_order(payment)
    return Refundable(
        order_id=order_id,
        refundable=amount(refundable(payment)),
        shipping=amount(order.shipping) if order else None,
        lines=[
            RefundableLine(
                line=line.line,
                product_id=line.product_id,
                product_name=line.product_name,
                quantity=line.quantity,
                refundable_quantity=line.quantity - order.lines[line.line].returned,
                refundable=amount(paid_for(order, line.line)),
            )
            for line in payment.itemised.lines
        ]
        if order and payment.itemised
        else None,
    )


@routes.post("/payments/{order_id}/capture", status_code=202)
async def capture_payment(
    order_id: OrderId, caller: Annotated[Caller, needs("payments:write")], cause: RestCause, handler: Handler
) -> CommandAnswer[Decided]:
    """Capture a payment.

    Takes the authorized money of an order whose capture waits for staff (policy `by_hand`); fulfillment then continues.
    Capturing again changes nothing. Needs the scope `orders:admin`, too. Refused (409) if the order does not wait for
    staff (`not-by-hand`), if a void was requested before, or if the authorization has ended.
    """
    caller.require_admin()
    command = CaptureByHand(at=cause.at, order_id=order_id)
    return await respond(
        cause,
        lambda marked: handler.handle(PAYMENT, order_id, command, marked),
        status=202,
        body=Decided(order_id=order_id, status="capture_requested"),
    )


@routes.post("/payments/{order_id}/void", status_code=202)
async def void_payment(
    order_id: OrderId,
    body: VoidBody,
    caller: Annotated[Caller, needs("payments:write")],
    cause: RestCause,
    handler: Handler,
) -> CommandAnswer[Decided]:
    """Void a payment.

    Releases the authorized money of an order whose capture waits for staff (policy `by_hand`); the order is cancelled
    and its goods are released. Voiding again changes nothing. Needs the scope `orders:admin`, too. Refused (409) if
    the order does not wait for staff (`not-by-hand`), if the authorization has ended, or if a capture was requested
    before: refund it instead.
    """
    caller.require_admin()
    command = VoidByHand(at=cause.at, order_id=order_id, reason=body.reason)
    return await respond(
        cause,
        lambda marked: handler.handle(PAYMENT, order_id, command, marked),
        status=202,
        body=Decided(order_id=order_id, status="void_requested"),
    )


def shown(order_id: str, payment: Payment) -> PaymentShown:
    """The payment as REST answers it."""
    match money := standing(payment):
        case NoPayment():
            return PaymentShown(order_id=order_id, status="none")
        case Declined(reply=reply):
            return PaymentShown(order_id=order_id, status="declined", reason=reply.error)
        case Released(transaction_id=released):
            status = "renewing" if is_renewing(payment) else "voided"
            return PaymentShown(order_id=order_id, status=status, transaction_id=released, refunded=None)
        case Authorized(name, amount) | Captured(name, amount) | Refunding(name, amount) | Returned(name, amount):
            return PaymentShown(
                order_id=order_id,
                status=_status(money, charges(payment).values()),
                transaction_id=name,
                amount=_amount(charged_in(payment, amount.currency)),
                refunded=_unless_zero(returned(payment), amount.currency),
                capture_by=_capture_by(payment, money),
                refundable=_unless_zero(refundable(payment), amount.currency),
                charges=list(_charges(payment)),
                refunds=_refunds(payment, amount.currency),
                dispute=_dispute(payment.transactions.values()),
            )
        case _:
            assert_never(money)


def _capture_by(payment: Payment, money: Authorized | Captured | Refunding | Returned) -> datetime | None:
    waits = payment.capturing and isinstance(money, Authorized) and not (payment.closed or payment.decided)
    return payment.capturing.answer_by if payment.capturing and waits else None


def _charges(payment: Payment) -> Iterator[Charge]:
    for name, each in charges(payment).items():
        if each.is_captured and each.charged:
            yield Charge(
                transaction_id=name,
                edit_id=each.charge_id or None,
                amount=_amount(each.charged),
                refunded=_unless_zero(each.returned, each.charged.currency),
            )


def _status(money: Authorized | Captured | Refunding | Returned, known: Iterable[Transaction]) -> Status:
    match money:
        case Authorized():
            return "authorized"
        case Refunding():
            return "refund_pending"
        case Captured() | Returned() if any(each.is_doubted for each in known):
            return "disputed"
        case Returned():
            return "refunded"
        case Captured():
            return "refund_failed" if any(each.has_failed_undo for each in known) else "captured"


def _refunds(payment: Payment, currency: str) -> list[RefundShown]:
    requested = [
        _requested(refund_id, each, refund_at_provider(payment, refund_id))
        for refund_id, each in payment.requested.items()
    ]
    return requested + [
        RefundShown(
            refund_id=None, status=REFUNDS[each.status], reference=reference or None, reason=None, error=None,
            amount=_amount(Money(amount=each.amount, currency=currency)), lines=[], shipping=None,
        )
        for transaction in payment.transactions.values()
        for reference, each in transaction.refunds.items()
        if not each.refund_id
    ]  # fmt: skip


def _requested(refund_id: str, requested: RequestedRefund, made: tuple[str, Refund] | None) -> RefundShown:
    status: RefundStatus = REFUNDS[made[1].status] if made else "requested" if requested.refused is None else "refused"
    return RefundShown(
        refund_id=refund_id,
        status=status,
        amount=_amount(requested.amount),
        lines=_lines(requested.lines),
        shipping=_amount(requested.shipping) if requested.shipping else None,
        reference=made and made[0],
        reason=requested.reason,
        error=requested.refused,
    )


REFUNDS: Mapping[ReportedChange, RefundStatus] = {
    "refund_pending": "pending",
    "refund_succeeded": "succeeded",
    "refund_failed": "failed",
}


def _dispute(known: Iterable[Transaction]) -> Dispute | None:
    told = {status for each in known for status in each.disputes.values()}
    return next((name for status, name in DISPUTES.items() if status in told), None)


DISPUTES: Mapping[ReportedChange, Dispute] = {
    "disputed": "open",
    "inquiry": "inquiry",
    "dispute_lost": "lost",
    "dispute_won": "won",
}
"""The open ones first."""


def _unless_zero(amount: Decimal, currency: str) -> PaidAmount | None:
    return _amount(Money(amount=amount, currency=currency)) if amount else None


def _amount(money: Money) -> PaidAmount:
    return cast("PaidAmount", shown_money(money.amount, money.currency))
