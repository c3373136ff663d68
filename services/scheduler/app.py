"""The scheduler, put together."""

from __future__ import annotations

from services.kit.eventstore.outbox import Relay
from services.kit.service.host import Host
from services.kit.service.service import Hook, Service
from services.scheduler.clock import Clock, NoClock, PingSourceClock
from services.scheduler.reactions import Alarm, reactions
from services.scheduler.timers import Timers

__all__ = ["create_app"]

PINGSOURCE = "scheduler-clock"


def create_app(host: Host | None = None, clock: Clock | None = None, others: Relay | None = None) -> Service:
    """The scheduler on `host`, or on what the environment names; `others` relays for services that died."""
    on_stop: list[Hook] = []
    if host is None:
        from services.kit.eventstore.postgres import PostgresEventReader

        host = Host.connect("scheduler")
        reader = PostgresEventReader(host.settings.database_url)
        others = Relay(reader.outbox, host.relay.publisher)
        on_stop.append(reader.close)
    settings = host.settings
    clock = clock or (
        PingSourceClock(settings.clock_url, settings.namespace, PINGSOURCE) if settings.clock_url else NoClock()
    )
    timers = Timers(host.handler)
    alarm = Alarm(timers, clock)

    async def stop() -> None:
        alarm.stop()
        if others is not None:
            await others.close()

    return Service(host, reactions=reactions(timers, alarm, others), on_stop=(stop, *on_stop))
