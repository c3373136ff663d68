"""How payments reacts to the requests of the saga, and to what the provider reported."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
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
from services.payments.calls import Call, ProviderResult, RecordCall
from services.payments.domain import PARTICIPANT, PAYMENT, Payment, Report, call_to_settle
from services.payments.provider import Provider, call_or_ask
from services.payments.refunds import PayBack
from services.payments.requested import is_open
from services.payments.standing import is_renewing
from services.payments.surcharges import RequestSurcharge, UndoSurcharge, is_awaited
from services.payments.transactions import Fact

__all__ = ["Payments", "reactions"]

T = TypeVar("T")
AWAY = "the payment provider cannot be reached: the message is retried later"


def reactions(handler: CommandHandler, provider: Provider) -> Reactions:
    """The messages that payments handles."""
    payments = Payments(handler, provider)
    handled = participant_reactions(handler, PAYMENT, PARTICIPANT, partial(call_or_ask, provider))
    handled.on(ProviderReported, payments.reported)
    handled.on(ProviderUpdated, payments.reported)
    handled.on(RefundRequested, payments.refund)
    handled.on(RenewalRequested, payments.renew)
    handled.on(OrderEdited, payments.pay_back)
    handled.on(ReservationExtended, payments.request_surcharge)
    handled.on(SurchargeRequested, payments.surcharge)
    handled.on(ShipmentNotChanged, payments.undo_surcharge)
    handled.on(CaptureRequested, payments.carry_out)
    handled.on(VoidRequested, payments.carry_out)
    return handled


@dataclass(frozen=True, slots=True)
class Payments:
    """Calls the provider where a message asks for it, and records its answers; Unavailable if it fails for now."""

    handler: CommandHandler
    provider: Provider

    async def reported(self, fact: ProviderFact, received: Received) -> None:
        """Give back the money if the order was given up."""
        await self.settle(fact.order_id, received.cause)

    async def refund(self, request: RefundRequested, received: Received) -> None:
        """Make a refund that staff requested."""
        order_id, refund_id = request.order_id, request.refund_id
        if is_open(await self._payment(order_id), refund_id):
            call = Call("refund_part", request.transaction_id, request.amount, refund_id=refund_id)
            await self._call(order_id, refund_id, call, received.cause)

    async def renew(self, request: RenewalRequested, received: Received) -> None:
        """Authorize the amount of an expired authorization anew."""
        order_id = request.order_id
        if not is_renewing(await self._payment(order_id)):
            return
        call = Call("renew", request.transaction_id, request.amount)
        result = await self._call(order_id, call.verb, call, received.cause)
        if isinstance(result, Failure):
            log("authorization not renewed", level=logging.WARNING, order_id=order_id, code=result.code)

    async def carry_out(self, request: CaptureRequested | VoidRequested, received: Received) -> None:
        """Make a capture or a void that staff requested."""
        amount = request.amount if isinstance(request, CaptureRequested) else None
        call = Call("capture" if amount else "void", request.transaction_id, amount)
        await self._call(request.order_id, call.verb, call, received.cause)

    async def pay_back(self, order: OrderEdited, received: Received) -> None:
        """Refund what the customer has paid too much after an edit of a confirmed order."""
        if not order.confirmed:
            return
        lines = tuple(PaidLine.of(line, line=number) for number, line in enumerate(order.lines, 1))
        shipping = order.total.amount - sum((line.total for line in lines), Decimal(0))
        version = received.cause.message_id.rpartition(":")[2]
        itemised = PaymentItemised(order_id=order.order_id, lines=lines, shipping=shipping, order_version=int(version))
        command = PayBack(
            at=received.now,
            order_id=order.order_id,
            itemised=itemised,
            refund_id=f"rfd_{order.edit_id}",
            amount=Money(amount=-order.difference.amount, currency=order.difference.currency),
            reason=order.reason,
        )
        await self.handler.handle(PAYMENT, order.order_id, command, received.cause)

    async def request_surcharge(self, goods: ReservationExtended, received: Received) -> None:
        """Request what an edit adds to the total, as soon as its goods are taken."""
        if goods.surcharge:
            command = RequestSurcharge(
                at=received.now,
                order_id=goods.order_id,
                edit_id=goods.edit_id,
                amount=goods.surcharge,
                units=goods.units,
            )
            await self.handler.handle(PAYMENT, goods.order_id, command, received.cause)

    async def surcharge(self, request: SurchargeRequested, received: Received) -> None:
        """Charge what an edit adds, and give it back if the edit was refused meanwhile."""
        order_id, edit_id = request.order_id, request.edit_id
        if is_awaited(await self._payment(order_id), edit_id):
            call = Call("surcharge", request.transaction_id, request.amount, charge_id=edit_id)
            await self._call(order_id, f"surcharge:{edit_id}", call, received.cause)
            await self.settle(order_id, replace(received.cause, mark=None))

    async def undo_surcharge(self, refusal: ShipmentNotChanged, received: Received) -> None:
        """Give back what a refused edit has added, also if the provider's answer to that was lost."""
        order_id, edit_id = refusal.order_id, refusal.edit_id
        command = UndoSurcharge(at=received.now, order_id=order_id, edit_id=edit_id)
        await self.handler.handle(PAYMENT, order_id, command, received.cause)
        payment = await self._payment(order_id)
        known = any(each.charge_id == edit_id for each in payment.transactions.values())
        asked = payment.surcharges[edit_id].request is not None
        facts: tuple[Fact, ...] = ()
        if asked and not known and (found := await _or_unavailable(self.provider.find(order_id, edit_id))):
            facts = await _or_unavailable(self.provider.look(found))
        await self.report(order_id, facts, replace(received.cause, mark=None))

    async def report(self, order_id: str, facts: tuple[Fact, ...], cause: Cause) -> bool:
        """Record facts of the provider, once for the mark of the cause, and settle; whether one of them was news."""
        command = Report(at=cause.at, order_id=order_id, facts=facts)
        outcome = await self.handler.handle(PAYMENT, order_id, command, cause)
        await self.settle(order_id, replace(cause, mark=None))
        return bool(outcome.events)

    async def settle(self, order_id: str, cause: Cause) -> None:
        """Give back the money that the provider has for an order that was given up."""
        call = call_to_settle(await self._payment(order_id))
        if call is None:
            return
        result = await self._result(order_id, call.verb, call)
        if isinstance(result, Failure):
            log("a charge cannot be refunded", level=logging.ERROR, order_id=order_id, verb=call.verb, code=result.code)
            return
        text = "a charge cannot be refunded" if result.refused else "refunded a charge of a closed payment"
        log(text, level=logging.WARNING, order_id=order_id, verb=call.verb)
        command = Report(at=cause.at, order_id=order_id, facts=result.facts)
        await self.handler.handle(PAYMENT, order_id, command, cause)

    async def _payment(self, order_id: str) -> Payment:
        return (await self.handler.reload(PAYMENT, order_id)).state

    async def _call(self, order_id: str, name: str, call: Call, cause: Cause) -> ProviderResult | Failure:
        """Call the provider and record its answer; `name` distinguishes the call from others for this order."""
        result = await self._result(order_id, name, call)
        command = RecordCall(at=cause.at, order_id=order_id, call=call, result=result)
        await self.handler.handle(PAYMENT, order_id, command, cause)
        return result

    async def _result(self, order_id: str, name: str, call: Call) -> ProviderResult | Failure:
        result = await result_of(partial(call_or_ask, self.provider), order_id, f"{order_id}:{name}", call)
        if isinstance(result, Failure) and result.transient:
            raise Unavailable("provider-away", AWAY)
        return result


async def _or_unavailable(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except CallFailed as error:
        raise Unavailable("provider-away", AWAY) from error
