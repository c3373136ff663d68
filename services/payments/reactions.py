"""How payments reacts to the requests of the saga, and to what the provider reported."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TypeVar

from services.contracts.inventory import ReservationExtended
from services.contracts.orders import OrderEdited
from services.contracts.payments import (
    CaptureRequested,
    PaidLine,
    PaymentItemised,
    ProviderFact,
    ProviderReported,
    ProviderUpdated,
    RefundRequested,
    RenewalRequested,
    SurchargeRequested,
    VoidRequested,
)
from services.contracts.shipping import ShipmentNotChanged
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Money
from services.kit.events.handlers import Reactions, Received
from services.kit.events.participant import participant_reactions, result_of
from services.kit.resilience.outgoing import CallFailed
from services.kit.saga.participant import Failure
from services.kit.telemetry.logging import log
from services.payments.by_hand import RecordCall
from services.payments.calls import Call, ProviderResult
from services.payments.domain import PARTICIPANT, PAYMENT, Report, call_to_settle
from services.payments.provider import Provider, call_or_ask
from services.payments.refunds import PayBack, RecordRefund
from services.payments.renewal import RecordRenewal
from services.payments.requested import is_open
from services.payments.standing import is_renewing
from services.payments.surcharges import RecordSurcharge, RequestSurcharge, UndoSurcharge, is_awaited
from services.payments.transactions import Fact

__all__ = ["reactions", "report", "settle"]

T = TypeVar("T")
AWAY = "the payment provider cannot be reached: the message is retried later"


def reactions(handler: CommandHandler, provider: Provider) -> Reactions:
    """The messages that payments handles."""

    async def reported(report: ProviderFact, received: Received) -> None:
        await settle(handler, provider, report.order_id, received.cause)

    async def refund_requested(request: RefundRequested, received: Received) -> None:
        await _refund(handler, provider, request, received.cause)

    async def extended(goods: ReservationExtended, received: Received) -> None:
        if goods.surcharge:
            command = RequestSurcharge(
                at=received.now,
                order_id=goods.order_id,
                edit_id=goods.edit_id,
                amount=goods.surcharge,
                units=goods.units,
            )
            await handler.handle(PAYMENT, goods.order_id, command, received.cause)

    async def surcharge_requested(request: SurchargeRequested, received: Received) -> None:
        await _surcharge(handler, provider, request, received.cause)

    async def not_edited(refusal: ShipmentNotChanged, received: Received) -> None:
        order_id, edit_id = refusal.order_id, refusal.edit_id
        command = UndoSurcharge(at=received.now, order_id=order_id, edit_id=edit_id)
        await handler.handle(PAYMENT, order_id, command, received.cause)
        await _find_undone(handler, provider, order_id, edit_id, received.cause)

    async def edited(order: OrderEdited, received: Received) -> None:
        if not order.confirmed:
            return
        lines = tuple(PaidLine.of(line, line=number) for number, line in enumerate(order.lines, 1))
        shipping = order.total.amount - sum((line.total for line in lines), Decimal(0))
        version = received.cause.message_id.rpartition(":")[2]
        itemised = PaymentItemised(order_id=order.order_id, lines=lines, shipping=shipping, order_version=int(version))
        amount = Money(amount=-order.difference.amount, currency=order.difference.currency)
        command = PayBack(
            at=received.now, itemised=itemised, refund_id=f"rfd_{order.edit_id}", amount=amount, reason=order.reason
        )
        await handler.handle(PAYMENT, order.order_id, command, received.cause)

    async def by_hand(request: CaptureRequested | VoidRequested, received: Received) -> None:
        order_id, name = request.order_id, request.transaction_id
        capture = isinstance(request, CaptureRequested)
        call = Call("capture", name, request.amount) if capture else Call("void", name)
        result = await _result(provider, order_id, f"{order_id}:{call.verb}", call)
        command = RecordCall(at=received.now, order_id=order_id, call=call, result=result)
        await handler.handle(PAYMENT, order_id, command, received.cause)

    async def renewal_requested(request: RenewalRequested, received: Received) -> None:
        order_id = request.order_id
        if not is_renewing((await handler.reload(PAYMENT, order_id)).state):
            return
        call = Call("renew", request.transaction_id, request.amount)
        result = await _result(provider, order_id, f"{order_id}:renew", call)
        if isinstance(result, Failure):
            log("authorization not renewed", level=logging.WARNING, order_id=order_id, code=result.code)
        command = RecordRenewal(at=received.now, order_id=order_id, result=result)
        await handler.handle(PAYMENT, order_id, command, received.cause)

    handled = participant_reactions(handler, PAYMENT, PARTICIPANT, partial(call_or_ask, provider))
    handled.on(ProviderReported, reported)
    handled.on(ProviderUpdated, reported)
    handled.on(RefundRequested, refund_requested)
    handled.on(RenewalRequested, renewal_requested)
    handled.on(OrderEdited, edited)
    handled.on(ReservationExtended, extended)
    handled.on(SurchargeRequested, surcharge_requested)
    handled.on(ShipmentNotChanged, not_edited)
    handled.on(CaptureRequested, by_hand)
    handled.on(VoidRequested, by_hand)
    return handled


async def _refund(handler: CommandHandler, provider: Provider, request: RefundRequested, cause: Cause) -> None:
    """Ask the provider for a requested refund and record its answer; Unavailable if the provider fails for now."""
    order_id, refund_id = request.order_id, request.refund_id
    if not is_open((await handler.reload(PAYMENT, order_id)).state, refund_id):
        return
    call = Call("refund_part", request.transaction_id, request.amount, refund_id=refund_id)
    result = await _result(provider, order_id, f"{order_id}:{refund_id}", call)
    facts, refused = (result.facts, result.refused) if isinstance(result, ProviderResult) else ((), result)
    command = RecordRefund(at=cause.at, order_id=order_id, refund_id=refund_id, facts=facts, refused=refused)
    await handler.handle(PAYMENT, order_id, command, cause)


async def _surcharge(handler: CommandHandler, provider: Provider, request: SurchargeRequested, cause: Cause) -> None:
    """Charge a surcharge and record the answer, and give it back if the edit was refused meanwhile."""
    order_id, edit_id = request.order_id, request.edit_id
    if not is_awaited((await handler.reload(PAYMENT, order_id)).state, edit_id):
        return
    call = Call("surcharge", request.transaction_id, request.amount, charge_id=edit_id)
    result = await _result(provider, order_id, f"{order_id}:surcharge:{edit_id}", call)
    command = RecordSurcharge(at=cause.at, order_id=order_id, edit_id=edit_id, result=result)
    await handler.handle(PAYMENT, order_id, command, cause)
    await settle(handler, provider, order_id, replace(cause, mark=None))


async def _find_undone(handler: CommandHandler, provider: Provider, order_id: str, edit_id: str, cause: Cause) -> None:
    """Give back the surcharge of a refused edit, also if the provider's answer to it was lost."""
    payment = (await handler.reload(PAYMENT, order_id)).state
    known = any(each.charge_id == edit_id for each in payment.transactions.values())
    asked = payment.surcharges[edit_id].request is not None
    facts: tuple[Fact, ...] = ()
    if asked and not known and (found := await _or_unavailable(provider.find(order_id, edit_id))):
        facts = await _or_unavailable(provider.look(found))
    await report(handler, provider, order_id, facts, replace(cause, mark=None))


