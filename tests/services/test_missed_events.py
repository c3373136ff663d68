"""Every accepted order ends although delivery forgets events of it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Message
from services.kit.events.endpoint import ATTEMPTS_MAX, EventEndpoint
from services.kit.events.handlers import Reactions, Received
from services.kit.events.missed import MissedEvents, Receipts
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.port import START, Append, Mark, NewEvent, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.scheduler.receipts import services_behind
from tests.away import database_away
from tests.services import read_side
from tests.services.read_side import VAULT_KEY, created
from tests.services.system import IN_MOTION, Bus, order, running

LONG_AGO = datetime.now(UTC) - timedelta(minutes=10)
TIMER = TimerRequested(timer_id="t1", timer_key="k", due_at=LONG_AGO, message_type="x.v1", message={})


def soon() -> datetime:
    return datetime.now(UTC)


class Receiver:
    """The service `payments`, with a handler of the test's choice for timer requests."""

    def __init__(self, database: Any, handle: Callable[[Message, Received], Any] | None = None) -> None:
        self.received: list[str] = []
        self.store = PostgresEventStore(database.dsn("payments"), "payments")
        self.failures = PostgresFailedMessages(self.store)
        self._handle = handle
        reactions = Reactions()
        reactions.on(TimerRequested, self._on_timer)
        endpoint = EventEndpoint(reactions, self.failures, PostgresVault(self.store.connections, VAULT_KEY))
        self.receipts = Receipts(self.store.connections, lambda: PostgresEventReader(database.dsn("payments")))
        self.types = reactions.types
        self.missed = MissedEvents(self.receipts, endpoint, self.types, 60, 300)

    async def _on_timer(self, message: TimerRequested, received: Received) -> None:
        if self._handle is not None:
            await self._handle(message, received)
        self.received.append(message.timer_id)

    async def check(self) -> int:
        return await self.missed.check(soon(), every_seconds=0)


@asynccontextmanager
async def receiver(database: Any, handle: Any = None) -> AsyncGenerator[Receiver]:
    it = Receiver(database, handle)
    try:
        yield it
    finally:
        await it.store.close()


async def say(database: Any, timer: Message, at: datetime = LONG_AGO, data: str = "") -> str:
    """Append an event that is not delivered; returns the key of the inbox mark that its delivery would leave."""
    store = PostgresEventStore(database.dsn("orders"), "orders")
    stream = f"said-{timer.key_value}"
    version = len(await store.read(stream))
    meta = f'{{"subject": "{timer.key_value}", "partitionkey": "{timer.key_value}"}}'
    await store.append(Append(stream, version, [NewEvent(timer.type, at, data or timer.write(), meta)], None))
    await store.close()
    return f"/zerocart/orders {stream}:{version + 1}"


async def test_a_missed_event_is_handled_once(database):
    await say(database, TIMER)
    async with receiver(database) as it:
        assert await it.check() == 1
        assert it.received == ["t1"]
        assert await it.check() == 0


async def test_an_event_that_may_still_be_delivered_is_not_handled(database):
    await say(database, TIMER, soon())
    async with receiver(database) as it:
        assert await it.check() == 0
        assert await it.missed.check(soon() + timedelta(minutes=2), 0) == 1


async def test_an_old_event_after_a_young_one_is_handled_later_and_not_skipped(database):
    await say(database, TIMER, soon())
    await say(database, TIMER.model_copy(update={"timer_id": "t2"}))
    async with receiver(database) as it:
        assert await it.check() == 0
        assert await it.missed.check(soon() + timedelta(minutes=2), 0) == 2


async def test_an_event_from_the_future_delays_no_other(database):
    """Somebody corrected a clock that was wrong when it was appended."""
    async with receiver(database) as it, scheduler_view(database) as behind:
        await it.check()
        await say(database, TIMER, soon() + timedelta(days=400))
        assert "payments" in await behind()
        await say(database, TIMER.model_copy(update={"timer_id": "t2"}))
        assert await it.check() == 2


async def test_an_event_of_another_type_is_ignored(database):
    await say(database, TimerCancelled(timer_id="t1", timer_key="k"))
    async with receiver(database) as it:
        assert await it.check() == 0


async def test_an_event_with_an_inbox_mark_is_not_handled_again(database):
    key = await say(database, TIMER)
    async with receiver(database) as it:
        event = NewEvent("zerocart.payments.payment.voided.v1", soon(), "{}", '{"partitionkey": "k"}')
        await it.store.append(Append("payment-1", 0, [event], Mark(key)))
        assert await it.check() == 0
        assert it.received == []


async def test_a_parked_event_is_not_handled_again(database):
    key = await say(database, TIMER)
    async with receiver(database) as it:
        await it.failures.record(key, "broken", {}, b"")
        await it.failures.park(key)
        assert await it.check() == 0


