"""Revokes the access tokens that a subject has: an operator asks for it, or somebody sends a used refresh token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.contracts.users import TokensRevoked
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Unchanged
from services.kit.domain.decider import Command, Decider
from services.kit.domain.message import Message
from services.kit.eventstore.port import Conflict, Transaction
from services.kit.eventstore.transactions import Contention

__all__ = ["TOKENS", "Revoke", "revoke"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke(Command):
    """Void the access tokens that the subject, a user or a program, got before now."""

    subject: str


def decide(command: Revoke, revoked_at: datetime | None) -> list[Message]:
    """TokensRevoked, once for each time."""
    if command.at == revoked_at:
        return []
    return [TokensRevoked(subject=command.subject, issued_before=command.at)]


def evolve(revoked_at: datetime | None, event: Message) -> datetime | None:
    """The time of the last revocation."""
    return event.issued_before if isinstance(event, TokensRevoked) else revoked_at


TOKENS: Decider[Revoke, datetime | None] = Decider("tokens", None, decide, evolve, (TokensRevoked,))


async def revoke(handler: CommandHandler, transaction: Transaction, subject: str, cause: Cause) -> None:
    """Void the access tokens from before the cause's time, for every service, when the transaction commits.

    The caller then publishes the events of the subject's stream. Contention if another process revokes at this moment.
    """
    await handler.vault.revoke(subject, cause.at, transaction)
    loaded = await handler.load_in(transaction, TOKENS, subject)
    command = Revoke(at=cause.at, subject=subject)
    prepared = await handler.prepare(TOKENS, TOKENS.stream(subject), command, loaded, cause, transaction=transaction)
    if isinstance(prepared, Unchanged):
        return
    [result] = await transaction.append(prepared.append)
    if isinstance(result, Conflict):
        raise Contention("contention", f"another request revokes the tokens of {subject} at this moment: retry")
