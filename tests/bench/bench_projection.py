"""Figures of the projection: `python -m tests.bench.bench_projection`, on an embedded Postgres.

Whole lives of orders are put in the log, in their real proportion (most events of a run are only stepped over), then
the read side is fed from the start until it is level, several rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from services.contracts import fulfillment, inventory
from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.domain.message import Message
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.port import START, Append
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.projection.pages import Pages
from services.projection.versions import ReadDatabase
from services.projection.views import VIEWS
from services.run import settle
from tests.services.read_side import AT, VAULT_KEY, checked, confirmed, counted, created, reserved_items, started
from tools.knative_local.postgres import PostgresServer

ORDERS = 2_000
LINES = 5
EVENTS_MAX = 10_000_000
STEPS_STEPPED_OVER = 10
ROUNDS = 3
AIM_EVENTS_PER_SECOND = 20_000
PASSWORDS = dict.fromkeys((*DATABASE_ROLES, *READ_ROLES), "bench")


@dataclass(frozen=True)
class Prepared:
    """The DSNs of the projection for the event store and the read database, and those of the services that write events."""

    log: str
    read: str
    services: Mapping[str, str]


def life_of_order(number: int) -> list[tuple[str, str, Sequence[Message]]]:
    """The events of a confirmed order in their order, each with its service and its stream."""
    order_id, customer_id = f"ord_{number:07}", f"cus_{number % 500}"
    goods = [(f"product-{(number + line) % 300}", 1) for line in range(LINES)]
    said = fulfillment.StepSucceeded(saga_id=order_id, step="reserve_inventory", attempt=1)
    run, reservation, order = f"fulfillment-{order_id}", f"reservation-{order_id}", f"order-{order_id}"
    return [
        ("orders", order, [created(order_id, customer_id, lines=LINES)]),
        ("fulfillment", run, [started(order_id), *[said] * (STEPS_STEPPED_OVER // 2)]),
        ("inventory", reservation, [checked(order_id, *goods)]),
        ("fulfillment", run, [said] * (STEPS_STEPPED_OVER - STEPS_STEPPED_OVER // 2)),
        ("inventory", reservation, [inventory.ReservationCommitted(order_id=order_id, items=reserved_items(*goods))]),
        ("orders", order, [confirmed(order_id)]),
    ]


async def write_order(logs: Mapping[str, PostgresEventStore], number: int) -> None:
    versions: dict[str, int] = {}
    for service, stream, messages in life_of_order(number):
        version, log = versions.get(stream, 0), logs[service]
        events = await stamped(messages, Cause(AT), "bench", PostgresVault(log.connections, VAULT_KEY))
        await log.append(Append(stream, version, events))
        versions[stream] = version + len(messages)


async def feed(pages: Pages, number: int) -> tuple[int, float]:
    """Builds version `number` of every view, one after the other, from the start of the log; how many events that has."""
    async with pages.database.making() as session:
        for view in VIEWS.values():
            await session.make(view, number, "serving" if number == 1 else "building", "wait", 1)
    total, began = await pages.store.behind(START, EVENTS_MAX), time.perf_counter()
    for view in VIEWS.values():
        events = 1
        while events:
            _, events = await pages.build(view, number)
    seconds = time.perf_counter() - began
    if number > 1:
        async with pages.database.making() as session:
            for version in session.versions:
                if version.version == number:
                    await session.drop(version)
    return total, seconds


async def prepare(server: PostgresServer, orders: int = ORDERS) -> Prepared:
    import asyncpg

    owner = await asyncpg.connect(server.dsn())
    for name in ("log", "read"):
        await owner.execute(f"CREATE DATABASE {name}")
    await owner.close()
    await migrate(server.dsn("log"), PASSWORDS)
    await migrate_read(server.dsn("read"), PASSWORDS)
    writers = {name: _dsn(server, "log", name) for name in ("orders", "fulfillment", "inventory")}
    logs = {name: PostgresEventStore(dsn, name) for name, dsn in writers.items()}
    shelf = await stamped(
        [counted("product-1", 100_000)], Cause(AT), "bench", PostgresVault(logs["inventory"].connections, VAULT_KEY)
    )
    await logs["inventory"].append(Append("stock-product-1", 0, shelf))
    for first in range(0, orders, 64):
        await asyncio.gather(*(write_order(logs, number) for number in range(first, min(first + 64, orders))))
    for log in logs.values():
        await log.close()
    return Prepared(_dsn(server, "log", "projection"), _dsn(server, "read", "projection"), writers)


def _dsn(server: PostgresServer, database: str, service: str) -> str:
    return server.dsn(database, role_of(service), PASSWORDS[service])


async def bench(server: PostgresServer) -> float:
    prepared = await prepare(server)
    reader, read = PostgresEventReader(prepared.log), ReadDatabase(prepared.read)
    pages = Pages(reader, PostgresVault(reader.connections, VAULT_KEY, cache_seconds=0), read, VIEWS)
    rates: list[float] = []
    for number in range(1, ROUNDS + 1):
        events, seconds = await feed(pages, number)
        rates.append(events / seconds)
        print(f"projecting {events} events of {ORDERS} orders: {rates[-1]:,.0f} events/s")
    await reader.close()
    await read.close()
    return statistics.median(rates)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            settle()  # as the process of the projection does at its start
            rate = uvloop.run(bench(server))
        finally:
            server.stop()
    print(f"median {rate:,.0f} events/s, aim {AIM_EVENTS_PER_SECOND:,}")
    sys.exit(0 if rate >= AIM_EVENTS_PER_SECOND else 1)


if __name__ == "__main__":
    main()
