"""The people of a replay: each registers, activates the account with the mailed code, and logs in.

Each comes from a network address of their own, as people do; the edge believes that only where it is told to trust us
(EDGE_TRUSTED_PROXIES), and else counts all of them as one client.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.local.replay.edge import Edge, EdgeError, Grant
from services.local.replay.mailbox import Mailbox
from services.local.replay.plan import email_of, name_of

__all__ = ["People", "Person"]

WORKERS_MAX = 8
MAIL_SECONDS_MAX = 90.0
MAIL_POLL_SECONDS = 0.25
RENEWED_SECONDS_BEFORE = 120.0


@dataclass(slots=True)
class Person:
    """A customer with an account."""

    user_id: str
    email: str
    address: str
    password: str = field(repr=False)
    grant: Grant | None = field(default=None, repr=False)
    valid_until: float = 0.0


class People:
    """Everybody who has an account, by their number in the file.

    `secret` makes the passwords, `run` tells the keys of this replay from those of others.
    """

    def __init__(self, edge: Edge, mailbox: Mailbox, secret: str, run: str) -> None:
        self._edge = edge
        self._mailbox = mailbox
        self._secret = secret
        self._run = run
        self._people: dict[str, Person] = {}

    async def enrol(self, customers: Iterable[str], done: Callable[[int], None]) -> None:
        """Register, activate and log in; EdgeError if that is refused, or a mail does not come."""
        waiting = iter(customers)

        async def work() -> None:
            for customer in waiting:
                self._people[customer] = await self._enrol(customer)
                done(len(self._people))

        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS_MAX):
                workers.create_task(work())

    async def of(self, customer: str) -> Person | None:
        """The person with this number, with a token that holds for a while; None for somebody without an account."""
        person = self._people.get(customer)
        if person is not None:
            await self._log_in(person)
        return person

    async def _enrol(self, customer: str) -> Person:
        digest = hmac.digest(self._secret.encode(), customer.encode(), "sha256").hex()
        address = _address_of(customer)
        person = Person("", email_of(f"customer {customer}"), address, digest)
        body = {"email": person.email, "name": name_of(f"customer {customer}"), "password": person.password}
        person.user_id = await self._edge.register(body, f"{self._run}-{customer}", address)
        await self._edge.activate(person.user_id, await self._code(person.user_id), address)
        await self._log_in(person)
        return person

    async def _code(self, user_id: str) -> str:
        deadline = time.monotonic() + MAIL_SECONDS_MAX
        while (code := (await self._mailbox.codes()).get(user_id)) is None:
            if time.monotonic() > deadline:
                raise EdgeError(f"no verification mail for {user_id} within {MAIL_SECONDS_MAX:.0f} s")
            await asyncio.sleep(MAIL_POLL_SECONDS)
        return code

    async def _log_in(self, person: Person) -> None:
        if time.monotonic() < person.valid_until - RENEWED_SECONDS_BEFORE:
            return
        form = {"grant_type": "password", "username": person.email, "password": person.password}
        if person.grant is not None:
            form = {"grant_type": "refresh_token", "refresh_token": person.grant.refresh_token}
        asked = time.monotonic()
        person.grant = await self._edge.log_in(form, person.address)
        person.valid_until = asked + person.grant.expires_in


def _address_of(customer: str) -> str:
    """Of the range for measurements (RFC 2544): an address that a proxy may have must not be taken for a proxy's."""
    first, second, third = hashlib.sha256(customer.encode()).digest()[:3]
    return f"198.{18 + first % 2}.{second}.{third}"
