"""Measures lists and search in a large read database, over HTTP at a steady rate of requests.

`python -m tests.bench.bench_search [FILE]`: FILE has the columns of UCI Online Retail; default: the slice in the
repository. ZEROCART_BENCH_ORDERS is the number of orders to which it is multiplied, ZEROCART_BENCH_SECONDS the time for
which each kind of query is sent.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from services.databases import READ_ROLES, migrate_read
from services.kit.eventstore.grants import role_of
from services.query.lists import SORTS, OrderFilter
from services.query.paging import Sorting, digest_of
from tests.bench.many_orders import fill
from tests.tokens import KEY, authorization, jwk, key_set
from tools.importer.order_source import SLICE
from tools.knative_local import postgres
from tools.knative_local.process import spawn, stop

if TYPE_CHECKING:
    from asyncpg import Connection

ORDERS = int(os.environ.get("ZEROCART_BENCH_ORDERS", "100000"))
SECONDS = float(os.environ.get("ZEROCART_BENCH_SECONDS", "20"))
REQUESTS_PER_SECOND = 20
SHARED_BUFFERS = "2GB"
"""A usual size for so many orders; the local cluster's Postgres has less."""
AIM_P99_MS = 50
STOP_SECONDS_MAX = 30
PASSWORDS = dict.fromkeys(READ_ROLES, "bench")
DEPTH = 0.5
SIZES = """
    SELECT relname, pg_size_pretty(pg_table_size(oid)) AS rows, pg_size_pretty(pg_indexes_size(oid)) AS indexes
    FROM pg_class WHERE relnamespace = 'orders_1'::regnamespace AND relkind = 'r' ORDER BY pg_total_relation_size(oid) DESC
"""

Queries = list[tuple[str, Mapping[str, Any]]]


async def queries_by_kind(owner: Connection) -> dict[str, Queries]:
    """Paths with their parameters, several of each kind."""
    some = await owner.fetch("SELECT * FROM orders_1.orders TABLESAMPLE bernoulli (1) LIMIT 200")
    products = await owner.fetch("SELECT product_id FROM orders_1.order_lines TABLESAMPLE bernoulli (1) LIMIT 100")
    names = await owner.fetch("SELECT term FROM orders_1.vocabulary WHERE orders BETWEEN 1 AND 20 LIMIT 100")
    hundredth = "SELECT term FROM orders_1.vocabulary WHERE orders BETWEEN $1 / 150 AND $1 / 70 LIMIT 100"
    one_in_100 = await owner.fetch(hundredth, await owner.fetchval("SELECT count(*) FROM orders_1.orders"))
    days = [f"{row['created_at']:%Y-%m-%dT%H:%M:%S}Z" for row in some]
    listed: dict[str, list[Mapping[str, Any]]] = {
        "newest page": [{}],
        "by customer": [{"customer_id": row["customer_id"]} for row in some if row["customer_id"]],
        "by status and country": [{"status": row["status"], "country": row["country"]} for row in some],
        "by date and amount": [{"from": day, "total_min": "100", "total_max": "250"} for day in days],
        "by product": [{"product_id": row["product_id"]} for row in products],
        "dearest first": [{"sort": "-total", "page": 1 + number} for number in range(50)],
        "page 500": [{"page": 500}],
        "exact total": [{"count": "exact", "page_size": 1}],
        "no total": [{"count": "none"}],
        "text: common word": [{"q": word} for word in ("red ", "set ", "heart ", "bag ")],
        "text: middling word": [{"q": word} for word in ("doormat ", "lantern ", "clock ", "umbrella ")],
        "text: rare word": [{"q": f"{row['term']} "} for row in names],
        "text: one order in 100": [{"q": f"{row['term']} "} for row in one_in_100],
        "text: typing error": [{"q": word} for word in ("haert ", "lanten ", "umbrela ", "retropsot ")],
        "text: two words": [{"q": text} for text in ("white heart ", "red clock ", "cake leeds ", "party paris ")],
        "text: name of a product": [
            {"q": name} for name in ("white hanging heart t-light holder", "jumbo bag red retrospot", "party bunting")
        ],
        "text: begun word": [{"q": word} for word in ("hea", "umb", "re", "white han")],
        "text and filters": [{"q": "red ", "country": "FR"}, {"q": "heart ", "status": "failed"}],
        "text, newest first": [{"q": word, "sort": "-created_at"} for word in ("red ", "doormat ", "red clock ")],
    }
    found: dict[str, Queries] = {"get": [(f"/orders/{row['order_id']}", {}) for row in some]}
    found |= {name: [("/orders", each) for each in parameters] for name, parameters in listed.items()}
    found["deep cursor page"] = await _deep(owner)
    return found


