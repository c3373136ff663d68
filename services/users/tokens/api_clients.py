"""API clients that staff make over REST: their rules, their secrets, and how they prove who they are.

A secret is derived from the account key and the number of rotations, so that a repeated request gets the same answer;
the database has only its digest. A plain SHA-256 is enough for a long random secret, unlike for a password.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never, cast

from services.contracts.scheduler import TimerRequested
from services.contracts.users import ClientCreated, ClientExpired, ClientExpiryDue, ClientRevoked, ClientSecretRotated
from services.kit.commands.attempt import TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Outcome
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.domain.message import Message
from services.kit.eventstore.port import Transaction
from services.users.keys import Keys
from services.users.tokens.revocations import TOKENS, revoke

__all__ = [
    "CLIENT", "CLIENTS_MAX", "ApiClient", "ApiClients", "CreateClient", "ExpireClient", "RevokeClient", "RotateSecret",
]  # fmt: skip

CLIENTS_MAX = 500
USED_AGAIN_AFTER = timedelta(minutes=1)
"""The last use of a client is recorded at most once in this time."""

LOCK = "SELECT 1 FROM clients WHERE client_id = $1 FOR UPDATE"
COUNT = "SELECT count(*) AS clients FROM clients"
CREATE = "INSERT INTO clients (client_id, secret_sha256) VALUES ($1, $2)"
ROTATE = """
    UPDATE clients SET previous_sha256 = secret_sha256, previous_until = $3, secret_sha256 = $2 WHERE client_id = $1
"""
REMOVE = "DELETE FROM clients WHERE client_id = $1"
SECRETS = "SELECT secret_sha256, previous_sha256, previous_until FROM clients WHERE client_id = $1"
USE = """
    UPDATE clients SET last_used_at = $2 WHERE client_id = $1 AND coalesce(last_used_at < $3, true)
"""
LIST = "SELECT client_id, last_used_at FROM clients ORDER BY client_id"


@dataclass(frozen=True, slots=True)
class NoClient:
    """No event of the client exists."""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A program that may get tokens; `rotations` counts its earlier secrets."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    rotations: int = 0
    previous_until: datetime | None = None
    is_revoked: bool = False
    is_expired: bool = False
    """Whether that is recorded: other services learn of it only then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest(Command):
    """A command on one client."""

    client_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateClient(ClientRequest):
    """Make a client with its first secret."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateSecret(ClientRequest):
    """Give the client a new secret; the previous one stays valid until then."""

    previous_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeClient(ClientRequest):
    """Refuse the client tokens from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireClient(ClientRequest):
    """Record that the client has expired."""


ClientCommand = CreateClient | RotateSecret | RevokeClient | ExpireClient
Client = NoClient | ApiClient


def decide(command: ClientCommand, client: Client) -> Decision:
    """The events of a command; revoking again has none."""
    match command, client:
        case CreateClient(), _:
            fields = {name: getattr(command, name) for name in ("client_id", "name", "scopes", "expires_at")}
            created = ClientCreated(**fields)
            return [created, *_expiry(created)] if isinstance(client, NoClient) else []
        case ExpireClient(), NoClient():
            return []
        case _, NoClient():
            return Rejected("client-not-found", "There is no API client with this id.", missing=True)
        case RevokeClient(), ApiClient():
            return [] if client.is_revoked else [ClientRevoked(client_id=command.client_id)]
        case RotateSecret(), ApiClient(is_revoked=True):
            return Rejected("client-revoked", "This client is revoked: make another one.")
        case RotateSecret(), ApiClient():
            return [ClientSecretRotated(client_id=command.client_id, previous_until=command.previous_until)]
        case ExpireClient(), ApiClient(expires_at=until):
            is_over = until is not None and until <= command.at and not (client.is_revoked or client.is_expired)
            return [ClientExpired(client_id=command.client_id)] if is_over else []
        case _ as never:
            assert_never(never)


def _expiry(created: ClientCreated) -> Iterator[TimerRequested]:
    if created.expires_at is not None:
        due = ClientExpiryDue(client_id=created.client_id)
        yield TimerRequested.publishing(f"users-expiry-{created.client_id}", created.expires_at, due)


