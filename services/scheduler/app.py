"""The scheduler, put together."""

from __future__ import annotations

from services.kit.host import Host
from services.kit.outbox import Relay
from services.kit.service import Service
from services.scheduler.clock import Clock, NoClock, PingSourceClock
from services.scheduler.reactions import Alarm, reactions
from services.scheduler.timers import Timers

__all__ = ["create_app"]

PINGSOURCE = "scheduler-clock"


def create_app(host: Host | None = None, clock: Clock | None = None, others: Relay | None = None) -> Service:
    """The scheduler on `host`, or on what the environment names; `others` relays for services that died."""
    if host is None:
        host = Host.connect("scheduler")
        others = _relay_for_all(host)
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

    return Service(host, reactions=reactions(timers, alarm, others), on_stop=(stop,))


def _relay_for_all(host: Host) -> Relay:
    from services.kit.postgres_log import PostgresReader

    return Relay(PostgresReader(host.settings.database_url).outbox, host.relay.publisher)
