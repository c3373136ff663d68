"""The handlers of the requests that the saga sends to shipping."""

from __future__ import annotations

from functools import partial

from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions
from services.kit.events.participant import participant_reactions
from services.kit.resilience.outgoing import Target
from services.shipping.carrier import CARRIER, Carrier, call_carrier
from services.shipping.domain import PARTICIPANT, SHIPMENT

__all__ = ["reactions"]


def reactions(handler: CommandHandler, carrier: Carrier) -> Reactions:
    """One handler for each request of PARTICIPANT."""
    port = partial(call_carrier, Target(CARRIER), carrier)
    return participant_reactions(handler, SHIPMENT, PARTICIPANT, port)
