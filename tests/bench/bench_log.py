"""Figures of the event store: `python -m tests.bench.bench_log [FOLDER …]`, on an embedded Postgres.

ZEROCART_BENCH_ROUNDS and ZEROCART_BENCH_SECONDS set how many rounds there are and how long each measurement takes;
ZEROCART_BENCH_ONLY is a text that the names of the wanted measurements contain.

Each measurement is a process of its own; rounds are interleaved, so that whatever else the machine does hits all alike.
Each FOLDER is a checkout of another version, whose `tests.bench.bench_log` has the same measurements and is run in the same
rounds. UmaDB is measured beside if the package `umadb` is installed. Rates are by the clock; processor time is that of the
client and of the server, per event.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from services.databases import DATABASE_ROLES, migrate
from services.kit.eventstore.connections import statement
from services.kit.eventstore.port import START, Append, Appended, Mark, NewEvent, Position
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.bench.clock import Clock, Figures

ROUNDS = int(os.environ.get("ZEROCART_BENCH_ROUNDS", "3"))
ONLY = os.environ.get("ZEROCART_BENCH_ONLY", "")
PROCESS_SECONDS_MAX = 120.0
PAGE_EVENTS_MAX = 2_000
CATCH_UP_EVENTS = 300_000
WRITERS = 200
PASSWORD = "bench"
SERVER = {"max_connections": "220", "max_wal_size": "2GB"}
DATA = json.dumps(
    {"order_id": "ord_01k2m3n4p5", "items": [{"product_id": "85123A", "quantity": 6}] * 3, "total": "15.30"}
)
META = json.dumps({"subject": "ord_01k2m3n4p5", "partitionkey": "ord_01k2m3n4p5", "traceparent": "00-" + "a" * 52})


@dataclass(frozen=True)
class Measurement:
    """What is measured: its name, its unit, the aim, and the arguments of its process."""

    name: str
    unit: str
    aim: float | None
    arguments: tuple[str, ...]


MEASUREMENTS = (
    Measurement("floor: one-row insert, 1 connection", "rows/s", None, ("floor", "1")),
    Measurement("floor: one-row insert, 8 connections", "rows/s", None, ("floor", "8")),
    Measurement("append, 8 callers x 5 events, reader following", "events/s", 25_000, ("append", "8", "5", "follow")),
    Measurement("append, 64 callers x 5 events, reader following", "events/s", None, ("append", "64", "5", "follow")),
    Measurement("append, 64 callers x 5 events", "events/s", 50_000, ("append", "64", "5", "")),
    Measurement("append, 1 caller x 1 event", "events/s", None, ("append", "1", "1", "")),
    Measurement("append, 8 callers x 1 event", "events/s", None, ("append", "8", "1", "")),
    Measurement("append, 64 callers x 1 event", "events/s", 10_000, ("append", "64", "1", "")),
    Measurement("append, 256 callers x 1 event", "events/s", None, ("append", "256", "1", "")),
    Measurement("catch-up reading", "events/s", 150_000, ("read",)),
    Measurement(f"page of a reader while {WRITERS} connections append", "pages/s", None, ("page",)),
    Measurement("page of a reader when nothing is new", "pages/s", None, ("nothing",)),
    Measurement("horizon, with its round trip", "queries/s", None, ("horizon", "1")),
    Measurement("horizon, 100 in one statement", "calls/s", 5_000, ("horizon", "100")),
    Measurement(
        "UmaDB: append, 8 callers x 5 events, reader following", "events/s", None, ("umadb", "8", "5", "follow")
    ),
    Measurement(
        "UmaDB: append, 64 callers x 5 events, reader following", "events/s", None, ("umadb", "64", "5", "follow")
    ),
    Measurement("UmaDB: append, 64 callers x 5 events", "events/s", None, ("umadb", "64", "5", "")),
    Measurement("UmaDB: append, 1 caller x 1 event", "events/s", None, ("umadb", "1", "1", "")),
    Measurement("UmaDB: append, 8 callers x 1 event", "events/s", None, ("umadb", "8", "1", "")),
    Measurement("UmaDB: append, 64 callers x 1 event", "events/s", None, ("umadb", "64", "1", "")),
    Measurement("UmaDB: append, 256 callers x 1 event", "events/s", None, ("umadb", "256", "1", "")),
    Measurement("UmaDB: catch-up reading", "events/s", None, ("umadb", "read")),
)
SIZES = """
    SELECT
        sum(pg_table_size(c.oid)) / sum(greatest(c.reltuples, 0)) AS rows,
        sum(pg_indexes_size(c.oid)) / sum(greatest(c.reltuples, 0)) AS indexes
    FROM pg_class AS c WHERE c.relkind = 'r' AND c.relname = 'events' AND c.reltuples > 0
