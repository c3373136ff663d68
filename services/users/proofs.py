"""Checks passwords and mailed tokens; an answer never reveals whether an account exists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

from services.contracts.users import TokenNotice
from services.kit.domain.errors import FieldError, Invalid
from services.users.account import Active, Pending
from services.users.accounts import Accounts
from services.users.attempts import Attempts, Credentials
from services.users.passwords import Passwords

__all__ = ["RESET_ANSWER_SECONDS", "Proofs"]

RESET_ANSWER_SECONDS = 0.3
"""The time that a request for a reset takes, with or without an account."""


class Proofs:
    """Checks passwords and mailed tokens."""

    def __init__(self, accounts: Accounts, attempts: Attempts, passwords: Passwords) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self.passwords = passwords

    async def password(self, email: str, password: str, now: datetime) -> Credentials | None:
        """The account with this address and password; RateLimited after too many failures for the address."""
        address = self._accounts.keys.address(email)
        await self._attempts.begin(address, now)
        found = await self._attempts.credentials(address)
        if not await self.passwords.check(password, found.password_hash if found else None) or found is None:
            return None
        await self._attempts.succeed(address)
        if self.passwords.outdated(found.password_hash):
            return await self._attempts.renew(found, await self.passwords.hash(password))
        return found

    async def user_with(self, email: str) -> str | None:
        """The id of the account with this address; only for staff, as the answer reveals whether there is one."""
        found = await self._attempts.credentials(self._accounts.keys.address(email))
        return found.user_id if found else None

    async def current_password(self, user_id: str, password: str, now: datetime) -> None:
        """Invalid if this is not the user's password, NotFound without such a user, RateLimited as for `password`."""
        user, _ = await self._accounts.known(user_id)
        if await self.password(user.person.email, password, now) is None:
            raise _wrong("wrong-password", "this is not the current password", "current")

    async def verification(self, user_id: str, token: str) -> str:
        """The id of the open verification of this token; "" if the address is verified. Invalid for a wrong token."""
        user, _ = await self._accounts.known(user_id)
        if not isinstance(user, Pending):
            return ""
        return self._notice((user.verification,), token)

    async def reset(self, token: str) -> tuple[str, str]:
        """The user and the id of the open reset, or invitation, of this token; Invalid for a wrong token."""
        user_id, _, proof = token.partition(".")
        match (await self._accounts.look(user_id)).state:
            case Pending(person=person) | Active(person=person):
                return user_id, self._notice((person.reset, person.invitation), proof)
            case _:
                return user_id, self._notice((), proof)

    async def whether_known_or_not(self, email: str, act: Callable[[str], Awaitable[None]]) -> None:
        """Act for the user with this address, if there is one; it takes the same time if there is none."""
        started = time.monotonic()
        try:
            if found := await self._attempts.credentials(self._accounts.keys.address(email)):
                await act(found.user_id)
        finally:
            await asyncio.sleep(max(0.0, started + RESET_ANSWER_SECONDS - time.monotonic()))

    def _notice(self, notices: Iterable[TokenNotice | None], token: str) -> str:
        for notice in notices:
            if notice and self._accounts.keys.made(token, notice):
                return notice.notice_id
        raise _wrong("bad-token", "this token is not valid: ask for another one", "token")


def _wrong(code: str, detail: str, field: str) -> Invalid:
    return Invalid(code, detail, (FieldError(field, code, detail),))
