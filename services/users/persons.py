"""Erasing somebody who has no account: a guest, by the id of the order, or a customer that an operator named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.users import PersonErased
from services.kit.commands.handler import Cause, CommandHandler, record
from services.kit.domain.decider import Command, Decider
from services.kit.domain.errors import RuleViolation
from services.kit.domain.message import Message
from services.kit.eventstore.port import Append, Appended, RecordedEvent, Transaction
from services.kit.eventstore.transactions import Contention, in_transaction

__all__ = ["PERSON", "Erase", "Persons"]

HAS_ACCOUNT = "SELECT 1 FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase(Command):
    """Forget the person."""

    person_id: str


def decide(command: Erase, erased: bool) -> list[Message]:
    """Once is enough."""
    return [] if erased else [PersonErased(person_id=command.person_id)]


def evolve(_erased: bool, _event: Message) -> bool:
    """There is only one event."""
    return True


PERSON: Decider[Erase, bool] = Decider("person", False, decide, evolve, (PersonErased,))


class Persons:
    """Erases persons: the key goes in the transaction that records it."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def erase(self, command: Erase, cause: Cause) -> None:
        """Erase the person, who may be erased already; RuleViolation if it is a user, who is deleted instead."""
        stream = PERSON.stream(command.person_id)

        async def work(unit: Transaction) -> tuple[Sequence[RecordedEvent], Appended] | None:
            if await unit.fetch(HAS_ACCOUNT, command.person_id):
                raise RuleViolation("person-has-account", "this is a user: delete the account")
            before = await self._handler.folded(PERSON, await unit.read(stream), unit)
            if not (decision := decide(command, before.state)):
                return None
            events = await self._handler.stamped(decision, cause, unit)
            (result,) = await unit.append(Append(stream, before.version, events))
            if not isinstance(result, Appended):
                raise Contention("contention", "the person was erased meanwhile")
            await self._handler.vault.erase(command.person_id, unit)
            return record(self._handler.service, stream, events, result), result

        await self._handler.relay.publisher.ensure_available()
        if done := await in_transaction(self._handler.store, work):
            await self._handler.publish(*done, cause)
