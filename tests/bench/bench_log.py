"""Figures of the log: `python -m tests.bench.bench_log [OWNER_DSN]`, on an embedded Postgres if none is given.

Each measurement is a process of its own; rounds are interleaved, so that whatever else the machine does hits all alike.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from services.databases import DATABASE_ROLES, migrate
from services.kit.eventstore.port import START, Append, Appended, Mark, NewEvent, Position
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore

SECONDS = 4.0
WARM_UP_SECONDS = 1.0
ROUNDS = 3
PROCESS_SECONDS_MAX = 60.0
PAGE_EVENTS_MAX = 2_000
CATCH_UP_EVENTS = 300_000
PASSWORD = "bench"
DATA = json.dumps(
    {"order_id": "ord_01k2m3n4p5", "items": [{"product_id": "85123A", "quantity": 6}] * 3, "total": "15.30"}
)
META = json.dumps({"subject": "ord_01k2m3n4p5", "partitionkey": "ord_01k2m3n4p5", "traceparent": "00-" + "a" * 52})


@dataclass(frozen=True)
class Measurement:
    name: str
    unit: str
    aim: float | None
    arguments: tuple[str, ...]


MEASUREMENTS = (
    Measurement("floor: one-row insert, 1 connection", "rows/s", None, ("floor", "1")),
    Measurement("floor: one-row insert, 8 connections", "rows/s", None, ("floor", "8")),
    Measurement("append, 8 callers x 5 events, reader following", "events/s", 25_000, ("append", "8", "5", "follow")),
    Measurement("append, 64 callers x 5 events", "events/s", 50_000, ("append", "64", "5", "")),
    Measurement("append, 1 caller x 1 event", "events/s", None, ("append", "1", "1", "")),
    Measurement("append, 8 callers x 1 event", "events/s", None, ("append", "8", "1", "")),
    Measurement("append, 64 callers x 1 event", "events/s", 10_000, ("append", "64", "1", "")),
    Measurement("append, 256 callers x 1 event", "events/s", None, ("append", "256", "1", "")),
    Measurement("catch-up reading", "events/s", 150_000, ("read",)),
)


async def measure_floor(owner: str, connections: int) -> float:
    import asyncpg

    opened = [await asyncpg.connect(owner) for _ in range(connections)]
    await opened[0].execute("CREATE TABLE IF NOT EXISTS public.floor (id bigserial PRIMARY KEY, data json)")

    async def insert(connection: asyncpg.Connection, clock: Clock) -> None:
        while clock.running:
            await connection.execute("INSERT INTO public.floor (data) VALUES ($1)", DATA)
            clock.count(1)

    clock = Clock()
    await asyncio.gather(clock.run(), *(insert(connection, clock) for connection in opened))
    return clock.rate


class Clock:
    """Counts the events between the warm-up and the end of a measurement."""

    def __init__(self) -> None:
        self.running = True
        self._counted = 0
        self._counting = False
        self.rate = 0.0

    def count(self, things: int) -> None:
        if self._counting:
            self._counted += things

    async def run(self) -> None:
        await asyncio.sleep(WARM_UP_SECONDS)
        self._counting, began = True, time.perf_counter()
        await asyncio.sleep(SECONDS)
        self._counting = self.running = False
        self.rate = self._counted / (time.perf_counter() - began)


async def measure_append(owner: str, callers: int, events: int, follow: bool, lanes: int) -> float:
    store = PostgresEventStore(owner, "orders", lanes)
    reader = PostgresEventReader(owner)
    begin = (await _end(reader)) if follow else START
    clock, names, total, written = Clock(), count(time.time_ns()), 0, False
    said = [NewEvent("zerocart.orders.OrderCreated.v1", datetime.now(UTC), DATA, META)] * events

    async def caller() -> None:
        nonlocal total
        while clock.running:
            name = next(names)
            stream = f"order-{name}"
            for version in range(0, 4 * events, events):
                result = await store.append(Append(stream, version, said, Mark(f"/zerocart/x {stream}:{version}")))
                assert isinstance(result, Appended)
                clock.count(events)
                total += events

    async def following() -> int:
        read, after = 0, begin
        while True:
            last_look = written
            page = await reader.read_all(after, PAGE_EVENTS_MAX)
            read, after = read + len(page.events), page.end
            if not page.events and last_look:
                return read
            if not page.events:
                await asyncio.sleep(0.005)

    follower = asyncio.create_task(following()) if follow else None
    await asyncio.gather(clock.run(), *(caller() for _ in range(callers)))
    written = True
    if follower:
        read = await follower
        assert read == total, f"the reader saw {read} of {total}"
    await store.close()
    await reader.close()
    return clock.rate


async def _end(reader: PostgresEventReader) -> Position:
    await asyncio.sleep(0.1)
    return await reader.end()


async def measure_read(owner: str) -> float:
    reader = PostgresEventReader(owner)
    page = await reader.read_all(START, PAGE_EVENTS_MAX)
    began, read = time.perf_counter(), 0
    while page.events:
        page = await reader.read_all(page.end, PAGE_EVENTS_MAX)
        read += len(page.events)
    await reader.close()
    return read / (time.perf_counter() - began)


async def fill(owner: str, events: int) -> None:
    """A history of many short streams in several services."""
    import asyncpg

    connection = await asyncpg.connect(owner)
    for service in ("orders", "inventory", "payments", "fulfillment"):
        for part in range(0, events // 4, 5_000):
            await connection.execute(
                f"INSERT INTO {service}.events (stream, version, type, time, data, meta)"
                " SELECT 'fill-' || (n / 5), n % 5 + 1, 'zerocart.orders.OrderCreated.v1', now(), $1, $2"
                " FROM generate_series($3::int, $3 + 4999) AS n",
                DATA,
                META,
                part,
            )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def measure(arguments: list[str], owner: str) -> float:
    match arguments:
        case ["floor", connections]:
            return await measure_floor(owner, int(connections))
        case ["append", callers, events, follow, *lanes]:
            return await measure_append(owner, int(callers), int(events), bool(follow), int(lanes[0]) if lanes else 2)
        case _:
            return await measure_read(owner)


async def main(owner: str) -> None:
    await migrate(owner, dict.fromkeys(DATABASE_ROLES, PASSWORD))
    await fill(owner, CATCH_UP_EVENTS)
    rates: dict[str, list[float]] = {m.name: [] for m in MEASUREMENTS}
    for turn in range(ROUNDS):
        for measurement in MEASUREMENTS:
            print(f"\rround {turn + 1} of {ROUNDS}: {measurement.name:60}", end="", file=sys.stderr, flush=True)
            command = (sys.executable, "-m", "tests.bench.bench_log", owner, *measurement.arguments)
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            output, _ = await asyncio.wait_for(process.communicate(), PROCESS_SECONDS_MAX)
            rates[measurement.name].append(float(output))
    print(f"\n{'':50} {'median':>10} {'best':>10} {'aim':>10}")
    for m in MEASUREMENTS:
        aim = f"{m.aim:,.0f}" if m.aim else ""
        print(f"{m.name:50} {statistics.median(rates[m.name]):>10,.0f} {max(rates[m.name]):>10,.0f} {aim:>10} {m.unit}")


def on_embedded_postgres() -> None:
    from tools.knative_local.postgres import PostgresServer

    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder) / "postgres")
        server.start()
        try:
            asyncio.run(main(server.dsn()))
        finally:
            server.stop()


if __name__ == "__main__":
    import uvloop

    match sys.argv[1:]:
        case []:
            on_embedded_postgres()
        case [dsn]:
            asyncio.run(main(dsn))
        case [dsn, *what]:
            print(uvloop.run(measure(what, dsn)))
