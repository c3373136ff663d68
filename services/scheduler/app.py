"""The composition root of the scheduler."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from services.kit.eventstore.outbox import Relay
from services.kit.service.host import Host
from services.kit.service.service import Hook, Service
from services.scheduler.clock import Clock, NoClock, PingSourceClock
from services.scheduler.reactions import Alarm, leave_outboxes, reactions
from services.scheduler.receipts import TimerReceipts, wake_services_behind
from services.scheduler.timers import Timers

if TYPE_CHECKING:
    from services.kit.eventstore.postgres import PostgresEventReader

__all__ = ["create_app"]

PINGSOURCE = "scheduler-clock"


def create_app(host: Host | None = None, clock: Clock | None = None, others: Relay | None = None) -> Service:
    """The scheduler on `host`, or on what the environment names.

    `others` publishes what services that died left in their outboxes.
    """
    on_stop: list[Hook] = []
    reader: PostgresEventReader | None = None
    if host is None:
        from services.kit.eventstore.postgres import PostgresEventReader

        host = Host.connect("scheduler")
        reader = PostgresEventReader(host.settings.database_url, archive=host.settings.archive)
        others = Relay(reader.outbox, host.relay.publisher)
        on_stop.append(reader.close)
    clock = clock or _clock(os.environ.get("ZEROCART_CLOCK_URL", ""), host.settings.namespace)
    if host.receipts is not None:
        host = replace(host, receipts=TimerReceipts(host.receipts.connections, host.receipts.reader))
    timers = Timers(host.handler)
    alarm = Alarm(timers, clock)

    async def wake_others() -> bool:
        return reader is not None and await wake_services_behind(
            reader, host.settings.service_urls, host.settings.delivery_seconds
        )

    async def stop() -> None:
        alarm.stop()
        if others is not None:
            await leave_outboxes(others, alarm)
            await others.close()

    return Service(host, reactions=reactions(timers, alarm, others, wake_others), on_stop=(stop, *on_stop))


def _clock(url: str, namespace: str) -> Clock:
    return PingSourceClock(url, namespace, PINGSOURCE) if url else NoClock()