async def _deep(owner: Connection) -> Queries:
    queries: Queries = []
    for sort in ("-created_at", "total", "-updated_at", "status"):
        columns = {**SORTS[sort.lstrip("-")]}
        sorting = Sorting(columns, sort.startswith("-"), digest_of(OrderFilter(), sort))
        way = "DESC" if sorting.descending else "ASC"
        order_by = ", ".join(f"{name} {way}" for name in columns)
        row = await owner.fetchrow(
            f"SELECT * FROM orders_1.orders ORDER BY {order_by} LIMIT 1"
            f" OFFSET (SELECT (count(*) * {DEPTH})::bigint FROM orders_1.orders)",
            timeout=600,
        )
        assert row is not None
        queries.append(("/orders", {"sort": sort, "cursor": sorting.cursor(dict(row))}))
    return queries


async def send(client: httpx.AsyncClient, wanted: Queries) -> list[float]:
    """Send requests at a steady rate that does not depend on the answers; the milliseconds of each from its planned time."""
    start = time.perf_counter() + 1 / REQUESTS_PER_SECOND

    async def one(number: int) -> float:
        due = start + number / REQUESTS_PER_SECOND
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        path, parameters = random.choice(wanted)
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return (time.perf_counter() - due) * 1_000

    return sorted(await asyncio.gather(*(one(number) for number in range(int(SECONDS * REQUESTS_PER_SECOND)))))


@contextmanager
def served(read_dsn: str, folder: Path) -> Generator[str]:
    """The address of a query service in a process of its own, as it is deployed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the local cluster sets it; uvicorn does not
        environ = {
            "PATH": os.environ["PATH"],
            "ZEROCART_LISTEN_FD": str(listener.fileno()),
            "ZEROCART_READ_DATABASE_URL": read_dsn,
            "ZEROCART_TOKEN_KEYS": key_set(jwk(KEY)),
        }
        command = [sys.executable, "-m", "services.run", "query"]
        process = spawn(command, log=folder / "query.log", environ=environ, pass_fds=[listener.fileno()])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop(process, signal.SIGTERM, STOP_SECONDS_MAX)


async def measure(url: str, owner: Connection) -> bool:
    slow: list[str] = []
    async with httpx.AsyncClient(base_url=url, headers=authorization(), timeout=60) as client:
        for name, wanted in (await queries_by_kind(owner)).items():
            for path, parameters in wanted:  # a server that has run for a while has the pages in memory
                await client.get(path, params=parameters)
            times = await send(client, wanted)
            p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
            slow += [name] if p99 > AIM_P99_MS else []
            print(f"{name:26} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"above the aim of {AIM_P99_MS} ms at p99: {', '.join(slow) or 'none'}")
    return not slow


async def bench(server: postgres.PostgresServer, file: Path, folder: Path) -> bool:
    import asyncpg

    owner = await asyncpg.connect(server.dsn())
    await owner.execute("CREATE DATABASE read")
    await owner.close()
    await migrate_read(server.dsn("read"), PASSWORDS)
    owner = await asyncpg.connect(server.dsn("read"))
    start = time.perf_counter()
    count = await fill(server.dsn("read", role_of("projection"), "bench"), owner, file, ORDERS)
    lines = await owner.fetchval("SELECT count(*) FROM orders_1.order_lines")
    terms = await owner.fetchval("SELECT count(*) FROM orders_1.vocabulary")
    print(f"{count:,} orders, {lines:,} lines, {terms:,} terms, made in {time.perf_counter() - start:.0f} s")
    for row in await owner.fetch(SIZES):
        print(f"on disk: {row['relname']:12} rows {row['rows']:>9}   indexes {row['indexes']:>9}", flush=True)
    with served(server.dsn("read", role_of("query"), "bench"), folder) as url:
        good = await measure(url, owner)
    await owner.close()
    return good


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else SLICE
    postgres.SETTINGS["shared_buffers"] = SHARED_BUFFERS
    print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {REQUESTS_PER_SECOND} requests/s", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        server = postgres.PostgresServer(Path(folder))
        server.start()
        try:
            good = asyncio.run(bench(server, file, Path(folder)))
        finally:
            server.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
