"""Erases persons without an account: guests, by the id of their order, and customers, by the id that orders name."""

from __future__ import annotations

from dataclasses import dataclass

from services.contracts.users import PersonErased
from services.kit.commands.attempt import TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Command, Decider
from services.kit.domain.errors import RuleViolation
from services.kit.domain.message import Message

__all__ = ["PERSON", "Erase", "Persons"]

HAS_ACCOUNT = "SELECT 1 FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase(Command):
    """Erase the person's data."""

    person_id: str


def decide(command: Erase, erased: bool) -> list[Message]:
    """PersonErased, once."""
    return [] if erased else [PersonErased(person_id=command.person_id)]


def evolve(_erased: bool, _event: Message) -> bool:
    """True: PersonErased is the only event."""
    return True


PERSON: Decider[Erase, bool] = Decider("person", False, decide, evolve, (PersonErased,))


class Persons:
    """Erases persons who have no account."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def erase(self, command: Erase, cause: Cause) -> None:
        """Record the erasure and destroy the person's key in one transaction; RuleViolation if the person is a user."""

        async def work(attempt: TransactionAttempt[Erase, bool]) -> None:
            if await attempt.transaction.fetch(HAS_ACCOUNT, command.person_id):
                raise RuleViolation(
                    "person-has-account", f"{command.person_id} has an account. Delete the account instead."
                )
            await attempt.carry_out(command)
            await self._handler.vault.erase(command.person_id, attempt.transaction)

        await self._handler.transact(PERSON, command.person_id, work, cause)
