"""All that is due in the same minute or hour shares one timer, whose id and stream are as they were stored before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from services.inventory.reactions import EXPIRY
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.eventstore.memory import MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import RecordedEvent
from services.kit.privacy.vault import MemoryVault
from services.shared_timer import SharedTimer
from services.webhooks.dispatcher import WAKE
from tests.domain.test_mails import Publisher

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def requested(timer: SharedTimer, *times: datetime, processes: int = 1) -> list[RecordedEvent]:
    """The events of a service whose processes request the timer of each of these times."""
    store, publisher = MemoryEventStore("webhooks"), Publisher()
    for _ in range(processes):
        handler = CommandHandler("webhooks", store, Relay(store.outbox, publisher), MemoryVault())
        for at in times:
            await timer.request(handler, at, Cause(at))
    return publisher.events


async def test_the_timer_is_due_at_the_end_of_its_period():
    [event] = await requested(WAKE, NEW_YEAR - SECOND)
    data = json.loads(event.data)
    assert event.stream == "wake-20270101T0000"
    assert (data["timer_id"], data["timer_key"]) == ("webhooks-20270101T0000", "20270101T0000")
    assert data["due_at"] == data["message"]["due_at"] == "2027-01-01T00:00:00Z"
    [event] = await requested(EXPIRY, NEW_YEAR + timedelta(minutes=59, seconds=59))
    assert event.stream == "expiry-20270101T01"
    assert json.loads(event.data)["timer_id"] == "inventory-expiry-20270101T01"


async def test_the_end_of_a_period_belongs_to_the_next():
    assert [event.stream for event in await requested(EXPIRY, NEW_YEAR)] == ["expiry-20270101T01"]


async def test_a_period_has_one_timer_however_many_processes_request_it():
    within = [NEW_YEAR, NEW_YEAR + SECOND, NEW_YEAR + 59 * SECOND]
    assert len(await requested(WAKE, *within, processes=2)) == 1
    assert len(await requested(WAKE, *within, NEW_YEAR + 60 * SECOND, processes=2)) == 2
