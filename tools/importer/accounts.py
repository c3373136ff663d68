"""The accounts of a replay: each customer registers and activates the account with the mailed code; some log in.

Each customer has a network address in X-Forwarded-For. The edge believes it only from trusted proxies
(EDGE_TRUSTED_PROXIES); otherwise it counts all customers as one client.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tools.importer.edge import Edge, EdgeError, Grant, RefusedError
from tools.importer.journal import Journal
from tools.importer.mailbox import Mailbox
from tools.importer.records import Customer
from tools.importer.workers import for_each
from tools.patience import Patience

__all__ = ["Account", "Accounts", "CustomerLogins"]

WORKERS_MAX = 8
MAIL_SECONDS_MAX = 90.0
MAIL_POLL_SECONDS = 0.25
RENEWED_SECONDS_BEFORE = 120.0
NAME_CHARS_MAX = 100


@dataclass(slots=True)
class Account:
    """A customer with an account."""

    user_id: str
    email: str = ""
    address: str = ""
    password: str = field(default="", repr=False)
    grant: Grant | None = field(default=None, repr=False)
    valid_until: float = 0.0

    @property
    def token(self) -> str | None:
        """The access token, if the customer has logged in."""
        return self.grant.access_token if self.grant else None


class Accounts:
    """Accounts of customers for whom the operator orders; the journal records who has one.

    Passwords are derived from `secret`; `run` is a part of the Idempotency-Keys.
    """

    def __init__(self, edge: Edge, mailbox: Mailbox, secret: str, run: str, journal: Journal | None = None) -> None:
        self.edge = edge
        self.journal = journal or Journal()
        self._mailbox = mailbox
        self._secret = secret
        self._run = run
        self._codes: Mapping[str, str] = {}
        self._looking = asyncio.Lock()

    async def enrol(self, customers: Iterable[Customer], done: Callable[[int], None]) -> None:
        """Make the accounts of customers; EdgeError if a mail does not come."""
        await for_each(customers, self.admit, WORKERS_MAX, done)

    async def admit(self, customer: Customer) -> None:
        """Make one account, unless the journal has it."""
        if self.journal.account(customer.id) is not None:
            return
        try:
            person = await self.register(customer)
        except RefusedError as error:
            self.journal.enrolled(customer.id, "", str(error))
        else:
            self.journal.enrolled(customer.id, person.user_id)

    async def of(self, customer: str) -> Account | None:
        """The account of the customer with this id, if there is one."""
        known = self.journal.account(customer)
        return Account(known[0]) if known and known[0] else None

    async def register(self, customer: Customer) -> Account:
        """Register and activate; RefusedError if the registration is refused."""
        digest = hmac.digest(self._secret.encode(), customer.id.encode(), "sha256").hex()
        address = _address_of(customer.id)
        body = {"email": customer.email, "name": customer.name[:NAME_CHARS_MAX], "password": digest}
        user_id = await self.edge.register(body, f"{self._run}-{customer.id}", address)
        await self.edge.activate(user_id, await self._code(user_id), address)
        return Account(user_id, customer.email, address, digest)

    async def _code(self, user_id: str) -> str:
        patience = Patience("verification mails", MAIL_SECONDS_MAX)
        while (code := self._codes.get(user_id)) is None:
            if patience.is_over(len(self._codes)):
                raise EdgeError(
                    f"There is no verification mail for {user_id}, and none came for {MAIL_SECONDS_MAX:.0f} s: "
                    "zerocart logs notifications"
                )
            async with self._looking:  # one task reads the mails for all
                if user_id not in self._codes:
                    self._codes = await self._mailbox.codes()
                    await asyncio.sleep(MAIL_POLL_SECONDS)
        return code


class CustomerLogins(Accounts):
    """Accounts of customers who log in and order themselves; all are kept in memory with their tokens."""

    def __init__(self, edge: Edge, mailbox: Mailbox, secret: str, run: str) -> None:
        super().__init__(edge, mailbox, secret, run)
        self._people: dict[str, Account] = {}

    async def admit(self, customer: Customer) -> None:
        """Make one account and log in; RefusedError if that is refused."""
        self._people[customer.id] = person = await self.register(customer)
        await self._log_in(person)

    async def of(self, customer: str) -> Account | None:
        """The account with a token that is valid for a while; None if the customer has none."""
        person = self._people.get(customer)
        if person is not None:
            await self._log_in(person)
        return person

    async def _log_in(self, person: Account) -> None:
        if time.monotonic() < person.valid_until - RENEWED_SECONDS_BEFORE:
            return
        form = {"grant_type": "password", "username": person.email, "password": person.password}
        if person.grant is not None:
            form = {"grant_type": "refresh_token", "refresh_token": person.grant.refresh_token}
        asked = time.monotonic()
        person.grant = await self.edge.log_in(form, person.address)
        person.valid_until = asked + person.grant.expires_in


def _address_of(customer: str) -> str:
    """An address of the benchmark range (RFC 2544), which is never that of a trusted proxy."""
    first, second, third = hashlib.sha256(customer.encode()).digest()[:3]
    return f"198.{18 + first % 2}.{second}.{third}"
