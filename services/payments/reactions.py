"""How payments reacts to the requests of the saga, and to what the provider reported."""

from __future__ import annotations

import logging
from functools import partial

from services.contracts.payments import ProviderFact, ProviderReported, ProviderUpdated
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import Unavailable
from services.kit.events.handlers import Reactions, Received
from services.kit.events.participant import participant_reactions, result_of
from services.kit.saga.participant import Failure
from services.kit.telemetry.logging import log
from services.payments.domain import PARTICIPANT, PAYMENT, Report, call_to_settle
from services.payments.provider import Provider, call_or_ask

__all__ = ["reactions", "settle"]


def reactions(handler: CommandHandler, provider: Provider) -> Reactions:
    """The messages that payments handles."""

    async def reported(report: ProviderFact, received: Received) -> None:
        await settle(handler, provider, report.order_id, received.cause)

    handled = participant_reactions(handler, PAYMENT, PARTICIPANT, partial(call_or_ask, provider))
    handled.on(ProviderReported, reported)
    handled.on(ProviderUpdated, reported)
    return handled


async def settle(handler: CommandHandler, provider: Provider, order_id: str, cause: Cause) -> None:
    """Give back the money that the provider has for an order that was given up; Unavailable if that fails for now."""
    call = call_to_settle((await handler.reload(PAYMENT, order_id)).state)
    if call is None:
        return
    port = partial(call_or_ask, provider)
    result = await result_of(port, order_id, f"{order_id}:{call.verb}:{call.transaction_id}", call)
    if isinstance(result, Failure):
        if result.transient:
            raise Unavailable("provider-away", "the payment provider cannot be reached: the message is retried later")
        log("money cannot be given back", level=logging.ERROR, order_id=order_id, verb=call.verb, code=result.code)
        return
    text = "money cannot be given back" if result.refused else "gave back money of a closed payment"
    log(text, level=logging.WARNING, order_id=order_id, verb=call.verb)
    await handler.handle(PAYMENT, order_id, Report(at=cause.at, order_id=order_id, facts=result.facts), cause)