async def test_no_event_is_skipped_while_the_service_is_unavailable(database):
    away = True

    async def handle(_: Message, __: Received) -> None:
        if away:
            raise Unavailable("provider-away", "not now")

    await say(database, TIMER)
    async with receiver(database, handle) as it:
        assert await it.check() == 0
        away = False
        assert await it.check() == 1


async def test_an_event_that_always_fails_is_parked_and_delays_no_other(database):
    async def handle(message: Any, _: Received) -> None:
        if message.timer_id == "t1":
            raise ValueError("broken")

    await say(database, TIMER)
    await say(database, TIMER.model_copy(update={"timer_id": "t2"}))
    async with receiver(database, handle) as it:
        for _ in range(ATTEMPTS_MAX):
            await it.check()
        assert set(it.received) == {"t2"}
        [parked] = await it.failures.list(parked_only=True, failures_max=9)
        assert parked.attempts == ATTEMPTS_MAX
        assert await it.check() == 0


async def test_an_event_that_is_refused_is_parked(database):
    await say(database, TIMER, data="{}")
    async with receiver(database) as it:
        await it.check()
        assert [each.parked for each in await it.failures.list(parked_only=True, failures_max=9)] == [True]


async def test_one_check_stands_for_all_processes_of_a_service(database):
    await say(database, TIMER)
    async with receiver(database) as one, receiver(database) as other:
        assert await one.missed.check(soon(), 300) == 1
        await say(database, TIMER)
        assert await other.missed.check(soon(), 300) == 0


@pytest.mark.parametrize("events", [0, 1, 7, 1200])
async def test_all_missed_events_are_handled_over_many_pages(database, events):
    store = PostgresEventStore(database.dsn("orders"), "orders")
    said = [
        NewEvent(
            TIMER.type, LONG_AGO, TIMER.model_copy(update={"timer_id": str(n)}).write(),
            '{"subject": "k", "partitionkey": "k"}',
        )
        for n in range(events)
    ]  # fmt: skip
    if said:
        await store.append(Append("many", 0, said, None))
    await store.close()
    async with receiver(database) as it:
        assert await it.check() == events
        assert it.received == [str(n) for n in range(events)]


HEARING = ("payments", "projection")


@asynccontextmanager
async def scheduler_view(database: Any) -> AsyncGenerator[Callable[[], Awaitable[Sequence[str]]]]:
    """Tells which services may have missed events."""
    reader = PostgresEventReader(database.dsn("scheduler"))
    try:
        yield lambda: services_behind(reader, HEARING, 60)
    finally:
        await reader.close()


async def test_the_scheduler_sees_which_services_may_have_missed_events(database):
    async with receiver(database) as it, scheduler_view(database) as behind:
        await it.check()
        assert await behind() == []
        await say(database, TIMER, soon())
        assert await behind() == []
        await say(database, TIMER)
        assert set(await behind()) == {"payments", "projection"}
        await it.missed.check(soon() + timedelta(minutes=2), 0)
        assert await behind() == ["projection"]  # which has not started yet and told what it receives


async def test_a_service_that_never_started_is_woken_for_its_first_event(database):
    async with scheduler_view(database) as behind:
        await say(database, TIMER, soon())
        assert await behind() == []
        await say(database, TIMER)
        assert set(await behind()) == set(HEARING)


async def test_the_scheduler_passes_over_what_a_service_does_not_receive(database):
    async with receiver(database) as it, scheduler_view(database) as behind:
        await it.check()
        await say(database, TimerCancelled(timer_id="t1", timer_key="k"))
        assert "payments" not in await behind()
        assert await it.missed.check(soon(), 0) == 0
        position = await it.receipts.claim(it.types, 0)
        assert position is not None and position > START
        await say(database, TIMER)
        assert "payments" in await behind()
        assert await it.check() == 1


@pytest.mark.parametrize("others", [0, 1, 2, 3, 7])
async def test_a_service_far_behind_is_looked_at_in_parts(database, others):
    """A whole history in one statement would meet the statement timeout, and then no service would be woken."""
    reader = PostgresEventReader(database.dsn("scheduler"))
    async with receiver(database) as it:
        await it.check()
        for n in range(others):
            await say(database, TimerCancelled(timer_id=f"t{n}", timer_key="k"))
        assert "payments" not in await services_behind(reader, HEARING, 60, 2)
        assert await it.receipts.claim(it.types, 0) == await reader.end()
        await say(database, TimerCancelled(timer_id="last", timer_key="k"))
        await say(database, TIMER)
        assert "payments" in await services_behind(reader, HEARING, 60, 2)
        assert await it.check() == 1
    await reader.close()


