"""Refresh tokens: random, stored as digests, each used once. If a used token is sent again, its login ends."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe

from services.contracts.users import StaffRole
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.ids import new_id
from services.kit.eventstore.port import Transaction
from services.kit.eventstore.transactions import in_transaction
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.users.account import Active
from services.users.accounts import LOCK
from services.users.attempts import Credentials
from services.users.domain import USER
from services.users.tokens.errors import TokenError
from services.users.tokens.revocations import TOKENS, revoke

__all__ = ["Session", "Sessions"]

TOKEN_BYTES = 32
FORGET_ROWS_MAX = 100

START = """
    INSERT INTO refresh_tokens (digest, family, user_id, scope, expires_at) VALUES ($1, $2, $3, $4, $5)
"""
OWNER = "SELECT user_id FROM refresh_tokens WHERE digest = $1"
LOOK = "SELECT family, scope, expires_at, used FROM refresh_tokens WHERE digest = $1 FOR UPDATE"
USE = "UPDATE refresh_tokens SET used = true WHERE digest = $1"
END = "DELETE FROM refresh_tokens WHERE family = $1"
FORGET = """
    DELETE FROM refresh_tokens WHERE digest IN (
        SELECT digest FROM refresh_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""


@dataclass(frozen=True, slots=True)
class Session:
    """A login: its user, its scopes and its next refresh token."""

    user_id: str
    scopes: Sequence[str]
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Reused:
    """A used refresh token was sent again, so the login of this user ended."""

    user_id: str


class Sessions:
    """The logins of users; each ends after `lasts`, however often it is refreshed."""

    def __init__(self, handler: CommandHandler, lasts: timedelta) -> None:
        self._handler = handler
        self._store = handler.store
        self._lasts = lasts

    async def start(
        self, found: Credentials, scopes: Callable[[StaffRole | None], Sequence[str]], now: datetime
    ) -> Session | None:
        """A new login with the scopes for the user's role, which raises TokenError if it refuses what is wanted.

        None if the account is not active or its password was changed since `found` was read.
        """

        async def work(transaction: Transaction) -> Session | None:
            rows = await transaction.fetch(LOCK, found.user_id)
            if not rows or rows[0]["password_hash"] != found.password_hash:
                return None
            user = (await self._handler.load_in(transaction, USER, found.user_id)).state
            if not isinstance(user, Active):
                return None
            granted = scopes(user.person.staff_role)
            await transaction.execute(FORGET, now, FORGET_ROWS_MAX)
            return await _issue(transaction, found.user_id, new_id("ses"), granted, now + self._lasts)

        return await in_transaction(self._store, work)

    async def refresh(self, token: str, wanted: Sequence[str], now: datetime) -> Session | None:
        """The login with its next token; None if `token` is unknown, expired or used. A used token ends the login.

        Raises TokenError, and does not use the token, if the login lacks a scope in `wanted`.
        """
        digest = _digest(token)

        async def work(transaction: Transaction) -> Session | Reused | None:
            owners = await transaction.fetch(OWNER, digest)
            if not owners:
                return None
            user_id = str(owners[0]["user_id"])
            await transaction.fetch(LOCK, user_id)  # before the token's row, as in every transaction
            rows = await transaction.fetch(LOOK, digest)
            if not rows:
                return None
            family, scope, expires_at, used = rows[0].values()
            if used:
                await transaction.execute(END, family)
                await revoke(self._handler, transaction, user_id, Cause(now))
                return Reused(user_id)
            assert isinstance(expires_at, datetime)
            if expires_at <= now or not await self._active(transaction, user_id):
                return None
            scopes = str(scope).split()
            if set(wanted) - set(scopes):
                raise TokenError("invalid_scope", "The login does not have all of these scopes.")
            await transaction.execute(USE, digest)
            return await _issue(transaction, user_id, str(family), scopes, expires_at)

        found = await in_transaction(self._store, work)
        if not isinstance(found, Reused):
            return found
        await self._handler.publish_pending(TOKENS.stream(found.user_id), Cause(now))
        _report(found.user_id)
        return None

    async def _active(self, transaction: Transaction, user_id: str) -> bool:
        user = await self._handler.load_in(transaction, USER, user_id)
        return isinstance(user.state, Active)


async def _issue(
    transaction: Transaction, user_id: str, family: str, scopes: Sequence[str], expires_at: datetime
) -> Session:
    token = token_urlsafe(TOKEN_BYTES)
    await transaction.execute(START, _digest(token), family, user_id, " ".join(scopes), expires_at)
    return Session(user_id, scopes, token)


def _report(user_id: str) -> None:
    METRICS.count("refresh_tokens_reused")
    log("used refresh token sent again: login ended", level=logging.WARNING, user_id=user_id)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
