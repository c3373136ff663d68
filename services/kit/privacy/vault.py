"""The vault: a key for each person, encrypted (wrapped) with a secret that no database holds; an erasure destroys it.

The row of an erased person remains without a key, so that no process makes a new key for the person.

The vault also has two facts about an account that every service must know at once, without a request to the service
of accounts: until which time of issue its access tokens are void, and its contact, encrypted with the key of the
person. The service of accounts writes both in the transaction of its events
(docs/decisions/0022-revoked-tokens.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.domain.recent import Recent
from services.kit.eventstore.gathered import Gathered
from services.kit.eventstore.port import Transaction
from services.kit.privacy.wrapping import Wrapping

if TYPE_CHECKING:
    from services.kit.eventstore.connections import Connections

__all__ = ["CACHE_KEYS_MAX", "CACHE_SECONDS", "MemoryVault", "NewKey", "PostgresVault", "Vault"]

KEY_BYTES = 32
CACHE_KEYS_MAX = 10_000
CACHE_SECONDS = 60.0
"""How long a process can decrypt the data of a person after another process erased the person."""
MAKE_ATTEMPTS_MAX = 5

FIND = "SELECT person, wrapped FROM vault.keys WHERE person = ANY($1::text[])"
# Arrays of text: of another type the driver looks up the array on each new connection, which delays a cold start.
FIND_OR_MAKE = """
    WITH made AS (
        INSERT INTO vault.keys (person, wrapped)
        SELECT person, decode(hex, 'hex') FROM unnest($1::text[], $2::text[]) AS asked (person, hex)
        ORDER BY person -- so that two processes cannot deadlock
        ON CONFLICT (person) DO NOTHING RETURNING person, wrapped
    )
    SELECT person, wrapped FROM made UNION ALL SELECT person, wrapped FROM vault.keys WHERE person = ANY($1::text[])
"""
ERASE = """
    INSERT INTO vault.keys (person, erased_at) VALUES ($1, now())
    ON CONFLICT (person) DO UPDATE SET wrapped = NULL, erased_at = now(), contact = NULL WHERE keys.wrapped IS NOT NULL
"""
ERASE_LOCKED = """
    UPDATE vault.keys SET wrapped = NULL, erased_at = now(), contact = NULL WHERE person = $1 AND wrapped = $2
    RETURNING person
"""
CONTACT = "SELECT contact FROM vault.keys WHERE person = $1 AND contact IS NOT NULL"
SET_CONTACT = "UPDATE vault.keys SET contact = $2 WHERE person = $1 AND wrapped IS NOT NULL"
REVOKE = """
    INSERT INTO vault.revocations (subject, issued_before) VALUES ($1, coalesce($2::timestamptz, 'infinity'))
    ON CONFLICT (subject) DO UPDATE SET issued_before = greatest(revocations.issued_before, excluded.issued_before)
"""
READMIT = "UPDATE vault.revocations SET issued_before = $2 WHERE subject = $1"
REVOKED = """
    SELECT number FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (subject, issued_at, number)
    WHERE (SELECT issued_before FROM vault.revocations AS v WHERE v.subject = asked.subject) > issued_at::timestamptz
"""
WRAPPED = "SELECT person, wrapped FROM vault.keys WHERE wrapped IS NOT NULL AND person > $1 ORDER BY person LIMIT $2"
REWRAP_ROWS_MAX = 500
REWRAP = "UPDATE vault.keys SET wrapped = $3 WHERE person = $1 AND wrapped = $2 RETURNING person"
"""It changes only a key that is as it was read, so that it does not undo an erasure in between."""


class NewKey(NamedTuple):
    """A key that is not stored yet, and as it is stored: wrapped, in hexadecimal digits."""

    key: bytes
    wrapped: str


class Vault(Protocol):
    """The keys of persons; `transaction` is the caller's open transaction, if there is one."""

    async def key_for(self, person: str, transaction: Transaction | None = None) -> bytes | None:
        """The person's key, made if there is none; None if the person was erased."""
        ...

    def new_key(self, person: str) -> NewKey | None:
        """A key for an append to store (Append.keys); None if `key_for` has the person's key without a look-up."""
        ...

    def remember(self, person: str, key: bytes) -> None:
        """Keep a key that is stored now in memory, as after a look-up."""
        ...

    async def keys_of(self, persons: Collection[str], transaction: Transaction | None = None) -> Mapping[str, bytes]:
        """The keys of the persons who have one."""
        ...

    async def erase(self, person: str, transaction: Transaction) -> None:
        """Destroy the person's key and revoke the person's tokens for ever when the transaction commits."""
        ...

    async def revoke(self, subject: str, issued_before: datetime | None, transaction: Transaction) -> None:
        """Void the access tokens that the subject got before `issued_before`; None: all tokens, also later ones."""
        ...

    async def readmit(self, subject: str, issued_before: datetime, transaction: Transaction) -> None:
        """End a revocation of all tokens: accept those that the subject gets from `issued_before` on."""
        ...

    async def is_revoked(self, subject: str, issued_at: datetime) -> bool:
        """Whether a token that the subject got at this time is void."""
        ...

    async def set_contact(self, person: str, sealed: bytes, transaction: Transaction) -> None:
        """Replace the person's contact, unless the person was erased."""
        ...

    async def contact(self, person: str) -> bytes | None:
        """The person's encrypted contact; None without one."""
        ...


