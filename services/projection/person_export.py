"""Everything that the event store holds about a person, read stream by stream.

The streams are those of the person's account, the mails to it, and every stream of each order of the person. They are
found by their names, so the length of the event store does not matter. Orders are found in the read database. What an
erasure makes unreadable is in these events and nowhere else (docs/decisions/0011-personal-data.md).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

from pydantic_core import from_json
from typing_extensions import TypedDict

import services.contracts
from services.contracts.notifications import UserMailSent
from services.contracts.orders import OrderNoteAdded
from services.contracts.users import UserNotice
from services.kit.domain.errors import NotFound
from services.kit.domain.instants import instant_text
from services.kit.domain.message import Message
from services.kit.domain.principal import Principal
from services.kit.eventstore.port import EventReader, RecordedEvent
from services.kit.privacy.encryption import PERSONAL, decrypt
from services.kit.privacy.vault import Vault
from services.kit.rest.answers import Instant
from services.projection.history import STREAMS
from services.projection.versions import ReadDatabase, version_in
from services.projection.views.orders import WHOSE
from services.read_model.orders import ORDERS

__all__ = ["ExportedEvent", "ExportedStream", "PersonData", "PersonExport"]

OF_AN_ACCOUNT = ("user-{}", "person-{}", "tokens-{}")
OF_AN_ORDER = (*STREAMS, "link-{}")
MAIL_KINDS: Sequence[str] = get_args(UserMailSent.model_fields["template"].annotation)


class ExportedEvent(TypedDict):
    """One event, with the personal data in it."""

    version: int
    """Its number in its stream."""
    position: str
    time: Instant
    type: str
    by_person: bool
    """Whether the person's own request caused it."""
    data: Mapping[str, Any]


class ExportedStream(TypedDict):
    """The events of one thing, such as an account, an order or a payment, oldest first."""

    service: str
    stream: str
    events: list[ExportedEvent]


class PersonData(TypedDict):
    """All events about a person."""

    person_id: str
    exported_at: Instant
    streams: list[ExportedStream]


class PersonExport:
    """Reads the events about persons."""

    def __init__(self, store: EventReader, vault: Vault, database: ReadDatabase) -> None:
        self._store = store
        self._vault = vault
        self._database = database

    async def start(self, person_id: str, *, with_notes: bool) -> AsyncGenerator[str]:
        """The parts of the JSON of PersonData; NotFound if there is no such person, or if it was erased.

        Staff notes are left out without `with_notes`. Memory holds the events of one order at a time.
        """
        if not await self._vault.keys_of([person_id]):
            raise NotFound("person-not-found", f"There is no person {person_id}, or the data of the person was erased.")
        orders = await self._orders_of(person_id)
        return self._parts(person_id, orders, with_notes)

    async def _parts(self, person_id: str, orders: Sequence[str], with_notes: bool) -> AsyncGenerator[str]:
        head = {"person_id": person_id, "exported_at": instant_text(datetime.now(UTC))}
        yield json.dumps(head)[:-1] + ', "streams": ['
        before = ""
        async for found in self._streams(person_id, orders):
            for stream in _grouped(found, person_id, with_notes):
                yield before + json.dumps(stream, ensure_ascii=False, default=instant_text)
                before = ",\n"
        yield "]}"

    async def _streams(
        self, person_id: str, orders: Sequence[str]
    ) -> AsyncGenerator[Sequence[tuple[RecordedEvent, Mapping[str, Any], Message | None]]]:
        """The events of the account, of the mails to it, and of each order."""
        account = await self._read([stream.format(person_id) for stream in OF_AN_ACCOUNT])
        yield account
        notices = {message.notice_id for _, _, message in account if isinstance(message, UserNotice)}
        yield await self._read([f"notice-{kind}-{person_id}-{each}" for kind in MAIL_KINDS for each in sorted(notices)])
        for order_id in orders:
            yield await self._read([stream.format(order_id) for stream in OF_AN_ORDER])

    async def _read(self, streams: Sequence[str]) -> Sequence[tuple[RecordedEvent, Mapping[str, Any], Message | None]]:
        events = await self._store.read_streams(streams)
        known = [(model, event.data) for event in events if (model := _models().get(event.type))]
        messages = iter(await decrypt(self._vault, known))
        found = [(event, next(messages) if event.type in _models() else None) for event in events]
        return [(event, _content(event, message), message) for event, message in found]

    async def _orders_of(self, person_id: str) -> Sequence[str]:
        """The ids of the person's orders: those of a customer, or the one of a guest."""
        async with self._database.snapshot() as session:
            serving = version_in(session.versions, ORDERS.view, "serving")
            return await session.rows(serving).keys(ORDERS, WHOSE, [person_id]) if serving else []


def _content(event: RecordedEvent, message: Message | None) -> Mapping[str, Any]:
    """The data of an event; of a type that this release does not know, the part that is not encrypted."""
    if message is not None:
        return message.model_dump(mode="json", exclude_none=True)
    raw: Mapping[str, Any] = from_json(event.data)
    return {name: value for name, value in raw.items() if name != PERSONAL}


def _grouped(
    found: Sequence[tuple[RecordedEvent, Mapping[str, Any], Message | None]], person_id: str, with_notes: bool
) -> list[ExportedStream]:
    shown = [each for each in found if with_notes or not isinstance(each[2], OrderNoteAdded)]
    by_stream = sorted(shown, key=lambda each: (each[0].service, each[0].stream, each[0].version))
    return [
        ExportedStream(
            service=service, stream=stream, events=[_exported(event, data, person_id) for event, data, _ in of]
        )
        for (service, stream), of in groupby(by_stream, lambda each: (each[0].service, each[0].stream))
    ]


def _exported(event: RecordedEvent, data: Mapping[str, Any], person_id: str) -> ExportedEvent:
    principal = Principal.of(from_json(event.meta))
    return ExportedEvent(
        version=event.version,
        position=str(event.position),
        time=event.time,
        type=event.type,
        by_person=principal is not None and principal.id == person_id,
        data=data,
    )


@cache
def _models() -> Mapping[str, type[Message]]:
    """Every message that contracts declare, by its type."""
    (folder,) = services.contracts.__path__
    modules = [import_module(f"services.contracts.{file.stem}") for file in Path(folder).glob("[a-z]*.py")]
    declared = [each for module in modules for each in vars(module).values() if isinstance(each, type)]
    return {each.type: each for each in declared if issubclass(each, Message) and "type" in vars(each)}
