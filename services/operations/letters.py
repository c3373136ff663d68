"""Dead letters: each is stored once, and an operator replays it or discards it with a reason.

A dead letter is an event that one destination did not accept; two Triggers may give up on the same event.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.eventstore.port import EventStore
from services.kit.wire.cloudevents import Incoming

__all__ = ["LETTERS_PAGE_MAX", "Letter", "Letters", "original", "service_at"]

LETTERS_PAGE_MAX = 500
DROPPED_ON_REPLAY = (
    "knativeerrordest",
    "knativeerrorcode",
    "knativeerrordata",
    "knativekafkapartition",
    "knativekafkaoffset",
)
"""Attributes that the broker added about the failure, which a replay leaves out."""

STORE = """
    INSERT INTO dead_letters
        (id, source, event_id, type, subject, destination, error_code, error_data, attributes, data)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (id) DO UPDATE SET
        deliveries = dead_letters.deliveries + 1, last_at = now(), error_code = excluded.error_code,
        error_data = excluded.error_data, attributes = excluded.attributes, data = excluded.data,
        status = CASE dead_letters.status WHEN 'discarded' THEN 'discarded' ELSE 'waiting' END,
        decided_at = CASE dead_letters.status WHEN 'discarded' THEN dead_letters.decided_at END
"""
COLUMNS = """
    id, source, event_id, type, subject, destination, error_code, error_data, deliveries,
    attributes::text, data, status, reason, first_at, last_at
"""
LIST = f"""
    SELECT {COLUMNS} FROM dead_letters
    WHERE ($1 = '' OR status = $1) AND ($3 = '' OR subject = $3 OR attributes ->> 'correlationid' = $3)
        AND ($4 = '' OR type = $4)
    ORDER BY first_at, id LIMIT $2
"""  # noqa: S608
ONE = f"SELECT {COLUMNS} FROM dead_letters WHERE id = $1 FOR UPDATE"  # noqa: S608
DECIDE = "UPDATE dead_letters SET status = $2, reason = $3, decided_at = now() WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    id: str
    type: str
    subject: str
    status: str
    key: str
    attributes: Mapping[str, str]
    data: bytes
    row: Mapping[str, object]


class Letters:
    """The dead letters, in Postgres; `urls` has the address of each service whose host is not its name."""

    def __init__(self, store: EventStore, urls: Mapping[str, str] = MappingProxyType({})) -> None:
        self._store = store
        self._urls = urls

    async def store(self, event: Incoming) -> None:
        """Keep a dead letter; a repeat is counted, not kept twice."""
        attributes = event.attributes
        destination = attributes.get("knativeerrordest", "")
        identity = hashlib.sha256(f"{event.source}\n{event.id}\n{destination}".encode()).hexdigest()[:24]
        async with self._store.transaction() as unit:
            await unit.execute(
                STORE, f"dl_{identity}", event.source, event.id, event.type, event.subject, destination,
                attributes.get("knativeerrorcode", ""), _readable(attributes.get("knativeerrordata", "")),
                json.dumps(dict(attributes)), event.data,
            )  # fmt: skip

    async def list(self, status: str, letters_max: int, order_id: str = "", type_: str = "") -> Sequence[Letter]:
        """The oldest letters first; an empty text leaves out its condition."""
        return [_letter(row) for row in await self._store.fetch(LIST, status, letters_max, order_id, type_)]

    async def find(self, letter_id: str) -> Letter:
        """One letter; NotFound if there is none."""
        return _one(await self._store.fetch(ONE, letter_id))

    async def decide(self, letter_id: str, status: str, reason: str) -> Letter:
        """Mark a waiting letter as replayed or discarded; RuleViolation if it was decided before."""
        async with self._store.transaction() as unit:
            letter = _one(await unit.fetch(ONE, letter_id))
            if letter.status == "discarded":
                raise RuleViolation("dead-letter-decided", f"Dead letter {letter.id} was {letter.status} before.")
            await unit.execute(DECIDE, letter_id, status, reason)
        return letter

    def shown(self, letter: Letter, *, with_data: bool = False) -> dict[str, object]:
        """Return a letter for an answer; its data only when asked for, because they may be personal."""
        hidden = {"attributes", "data"}
        shown = {name: value for name, value in letter.row.items() if name not in hidden}
        shown["attributes"] = dict(letter.attributes)
        shown["service"] = service_at(str(letter.row["destination"]), self._urls)
        if with_data:
            shown["data"] = letter.data.decode("utf-8", "replace")
        return shown


def service_at(destination: str, urls: Mapping[str, str]) -> str:
    """The service at an address: by `urls`, or by the first part of its host; empty if neither tells it."""
    for name, url in urls.items():
        if destination == url or destination.startswith(f"{url}/"):
            return name
    first = (urlsplit(destination).hostname or "").partition(".")[0]
    return "" if first.isdecimal() or ":" in first else first


def original(letter: Letter) -> dict[str, str]:
    """The attributes of the event as it was before the broker gave up on it."""
    return {name: value for name, value in letter.attributes.items() if name not in DROPPED_ON_REPLAY}


def _one(rows: Sequence[Mapping[str, object]]) -> Letter:
    if not rows:
        raise NotFound("dead-letter-not-found", "There is no such dead letter.")
    return _letter(rows[0])


def _letter(row: Mapping[str, object]) -> Letter:
    attributes: dict[str, str] = json.loads(str(row["attributes"]))
    data = row["data"]
    assert isinstance(data, bytes)
    key = attributes.get("partitionkey") or str(row["subject"])
    return Letter(str(row["id"]), str(row["type"]), str(row["subject"]), str(row["status"]), key, attributes, data, row)


def _readable(error_data: str) -> str:
    try:
        return base64.b64decode(error_data, validate=True).decode("utf-8", "replace").replace("\0", "�")
    except ValueError:
        return error_data