class PostgresVault:
    """The vault in the event store's database, with a bounded cache; without a cache if `cache_seconds` is 0."""

    def __init__(self, connections: Connections, secret: Secret, *, cache_seconds: float = CACHE_SECONDS) -> None:
        self._connections = connections
        self._wrapping = Wrapping(secret)
        self._cache_seconds = cache_seconds
        self._known = Recent[str, tuple[bytes | None, float]](CACHE_KEYS_MAX)
        self._keys = Gathered(self._find_or_make)
        self._revocations = Gathered(self._revoked)

    async def key_for(self, person: str, transaction: Transaction | None = None) -> bytes | None:
        """The person's key, made if there is none; None if the person was erased."""
        if (known := self._known.get(person)) and known[1] > time.monotonic():
            return known[0]
        for _ in range(MAKE_ATTEMPTS_MAX):
            found = await (self._find_or_make([person], transaction) if transaction else self._keys.find([person]))
            if person in found:
                key = self._unwrapped(person, found[person])
                self._remember(person, key, transaction)
                return key
        raise Unavailable("contention", "other processes make this person's key at the same time: retry")

    def new_key(self, person: str) -> NewKey | None:
        """A key for an append to store (Append.keys); None if the person's key is in memory."""
        if (known := self._known.get(person)) and known[1] > time.monotonic():
            return None
        key = os.urandom(KEY_BYTES)
        return NewKey(key, self._wrapping.wrap(person, key).hex())

    def remember(self, person: str, key: bytes) -> None:
        """Keep a key that is stored now in memory, as after a look-up."""
        self._remember(person, key, None)

    async def keys_of(self, persons: Collection[str], transaction: Transaction | None = None) -> Mapping[str, bytes]:
        """The keys of the persons who have one."""
        found = await self._find(persons, transaction)
        return {person: key for person, key in found.items() if key is not None}

    async def erase(self, person: str, transaction: Transaction) -> None:
        """Destroy the person's key and revoke the person's tokens when the transaction commits."""
        await transaction.execute(ERASE, person)
        await self.revoke(person, None, transaction)
        self._known.pop(person, None)

    async def revoke(self, subject: str, issued_before: datetime | None, transaction: Transaction) -> None:
        """Void the access tokens that the subject got before `issued_before`; None: all tokens, also later ones."""
        await transaction.execute(REVOKE, subject, issued_before)

    async def readmit(self, subject: str, issued_before: datetime, transaction: Transaction) -> None:
        """End a revocation of all tokens: accept those that the subject gets from `issued_before` on."""
        await transaction.execute(READMIT, subject, issued_before)

    async def is_revoked(self, subject: str, issued_at: datetime) -> bool:
        """Whether a token that the subject got at this time is void; never from memory, so that it holds at once."""
        token = (subject, issued_at)
        return token in await self._revocations.find([token])

    async def set_contact(self, person: str, sealed: bytes, transaction: Transaction) -> None:
        """Replace the person's contact, unless the person was erased."""
        await transaction.execute(SET_CONTACT, person, sealed)

    async def contact(self, person: str) -> bytes | None:
        """The person's encrypted contact; None without one."""
        rows = await self._connections.fetch(CONTACT, person)
        return bytes(rows[0]["contact"]) if rows else None

    async def rewrap(self, *, erase_locked: bool = False) -> tuple[int, list[str]]:
        """Wrap with the first secret every key that another one wrapped.

        Returns the number of these keys, and the persons whose key no secret unwraps. With `erase_locked` these persons
        are erased. It is safe to run this while services work, and to repeat it. A person who is erased meanwhile stays
        erased.
        """
        done, last = 0, ""
        locked: list[str] = []
        while rows := await self._fetch(None, WRAPPED, last, REWRAP_ROWS_MAX):
            for row in rows:
                last, wrapped = str(row["person"]), row["wrapped"]
                assert isinstance(wrapped, bytes)
                if self._wrapping.is_wrapped_by_first(last, wrapped):
                    continue
                try:
                    again = self._wrapping.wrap(last, self._wrapping.unwrap(last, wrapped))
                except Unavailable:
                    locked.append(last)
                    if erase_locked:
                        await self._fetch(None, ERASE_LOCKED, last, wrapped)
                    continue
                done += len(await self._fetch(None, REWRAP, last, wrapped, again))
        return done, locked

    async def _find(self, persons: Collection[str], transaction: Transaction | None) -> dict[str, bytes | None]:
        now = time.monotonic()
        found = {person: known[0] for person in persons if (known := self._known.get(person)) and known[1] > now}
        if missing := [person for person in persons if person not in found]:
            for row in await self._fetch(transaction, FIND, missing):
                person = str(row["person"])
                found[person] = self._unwrapped(person, row["wrapped"])
                self._remember(person, found[person], transaction)
        return found

    async def _find_or_make(
        self, persons: Sequence[str], transaction: Transaction | None = None
    ) -> Mapping[str, object]:
        """The wrapped keys of persons, without those that another process makes at this moment."""
        new = [self._wrapping.wrap(person, os.urandom(KEY_BYTES)).hex() for person in persons]
        rows = await self._fetch(transaction, FIND_OR_MAKE, list(persons), new)
        return {str(row["person"]): row["wrapped"] for row in rows}

    def _unwrapped(self, person: str, wrapped: object) -> bytes | None:
        return self._wrapping.unwrap(person, wrapped) if isinstance(wrapped, bytes) else None

    async def _revoked(self, tokens: Sequence[tuple[str, datetime]]) -> Mapping[tuple[str, datetime], bool]:
        """The void ones of these tokens, each a subject and the time of its issue."""
        times = [issued_at.isoformat() for _, issued_at in tokens]
        rows = await self._connections.fetch(REVOKED, [subject for subject, _ in tokens], times)
        return {tokens[int(row["number"]) - 1]: True for row in rows}

    async def _fetch(
        self, transaction: Transaction | None, sql: str, *arguments: object
    ) -> Collection[Mapping[str, object]]:
        if transaction is not None:
            return await transaction.fetch(sql, *arguments)
        return [dict(row) for row in await self._connections.fetch(sql, *arguments)]

    def _remember(self, person: str, key: bytes | None, transaction: Transaction | None) -> None:
        if transaction is not None or not self._cache_seconds:
            return  # the transaction may roll back, and data encrypted with a key that is not stored is lost
        self._known[person] = (key, time.monotonic() + self._cache_seconds)


