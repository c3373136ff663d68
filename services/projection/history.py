"""An order as it was known at an instant: its events until then, folded as the views fold them.

Nothing is stored for this. Personal data that was erased later is missing in the past, too, because its key is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

from services.contracts.orders import OrderNoteAdded
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Message
from services.kit.eventstore.port import EventReader, Position, RecordedEvent
from services.kit.privacy.vault import Vault
from services.projection.decoding import decode
from services.projection.versions import ReadDatabase
from services.projection.views.orders import ORDERS_VIEW, lines_of, note_of, order_after, order_of
from services.projection.views.timeline import TIMELINE_VIEW, entry_of
from services.read_model import order_answers
from services.read_model.orders import Order, OrderLine, OrderNote
from services.read_model.timeline import TimelineEntry

__all__ = ["STREAMS", "OrderAtInstant", "OrderHistory"]

POSITION_WAIT_SECONDS = 5.0
POSITION_POLL_SECONDS = 0.05
STREAMS = (
    "order-{}", "fulfillment-{}", "reservation-{}", "payment-{}", "shipment-{}",
    "mail-confirmation-{}", "mail-cancellation-{}", "mail-order_failed-{}", "mail-order_cancelled-{}",
    "mail-order_placed-{}", "mail-order_refunded-{}", "mail-order_shipped-{}", "mail-order_delivered-{}",
    "mail-order_link-{}", "mail-order_held-{}",
)  # fmt: skip
"""The names of an order's streams. Streams are found by an index, so the length of the event store does not matter."""
READS: Mapping[str, type[Message]] = {**ORDERS_VIEW.reads, **TIMELINE_VIEW.reads}


class OrderAtInstant(NamedTuple):
    """The rows of an order after some of its events."""

    row: Order
    lines: Sequence[OrderLine]
    entries: Sequence[TimelineEntry]
    notes: Sequence[OrderNote]

    @property
    def customer_id(self) -> str | None:
        """The customer, None for a guest."""
        return self.row.customer_id

    def answer(self, *, for_staff: bool) -> order_answers.Order:
        """The order as GET /orders/{id} answers it."""
        lines, entries, notes = (map(asdict, rows) for rows in (self.lines, self.entries, self.notes))
        return order_answers.order_answer(asdict(self.row), lines, entries, notes, for_staff=for_staff)


class OrderHistory:
    """Reads orders as they were, from the event store."""

    def __init__(self, store: EventReader, vault: Vault, database: ReadDatabase) -> None:
        self._store = store
        self._vault = vault
        self._database = database

    async def order(self, order_id: str, at: datetime) -> tuple[OrderAtInstant | None, OrderAtInstant | None]:
        """The order at `at`, and as it is now; None where the order did not exist."""
        found = await self._store.read_streams([stream.format(order_id) for stream in STREAMS])
        history = await self._history(order_id, found)
        # selected by their time, as clients saw them; applied in the order of the event store
        before = [(event, message) for event, message in history if event.time <= at]
        return _order_after(before), _order_after(history)

    async def wait_for(self, position: Position, views: Sequence[str] = ()) -> None:
        """Return when all events up to `position` are final; Unavailable if that takes too long. It reads no views."""
        deadline = asyncio.get_running_loop().time() + POSITION_WAIT_SECONDS
        while await self._store.end() < position:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("read-side-behind", "the event store has not reached this position yet")
            await asyncio.sleep(POSITION_POLL_SECONDS)

    async def _history(self, order_id: str, found: Sequence[RecordedEvent]) -> list[tuple[RecordedEvent, Message]]:
        history = await decode(self._vault, READS, [event for event in found if event.type in READS])
        if any(each.fault for each in history):
            skipped = {each["position"] for each in await self._database.skips()}
            if any(each.fault and str(each.event.position) not in skipped for each in history):
                raise Unavailable("event-unreadable", f"an event of order {order_id} cannot be read", 60)
        return [(each.event, each.message) for each in history if each.message is not None]


def _order_after(history: Sequence[tuple[RecordedEvent, Message]]) -> OrderAtInstant | None:
    """The order after these events; None if they hold no order."""
    row: Order | None = None
    lines: Sequence[OrderLine] = ()
    entries: list[TimelineEntry] = []
    notes: list[OrderNote] = []
    for event, message in history:
        if event.type in ORDERS_VIEW.reads and order_of(message) is not None:
            row = order_after(row, message, event.time)
            written = lines_of(row, message) if row else None
            lines = lines if written is None else written
        if isinstance(message, OrderNoteAdded):
            notes.append(note_of(event, message))
        if event.type in TIMELINE_VIEW.reads:
            entries.append(entry_of(event, message))
    return OrderAtInstant(row, lines, entries, notes) if row else None