def evolve(client: Client, event: Message) -> Client:
    """The client after an event."""
    match event, client:
        case ClientCreated(), _:
            return ApiClient(event.name, event.scopes, event.expires_at)
        case ClientSecretRotated(previous_until=until), ApiClient():
            return replace(client, rotations=client.rotations + 1, previous_until=until)
        case ClientRevoked(), ApiClient():
            return replace(client, is_revoked=True)
        case ClientExpired(), ApiClient():
            return replace(client, is_expired=True)
        case _:
            return client


CLIENT: Decider[ClientCommand, Client] = Decider(
    "client",
    NoClient(),
    decide,
    evolve,
    (ClientCreated, ClientSecretRotated, ClientRevoked, ClientExpired, TimerRequested),
)


class ApiClients:
    """The API clients in the event store."""

    def __init__(self, handler: CommandHandler, keys: Keys) -> None:
        self._handler = handler
        self._store = handler.store
        self._keys = keys

    async def carry_out(self, command: ClientCommand, cause: Cause) -> Outcome[ApiClient]:
        """Carry out a command once per mark; RuleViolation or NotFound as `decide` says, and at CLIENTS_MAX."""

        async def work(attempt: TransactionAttempt[ClientCommand, Client]) -> None:
            await attempt.transaction.fetch(LOCK, command.client_id)
            for event in await attempt.carry_out(command):
                client = attempt.result.loaded.state
                assert isinstance(client, ApiClient)
                await self._write(attempt.transaction, event, client, cause)

        outcome = await self._handler.transact(CLIENT, command.client_id, work, cause)
        if isinstance(command, RevokeClient):
            await self._handler.publish_pending(TOKENS.stream(command.client_id), cause)
        return cast("Outcome[ApiClient]", await self._handler.with_state(CLIENT, outcome))

    def secret(self, client_id: str, rotations: int) -> str:
        """The secret of a client after so many rotations."""
        return self._keys.client_secret(client_id, rotations)

    async def scopes(self, client_id: str, secret: str, now: datetime) -> tuple[Sequence[str], datetime | None] | None:
        """The scopes of the client with this id and secret, and when it expires; None if it gets no token."""
        rows = await self._store.fetch(SECRETS, client_id)
        if not (rows and _is_right(secret, rows[0], now)):
            return None
        client = (await self._handler.reload(CLIENT, client_id)).state
        if not isinstance(client, ApiClient) or client.is_revoked or (client.expires_at and client.expires_at <= now):
            return None
        await self._store.fetch(USE, client_id, now, now - USED_AGAIN_AFTER)
        return client.scopes, client.expires_at

    async def known(self, client_id: str) -> ApiClient:
        """A client; NotFound if there is none."""
        client = (await self._handler.reload(CLIENT, client_id)).state
        if isinstance(client, NoClient):
            raise NotFound("client-not-found", "There is no API client with this id.")
        return client

    async def all(self) -> Sequence[tuple[str, ApiClient, datetime | None]]:
        """The clients that are not revoked, each with its id and its last use."""
        rows = await self._store.fetch(LIST)
        return [(str(row["client_id"]), await self.known(str(row["client_id"])), _time(row)) for row in rows]

    async def _write(self, transaction: Transaction, event: Message, client: ApiClient, cause: Cause) -> None:
        client_id = event.key_value
        digest = _digest(self.secret(client_id, client.rotations))
        match event:
            case ClientCreated():
                (row,) = await transaction.fetch(COUNT)
                if int(str(row["clients"])) >= CLIENTS_MAX:
                    raise RuleViolation("too-many-clients", f"There are {CLIENTS_MAX} API clients: revoke one first.")
                await transaction.execute(CREATE, client_id, digest)
            case ClientSecretRotated(previous_until=until):
                await transaction.execute(ROTATE, client_id, digest, until)
            case ClientRevoked():
                await transaction.execute(REMOVE, client_id)
                await revoke(self._handler, transaction, client_id, cause)
            case _:
                return


def _is_right(secret: str, row: Mapping[str, object], now: datetime) -> bool:
    until = row["previous_until"]
    valid = [row["secret_sha256"], row["previous_sha256"] if isinstance(until, datetime) and now < until else None]
    digest = _digest(secret)
    return any(hmac.compare_digest(digest, str(each)) for each in valid if each)


def _time(row: Mapping[str, object]) -> datetime | None:
    used = row["last_used_at"]
    return used if isinstance(used, datetime) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
