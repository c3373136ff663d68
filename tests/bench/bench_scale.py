"""What more processes and more cores give: POST /orders in 1, 2 and 4 processes, whole orders, and the part of Postgres.

`python -m tests.bench.bench_scale [posts] [chain]` runs everything first on one core and then on two, the load generator
included, because rates say nothing if a part has cores of its own. `docs/scaling.md` explains the tables.
`python -m tests.bench.bench_scale stock [CHECKOUT …]` measures one process of inventory, of this checkout and of others in
turn, while all orders want the same product and while they want many. It uses all cores.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from services.contracts.fulfillment import RunCompleted, WantedItem
from services.contracts.inventory import InventoryCheck
from services.kit.domain.instants import instant_text
from services.kit.domain.message import Message
from services.kit.service.service import EVENTS
from tests.architecture.rules import ROOT
from tests.bench.bench_order import Checkout, measure, place
from tests.bench.bench_place import ROUNDS, Load, Served, process_seconds
from tests.bench.bench_system import many, request, send
from tests.tokens import authorization
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.postgres import PostgresServer

CORES = tuple(cores for cores in (1, 2, 4, 8) if cores <= (os.cpu_count() or 1))
PROCESSES = (1, 2, 4)
CALLERS = 32
"""Of each process."""
REQUESTS = 2_000
CHAIN_ORDERS = 200
CHAIN_CALLERS = 16
STOCK_ORDERS = {1: 100, 8: 400, 32: 800}
"""How many orders are measured, by the number of callers."""
STOCK_CALLERS = tuple(STOCK_ORDERS)
STOCK_PRODUCTS = (1, 1_000)
LOAD = Load("1 line", 1, REQUESTS, CALLERS)
DATABASE = """
    SELECT sum(xact_commit + xact_rollback)::float AS transactions, (pg_current_wal_lsn() - '0/0')::float AS wal
    FROM pg_stat_database WHERE datname LIKE 'bench%'
"""
SESSIONS = """
    SELECT pid, datname || ' ' || usename AS owner, (pg_stat_get_backend_wal(pid)).wal_bytes::float AS wal
    FROM pg_stat_activity WHERE usename LIKE 'zerocart%' AND datname IS NOT NULL
"""


def use(cores: int) -> None:
    """Run this process, and what it starts from now on, on so many cores."""
    os.sched_setaffinity(0, set(range(cores)))


def own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def database(owner: str) -> Counter[str]:
    connection = await asyncpg.connect(owner)
    await connection.execute("SELECT pg_stat_force_next_flush()")
    row = dict(await connection.fetchrow(DATABASE) or {})
    await connection.close()
    return Counter(row)


def used_so_far(processes: Sequence[int], postgres: PostgresServer, kafka: KafkaServer) -> Counter[str]:
    """Processor seconds by part."""
    seconds = {
        "orders": sum(map(process_seconds, processes)),
        "Postgres": process_seconds(postgres.pid),
        "Kafka": process_seconds(kafka.pid),
        "callers": own_seconds(),
    }
    return Counter(seconds)  # pyright: ignore[reportArgumentType]


async def spread(urls: Sequence[str], token: str, requests: int) -> None:
    """Send the requests, each process its share."""
    share = requests // len(urls)
    await asyncio.gather(*(many(url, "/orders", share, CALLERS, token, LOAD.bodies()) for url in urls))


def posts(cores: int) -> None:
    use(cores)
    token = authorization()["Authorization"].removeprefix("Bearer ")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        postgres, kafka = PostgresServer(Path(folder) / "postgres"), KafkaServer(Path(folder) / "kafka")
        for server in (postgres, kafka):
            server.start()
            stack.callback(server.stop)
        orders = Served(ROOT, 0, postgres, kafka)
        stack.callback(orders.close)
        for _ in range(max(PROCESSES) - 1):
            orders.start()
        for number in PROCESSES:
            processes = orders.processes[:number]
            urls, pids = [url for url, _ in processes], [process.pid for _, process in processes]
            asyncio.run(spread(urls, token, REQUESTS))
            rounds = [_measured(urls, pids, token, postgres, kafka, orders.owner) for _ in range(ROUNDS)]
            show(f"POST /orders, {cores} core(s), {number} process(es)", rounds)


def _measured(
    urls: Sequence[str], pids: Sequence[int], token: str, postgres: PostgresServer, kafka: KafkaServer, owner: str
) -> Counter[str]:
    time.sleep(1)  # sessions tell Postgres what they did at most once a second
    rows, before, start = asyncio.run(database(owner)), used_so_far(pids, postgres, kafka), time.perf_counter()
    asyncio.run(spread(urls, token, REQUESTS))
    rate = REQUESTS / (time.perf_counter() - start)
    used = used_so_far(pids, postgres, kafka)
    time.sleep(1)
    after = asyncio.run(database(owner))
    figures = {f"{part} ms": 1000 * (used[part] - before[part]) / REQUESTS for part in used}
    return Counter({"orders/s": rate, **figures, **{name: (after[name] - rows[name]) / REQUESTS for name in after}})


def show(title: str, rounds: Sequence[Counter[str]]) -> None:
    """The round with the median rate; Postgres may tell of transactions late, so these are the sum of all rounds."""
    middle = sorted(rounds, key=lambda each: each["orders/s"])[len(rounds) // 2]
    figures = {**middle, **{name: sum(each[name] for each in rounds) / len(rounds) for name in ("transactions", "wal")}}
    print(f"{title}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()), flush=True)


async def sessions(dsn: str) -> dict[tuple[str, int], tuple[float, float]]:
    """Processor seconds and bytes of WAL of each session of a service, by database and role."""
    connection = await asyncpg.connect(dsn)
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for row in await connection.fetch(SESSIONS):
        found[row["owner"], row["pid"]] = (process_seconds(row["pid"]), row["wal"] or 0.0)
    await connection.close()
    return found


async def whole_orders(checkout: Checkout) -> tuple[Counter[str], Counter[str]]:
    """What an order costs by part of the cluster, and its milliseconds and bytes in Postgres by role."""
    await place(checkout, CHAIN_ORDERS, CHAIN_CALLERS)
    before = await sessions(checkout.running.admin_dsn)
    await measure(checkout, CHAIN_ORDERS, CHAIN_CALLERS)
    after = await sessions(checkout.running.admin_dsn)
    by_role: Counter[str] = Counter()
    for (owner, pid), (seconds, wal) in after.items():
        then = before.get((owner, pid), (0.0, 0.0))
        by_role[f"{owner} ms"] += 1000 * (seconds - then[0]) / CHAIN_ORDERS  # pyright: ignore[reportArgumentType]
        by_role[f"{owner} bytes of WAL"] += (wal - then[1]) / CHAIN_ORDERS  # pyright: ignore[reportArgumentType]
    return checkout.rounds[-1], by_role


def chain(cores: int) -> None:
    use(cores)
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(ROOT, Path(folder))
        with checkout.up():
            costs, by_role = asyncio.run(whole_orders(checkout))
            print(
                f"whole orders, {cores} core(s): {checkout.rates[-1]:.1f}/s, {checkout.processes} processes", flush=True
            )
            parts: dict[str, Any] = {name: value for name, value in costs.items() if name.endswith(" ms")}
            print(f"  all processes {sum(parts.values()):.1f} ms", flush=True)
            for name, value in [*sorted(parts.items()), *sorted(by_role.items())]:
                print(f"  {name} {value:.2f}", flush=True)
            for name in ("transactions", "wal_bytes", "events", "deliveries"):
                print(f"  {name} {costs[name]:.1f}", flush=True)


def stock(checkouts: Sequence[Path]) -> None:
    """Reserve the goods of orders and commit them, in one process of inventory."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        postgres, kafka = PostgresServer(Path(folder) / "postgres"), KafkaServer(Path(folder) / "kafka")
        for server in (postgres, kafka):
            server.start()
            stack.callback(server.stop)
        services = [Served(path, number, postgres, kafka, "inventory") for number, path in enumerate(checkouts)]
        for each in services:
            stack.callback(each.close)
            asyncio.run(stocked(each.owner))
        measured: dict[tuple[str, int, int], list[Counter[str]]] = defaultdict(list)
        for turn in range(ROUNDS + 1):
            for callers, products, each in itertools.product(STOCK_CALLERS, STOCK_PRODUCTS, services):
                figures = _reserved(each, postgres, products, callers)
                if turn:
                    measured[each.name, callers, products].append(figures)
        for (name, callers, products), rounds in measured.items():
            middle = {part: statistics.median(each[part] for each in rounds) for part in rounds[0]}
            told = ", ".join(f"{part} {value:.2f}" for part, value in middle.items())
            print(f"{name:<10} {callers:>2} callers, {products:>3} products: {told}", flush=True)


