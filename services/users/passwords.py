"""Password hashes by argon2id, in a few threads: the event loop never waits for one and memory is bounded."""

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
"""The parameters of OWASP's Password Storage Cheat Sheet for little memory (checked 2026-11)."""
THREADS_MAX = 2
WAITING_MAX = 64
"""Passwords that may wait for a thread; further requests get 503."""
NOBODYS_HASH = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""Checked for an address without an account, so that the answer takes as long; no password has this hash."""

T = TypeVar("T")


class Passwords:
    """Makes and checks password hashes."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._hasher: PasswordHasher | None = None
        self._busy = 0

    async def hash(self, password: str) -> str:
        """The hash of a password; Unavailable if too many wait."""
        return await self._run(lambda: self._argon2().hash(_bytes(password)))

    async def check(self, password: str, kept: str | None) -> bool:
        """Whether the password has this hash; takes as long without one. Unavailable if too many wait."""
        right = await self._run(lambda: self._verify(password, kept or NOBODYS_HASH))
        return right and bool(kept)

    def outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than these."""
        return self._argon2().check_needs_rehash(kept)

    async def close(self) -> None:
        """End the threads."""
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
            raise Unavailable("busy", "Too many passwords wait to be checked. Send the request again later.")
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS_MAX, "argon2")
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._busy -= 1


def _bytes(password: str) -> bytes:
    # another machine may send the same characters in another composition (RFC 8265, 4.2)
    return unicodedata.normalize("NFC", password).encode()
