"""While orders come closely one after the other, one timer is for the deadlines of all their runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.contracts.fulfillment import DeadlinesChecked, DeadlinesDue, StepTimedOut
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.contracts.shipping import FulfillmentPrepared
from services.fulfillment.saga import FULFILLMENT
from services.fulfillment.shared_deadline import DUE_AFTER, MARGIN, SharedDeadline
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import RecordedEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import MemoryVault
from services.kit.saga.commands import HandleReply, Start
from services.kit.saga.messages import StepReply
from tests.sagas.facts import FACTS, STEPS
from tests.sagas.test_service import Published
from tests.services.system import Bus, System, order, running
from tests.services.test_users import time_machine
from tests.waiting import SECONDS_MAX

ORDERS = 8
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
VAULT = MemoryVault()


async def test_orders_that_come_together_share_one_timer(database) -> None:
    async with running(database) as system:
        await placed(system, ORDERS)
        shared, own = await timers(system)
        assert len(shared) == 1
        # the runs of the first orders began before the shared timer was out, and cancelled theirs
        assert len(own) <= 2
        assert len(await system.said("scheduler.timer.cancelled")) == len(own)
        assert len(await system.said("orders.order.confirmed")) == ORDERS


async def test_single_order_has_a_timer_of_its_own(database) -> None:
    async with running(database) as system:
        await placed(system, 1)
        shared, own = await timers(system)
        assert (len(shared), len(own)) == (0, 1)


async def test_lost_reply_of_a_run_without_a_timer_is_noticed_and_the_order_confirmed(database) -> None:
    bus = Losing()
    async with running(database, bus) as system, time_machine(database, system) as clock:
        await placed(system, ORDERS)
        bus.loses = 1
        await system.place(order(("P", 1)))
        await bus.quiet()
        assert bus.loses == 0
        _, own_before = await timers(system)
        start = datetime.now(UTC)
        await clock.fire(start + DUE_AFTER)  # the shared timer: fulfillment finds the open run, which is not late yet
        await bus.quiet()
        [checked] = await system.messages(DeadlinesChecked)
        assert checked.runs == 1
        _, own = await timers(system)
        assert len(own) == len(own_before) + 1
        await clock.fire(start + timedelta(minutes=3))  # the run's own timer
        await system.at_rest()
        [late] = await system.messages(StepTimedOut)
        assert late.step == "prepare_fulfillment"
        assert len(await system.said("orders.order.confirmed")) == ORDERS + 1
        assert bus.dead == []


async def test_process_that_ends_cancels_its_timer_unless_it_covers_an_open_run(database) -> None:
    for done, ends in ((True, [TimerRequested, TimerCancelled, DeadlinesChecked]), (False, [TimerRequested])):
        async with process(database) as (handler, published, deadline):
            for name in ("a", "b"):
                await run(handler, deadline, f"{name}{done}", done=True)
            await covering(deadline)
            await run(handler, deadline, f"c{done}", done=done)
            await deadline.close()
            assert kinds(published.of("deadlines-")) == [kind.type for kind in ends]


async def test_messages_that_come_again_to_another_process_request_no_timer(database) -> None:
    first, second = Bus(), Bus()
    async with running(database, first) as system:
        await placed(system, 2)
    async with running(database, second) as system:
        before = await timers(system)
        await second.publish(list(first.published))
        await second.quiet()
        assert await timers(system) == before


async def test_run_that_another_process_completed_does_not_keep_the_timer(database) -> None:
    async with process(database) as (handler, published, deadline), process(database) as (other, _, _):
        for name in ("a", "b"):
            await run(handler, deadline, name, done=True)
        await covering(deadline)
        await run(handler, deadline, "c", done=False)
        await replies(other, "c")
        await deadline.close()
        assert kinds(published.of("deadlines-"))[-1] == DeadlinesChecked.type


async def test_timer_of_a_killed_process_finds_no_open_run_and_is_done(database) -> None:
    async with process(database) as (handler, published, deadline):
        for name in ("a", "b"):
            await run(handler, deadline, name, done=True)
        await covering(deadline)
        [requested] = requests(published)
        for _ in range(2):  # the second time it is a repeat
            await SharedDeadline(handler).fired(requested, AT + DUE_AFTER, Cause(AT + DUE_AFTER, "timer"))
        assert kinds(published.of("deadlines-")) == [TimerRequested.type, DeadlinesChecked.type]


async def test_timer_covers_no_run_shortly_before_it_is_due_and_is_renewed(database) -> None:
    async with process(database) as (handler, published, deadline):
        for name in ("a", "b"):
            await run(handler, deadline, name, done=True)
        late = AT + DUE_AFTER - MARGIN
        await covering(deadline)
        assert deadline.covers_until("c", late - SECOND) == AT + DUE_AFTER
        assert deadline.covers_until("d", late) is None
        deadline.request_if_close("c", late - SECOND)
        deadline.request_if_close("d", late)
        await deadline.close()
        assert len(requests(published)) == 2
        assert deadline.covers_until("e", late + SECOND) == late + DUE_AFTER


async def test_run_of_a_process_that_was_stopped_until_the_timer_fired_requests_its_own(database) -> None:
    async with process(database) as (handler, published, deadline):
        long_ago = datetime.now(UTC) - DUE_AFTER
        for name, began in (("a", long_ago), ("b", datetime.now(UTC))):
            start = Start(at=began, jitter=0.0, facts=FACTS.model_copy(update={"saga_id": name}))
            covered_until = began + DUE_AFTER
            await handler.handle(FULFILLMENT, name, replace(start, covered_until=covered_until), Cause(began, "start"))
            await deadline.check(name, covered_until, Cause(began, "start"))
        own = [event.stream for event in published.events if event.type == TimerRequested.type]
        assert own == [FULFILLMENT.stream("a")]


async def test_timer_that_this_event_store_does_not_know_does_nothing(database) -> None:
    async with process(database) as (_, published, deadline):
        await deadline.fired(DeadlinesDue(bucket="dl_unknown", due_at=AT), AT, Cause(AT, "timer"))
        assert published.events == []


class Losing(Bus):
    """Loses the reply of shipping to the next `loses` orders."""

    loses = 0

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        kept = [event for event in events if not (self.loses and event.type == FulfillmentPrepared.type)]
        self.loses -= len(events) - len(kept)
        await super().publish(kept)


async def placed(system: System, orders: int) -> None:
    """Place orders one after the other, each when the one before is confirmed."""
    await system.stock("P", 100)
    for _ in range(orders):
        assert (await system.place(order(("P", 1)))).status_code == 202
        await system.at_rest()


async def timers(system: System) -> tuple[list[TimerRequested], list[TimerRequested]]:
    """The timers of fulfillment: those for all runs, and those of one run."""
    found = [timer for timer in await system.messages(TimerRequested) if "fulfillment" in timer.message_type]
    shared = [timer for timer in found if timer.message_type == DeadlinesDue.type]
    return shared, [timer for timer in found if timer not in shared]


@asynccontextmanager
async def process(database: Any) -> AsyncGenerator[tuple[CommandHandler, Kept, SharedDeadline]]:
    """The parts of a process of fulfillment."""
    store, published = PostgresEventStore(database.dsn("fulfillment"), "fulfillment"), Kept()
    handler = CommandHandler("fulfillment", store, Relay(store.outbox, published), VAULT)
    yield handler, published, SharedDeadline(handler)
    await handler.relay.close()
    await store.close()


class Kept(Published):
    """A publisher that stores the events."""

    def of(self, prefix: str) -> list[RecordedEvent]:
        """The events of the streams that begin with this prefix."""
        return [event for event in self.events if event.stream.startswith(prefix)]


def kinds(events: Sequence[RecordedEvent]) -> list[str]:
    return [event.type for event in events]


async def run(handler: CommandHandler, deadline: SharedDeadline, name: str, *, done: bool) -> None:
    """Start the run of an order as a message does, and complete it if it shall be `done`."""
    facts = FACTS.model_copy(update={"saga_id": name})
    start = Start(at=AT, jitter=0.0, facts=facts, covered_until=deadline.covers_until(name, AT))
    deadline.note(name, (await handler.handle(FULFILLMENT, name, start, Cause(AT, "start"))).state)
    deadline.request_if_close(name, AT)
    if done:
        await replies(handler, name)
        deadline.note(name, (await handler.load(FULFILLMENT, name)).state)


async def covering(deadline: SharedDeadline) -> None:
    """Return when the timer is out."""
    async with asyncio.timeout(SECONDS_MAX):
        while deadline.covers_until("none", AT) is None:
            await asyncio.sleep(0.01)


async def replies(handler: CommandHandler, name: str) -> None:
    for step in STEPS:
        reply = HandleReply(at=AT, jitter=0.0, reply=StepReply(saga_id=name, step=step))
        await handler.handle(FULFILLMENT, name, reply, Cause(AT, "reply"))


def requests(published: Kept) -> list[DeadlinesDue]:
    """The messages of the timers that were requested for all runs."""
    found = [event for event in published.of("deadlines-") if event.type == TimerRequested.type]
    return [DeadlinesDue.model_validate(TimerRequested.read(event.data).message) for event in found]