async def test_the_projection_finds_a_nudge_that_delivery_gave_up(database, caplog):
    async with read_side.running(database) as side, scheduler_view(database) as behind:
        await side.order("ord_1", created("ord_1"))
        await side.order("ord_2", created("ord_2"))
        assert "projection" in await behind()
        assert await side.missed.check(soon(), 0) == 1  # the nudge of the second order stands for both
        assert len([record for record in caplog.records if record.getMessage() == "missed event handled"]) == 1
        assert (await side.get("/orders"))["total"] == 2
        assert "projection" not in await behind()
        assert await side.missed.check(soon(), 0) == 0


async def test_what_the_projection_has_read_was_not_missed(database):
    async with read_side.running(database) as side, scheduler_view(database) as behind:
        await side.show(await side.order("ord_1", created("ord_1")))
        assert await side.missed.check(soon(), 0) == 0
        assert "projection" not in await behind()


async def test_a_check_leaves_the_connections_of_the_projection_open(database):
    async with read_side.running(database) as side:
        await side.show(await side.order("ord_1", created("ord_1")))
        connections = side.missed._receipts.connections
        async with connections.use() as before:
            pass
        await side.order("ord_2", created("ord_2"))
        assert await side.missed.check(soon(), 0) == 1
        async with connections.use() as after:
            assert after is before


async def test_a_nudge_is_found_when_the_read_database_is_back(database):
    async with read_side.running(database) as side:
        await side.show(await side.order("ord_1", created("ord_1")))
        await side.order("ord_2", created("ord_2"))
        async with database_away(database.server.dsn(), f"{database.name}_read"):
            with pytest.raises(Unavailable):
                await side.missed.check(soon(), 300)
        assert await side.missed.check(soon(), 300) == 1
        assert (await side.get("/orders"))["total"] == 2


class Forgetful(Bus):
    """A broker that gives up deliveries, and their dead letters."""

    def __init__(self, seed: int, share: float) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.share = share
        self.forgotten = 0

    async def _deliver(self, service: str, event: RecordedEvent) -> None:
        if self._chance.random() < self.share:
            self.forgotten += 1
        else:
            await super()._deliver(service, event)


@pytest.mark.parametrize(("seed", "share"), [(1, 1.0), (2, 0.7), (3, 0.3)])
async def test_every_accepted_order_ends_whatever_delivery_forgets(database, seed, share):
    bus = Forgetful(seed, share)
    async with running(database, bus) as system:
        await system.stock("MUG", 8)
        for n in range(8):
            token = "tok_decline" if n == 0 else "tok_approve"
            assert (await system.place(order(("MUG", 1), token=token))).status_code == 202
        await bus.quiet()
        for _ in range(100):
            handled = await system.check_for_missed_events()
            await bus.quiet()
            if not handled and not await system.rows(IN_MOTION) and len(await system.rows(ENDED)) == 8:
                break
        assert bus.forgotten > 0
        assert len(await system.said("orders.order.confirmed")) == 7
        assert len(await system.said("orders.order.failed")) == 1
        assert await system.level("MUG") == (1, 0)
        assert len(await system.ledger("capture")) == len(set(await system.ledger("capture"))) == 7
        assert len({mail["Message-ID"] for mail in system.mails.sent}) == len(system.mails.sent)


ENDED = """
    SELECT stream FROM log.events
    WHERE type IN ('zerocart.orders.order.confirmed.v1', 'zerocart.orders.order.failed.v1')
"""


async def test_a_timer_that_the_scheduler_has_is_no_missed_event(database):
    async with running(database) as system:
        await system.stock("MUG", 5)
        await system.place(order(("MUG", 1)))
        await system.at_rest()
        fired = len(await system.rows("SELECT 1 FROM scheduler.timers"))
        await system.check_for_missed_events()
        await system.bus.quiet()
        assert len(await system.rows("SELECT 1 FROM scheduler.timers")) == fired
        assert await system.check_for_missed_events() == 0


async def test_nothing_counts_as_missed_when_every_event_was_delivered(database, caplog):
    async with running(database) as system:
        await system.stock("MUG", 5)
        confirmed = (await system.place(order(("MUG", 1)))).json()["order_id"]
        await system.place(order(("MUG", 1), token="tok_decline"))
        await system.place(order(("MUG", 6)))
        await system.at_rest()
        await system.orders.post(f"/orders/{confirmed}/cancel", json={"reason": "changed my mind"})
        refunded = (await system.place(order(("MUG", 2)))).json()["order_id"]
        await system.at_rest()
        refund = {"amount": {"amount": "1.00", "currency": "GBP"}, "reason": "scratched"}
        await system.bus.clients["payments"].post(f"/payments/{refunded}/refunds", json=refund)
        await system.bus.clients["shipping"].post(f"/shipments/{refunded}/tracking", json={"status": "delivered"})
        await system.at_rest()
        await system.check_for_missed_events()
        assert [record for record in caplog.records if record.getMessage() == "missed event handled"] == []
