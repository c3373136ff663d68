"""How the event store grows: `python -m tests.bench.bench_growth [EVENTS …]`, by default 100,000 and 1,000,000 events.

Each size is a history of whole orders in a database of its own, on an embedded Postgres: one order as the services append
it, copied by SQL with other ids, 64 orders at a time interleaved. Then finished orders are archived. Processor time is that
of this process and of Postgres, because clock times say little on a machine that others use.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any

import uvloop

from services.archive import FINISHED
from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.eventstore.archiver import Archiver
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.port import START, Append, Mark, NewEvent, Position
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.kit.wire.cloudevents import source_of
from services.projection.pages import Pages
from services.projection.versions import ReadDatabase
from services.projection.views import VIEWS
from tests.bench.clock import processor_of_server, processor_of_this
from tests.ports.test_restore import run, tool
from tests.services.lives import smooth
from tests.services.read_side import AT, VAULT_KEY
from tools.knative_local.postgres import PostgresServer

SIZES = (100_000, 1_000_000)
REBUILT_EVENTS_MAX = 1_000_000
"""Of a larger history only the first so many events are built into views."""
TEMPLATE = "ord_0000000"
VARIANTS = 512
"""Encryptions of the order that is copied, so that the ciphertexts compress like real ones."""
INTERLEAVED = 64
BATCH_ORDERS = 64 * 64
APPENDS, APPEND_EVENTS = 1_000, 5
STREAMS = 500
PAGES, PAGE_EVENTS = 20, 1_000
PASSWORDS = dict.fromkeys((*DATABASE_ROLES, *READ_ROLES), "bench")

COPY = f"""
    INSERT INTO log.events (service, stream, version, type, time, data, meta)
    SELECT
        t.service, replace(t.stream, '{TEMPLATE}', o.id), t.version, t.type, t.time + o.n * interval '1 second',
        replace(t.data, '{TEMPLATE}', o.id)::json, replace(t.meta, '{TEMPLATE}', o.id)::json
    FROM (
        SELECT n, n % {VARIANTS} AS variant, 'ord_' || substr(md5(n::text), 1, 24) AS id
        FROM generate_series($1::integer, $2::integer) AS n
    ) AS o
    JOIN template AS t USING (variant)
    ORDER BY o.n / {INTERLEAVED}, t.place, o.n
"""
TABLE = """
    CREATE TEMPORARY TABLE template (
        variant integer, place integer, service text, stream text, version integer, type text, time timestamptz, data text,
        meta text
    )
"""
STREAM_ROWS = """
    INSERT INTO {service}.streams (stream, version, appended)
    SELECT stream, max(version), 1 FROM {service}.events GROUP BY stream ON CONFLICT DO NOTHING
"""
SIZE_OF = """
    SELECT sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint FROM pg_class AS c
    WHERE c.relkind = 'r' AND c.relname = $1
