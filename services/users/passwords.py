"""Passwords: argon2id in a few threads, so that the event loop never waits for it and memory stays bounded."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from services.kit.domain.errors import Unavailable

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["PASSWORD_CHARS_MAX", "PASSWORD_CHARS_MIN", "Passwords"]

PASSWORD_CHARS_MIN = 8
PASSWORD_CHARS_MAX = 128
MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
"""What OWASP's Password Storage Cheat Sheet advises where memory is short (checked 2026-11)."""
THREADS_MAX = 2
WAITING_MAX = 64
"""Passwords that may wait for a thread; more than that is told to come again."""
NOBODYS_HASH = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""Checked where there is no account, so that this takes as long; no password is known to have it."""

T = TypeVar("T")


class Passwords:
    """Makes and checks hashes."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._hasher: PasswordHasher | None = None
        self._busy = 0

    async def hash(self, password: str) -> str:
        """The hash of a password, as it is kept; Unavailable if too many wait."""
        return await self._run(lambda: self._argon2().hash(_bytes(password)))

    async def check(self, password: str, kept: str | None) -> bool:
        """Whether it is the password; takes as long without a hash. Unavailable if too many wait."""
        right = await self._run(lambda: self._verify(password, kept or NOBODYS_HASH))
        return right and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._argon2().check_needs_rehash(kept)

    async def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def _verify(self, password: str, kept: str) -> bool:
        from argon2.exceptions import VerifyMismatchError

        try:
            return self._argon2().verify(kept, _bytes(password))
        except VerifyMismatchError:
            return False

    def _argon2(self) -> PasswordHasher:
        if self._hasher is None:
            from argon2 import PasswordHasher

            self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        return self._hasher

    async def _run(self, work: Callable[[], T]) -> T:
        if self._busy >= WAITING_MAX:
            raise Unavailable("busy", "too many passwords wait to be checked")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS_MAX, "argon2")
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._busy -= 1


def _bytes(password: str) -> bytes:
    # the same password typed on another machine may come composed otherwise (RFC 8265, 4.2)
    return unicodedata.normalize("NFC", password).encode()