async def stocked(owner: str) -> None:
    connection = await asyncpg.connect(owner)
    rows = [(f"P{number:06}", 100_000_000, 0) for number in range(max(STOCK_PRODUCTS))]
    await connection.copy_records_to_table(
        "stock", schema_name="inventory", records=rows, columns=("product_id", "on_hand", "reserved")
    )
    await connection.close()


def _reserved(service: Served, postgres: PostgresServer, products: int, callers: int) -> Counter[str]:
    [(url, process)] = service.processes
    orders = [f"ord_{uuid4().hex}" for _ in range(STOCK_ORDERS[callers])]
    items = [(WantedItem(product_id=f"P{n % products:06}", quantity=1),) for n in range(len(orders))]
    checks = [
        InventoryCheck(saga_id=order, step="inventory", items=wanted)
        for order, wanted in zip(orders, items, strict=True)
    ]
    phases: dict[str, list[Message]] = {"reserve": [*checks], "commit": [RunCompleted(saga_id=each) for each in orders]}
    before = process_seconds(process.pid), process_seconds(postgres.pid)
    figures: Counter[str] = Counter()
    for name, messages in phases.items():
        requests, start = [delivery(message) for message in messages], time.perf_counter()
        asyncio.run(send(url, requests, callers))
        figures[f"{name}/s"] = len(orders) / (time.perf_counter() - start)  # pyright: ignore[reportArgumentType]
    after = process_seconds(process.pid), process_seconds(postgres.pid)
    for part, used, then in zip(("inventory ms", "Postgres ms"), after, before, strict=True):
        figures[part] = 1000 * (used - then) / len(orders)  # pyright: ignore[reportArgumentType]
    return figures


def delivery(message: Message) -> bytes:
    """The request by which delivery hands a message over."""
    attributes = {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/zerocart/fulfillment",
        "type": message.type,
        "time": instant_text(datetime.now(UTC)),
    }
    headers = "".join(f"ce-{name}: {value}\r\n" for name, value in attributes.items())
    return request(EVENTS, headers, message.model_dump_json().encode())


def main() -> None:
    wanted = sys.argv[1:] or ["posts", "chain"]
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    if wanted[0] == "stock":
        stock([ROOT, *(Path(path).resolve() for path in wanted[1:])])
    for cores in CORES:
        if "posts" in wanted:
            posts(cores)
        if "chain" in wanted:
            chain(cores)
    print(f"load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