"""


async def measure_floor(owner: str, clock: Clock, connections: int) -> None:
    import asyncpg

    opened = [await asyncpg.connect(owner) for _ in range(connections)]
    await opened[0].execute("CREATE TABLE IF NOT EXISTS public.floor (id bigserial PRIMARY KEY, data json)")

    async def insert(connection: asyncpg.Connection) -> None:
        while clock.running:
            await connection.execute("INSERT INTO public.floor (data) VALUES ($1)", DATA)
            clock.count(1)

    await asyncio.gather(clock.run(), *map(insert, opened))


async def keep_appending(clock: Clock, events: int, append: Callable[[str, int], Awaitable[None]]) -> int:
    """Append to streams of four appends each until the clock ends; the number of events."""
    names, total = count(time.time_ns() + id(clock) % 1_000_000), 0
    while clock.running:
        stream = f"order-{next(names)}-{id(names)}"
        for version in range(0, 4 * events, events):
            await append(stream, version)
            clock.count(events)
            total += events
    return total


def appender(store: PostgresEventStore, events: int) -> Callable[[str, int], Awaitable[None]]:
    said = [NewEvent("zerocart.orders.OrderCreated.v1", datetime.now(UTC), DATA, META)] * events

    async def append(stream: str, version: int) -> None:
        result = await store.append(Append(stream, version, said, Mark(f"/zerocart/x {stream}:{version}")))
        assert isinstance(result, Appended)

    return append


async def measure_append(owner: str, clock: Clock, callers: int, events: int, follow: bool) -> None:
    store, reader = PostgresEventStore(owner, "orders"), PostgresEventReader(owner)
    place: list[Position] = [await reader.end()]

    async def read() -> int:
        page = await reader.read_all(place[0], PAGE_EVENTS_MAX)
        place[0] = page.end
        return len(page.events)

    await appending(clock, callers, events, appender(store, events), read if follow else None)
    await store.close()
    await reader.close()


async def appending(
    clock: Clock,
    callers: int,
    events: int,
    append: Callable[[str, int], Awaitable[None]],
    read: Callable[[], Awaitable[int]] | None,
) -> None:
    """Append with so many callers, and read meanwhile; every event must be read."""
    ended = asyncio.Event()
    follower = asyncio.create_task(following(read, ended)) if read else None
    totals = await asyncio.gather(clock.run(), *(keep_appending(clock, events, append) for _ in range(callers)))
    ended.set()
    if follower:
        appended = sum(total for total in totals if total)
        assert (seen := await follower) == appended, f"the reader saw {seen} of {appended}"


async def following(read: Callable[[], Awaitable[int]], ended: asyncio.Event) -> int:
    """Read on until a look after the end finds nothing; the number of events."""
    total = 0
    while True:
        last_look = ended.is_set()
        events = await read()
        total += events
        if not events and last_look:
            return total
        if not events:
            await asyncio.sleep(0.005)


async def measure_read(owner: str, clock: Clock) -> None:
    async def read() -> None:
        reader, after = PostgresEventReader(owner), START
        while clock.running:
            page = await reader.read_all(after, PAGE_EVENTS_MAX)
            clock.count(len(page.events))
            after = page.end if page.events else START
        await reader.close()

    await asyncio.gather(clock.run(), read())


async def measure_page(owner: str, clock: Clock) -> None:
    stores = [PostgresEventStore(owner, "orders", 1) for _ in range(WRITERS)]
    for n, store in enumerate(stores):  # connect one after the other, because connecting has a limit of time
        await appender(store, 1)(f"order-{time.time_ns()}-{n}", 0)
    reader = PostgresEventReader(owner)
    unseen = Clock(0)

    async def read() -> None:
        after = await reader.end()
        while clock.running:
            after = (await reader.read_all(after, PAGE_EVENTS_MAX)).end
            clock.count(1)
        unseen.running = False

    writers = (keep_appending(unseen, 1, appender(store, 1)) for store in stores)
    await asyncio.gather(clock.run(), read(), *writers)
    for store in stores:
        await store.close()
    await reader.close()


async def measure_nothing(owner: str, clock: Clock) -> None:
    reader = PostgresEventReader(owner)
    after = await reader.end()

    async def read() -> None:
        while clock.running:
            assert not (await reader.read_all(after, PAGE_EVENTS_MAX)).events
            clock.count(1)

    await asyncio.gather(clock.run(), read())
    await reader.close()


async def measure_horizon(owner: str, clock: Clock, calls: int) -> None:
    import asyncpg

    connection = await asyncpg.connect(owner, server_settings={"search_path": "log"})
    many = f"SELECT count(h.horizon) FROM generate_series(1, {calls}) AS n CROSS JOIN LATERAL log.horizon(n - n) AS h"

    async def ask() -> None:
        while clock.running:
            await connection.fetchval(statement("horizon") if calls == 1 else many, *([0] if calls == 1 else []))
            clock.count(calls)

    await asyncio.gather(clock.run(), ask())
    await connection.close()


async def measure_umadb(folder: str, what: list[str]) -> Figures:
    if not find_spec("umadb"):
        raise SystemExit
    from tools.gauntlet.adapters.umadb import UmaStore

    store = UmaStore()
    await store.start(Path(folder))
    clock = Clock(store.pid)
    place: list[object] = [None]

    async def append(stream: str, events: int) -> None:
        await store.append(stream, [DATA + META] * events)

    async def read() -> int:
        texts, place[0] = await store.read(place[0], PAGE_EVENTS_MAX)
        return len(texts)

    async def read_again() -> None:
        while clock.running:
            clock.count(events := await read())
            place[0] = place[0] if events else None

    match what:
        case [callers, events, follow]:
            size = int(events)
            await appending(clock, int(callers), size, lambda stream, _: append(stream, size), read if follow else None)
        case _:
            for part in range(0, CATCH_UP_EVENTS, PAGE_EVENTS_MAX):
                await append(f"fill-{part}", PAGE_EVENTS_MAX)
            await asyncio.gather(clock.run(), read_again())
    await store.close()
    return clock.figures


async def prepare(owner: str) -> None:
    """Make the database, with a history of many short streams in several services."""
    import asyncpg

    server, _, name = owner.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    await migrate(owner, dict.fromkeys(DATABASE_ROLES, PASSWORD))

    connection = await asyncpg.connect(owner)
    for service in ("orders", "inventory", "payments", "fulfillment"):
        for part in range(0, CATCH_UP_EVENTS // 4, 5_000):
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


async def measure(arguments: list[str], owner: str, server_pid: int) -> Figures:
    clock = Clock(server_pid)
    match arguments:
        case ["floor", connections]:
            await measure_floor(owner, clock, int(connections))
        case ["append", callers, events, follow]:
            await measure_append(owner, clock, int(callers), int(events), bool(follow))
        case ["umadb", *what]:
            with tempfile.TemporaryDirectory() as folder:
                return await measure_umadb(folder, what)
        case ["page"]:
            await measure_page(owner, clock)
        case ["nothing"]:
            await measure_nothing(owner, clock)
        case ["horizon", calls]:
            await measure_horizon(owner, clock, int(calls))
        case _:
            await measure_read(owner, clock)
    return clock.figures


@dataclass(frozen=True)
class Version:
    """A checkout, and its database on the server of the bench."""

    name: str
    folder: Path
    owner: str

    async def run(self, *arguments: str) -> bytes:
        command = (sys.executable, "-m", "tests.bench.bench_log", self.owner, *arguments)
        process = await asyncio.create_subprocess_exec(*command, cwd=self.folder, stdout=asyncio.subprocess.PIPE)
        output, _ = await asyncio.wait_for(process.communicate(), PROCESS_SECONDS_MAX)
        return output


async def main(versions: list[Version], server_pid: int) -> None:
    for version in versions:
        await version.run("fill")
        print(f"{version.name}: {await sizes(version.owner)}", file=sys.stderr)
    wanted = [measurement for measurement in MEASUREMENTS if ONLY in measurement.name]
    measured: dict[tuple[str, str], list[Figures]] = {}
    for turn in range(ROUNDS):
        for measurement in wanted:
            for version in versions:
                print(f"\rround {turn + 1} of {ROUNDS}: {measurement.name:60}", end="", file=sys.stderr, flush=True)
                output = await version.run(str(server_pid), *measurement.arguments)
                if output:
                    key = measurement.name, version.name
                    measured.setdefault(key, []).append(Figures(*json.loads(output)))
        print(f"  load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    print(f"\n{'':50} {'':10} {'median':>10} {'best':>10} {'aim':>10} {'':10} {'client':>8} {'server':>8} us per unit")
    for m in wanted:
        for version in versions:
            if figures := measured.get((m.name, version.name)):
                print(line(m, version.name, figures))


async def sizes(owner: str) -> str:
    """The bytes that an event takes in its table and in its indexes."""
    import asyncpg

    connection = await asyncpg.connect(owner)
    row = await connection.fetchrow(SIZES)
    await connection.close()
    assert row
    return f"{row['rows']:,.0f} bytes per event in the table, {row['indexes']:,.0f} in the indexes"


def line(m: Measurement, version: str, figures: list[Figures]) -> str:
    rate, client, server = (statistics.median(each) for each in zip(*figures, strict=True))
    best, aim = max(each.rate for each in figures), f"{m.aim:,.0f}" if m.aim else ""
    rates = f"{rate:>10,.0f} {best:>10,.0f} {aim:>10} {m.unit:10}"
    return f"{m.name:50} {version:10} {rates} {client:>8.1f} {server:>8.1f}"


def on_embedded_postgres(folders: list[str]) -> None:
    from tools.knative_local.postgres import PostgresServer

    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder) / "postgres", SERVER)
        server.start()
        try:
            pid = int((Path(folder) / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            places = [Path.cwd(), *map(Path, folders)]
            versions = [Version(f"{place.name}", place, server.dsn(f"bench_{n}")) for n, place in enumerate(places)]
            asyncio.run(main(versions, pid))
        finally:
            server.stop()


if __name__ == "__main__":
    import uvloop

    match sys.argv[1:]:
        case [dsn, "fill"]:
            uvloop.run(prepare(dsn))
        case [dsn, pid, *what] if dsn.startswith("postgresql:"):
            print(json.dumps(uvloop.run(measure(what, dsn, int(pid)))))
        case folders:
            on_embedded_postgres(folders)