async def _or_unavailable(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except CallFailed as error:
        raise Unavailable("provider-away", AWAY) from error


async def _result(provider: Provider, order_id: str, key: str, call: Call) -> ProviderResult | Failure:
    result = await result_of(partial(call_or_ask, provider), order_id, key, call)
    if isinstance(result, Failure) and result.transient:
        raise Unavailable("provider-away", AWAY)
    return result


async def report(
    handler: CommandHandler, provider: Provider, order_id: str, facts: tuple[Fact, ...], cause: Cause
) -> bool:
    """Record facts of the provider, once for the mark of the cause, and settle; whether one of them was news."""
    outcome = await handler.handle(PAYMENT, order_id, Report(at=cause.at, order_id=order_id, facts=facts), cause)
    await settle(handler, provider, order_id, replace(cause, mark=None))
    return bool(outcome.events)


async def settle(handler: CommandHandler, provider: Provider, order_id: str, cause: Cause) -> None:
    """Give back the money that the provider has for an order that was given up; Unavailable if that fails for now."""
    call = call_to_settle((await handler.reload(PAYMENT, order_id)).state)
    if call is None:
        return
    result = await _result(provider, order_id, f"{order_id}:{call.verb}", call)
    if isinstance(result, Failure):
        log("a charge cannot be refunded", level=logging.ERROR, order_id=order_id, verb=call.verb, code=result.code)
        return
    text = "a charge cannot be refunded" if result.refused else "refunded a charge of a closed payment"
    log(text, level=logging.WARNING, order_id=order_id, verb=call.verb)
    await handler.handle(PAYMENT, order_id, Report(at=cause.at, order_id=order_id, facts=result.facts), cause)