"""


def id_of(number: int) -> str:
    """The id of an order that is a copy."""
    return f"ord_{md5(str(number).encode(), usedforsecurity=False).hexdigest()[:24]}"


async def variant_of_an_order(variant: int, vault: PostgresVault) -> list[tuple[object, ...]]:
    """The events of an order with ciphertexts of their own, as rows of `TABLE`."""
    versions = dict[tuple[str, str], int]()
    rows: list[tuple[object, ...]] = []
    for place, said in enumerate(smooth(TEMPLATE)):
        cause = Cause(AT + timedelta(seconds=place), principal=said.principal)
        [event] = await stamped([said.message], cause, source_of(said.service), vault)
        version = versions[said.service, said.stream] = versions.get((said.service, said.stream), 0) + 1
        rows.append(
            (variant, place, said.service, said.stream, version, event.type, event.time, event.data, event.meta)
        )
    return rows


class Bench:
    """One size of history."""

    def __init__(self, server: PostgresServer, server_pid: int, folder: Path, events: int) -> None:
        self.server = server
        self.pid = server_pid
        self.folder = folder
        self.events = events
        self.name = f"growth_{events}"
        self.owner = server.dsn(self.name)
        self.lines: list[str] = []

    def dsn(self, service: str) -> str:
        return self.server.dsn(self.name, role_of(service), "bench")

    async def measured(self, what: str, count: float, unit: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do the work and note its times per unit in microseconds."""
        processor, began = self._processor(), time.perf_counter()
        result = await work()
        seconds, used = time.perf_counter() - began, self._processor() - processor
        self.note(what, f"{used / count * 1e6:,.1f} us of processor per {unit}; {seconds:,.1f} s by the clock")
        return result

    def _processor(self) -> float:
        return processor_of_this() + processor_of_server(self.pid)

    def note(self, what: str, figures: str) -> None:
        self.lines.append(f"{self.events:>10,}  {what:<28} {figures}")
        print(self.lines[-1], flush=True)

    async def run(self) -> None:
        await self._prepare()
        orders = await self._generate()
        await self._sizes("")
        await self.measured("append, 8 x 5", APPENDS * APPEND_EVENTS, "event", self._append)
        await self.measured("read by position", PAGES * PAGE_EVENTS, "event", lambda: self._read(""))
        await self.measured("load a stream", STREAMS, "stream", lambda: self._load("", orders))
        built = min(self.events, REBUILT_EVENTS_MAX)
        await self.measured("rebuild of all views", built, "event", lambda: self._rebuild(""))
        dump = self.folder / "dump"
        await self.measured("dump", self.events, "event", lambda: self._dump(dump))
        self.note("dump", f"{dump.stat().st_size / self.events:,.0f} bytes per event")
        await self.measured("restore", self.events, "event", lambda: self._restore(dump))
        place = self.folder / "archive"
        place.mkdir(mode=0o777)
        archived = await self.measured("archive", self.events, "event", lambda: self._archive(place))
        self.note("archive", f"{archived:,} events in {len(list(place.iterdir()))} files")
        files = sum(file.stat().st_size for file in place.iterdir())
        self.note("files", f"{files / archived:,.0f} bytes per archived event")
        await self._sizes("archived: ")
        await self.measured("archived: read by position", PAGES * PAGE_EVENTS, "event", lambda: self._read(str(place)))
        await self.measured("archived: load a stream", STREAMS, "stream", lambda: self._load(str(place), orders))
        await self.measured("archived: rebuild", built, "event", lambda: self._rebuild(str(place)))

    async def _prepare(self) -> None:
        async with connected(self.server.dsn()) as connection:
            for name in (self.name, f"{self.name}_read"):
                await connection.execute(f"CREATE DATABASE {name}")
        await migrate(self.owner, PASSWORDS)
        await migrate_read(self.server.dsn(f"{self.name}_read"), PASSWORDS)

    async def _generate(self) -> int:
        """The number of orders."""
        store = PostgresEventStore(self.dsn("orders"), "orders")
        vault = PostgresVault(store.connections, VAULT_KEY)
        rows = [row for variant in range(VARIANTS) for row in await variant_of_an_order(variant, vault)]
        await store.close()
        orders = self.events * VARIANTS // len(rows)
        async with connected(self.owner) as connection:
            await connection.execute(TABLE)
            await connection.copy_records_to_table("template", records=rows)
            await connection.execute("ANALYZE template")
            self.note("events per order", str(len(rows) // VARIANTS))
            await self.measured("generate", self.events, "event", lambda: self._fill(connection, orders))
        return orders

    async def _fill(self, connection: Any, orders: int) -> None:
        for first in range(1, orders + 1, BATCH_ORDERS):
            await connection.execute(COPY, first, min(first + BATCH_ORDERS - 1, orders), timeout=3_600)
        for service in dict.fromkeys(said.service for said in smooth(TEMPLATE)):
            await connection.execute(STREAM_ROWS.format(service=service), timeout=3_600)
        await connection.execute("VACUUM ANALYZE", timeout=3_600)

    async def _sizes(self, prefix: str) -> None:
        async with connected(self.owner) as connection:
            for table in ("events", "streams", "archived_streams"):
                heap, indexes = await connection.fetchrow(SIZE_OF, table)
                if heap > 10_000_000 or table == "events":
                    per = f"{heap / self.events:,.0f} and {indexes / self.events:,.0f} bytes per event"
                    self.note(f"{prefix}{table}", f"table and indexes: {per}")

    async def _append(self) -> None:
        store = PostgresEventStore(self.dsn("orders"), "orders")
        data = '{"order_id": "ord_x", "number": "1", "note": "' + "x" * 150 + '"}'
        events = [NewEvent("zerocart.orders.order.note_added.v1", datetime.now(UTC), data, '{"partitionkey": "k"}')]

        async def caller(number: int) -> None:
            for n in range(APPENDS // 8):
                name = f"bench-{number}-{n}"
                await store.append(Append(name, 0, events * APPEND_EVENTS, Mark(name)))

        await asyncio.gather(*map(caller, range(8)))
        await store.close()
        async with connected(self.owner) as connection:  # so that the views can be built
            await connection.execute(
                "DELETE FROM orders.events WHERE stream LIKE 'bench-%'; DELETE FROM orders.streams WHERE stream LIKE 'bench-%';"
                " DELETE FROM orders.outbox; DELETE FROM orders.inbox"
            )

    async def _read(self, archive: str) -> None:
        reader = PostgresEventReader(self.dsn("projection"), archive=archive)
        after = Position((await reader.end()) - max(self.events // 2, PAGES * PAGE_EVENTS))
        for _ in range(PAGES):
            page = await reader.read_all(after, PAGE_EVENTS)
            assert len(page.events) == PAGE_EVENTS
            after = page.end
        await reader.close()

    async def _load(self, archive: str, orders: int) -> None:
        store, chosen = PostgresEventStore(self.dsn("orders"), "orders", archive=archive), random.Random(1)
        for _ in range(STREAMS):
            assert await store.read(f"order-{id_of(chosen.randint(1, orders))}")
        await store.close()

    async def _dump(self, dump: Path) -> None:
        await run(tool("pg_dump"), "--format=custom", f"--file={dump}", self.owner)

    async def _restore(self, dump: Path) -> None:
        restored = f"{self.name}_restored"
        async with connected(self.server.dsn()) as connection:
            await connection.execute(f"CREATE DATABASE {restored}")
        await run(
            tool("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error",
            f"--dbname={self.server.dsn(restored)}", str(dump),
        )  # fmt: skip
        async with connected(self.server.dsn()) as connection:
            await connection.execute(f"DROP DATABASE {restored}")

    async def _rebuild(self, archive: str) -> None:
        reader = PostgresEventReader(self.dsn("projection"), archive=archive)
        read = ReadDatabase(self.server.dsn(f"{self.name}_read", role_of("projection"), "bench"))
        pages = Pages(reader, PostgresVault(reader.connections, VAULT_KEY, cache_seconds=0), read, VIEWS)
        number = 2 if archive else 1
        [first] = (await reader.read_all(START, 1)).events
        async with read.making() as session:
            for view in VIEWS.values():
                await session.make(view, number, "building", "wait", 1)
        for view in VIEWS.values():
            built, follows = 0, True
            while follows and built < REBUILT_EVENTS_MAX:
                version, follows = await pages.build(view, number)
                built = version.checkpoint - first.position if version else 0
        async with read.making() as session:
            for version in session.versions:
                await session.drop(version)
        await reader.close()
        await read.close()

    async def _archive(self, place: Path) -> int:
        async with connected(self.owner) as connection:
            moved = await Archiver(connection, place, FINISHED).run(datetime.now(UTC) + timedelta(days=99_999))
            await connection.execute("VACUUM FULL ANALYZE log.events", timeout=3_600)
            return moved


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[Any]:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def main(server: PostgresServer, server_pid: int, folder: Path, sizes: list[int]) -> None:
    for events in sizes:
        place = folder / str(events)
        place.mkdir(mode=0o777)
        bench = Bench(server, server_pid, place, events)
        await bench.run()
        async with connected(server.dsn()) as connection:
            for name in (bench.name, f"{bench.name}_read"):
                await connection.execute(f"DROP DATABASE {name}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        postgres = PostgresServer(Path(temporary) / "postgres", {"max_wal_size": "2GB"})
        postgres.start()
        try:
            pid = int((Path(temporary) / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            uvloop.run(main(postgres, pid, Path(temporary), [int(each) for each in sys.argv[1:]] or list(SIZES)))
        finally:
            postgres.stop()