class MemoryVault:
    """A vault in memory."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes | None] = {}
        self._contacts: dict[str, bytes] = {}
        self._revoked: dict[str, datetime] = {}

    async def key_for(self, person: str, transaction: Transaction | None = None) -> bytes | None:
        """The person's key, made if there is none; None if the person was erased."""
        return self._keys.setdefault(person, os.urandom(KEY_BYTES))

    def new_key(self, person: str) -> NewKey | None:
        """None: an append does not store keys here."""
        return None

    def remember(self, person: str, key: bytes) -> None:
        """Do nothing: every key is in memory."""

    async def keys_of(self, persons: Collection[str], transaction: Transaction | None = None) -> Mapping[str, bytes]:
        """The keys of the persons who have one."""
        return {person: key for person in persons if (key := self._keys.get(person)) is not None}

    async def erase(self, person: str, transaction: Transaction | None = None) -> None:
        """Destroy the person's key and revoke the person's tokens."""
        self._keys[person] = None
        self._contacts.pop(person, None)
        await self.revoke(person, None)

    async def revoke(
        self, subject: str, issued_before: datetime | None, transaction: Transaction | None = None
    ) -> None:
        """Void the access tokens that the subject got before `issued_before`; None: all tokens, also later ones."""
        before = issued_before or datetime.max.replace(tzinfo=UTC)
        self._revoked[subject] = max(self._revoked.get(subject, before), before)

    async def readmit(self, subject: str, issued_before: datetime, transaction: Transaction | None = None) -> None:
        """End a revocation of all tokens: accept those that the subject gets from `issued_before` on."""
        self._revoked[subject] = issued_before

    async def is_revoked(self, subject: str, issued_at: datetime) -> bool:
        """Whether a token that the subject got at this time is void."""
        return self._revoked.get(subject, issued_at) > issued_at

    async def set_contact(self, person: str, sealed: bytes, transaction: Transaction | None = None) -> None:
        """Replace the person's contact, unless the person was erased."""
        if self._keys.get(person) is not None:
            self._contacts[person] = sealed

    async def contact(self, person: str) -> bytes | None:
        """The person's encrypted contact; None without one."""
        return self._contacts.get(person)
