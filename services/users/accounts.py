"""Accounts in Postgres: events change in one transaction with password hashes and logins, which no event may contain.

Every transaction locks the row of the account first, then the stream. So a login cannot pass a suspension that runs at
the same time, and transactions cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.contracts.users import (
    PasswordChanged,
    ProfileChanged,
    StaffInvited,
    StaffRoleChanged,
    UserDeleted,
    UserRegistered,
    UserReinstated,
    UserSuspended,
)
from services.kit.commands.attempt import TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Loaded, Outcome
from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.domain.message import Message
from services.kit.eventstore.port import Transaction
from services.kit.eventstore.transactions import in_transaction
from services.kit.privacy.encryption import Contact, set_contact
from services.users.account import Active, Deleted, NoUser, Pending, Suspended, User, UserCommand
from services.users.domain import USER, no_such_user
from services.users.keys import Keys
from services.users.tokens.revocations import TOKENS, revoke

__all__ = ["LOCK", "Accounts", "Known"]

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
ENROL = "INSERT INTO staff (user_id) VALUES ($1) ON CONFLICT DO NOTHING"
LEAVE = "DELETE FROM staff WHERE user_id = $1"
STAFF = "SELECT user_id FROM staff ORDER BY user_id"

Known = Pending | Active | Suspended
"""A user with an account."""


class Accounts:
    """Carries out the commands on users, each once per mark."""

    def __init__(self, handler: CommandHandler, keys: Keys) -> None:
        self._handler = handler
        self._store = handler.store
        self.keys = keys

    async def look(self, user_id: str) -> Loaded[User]:
        """The user from the database."""
        return await self._handler.reload(USER, user_id)

    async def known(self, user_id: str) -> tuple[Known, int]:
        """A user with an account, and its version; NotFound if there is no account or it was deleted."""
        loaded = await self.look(user_id)
        if isinstance(loaded.state, NoUser | Deleted):
            missing = no_such_user()
            raise NotFound(missing.code, missing.detail)
        return loaded.state, loaded.version

    async def carry_out(
        self, command: UserCommand, cause: Cause, *, password_hash: str = "", expected_version: int | None = None
    ) -> Outcome[User]:
        """Carry out a command and write the rows that follow from its events; published when this returns.

        Raises RuleViolation, NotFound, VersionMismatch, or IdempotencyKeyReused if the mark belongs to another request.
        """

        async def work(attempt: TransactionAttempt[UserCommand, User]) -> None:
            await attempt.transaction.fetch(LOCK, command.user_id)
            for event in await attempt.carry_out(command, expected_version=expected_version):
                await self._write(attempt.transaction, event, command.at, password_hash)
                await self._keep_contact(attempt.transaction, event, attempt.result.loaded.state)

        outcome = await self._handler.transact(USER, command.user_id, work, self._keyed(cause))
        return await self._handler.with_state(USER, outcome)

    async def revoke_tokens(self, subject: str, cause: Cause) -> None:
        """Void the access tokens that a user or an API client got before this time, and end the user's logins."""

        async def work(transaction: Transaction) -> None:
            await transaction.fetch(LOCK, subject)
            await transaction.execute(LOG_OUT, subject)
            await revoke(self._handler, transaction, subject, cause)

        await in_transaction(self._store, work)
        await self._handler.publish_pending(TOKENS.stream(subject), cause)

    async def staff(self) -> Sequence[tuple[str, Known]]:
        """Everybody with a role among the staff, or with an open invitation to one."""
        ids = [str(row["user_id"]) for row in await self._store.fetch(STAFF)]
        states = [(user_id, (await self.look(user_id)).state) for user_id in ids]
        return [(user_id, state) for user_id, state in states if isinstance(state, Known)]

    async def repeated(self, cause: Cause) -> Outcome[User] | None:
        """The first outcome if the cause's mark was used before; IdempotencyKeyReused if by another request."""
        outcome = await self._handler.repeated(self._keyed(cause))
        return await self._handler.with_state(USER, outcome) if outcome else None

    async def _keep_contact(self, transaction: Transaction, event: Message, user: User) -> None:
        """Let the other services know the contact without asking."""
        if isinstance(event, UserRegistered | ProfileChanged) and isinstance(user, Known):
            contact = Contact(user.person.email, user.person.profile.name)
            await set_contact(self._handler.vault, event.user_id, contact, transaction)

    async def _write(self, transaction: Transaction, event: Message, at: datetime, password_hash: str) -> None:
        vault = self._handler.vault
        match event:
            case UserRegistered(user_id=user_id, email=email):
                if not await transaction.fetch(OPEN, user_id, self.keys.address(email), password_hash):
                    raise RuleViolation(
                        "email-taken", "an account has this e-mail address: log in, or reset the password"
                    )
            case PasswordChanged(user_id=user_id):
                await transaction.execute(SET_PASSWORD, user_id, password_hash)
                await transaction.execute(FORGET_ATTEMPTS, user_id)
                await transaction.execute(LOG_OUT, user_id)
                await vault.revoke(user_id, at, transaction)
            case StaffInvited(user_id=user_id):
                await transaction.execute(ENROL, user_id)
            case StaffRoleChanged(user_id=user_id, role=role):
                if role is None:
                    await transaction.execute(LEAVE, user_id)
                await transaction.execute(LOG_OUT, user_id)
                await vault.revoke(user_id, at, transaction)
            case UserSuspended(user_id=user_id):
                await transaction.execute(LOG_OUT, user_id)
                await vault.revoke(user_id, None, transaction)
            case UserReinstated(user_id=user_id):
                await vault.readmit(user_id, at, transaction)
            case UserDeleted(user_id=user_id):
                await transaction.execute(FORGET_ATTEMPTS, user_id)
                await transaction.execute(CLOSE, user_id)
                await vault.erase(user_id, transaction)
            case _:
                pass

    def _keyed(self, cause: Cause) -> Cause:
        if cause.mark is None:
            return cause
        return replace(cause, mark=replace(cause.mark, fingerprint=self.keys.fingerprint(cause.mark.fingerprint)))
