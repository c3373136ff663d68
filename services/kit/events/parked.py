"""Failed messages: the service counts the failures, because the broker forgets its count on a rebalance.

After a number of attempts a message is parked: the broker gets the answer that the service accepted it, and the whole
message stays here until an operator replays it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from services.kit.eventstore.connections import statement

if TYPE_CHECKING:
    from services.kit.eventstore.connections import Connections
    from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore

__all__ = ["FailedMessage", "FailedMessages", "MemoryFailedMessages", "PostgresFailedMessages"]

ERROR_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message that failed `attempts` times; `attributes` and `data` are the CloudEvent as it was delivered."""

    service: str
    key: str
    attempts: int
    last_error: str
    first_at: datetime
    last_at: datetime
    parked: bool
    attributes: Mapping[str, str]
    data: bytes


class FailedMessages(Protocol):
    """The failed messages of one service, or of all services for a reader with the privilege."""

    async def record(self, key: str, error: str, attributes: Mapping[str, str], data: bytes) -> int:
        """Count one more failure of a message; the number of its failures."""
        ...

    async def park(self, key: str) -> None:
        """Park the message until an operator replays it; an unknown message is no error."""
        ...

    async def clear(self, key: str, service: str) -> None:
        """Forget the failures of a message that is published again; an unknown message is no error."""
        ...

    async def list(
        self, *, parked_only: bool, failures_max: int, correlation_id: str = "", key: str = ""
    ) -> Sequence[FailedMessage]:
        """The latest failures first; those with a `correlation_id` or a `key`, if one is given."""
        ...


class PostgresFailedMessages:
    """FailedMessages in Postgres, each in a transaction of its own: the failed one was rolled back."""

    def __init__(self, source: PostgresEventStore | PostgresEventReader) -> None:
        self._connections: Connections = source.connections

    async def record(self, key: str, error: str, attributes: Mapping[str, str], data: bytes) -> int:
        """Count one more failure of a message; the number of its failures."""
        text = error[:ERROR_CHARS_MAX].replace("\0", "�")  # Postgres cannot store NUL in a text
        rows = await self._connections.fetch(statement("failure_record"), key, text, json.dumps(dict(attributes)), data)
        attempts: int = rows[0]["attempts"]
        return attempts

    async def park(self, key: str) -> None:
        """Park the message until an operator replays it."""
        await self._connections.fetch("UPDATE failures SET parked = true WHERE key = $1", key)

    async def clear(self, key: str, service: str) -> None:
        """Forget the failures of a message."""
        await self._connections.fetch("DELETE FROM failures WHERE key = $1 AND service = $2", key, service)

    async def list(
        self, *, parked_only: bool, failures_max: int, correlation_id: str = "", key: str = ""
    ) -> Sequence[FailedMessage]:
        """The latest failures first."""
        rows = await self._connections.fetch(statement("failure_list"), parked_only, failures_max, correlation_id, key)
        return [FailedMessage(**{**row, "attributes": json.loads(row["attributes"])}) for row in rows]


class MemoryFailedMessages:
    """FailedMessages of one service in memory."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._failures: dict[str, FailedMessage] = {}

    async def record(self, key: str, error: str, attributes: Mapping[str, str], data: bytes) -> int:
        """Count one more failure of a message; the number of its failures."""
        now = datetime.now(UTC)
        known = self._failures.get(key) or FailedMessage(
            self._service, key, 0, "", now, now, False, dict(attributes), data
        )
        failure = replace(
            known, attempts=known.attempts + 1, last_error=error[:ERROR_CHARS_MAX], last_at=now, parked=False
        )
        self._failures[key] = failure
        return failure.attempts

    async def park(self, key: str) -> None:
        """Park the message until an operator replays it."""
        if failure := self._failures.get(key):
            self._failures[key] = replace(failure, parked=True)

    async def clear(self, key: str, service: str) -> None:
        """Forget the failures of a message."""
        if service == self._service:
            self._failures.pop(key, None)

    async def list(
        self, *, parked_only: bool, failures_max: int, correlation_id: str = "", key: str = ""
    ) -> Sequence[FailedMessage]:
        """The latest failures first."""
        chosen = [
            failure
            for failure in self._failures.values()
            if (failure.parked or not parked_only)
            and correlation_id in ("", failure.attributes.get("correlationid"))
            and key in ("", failure.key)
        ]
        return sorted(chosen, key=lambda failure: failure.last_at, reverse=True)[:failures_max]
