"""Failed logins: each attempt is counted before the password is checked, so that parallel guesses gain nothing.

After `FREE_ATTEMPTS` failures an address must wait, longer after each failure, up to `WAIT_SECONDS_MAX`. An address
without an account is treated the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kit.domain.errors import RateLimited
from services.kit.eventstore.port import EventStore

__all__ = ["FORGOTTEN_AFTER", "FREE_ATTEMPTS", "WAIT_SECONDS_MAX", "Attempts", "Credentials"]

FREE_ATTEMPTS = 5
WAIT_SECONDS_MAX = 900
DOUBLINGS_MAX = 10
FORGOTTEN_AFTER = timedelta(days=1)
FORGET_ROWS_MAX = 100

BEGIN = """
    INSERT INTO attempts AS a (email_digest, failures, not_before, last_at) VALUES ($1, 1, '-infinity', $2)
    ON CONFLICT (email_digest) DO UPDATE SET
        failures = a.failures + 1,
        last_at = $2::timestamptz,
        not_before = CASE WHEN a.failures + 1 < $3 THEN '-infinity' ELSE
            $2::timestamptz + least(2 ^ least(a.failures + 1 - $3, $4), $5) * interval '1 second' END
    WHERE a.not_before <= $2
    RETURNING failures
"""
WAIT = "SELECT not_before FROM attempts WHERE email_digest = $1"
SUCCEED = "DELETE FROM attempts WHERE email_digest = $1"
FORGET = """
    DELETE FROM attempts WHERE email_digest IN (
        SELECT email_digest FROM attempts WHERE last_at <= $1 ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
CREDENTIALS = "SELECT user_id, password_hash FROM accounts WHERE email_digest = $1"
RENEW = "UPDATE accounts SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The user with an address, and the hash of their password."""

    user_id: str
    password_hash: str


class Attempts:
    """The tables of password hashes and of failed logins."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def begin(self, address: bytes, now: datetime) -> None:
        """Count an attempt, as failed until `succeed`; RateLimited while the address must wait."""
        # on its own, as other transactions lock these rows first
        await self._store.fetch(FORGET, now - FORGOTTEN_AFTER, FORGET_ROWS_MAX)
        async with self._store.transaction() as transaction:
            if await transaction.fetch(BEGIN, address, now, FREE_ATTEMPTS, DOUBLINGS_MAX, WAIT_SECONDS_MAX):
                return
            rows = await transaction.fetch(WAIT, address)
        wait = max((row["not_before"] - now for row in rows if isinstance(row["not_before"], datetime)), default=None)
        seconds = math.ceil(wait.total_seconds()) if wait else 1
        raise RateLimited(
            "too-many-attempts",
            "Too many wrong passwords. Try again after the seconds in Retry-After.",
            max(1, seconds),
        )

    async def succeed(self, address: bytes) -> None:
        """Remove the failed attempts of the address."""
        await self._store.fetch(SUCCEED, address)

    async def credentials(self, address: bytes) -> Credentials | None:
        """The credentials of the account with this address; None if there is none."""
        rows = await self._store.fetch(CREDENTIALS, address)
        return next((Credentials(str(row["user_id"]), str(row["password_hash"])) for row in rows), None)

    async def renew(self, old: Credentials, password_hash: str) -> Credentials:
        """Store a newer hash of the same password."""
        await self._store.fetch(RENEW, old.user_id, old.password_hash, password_hash)
        return Credentials(old.user_id, password_hash)
