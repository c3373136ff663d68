"""Accounts in Postgres: what is decided and what may not stand in the log change in one transaction.

Whoever changes or uses an account locks its row first, then the stream: no token is given out for an account that is
being shut, and nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.contracts.users import PasswordChanged, UserDeleted, UserRegistered, UserSuspended
from services.kit.commands.handler import Cause, CommandHandler, Loaded, Outcome, error_of, record
from services.kit.domain.decider import Rejected
from services.kit.domain.errors import IdempotencyKeyReused, NotFound, RuleViolation, VersionMismatch, ZerocartError
from services.kit.domain.message import Message
from services.kit.eventstore.port import Append, Appended, Conflict, Duplicate, NewEvent, Transaction
from services.kit.eventstore.transactions import Contention, in_transaction
from services.users.account import Active, Deleted, Nobody, Pending, Suspended, User, UserCommand
from services.users.domain import USER, no_such_user
from services.users.keys import Keys

__all__ = ["CONFLICTS_MAX", "LOCK", "Accounts", "Known"]

CONFLICTS_MAX = 20

LOCK = "SELECT email_digest, password_hash FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE"
OPEN = """
    INSERT INTO accounts (user_id, email_digest, password_hash) VALUES ($1, $2, $3)
    ON CONFLICT (email_digest) DO NOTHING RETURNING user_id
"""
SET_PASSWORD = "UPDATE accounts SET password_hash = $2 WHERE user_id = $1"  # noqa: S105 - a statement
LOG_OUT = "DELETE FROM refresh_tokens WHERE user_id = $1"
FORGET_ATTEMPTS = """
    DELETE FROM attempts WHERE email_digest = (SELECT email_digest FROM accounts WHERE user_id = $1)
"""
CLOSE = "DELETE FROM accounts WHERE user_id = $1"

Known = Pending | Active | Suspended
"""A user who is here."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What one transaction did."""

    before: Loaded[User]
    decision: Sequence[Message]
    events: Sequence[NewEvent]
    result: Appended


class Accounts:
    """Carries out what is wished of users, once per mark."""

    def __init__(self, handler: CommandHandler, keys: Keys) -> None:
        self._handler = handler
        self._store = handler.store
        self.keys = keys

    async def ready(self) -> None:
        """Unavailable if what is done now is known to remain unsaid."""
        await self._handler.relay.publisher.ensure_available()

    async def look(self, user_id: str) -> Loaded[User]:
        """The user as the database knows them now."""
        return await self._handler.reload(USER, user_id)

    async def known(self, user_id: str) -> tuple[Known, int]:
        """A user who is here, and their version; NotFound if there is none, or no longer."""
        loaded = await self.look(user_id)
        if isinstance(loaded.state, Nobody | Deleted):
            missing = no_such_user()
            raise NotFound(missing.code, missing.detail)
        return loaded.state, loaded.version

    async def carry_out(
        self, command: UserCommand, cause: Cause, *, password_hash: str = "", expected_version: int | None = None
    ) -> Outcome[User]:
        """Decide, record and move the rows that follow; published when this returns.

        Raises RuleViolation, NotFound, VersionMismatch, or IdempotencyKeyReused if the mark belongs to another request.
        """
        await self.ready()
        if repeated := await self.repeated(cause):
            return repeated
        asked, cause = cause, self._keyed(cause)
        stream = USER.stream(command.user_id)

        async def work(unit: Transaction) -> _Done | Duplicate | ZerocartError | Loaded[User]:
            await unit.fetch(LOCK, command.user_id)
            before = await self._handler.folded(USER, await unit.read(stream), unit)
            if expected_version not in (None, before.version):
                return VersionMismatch("version-mismatch", f"the version is {before.version} now")
            decision = USER.decide(command, before.state)
            if isinstance(decision, Rejected):
                return error_of(decision)
            if not decision:
                return before
            events = await self._handler.stamped(decision, cause, unit)
            (result,) = await unit.append(Append(stream, before.version, events, cause.mark))
            match result:
                case Conflict():
                    raise Contention("contention", "the user was changed meanwhile")
                case Duplicate():
                    return result
                case Appended():
                    for event in decision:
                        await self._move(unit, event, password_hash)
                    return _Done(before, decision, events, result)

        done = await in_transaction(self._store, work, CONFLICTS_MAX)
        match done:
            case _Done():
                return await self._say(stream, done, cause)
            case Duplicate():
                return await self._again(done, cause)
            case ZerocartError() | Loaded() if repeated := await self.repeated(asked):
                return repeated  # the same request was quicker elsewhere, and what it did is in the way of this one
            case ZerocartError():
                raise done
            case Loaded():
                return Outcome(done.state, done.version, done.position, ())

    async def repeated(self, cause: Cause) -> Outcome[User] | None:
        """The first outcome, if the request is a repeat; IdempotencyKeyReused if its mark was given for another one."""
        if cause.mark is None:
            return None
        found = await self._store.find_mark(cause.mark.key)
        return await self._again(found, self._keyed(cause)) if found else None

    async def _again(self, found: Duplicate, cause: Cause) -> Outcome[User]:
        if cause.mark and found.mark.fingerprint != cause.mark.fingerprint:
            raise IdempotencyKeyReused("idempotency-key-reused", "this Idempotency-Key was used for another request")
        await self._handler.relay.publish_pending(found.stream)
        recorded = await self._store.read(found.stream)
        then = await self._handler.folded(USER, recorded[: found.version])
        return Outcome(then.state, found.version, found.position, (), found)

    async def _say(self, stream: str, done: _Done, cause: Cause) -> Outcome[User]:
        self._handler.forget(USER, stream.removeprefix(f"{USER.category}-"))
        recorded = record(self._handler.service, stream, done.events, done.result)
        await self._handler.publish(recorded, done.result, cause)
        state = USER.fold(done.decision, done.before.state)
        return Outcome(state, done.result.version, done.result.position, done.decision)

    async def _move(self, unit: Transaction, event: Message, password_hash: str) -> None:
        match event:
            case UserRegistered(user_id=user_id, email=email):
                if not await unit.fetch(OPEN, user_id, self.keys.address(email), password_hash):
                    raise RuleViolation("email-taken", "there is an account with this e-mail address")
            case PasswordChanged(user_id=user_id):
                await unit.execute(SET_PASSWORD, user_id, password_hash)
                await unit.execute(FORGET_ATTEMPTS, user_id)
                await unit.execute(LOG_OUT, user_id)
            case UserSuspended(user_id=user_id):
                await unit.execute(LOG_OUT, user_id)
            case UserDeleted(user_id=user_id):
                await unit.execute(FORGET_ATTEMPTS, user_id)
                await unit.execute(CLOSE, user_id)
                await self._handler.vault.erase(user_id, unit)
            case _:
                pass

    def _keyed(self, cause: Cause) -> Cause:
        if cause.mark is None:
            return cause
        return replace(cause, mark=replace(cause.mark, fingerprint=self.keys.fingerprint(cause.mark.fingerprint)))
