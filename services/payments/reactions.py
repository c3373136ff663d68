"""How payments reacts to the requests of the saga."""

from __future__ import annotations

from functools import partial

from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions
from services.kit.events.participant import participant_reactions
from services.payments.domain import PARTICIPANT, PAYMENT
from services.payments.provider import Provider, call_provider

__all__ = ["reactions"]


def reactions(handler: CommandHandler, provider: Provider) -> Reactions:
    """The messages that payments handles."""
    return participant_reactions(handler, PAYMENT, PARTICIPANT, partial(call_provider, provider))
